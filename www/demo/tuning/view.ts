// What is seen of tuning: the pseudo-OOD images while they are made, then the report and its files.

import { fileName } from "../calibrate/stats-actions.js";
import { h } from "../ui/dom.js";
import { download } from "../ui/files.js";
import { kindFigure } from "./kinds.js";
import { showReport } from "./report.js";
import type { Tuned, TunePreview, TuneReport } from "itp-ood";

/** Controls the view. */
export interface TuningView {
  /** One of each kind of image, and the report. */
  readonly elements: readonly HTMLElement[];
  clear(): void;
  preview(preview: TunePreview): void;
  show(tuned: Tuned): void;
}

/** A view; `name` tells its elements from those of another one. */
export function tuningView(name: string): TuningView {
  const kinds = h("ul", { class: "kinds", "aria-label": "Kinds of pseudo-OOD images" });
  const made = h(
    "div",
    { class: "outcome", hidden: true },
    h("h3", {}, "Pseudo-OOD images: one of each kind"),
    kinds,
    h("p", { class: "quiet small" }, "Near-OOD: stands for images close to the training data."),
  );
  const report = h("div", { class: "outcome" });
  return {
    elements: [made, report],
    clear: () => {
      kinds.replaceChildren();
      report.replaceChildren();
      made.hidden = true;
    },
    preview: (preview) => {
      made.hidden = false;
      kinds.append(kindFigure(preview));
    },
    show: (tuned) => showReport(report, tuned.report, name),
  };
}

/** The report as `itp tune --report` writes it: JSON has no infinity. */
const jsonOf = (report: TuneReport): string =>
  `${JSON.stringify(report, (_, value: unknown) => (value === Infinity ? "inf" : value), 2)}\n`;

/** Buttons that download the report. */
export function reportActions(title: string, { report, markdown }: Tuned): HTMLElement[] {
  const button = (text: string, ending: string, content: () => string, type: string): HTMLElement => {
    const made = h("button", { type: "button" }, text);
    made.addEventListener("click", () => download(`${fileName(title)}.tuning.${ending}`, content(), type));
    return made;
  };
  return [
    button("Report as JSON", "json", () => jsonOf(report), "application/json"),
    button("Report as Markdown", "md", () => markdown, "text/markdown"),
  ];
}
