// The tuning report: the selected hyperparameters in words, and the heat map of p and lambda.

import { KINDS } from "../generated.js";
import { h, setOptions } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { describeCell, type Grid, heatLegend, heatMap } from "./heatmap.js";
import { describeSelection, type ItpFamily, lambdaText, ruleName } from "./texts.js";
import type { TuneKind, TuneReport } from "itp-ood";

/** Fills `container` with the report; `name` tells the ids of its elements from those of another report. */
export function showReport(container: HTMLElement, report: TuneReport, name: string): void {
  const { warnings } = report;
  container.append(
    ...(warnings.length
      ? [
          h(
            "ul",
            { class: "small", "aria-label": "Tuning warnings" },
            ...warnings.map((text) => h("li", { class: "warn" }, `${text.charAt(0).toUpperCase()}${text.slice(1)}.`)),
          ),
        ]
      : []),
    h("h3", {}, `Selected by rule ${ruleName(report.rule)}`),
    h("ul", { class: "selected", "aria-label": "Selected hyperparameters" }, ...describeSelection(report).map((text) => h("li", {}, text))),
  );
  const itp = report.families.find((family): family is ItpFamily => family.score === "itp");
  if (itp) showItp(container, report, itp, name);
}

function showItp(container: HTMLElement, { kinds }: TuneReport, itp: ItpFamily, name: string): void {
  const p = [...new Set(itp.tried.map(({ setting }) => setting.p))];
  const lambda = [...new Set(itp.tried.map(({ setting }) => setting.lambda))];
  const selected = { r1: itp.r1, rStar: itp.rStar };
  const select = h("select");
  setOptions(select, [
    { value: "mean", text: "mean over all kinds" },
    { value: "near", text: "mean over the near-OOD kinds" },
    ...kinds.map((kind) => ({ value: kind, text: `${kind}: ${KINDS[kind].description}` })),
  ]);
  const grid = (): Grid => {
    const kind = kinds.indexOf(select.value as TuneKind);
    const value = { mean: "mean", near: "nearMean" } as const;
    const values = itp.tried.map((tried) => (kind < 0 ? tried[value[select.value as "mean"]] : (tried.auroc[kind] as number)));
    return { p, lambda, values, selected };
  };

  const heat = h("div");
  const title = h("h3", { id: `${name}-cell` });
  const body = h("tbody");
  const cellText = h("p", { class: "quiet small", "aria-live": "polite", id: `${name}-cell-text` });
  const showCell = (index: number): void => {
    const candidate = itp.tried[index];
    if (!candidate) return;
    title.textContent = describeCell(grid(), index);
    const row = (name: string, value: number): HTMLElement => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, decimal(value, 1)));
    body.replaceChildren(
      row("mean", candidate.mean),
      row("near-OOD", candidate.nearMean),
      ...kinds.map((kind, i) => row(kind, candidate.auroc[i] as number)),
    );
    const by =
      index === selected.r1 && index === selected.rStar
        ? ", selected by both rules"
        : index === selected.r1
          ? ", selected by R1"
          : index === selected.rStar
            ? ", selected by R*"
            : "";
    cellText.textContent = `${describeCell(grid(), index)}${by}: mean AUROC ${decimal(candidate.mean, 1)}, near-OOD ${decimal(candidate.nearMean, 1)}.`;
  };
  const redraw = heatMap(heat, `${name}-help ${name}-cell-text`, grid, showCell);
  const table = h("table", { class: "list" });
  const showTable = (): void => {
    const { values } = grid();
    const mark = (at: number): string => `${at === selected.r1 ? " R1" : ""}${at === selected.rStar ? " R*" : ""}`;
    table.replaceChildren(
      h(
        "thead",
        {},
        h("tr", {}, h("th", { scope: "col" }, "p \\ λ"), ...lambda.map((value) => h("th", { scope: "col" }, lambdaText(value)))),
      ),
      h(
        "tbody",
        {},
        ...p.map((value, row) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, String(value)),
            ...lambda.map((_, column) => {
              const at = row * lambda.length + column;
              return h("td", { class: mark(at) ? "best" : "" }, `${decimal(values[at] as number, 1)}${mark(at)}`);
            }),
          ),
        ),
      ),
    );
  };
  select.addEventListener("change", () => {
    redraw();
    showTable();
  });
  container.append(
    h(
      "div",
      { class: "card-head tune-head" },
      h("h3", {}, "ITP by p and λ, AUROC in percent"),
      h("div", { class: "tools" }, h("label", {}, "Against ", select)),
    ),
    heatLegend(),
    h(
      "div",
      { class: "map-grid" },
      h(
        "div",
        {},
        heat,
        h(
          "p",
          { class: "quiet small", id: `${name}-help` },
          "Point at a cell, or use the arrow keys; Home and End go to the ends of a row.",
        ),
      ),
      h("div", { class: "weight" }, title, h("table", { class: "cell-table", "aria-labelledby": `${name}-cell` }, body), cellText),
    ),
    h(
      "details",
      {},
      h("summary", {}, "As a table"),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "AUROC by p and λ, as a table" }, table),
    ),
  );
  showTable();
  showCell(selected.r1);
  redraw();
}
