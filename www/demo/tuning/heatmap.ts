// ITP's grid of p and lambda as a heat map that can be pointed at and walked through by keys.

import { chart, label } from "../chart/frame.js";
import { h, svg } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { lambdaOf } from "./words.js";

/** What the map shows: values row by row. */
export interface Grid {
  p: readonly number[];
  lambda: readonly (number | "inf")[];
  /** AUROC in percent, of each p and lambda in turn. */
  values: readonly number[];
  /** Places of the picks. */
  picks: { r1: number; rStar: number };
}

/** So narrow, and p goes across, as it has fewer steps. */
const NARROW = 520;
const LEFT = 44;
const TOP = 42;

/** A heat map in `place`; `onPoint` is told which place is looked at. The result draws it again. */
export function heatMap(place: HTMLElement, helpIds: string, data: () => Grid | undefined, onPoint: (place: number) => void): () => void {
  const box = h("div", { class: "heat chart", tabindex: 0, role: "application", "aria-roledescription": "heat map", "aria-label": "AUROC by p and λ", "aria-describedby": helpIds });
  place.append(box);
  let cursor: number | undefined;
  let known: Grid | undefined;
  let upright = false;
  let cell = { width: 1, height: 1 };

  const size = (grid: Grid): { columns: number; rows: number } =>
    upright ? { columns: grid.p.length, rows: grid.lambda.length } : { columns: grid.lambda.length, rows: grid.p.length };
  const placeAt = (grid: Grid, column: number, row: number): number => (upright ? column * grid.lambda.length + row : row * grid.lambda.length + column);
  const cellOf = (grid: Grid, at: number): { column: number; row: number } => {
    const [p, lambda] = [Math.floor(at / grid.lambda.length), at % grid.lambda.length];
    return upright ? { column: p, row: lambda } : { column: lambda, row: p };
  };

  const redraw = chart(
    box,
    (width) => {
      upright = width < NARROW;
      return TOP + (upright ? 11 * 30 : 7 * 54) + 4;
    },
    ({ svg: root, width, height }) => {
      const grid = data();
      if (!grid) return undefined;
      if (known?.picks !== grid.picks) cursor = undefined;
      known = grid;
      const at = (cursor ??= grid.picks.r1);
      const { columns, rows } = size(grid);
      cell = { width: (width - LEFT - 2) / columns, height: (height - TOP - 4) / rows };
      const [low, high] = [Math.min(...grid.values), Math.max(...grid.values)];
      const strength = (value: number): number => (high > low ? 0.04 + 0.5 * ((value - low) / (high - low)) : 0.2);
      const names = { p: grid.p.map(String), lambda: grid.lambda.map(lambdaOf) };
      const [across, down] = upright ? [names.p, names.lambda] : [names.lambda, names.p];
      root.append(label(upright ? "p, in percent" : "λ", LEFT + (width - LEFT) / 2, 12, "axis-title", "middle"), label(upright ? "λ" : "p", LEFT - 10, TOP - 10, "axis-title", "end"));
      across.forEach((text, column) => root.append(label(text, LEFT + (column + 0.5) * cell.width, TOP - 10, "tick", "middle")));
      down.forEach((text, row) => root.append(label(text, LEFT - 10, TOP + (row + 0.5) * cell.height + 4, "tick", "end")));
      for (const [index, value] of grid.values.entries()) {
        const { column, row } = cellOf(grid, index);
        const [x, y] = [LEFT + column * cell.width, TOP + row * cell.height];
        root.append(
          svg("rect", { x: x + 1, y: y + 1, width: cell.width - 2, height: cell.height - 2, rx: 3, class: "heat-cell", "fill-opacity": strength(value).toFixed(3) }),
          label(decimal(value, 1), x + cell.width / 2, y + cell.height / 2 + 4, "heat-value", "middle"),
        );
      }
      for (const [rule, pick] of Object.entries(grid.picks)) {
        const { column, row } = cellOf(grid, pick);
        const [x, y] = [LEFT + column * cell.width, TOP + row * cell.height];
        root.append(svg("rect", { x: x + 1.5, y: y + 1.5, width: cell.width - 3, height: cell.height - 3, rx: 3, class: "heat-pick" }));
        root.append(rule === "r1" ? diamond(x + 2, y + 2) : ring(x + cell.width - 2, y + 2));
      }
      const { column, row } = cellOf(grid, at);
      root.append(svg("rect", { x: LEFT + column * cell.width - 1, y: TOP + row * cell.height - 1, width: cell.width + 2, height: cell.height + 2, rx: 5, class: "heat-cursor" }));
      return `From ${decimal(low, 1)} to ${decimal(high, 1)}; rule R1 picks ${words(grid, grid.picks.r1)}, rule R* ${words(grid, grid.picks.rStar)}.`;
    },
  );

  const go = (at: number): void => {
    if (at === cursor) return;
    cursor = at;
    redraw();
    onPoint(at);
  };
  const point = (event: PointerEvent): void => {
    if (!known) return;
    const bounds = box.getBoundingClientRect();
    const { columns, rows } = size(known);
    const column = Math.floor((event.clientX - bounds.left - LEFT) / cell.width);
    const row = Math.floor((event.clientY - bounds.top - TOP) / cell.height);
    if (column >= 0 && row >= 0 && column < columns && row < rows) go(placeAt(known, column, row));
  };
  box.addEventListener("pointermove", point);
  box.addEventListener("pointerdown", point);
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-99, 0], End: [99, 0], PageUp: [0, -99], PageDown: [0, 99] }[event.key];
    if (!step || !known || cursor === undefined) return;
    event.preventDefault();
    const { columns, rows } = size(known);
    const { column, row } = cellOf(known, cursor);
    const within = (value: number, most: number): number => Math.max(0, Math.min(most - 1, value));
    go(placeAt(known, within(column + (step[0] as number), columns), within(row + (step[1] as number), rows)));
  });
  return redraw;
}

/** A place in words. */
export function words(grid: Grid, at: number): string {
  const p = grid.p[Math.floor(at / grid.lambda.length)] as number;
  return `p ${p}, λ ${lambdaOf(grid.lambda[at % grid.lambda.length] as number | "inf")}`;
}

/** The mark of rule R1's pick, and that of R*'s. */
const diamond = (x: number, y: number): SVGElement => svg("path", { d: `M${x + 4} ${y - 2}l6 6-6 6-6-6Z`, class: "heat-r1" });
const ring = (x: number, y: number): SVGElement => svg("circle", { cx: x - 4, cy: y + 4, r: 4.5, class: "heat-rstar" });

/** What the marks mean. */
export function heatLegend(): HTMLElement {
  const mark = (shape: SVGElement): SVGElement => svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, shape);
  return h(
    "ul",
    { class: "legend" },
    h("li", {}, mark(diamond(4, 4)), "picked by R1: the best mean over all kinds"),
    h("li", {}, mark(ring(12, 4)), "picked by R*: the best that loses at most a point to Energy near the training data"),
  );
}
