// The visible part of the map: a range of whole columns and rows.

/** A range of the map. */
export interface Window {
  left: number;
  top: number;
  columns: number;
  rows: number;
}

const MIN_CELLS = 12;

/** The whole map. */
export const whole = (columns: number, rows: number): Window => ({ left: 0, top: 0, columns, rows });

/** Zoomed in by `factor`, with the cell (column, row) staying in place. */
export function zoomed(window: Window, factor: number, column: number, row: number, columns: number, rows: number): Window {
  const next = {
    columns: Math.round(clamp(window.columns / factor, Math.min(MIN_CELLS, columns), columns)),
    // If there are few rows, all stay visible.
    rows: rows <= MIN_CELLS ? rows : Math.round(clamp(window.rows / factor, MIN_CELLS, rows)),
  };
  const keep = (at: number, start: number, size: number, nextSize: number): number => at - ((at - start) / size) * nextSize;
  return within(
    { left: keep(column, window.left, window.columns, next.columns), top: keep(row, window.top, window.rows, next.rows), ...next },
    columns,
    rows,
  );
}

/** Moved just as far as needed to show the cell. */
export function showing(window: Window, column: number, row: number, columns: number, rows: number): Window {
  const reach = (at: number, start: number, size: number): number => (at < start ? at : at >= start + size ? at - size + 1 : start);
  return within({ ...window, left: reach(column, window.left, window.columns), top: reach(row, window.top, window.rows) }, columns, rows);
}

/** Moved inside the map, to whole cells. */
export function within(window: Window, columns: number, rows: number): Window {
  return {
    ...window,
    left: Math.round(clamp(window.left, 0, columns - window.columns)),
    top: Math.round(clamp(window.top, 0, rows - window.rows)),
  };
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
