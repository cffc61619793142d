// The waterfall from the energy without pruning, via CRP and FTP, to the ITP score.

import { svg } from "../ui/dom.js";
import { decimal, signed } from "../ui/format.js";
import { chart, label, scale } from "./frame.js";
import type { Detection } from "itp-ood";

interface Step {
  name: string;
  from: number;
  to: number;
  text: string;
  kind: "total" | "gain" | "loss";
}

/** The steps. Their printed values add up exactly, as each is the difference of rounded totals. */
export function steps({ plain, crp, itp }: NonNullable<Detection["energies"]>): Step[] {
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

/** Adds the chart to `container`; the returned function redraws it. */
export function waterfallChart(container: HTMLElement, data: () => Detection | undefined): () => void {
  return chart(
    container,
    () => 236,
    ({ svg: root, width, height }) => {
      const result = data();
      if (!result?.energies) return undefined;
      const all = steps(result.energies);
      const values = all.flatMap(({ from, to }) => [from, to]);
      const low = Math.min(0, ...values);
      const high = Math.max(0, ...values);
      const bottom = height - 26;
      const y = scale([low, high], [low < 0 ? bottom - 18 : bottom, TOP]);
      const slot = width / all.length;
      const wide = Math.min(84, slot * 0.66);
      all.forEach(({ name, from, to, text, kind }, i) => {
        const x = slot * i + (slot - wide) / 2;
        const top = Math.min(y(from), y(to));
        const tall = Math.max(2, Math.abs(y(from) - y(to)));
        root.append(svg("rect", { x, y: top, width: wide, height: tall, rx: 2, class: `step ${kind}` }));
        root.append(label(text, x + wide / 2, top - 7, "step-value", "middle"));
        root.append(label(name, x + wide / 2, height - 6, "step-name", "middle"));
        const next = all[i + 1];
        if (next) root.append(svg("line", { x1: x + wide, x2: x + slot, y1: y(to), y2: y(to), class: "joint" }));
      });
      root.append(svg("line", { x1: 0, x2: width, y1: y(0), y2: y(0), class: "axis-line" }));
      return `${all.map(({ name, text, kind }) => `${name} ${kind === "total" ? "is" : "changes it by"} ${text}`).join(", ")}.`;
    },
  );
}
