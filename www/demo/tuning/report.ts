// What tuning found: the picks in words, the map of p and lambda, and the files.

import type { TuneKind, TuneReport } from "itp-ood";
import { h, setOptions } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { type Grid, heatLegend, heatMap, words } from "./heatmap.js";
import { KINDS } from "./kinds.js";
import { type ItpFamily, lambdaOf, pickWords, ruleName } from "./words.js";

/** Fills `place` with what the report says. */
export function showReport(place: HTMLElement, report: TuneReport): void {
  const { warnings } = report;
  place.append(
    ...(warnings.length ? [h("ul", { class: "small", "aria-label": "Tuning warnings" }, ...warnings.map((text) => h("li", { class: "warn" }, `${text.charAt(0).toUpperCase()}${text.slice(1)}.`)))] : []),
    h("h3", {}, `What rule ${ruleName(report.rule)} picks`),
    h("ul", { class: "picks", "aria-label": "Picks" }, ...pickWords(report).map((text) => h("li", {}, text))),
  );
  const itp = report.families.find(({ score }) => score === "itp") as ItpFamily | undefined;
  if (itp) showItp(place, report, itp);
}

function showItp(place: HTMLElement, { kinds }: TuneReport, itp: ItpFamily): void {
  const p = [...new Set(itp.tried.map(({ setting }) => setting.p))];
  const lambda = [...new Set(itp.tried.map(({ setting }) => setting.lambda))];
  const picks = { r1: itp.r1, rStar: itp.rStar };
  const select = h("select");
  setOptions(select, [{ value: "mean", text: "mean over all kinds" }, { value: "near", text: "mean over the near kinds" }, ...kinds.map((kind) => ({ value: kind, text: `${kind}: ${KINDS[kind]}` }))]);
  const grid = (): Grid => {
    const kind = kinds.indexOf(select.value as TuneKind);
    const value = { mean: "mean", near: "nearMean" } as const;
    const values = itp.tried.map((tried) => (kind < 0 ? tried[value[select.value as "mean"]] : (tried.auroc[kind] as number)));
    return { p, lambda, values, picks };
  };

  const heat = h("div");
  const title = h("h3", { id: "tune-cell" });
  const body = h("tbody");
  const said = h("p", { class: "quiet small", "aria-live": "polite", id: "tune-said" });
  const showCell = (at: number): void => {
    const tried = itp.tried[at];
    if (!tried) return;
    title.textContent = words(grid(), at);
    const row = (name: string, value: number): HTMLElement => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, decimal(value, 1)));
    body.replaceChildren(row("mean", tried.mean), row("near", tried.nearMean), ...kinds.map((kind, i) => row(kind, tried.auroc[i] as number)));
    const by = at === picks.r1 && at === picks.rStar ? ", picked by both rules" : at === picks.r1 ? ", picked by R1" : at === picks.rStar ? ", picked by R*" : "";
    said.textContent = `${words(grid(), at)}${by}: AUROC ${decimal(tried.mean, 1)} on average, ${decimal(tried.nearMean, 1)} near the training data.`;
  };
  const redraw = heatMap(heat, "tune-help tune-said", grid, showCell);
  const table = h("table", { class: "list" });
  const showTable = (): void => {
    const { values } = grid();
    const mark = (at: number): string => `${at === picks.r1 ? " R1" : ""}${at === picks.rStar ? " R*" : ""}`;
    table.replaceChildren(
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "p \\ λ"), ...lambda.map((value) => h("th", { scope: "col" }, lambdaOf(value))))),
      h(
        "tbody",
        {},
        ...p.map((value, row) =>
          h("tr", {}, h("th", { scope: "row" }, String(value)), ...lambda.map((_, column) => {
            const at = row * lambda.length + column;
            return h("td", { class: mark(at) ? "best" : "" }, `${decimal(values[at] as number, 1)}${mark(at)}`);
          })),
        ),
      ),
    );
  };
  select.addEventListener("change", () => {
    redraw();
    showTable();
  });
  place.append(
    h("div", { class: "card-head tune-head" }, h("h3", {}, "ITP by p and λ, AUROC in percent"), h("div", { class: "tools" }, h("label", {}, "Against ", select))),
    heatLegend(),
    h("div", { class: "map-grid" },
      h("div", {}, heat, h("p", { class: "quiet small", id: "tune-help" }, "Point at a setting, or use the arrow keys; Home and End go to the ends of a row.")),
      h("div", { class: "weight" }, title, h("table", { class: "cell-table", "aria-labelledby": "tune-cell" }, body), said),
    ),
    h("details", {}, h("summary", {}, "As a table"), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "AUROC by p and λ, as a table" }, table)),
  );
  showTable();
  showCell(picks.r1);
  redraw();
}
