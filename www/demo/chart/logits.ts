// The largest logits, before and after pruning.

import type { Outcome } from "../state/app.js";
import type { Pointing } from "../state/pointing.js";
import { svg } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { chart, label, scale, ticks } from "./frame.js";
const MAX_CLASSES = 12;
const ROW = 24;
const TOP = 26;

/** Adds the chart to `container`; pointing at a class is shared with other views. The returned function redraws it. */
export function logitsChart(container: HTMLElement, data: () => Outcome | undefined, pointing: Pointing): () => void {
  let classes: number[] = [];
  const height = (): number => {
    const shown = data();
    classes = shown ? largest(shown.result.logits) : [];
    return TOP + Math.max(3, classes.length) * ROW + 24;
  };
  return chart(container, height, ({ svg: root, width, height: tall }) => {
    const shown = data();
    if (!shown?.result.prunedLogits.length) return undefined;
    const { result } = shown;
    const { labels } = shown.model.info;
    const pointed = pointing.value?.classIndex;
    const names = classes.map((k) => labels[k] ?? String(k));
    const left = Math.min(width * 0.32, 12 + 7 * Math.max(...names.map((name) => name.length)));
    const all = classes.flatMap((k) => [result.logits[k] as number, result.prunedLogits[k] as number]);
    const range: [number, number] = [Math.min(0, ...all), Math.max(0, ...all)];
    const x = scale(range, [left + 20, width - 52]);
    const bottom = tall - 22;
    for (const { value, text } of ticks(x, width - left, 2)) {
      root.append(svg("line", { x1: x(value), x2: x(value), y1: TOP - 6, y2: bottom, class: value === 0 ? "axis-line" : "grid" }));
      root.append(label(text, x(value), bottom + 15, "tick", "middle"));
    }
    legend(root, Math.max(0, Math.min(left + 16, width - 172)));
    classes.forEach((k, row) => {
      const y = TOP + row * ROW + ROW / 2;
      const before = x(result.logits[k] as number);
      const after = x(result.prunedLogits[k] as number);
      const name = names[row] as string;
      const predicted = k === result.classIndex;
      // Under everything else of the row, and what the pointer meets.
      const band = svg("rect", { x: 0, y: y - ROW / 2, width, height: ROW, rx: 4, class: k === pointed ? "band pointed" : "band" });
      band.addEventListener("pointerenter", () => {
        // It is drawn anew under the pointer, which enters again.
        if (pointing.peek()?.classIndex !== k) pointing.value = { classIndex: k };
      });
      root.append(band);
      root.append(label(truncate(name, left), left, y + 4, predicted ? "name predicted" : "name", "end"));
      root.append(svg("line", { x1: before, x2: after, y1: y, y2: y, class: "move" }));
      root.append(svg("circle", { cx: before, cy: y, r: 4.5, class: "mark-before" }));
      root.append(svg("path", { d: `M${after} ${y - 6}l6 6-6 6-6-6Z`, class: "mark mark-after" }));
      root.append(label(decimal(result.prunedLogits[k] as number, 1), width - 4, y + 4, "tick", "end"));
    });
    const rest = result.logits.length - classes.length;
    return `${classes.map((k, row) => `${names[row]}: ${decimal(result.logits[k] as number)} before, ${decimal(result.prunedLogits[k] as number)} after`).join("; ")}${rest > 0 ? `; and ${rest} more classes` : ""}.`;
  });
}

function legend(root: SVGSVGElement, x: number): void {
  root.append(svg("circle", { cx: x + 5, cy: 9, r: 4.5, class: "mark-before" }), label("before", x + 15, 13, "tick"));
  root.append(svg("path", { d: `M${x + 75} 3l6 6-6 6-6-6Z`, class: "mark mark-after" }), label("after pruning", x + 86, 13, "tick"));
}

function truncate(name: string, width: number): string {
  const most = Math.floor(width / 7);
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
}

function largest(logits: Float32Array): number[] {
  return Array.from(logits.keys())
    .sort((a, b) => (logits[b] as number) - (logits[a] as number))
    .slice(0, MAX_CLASSES);
}
