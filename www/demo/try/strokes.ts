// How a drawing becomes the picture that the digit model sees: the rule it was trained with
// (training/README.md). Strokes are scaled and centred by the box around their points, then drawn
// with a pen of fixed width.

/** Points of one line, x to the right and y downwards, in shares of the pad's side. */
export type Stroke = [x: number, y: number][];

/** Side of the network's picture; the longer side of the box and the pen's width are in its pixels. */
const SIDE = 28;
const INK = 18;
const PEN = 2.2;
/** A drawing smaller than this share of the pad is not enlarged any further. */
const SMALLEST = 20 / 280;

/** Draws white strokes on black over the whole canvas. */
export function drawPlaced(canvas: HTMLCanvasElement | OffscreenCanvas, strokes: readonly Stroke[]): void {
  const size = canvas.width;
  const points = strokes.flat();
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const factor = ((size * INK) / SIDE) / Math.max(right - left, bottom - top, SMALLEST);
  const place = ([x, y]: [number, number]): [number, number] => [
    (x - (left + right) / 2) * factor + size / 2,
    (y - (top + bottom) / 2) * factor + size / 2,
  ];
  const context = canvas.getContext("2d") as CanvasRenderingContext2D | null;
  if (!context) return;
  context.fillStyle = "#000";
  context.fillRect(0, 0, size, size);
  drawLines(context, strokes.map((stroke) => stroke.map(place)), (PEN * size) / SIDE);
}

/** White lines with round ends; a single point is a dot. */
export function drawLines(context: CanvasRenderingContext2D, strokes: readonly Stroke[], pen: number): void {
  context.strokeStyle = "#fff";
  context.lineWidth = pen;
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    stroke.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    const first = stroke[0];
    if (first && stroke.length === 1) context.lineTo(first[0], first[1] + 0.01);
    context.stroke();
  }
}
