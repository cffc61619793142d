// A heat map of ITP's grid of p and lambda, for pointer and keyboard.

import { chart, label } from "../chart/frame.js";
import { h, svg } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { lambdaText } from "./texts.js";

/** Data of the map. */
export interface Grid {
  p: readonly number[];
  lambda: readonly number[];
  /** AUROC in percent, of each p and lambda in turn. */
  values: readonly number[];
  /** Indices of the selected candidates. */
  selected: { r1: number; rStar: number };
}

/** Below this width, p is the horizontal axis, as it has fewer values. */
const NARROW = 520;
const LEFT = 44;
const TOP = 42;

/** Adds a heat map to `container`; `onPoint` gets the index under the cursor. The returned function redraws it. */
export function heatMap(
  container: HTMLElement,
  helpIds: string,
  data: () => Grid | undefined,
  onPoint: (index: number) => void,
): () => void {
  const box = h("div", {
    class: "heat chart",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "heat map",
    "aria-label": "AUROC by p and λ",
    "aria-describedby": helpIds,
  });
  container.append(box);
  let cursor: number | undefined;
  let known: Grid | undefined;
  let upright = false;
  let cell = { width: 1, height: 1 };

  const size = (grid: Grid): { columns: number; rows: number } =>
    upright ? { columns: grid.p.length, rows: grid.lambda.length } : { columns: grid.lambda.length, rows: grid.p.length };
  const indexAt = (grid: Grid, column: number, row: number): number =>
    upright ? column * grid.lambda.length + row : row * grid.lambda.length + column;
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
      if (known?.selected !== grid.selected) cursor = undefined;
      known = grid;
      const at = (cursor ??= grid.selected.r1);
      const { columns, rows } = size(grid);
      cell = { width: (width - LEFT - 2) / columns, height: (height - TOP - 4) / rows };
      const [low, high] = [Math.min(...grid.values), Math.max(...grid.values)];
      const strength = (value: number): number => (high > low ? 0.04 + 0.5 * ((value - low) / (high - low)) : 0.2);
      const names = { p: grid.p.map(String), lambda: grid.lambda.map(lambdaText) };
      const [across, down] = upright ? [names.p, names.lambda] : [names.lambda, names.p];
      root.append(
        label(upright ? "p, in percent" : "λ", LEFT + (width - LEFT) / 2, 12, "axis-title", "middle"),
        label(upright ? "λ" : "p", LEFT - 10, TOP - 10, "axis-title", "end"),
      );
      across.forEach((text, column) => root.append(label(text, LEFT + (column + 0.5) * cell.width, TOP - 10, "tick", "middle")));
      down.forEach((text, row) => root.append(label(text, LEFT - 10, TOP + (row + 0.5) * cell.height + 4, "tick", "end")));
      for (const [index, value] of grid.values.entries()) {
        const { column, row } = cellOf(grid, index);
        const [x, y] = [LEFT + column * cell.width, TOP + row * cell.height];
        root.append(
          svg("rect", {
            x: x + 1,
            y: y + 1,
            width: cell.width - 2,
            height: cell.height - 2,
            rx: 3,
            class: "heat-cell",
            "fill-opacity": strength(value).toFixed(3),
          }),
          label(decimal(value, 1), x + cell.width / 2, y + cell.height / 2 + 4, "heat-value", "middle"),
        );
      }
      for (const [rule, pick] of Object.entries(grid.selected)) {
        const { column, row } = cellOf(grid, pick);
        const [x, y] = [LEFT + column * cell.width, TOP + row * cell.height];
        root.append(svg("rect", { x: x + 1.5, y: y + 1.5, width: cell.width - 3, height: cell.height - 3, rx: 3, class: "heat-pick" }));
        root.append(rule === "r1" ? diamond(x + 2, y + 2) : ring(x + cell.width - 2, y + 2));
      }
      const { column, row } = cellOf(grid, at);
      root.append(
        svg("rect", {
          x: LEFT + column * cell.width - 1,
          y: TOP + row * cell.height - 1,
          width: cell.width + 2,
          height: cell.height + 2,
          rx: 5,
          class: "heat-cursor",
        }),
      );
      return `From ${decimal(low, 1)} to ${decimal(high, 1)}; rule R1 selects ${describeCell(grid, grid.selected.r1)}, rule R* ${describeCell(grid, grid.selected.rStar)}.`;
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
    if (column >= 0 && row >= 0 && column < columns && row < rows) go(indexAt(known, column, row));
  };
  box.addEventListener("pointermove", point);
  box.addEventListener("pointerdown", point);
  box.addEventListener("keydown", (event) => {
    const step = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
      Home: [-99, 0],
      End: [99, 0],
      PageUp: [0, -99],
      PageDown: [0, 99],
    }[event.key];
    if (!step || !known || cursor === undefined) return;
    event.preventDefault();
    const { columns, rows } = size(known);
    const { column, row } = cellOf(known, cursor);
    const within = (value: number, most: number): number => Math.max(0, Math.min(most - 1, value));
    go(indexAt(known, within(column + (step[0] as number), columns), within(row + (step[1] as number), rows)));
  });
  return redraw;
}

/** The hyperparameters of a cell. */
export function describeCell(grid: Grid, at: number): string {
  const p = grid.p[Math.floor(at / grid.lambda.length)] as number;
  return `p ${p}, λ ${lambdaText(grid.lambda[at % grid.lambda.length] as number)}`;
}

/** Marks of the candidates selected by R1 and by R*. */
const diamond = (x: number, y: number): SVGElement => svg("path", { d: `M${x + 4} ${y - 2}l6 6-6 6-6-6Z`, class: "heat-r1" });
const ring = (x: number, y: number): SVGElement => svg("circle", { cx: x - 4, cy: y + 4, r: 4.5, class: "heat-rstar" });

/** The legend of the marks. */
export function heatLegend(): HTMLElement {
  const mark = (shape: SVGElement): SVGElement => svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, shape);
  return h(
    "ul",
    { class: "legend" },
    h("li", {}, mark(diamond(4, 4)), "selected by R1: best mean over all kinds"),
    h("li", {}, mark(ring(12, 4)), "selected by R*: best that loses at most one point to Energy on near-OOD kinds"),
  );
}
