// The waterfall from the energy without pruning, via CRP and FTP, to the ITP score, in front of what is usual.

import type { Outcome } from "../state/app.js";
import type { Reference, Usual } from "../state/reference.js";
import { svg } from "../ui/dom.js";
import { decimal, signed } from "../ui/format.js";
import { chart, label, type Scale, scale } from "./frame.js";
import { widthOf } from "./labels.js";
import type { Energies } from "itp-ood";

interface Step {
  name: string;
  from: number;
  to: number;
  text: string;
  kind: "total" | "gain" | "loss";
}

/** The steps. Their printed values add up exactly, as each is the difference of rounded totals. */
export function steps({ plain, crp, itp }: Pick<Energies, "plain" | "crp" | "itp">): Step[] {
  const rounded = (value: number): number => Math.round(value * 100) / 100;
  const change = (name: string, from: number, to: number): Step => ({
    name,
    from,
    to,
    text: signed(rounded(to) - rounded(from)),
    kind: to < from ? "loss" : "gain",
  });
  return [
    { name: "Energy", from: 0, to: plain, text: decimal(rounded(plain)), kind: "total" },
    change("CRP", plain, crp),
    change("FTP", crp, itp),
    { name: "ITP", from: 0, to: itp, text: decimal(rounded(itp)), kind: "total" },
  ];
}

const TOP = 24;

/** Whether the key needs two lines. */
const isNarrow = (width: number): boolean => width < 320;

/** Adds the chart to `container`; the returned function redraws it. */
export function waterfallChart(container: HTMLElement, data: () => Outcome | undefined, reference: Reference): () => void {
  return chart(
    container,
    (width) => (isNarrow(width) ? 274 : 256),
    ({ svg: root, width, height }) => {
      const outcome = data();
      const usual = reference.value;
      const { energies } = outcome?.result ?? {};
      if (!outcome || !energies) return undefined;
      const all = steps(energies);
      // While a slider is dragged, the reference may be of the position before.
      const ghosts = usual?.model === outcome.model ? steps(usual.energies) : undefined;
      const threshold = outcome.itp?.threshold;
      const values = [...all, ...(ghosts ?? [])].flatMap(({ from, to }) => [from, to]);
      if (threshold !== undefined) values.push(threshold);
      const low = Math.min(0, ...values);
      const high = Math.max(0, ...values);
      const keyRows = isNarrow(width) ? 2 : 1;
      const base = height - 8 - 18 * keyRows;
      const bottom = base - 20;
      const y = scale([low, high], [low < 0 ? bottom - 18 : bottom, TOP]);
      const slot = width / all.length;
      const wide = Math.min(84, slot * 0.6);
      if (ghosts) drawGhosts(root, ghosts, y, slot, wide);
      all.forEach(({ name, from, to, text, kind }, i) => {
        const x = slot * i + (slot - wide) / 2;
        const top = Math.min(y(from), y(to));
        const tall = Math.max(2, Math.abs(y(from) - y(to)));
        root.append(svg("rect", { x, y: top, width: wide, height: tall, rx: 2, class: `step ${kind}` }));
        root.append(label(text, x + wide / 2, top - 7, "step-value halo", "middle"));
        root.append(label(name, x + wide / 2, base, "step-name", "middle"));
        const next = all[i + 1];
        if (next) root.append(svg("line", { x1: x + wide, x2: x + slot, y1: y(to), y2: y(to), class: "joint" }));
      });
      root.append(svg("line", { x1: 0, x2: width, y1: y(0), y2: y(0), class: "axis-line" }));
      if (threshold !== undefined)
        root.append(svg("line", { x1: slot * 3, x2: width, y1: y(threshold), y2: y(threshold), class: "threshold" }));
      drawKey(root, { y: base + 21, rows: keyRows, usual, threshold });
      return describe(all, ghosts, threshold);
    },
  );
}

/** The outlines of what is usual, a little to the right of what is. */
function drawGhosts(root: SVGSVGElement, ghosts: readonly Step[], y: Scale, slot: number, wide: number): void {
  ghosts.forEach(({ from, to }, i) => {
    const x = slot * i + (slot - wide) / 2 + 7;
    const tall = Math.max(2, Math.abs(y(from) - y(to)));
    root.append(svg("rect", { x, y: Math.min(y(from), y(to)), width: wide, height: tall, rx: 2, class: "ghost" }));
  });
}

interface Key {
  y: number;
  rows: number;
  usual: Usual | undefined;
  threshold: number | undefined;
}

function drawKey(root: SVGSVGElement, { y: top, rows, usual, threshold }: Key): void {
  let [x, y] = [2, top];
  if (usual) {
    root.append(svg("rect", { x, y: y - 10, width: 16, height: 11, rx: 2, class: "ghost" }));
    const text = "median familiar image";
    root.append(label(text, x + 21, y, "tick"));
    if (rows > 1) y += 18;
    else x += 37 + widthOf(text, "tick");
  }
  if (threshold === undefined) return;
  root.append(svg("line", { x1: x, x2: x + 16, y1: y - 4, y2: y - 4, class: "threshold" }));
  root.append(label(`threshold ${decimal(threshold)}`, x + 21, y, "tick"));
}

function describe(all: readonly Step[], ghosts: readonly Step[] | undefined, threshold: number | undefined): string {
  const say = (of: readonly Step[]): string =>
    of.map(({ name, text, kind }) => `${name} ${kind === "total" ? "is" : "changes it by"} ${text}`).join(", ");
  const usual = ghosts ? ` For the median familiar image: ${say(ghosts)}.` : "";
  return `${say(all)}.${threshold === undefined ? "" : ` ITP's threshold is ${decimal(threshold)}.`}${usual}`;
}
