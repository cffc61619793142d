// Turns a drawing into an input of the digits model, as in its training (training/README.md): strokes
// are scaled and centred by their bounding box, then drawn with a pen of fixed width.

/** Points of one line, relative to the pad's side; y points downwards. */
export type Stroke = [x: number, y: number][];

/** Side of the network's input, in pixels, and of the bounding box in it; width of the pen. */
const SIDE = 28;
const BOX = 18;
const PEN = 2.2;
/** Smaller drawings, relative to the pad, are not enlarged any further. */
const MIN_SIZE = 20 / 280;

/** Draws white strokes on black over the whole canvas. */
export function drawCentred(canvas: HTMLCanvasElement | OffscreenCanvas, strokes: readonly Stroke[]): void {
  const size = canvas.width;
  const points = strokes.flat();
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const factor = (size * BOX) / SIDE / Math.max(right - left, bottom - top, MIN_SIZE);
  const place = ([x, y]: [number, number]): [number, number] => [
    (x - (left + right) / 2) * factor + size / 2,
    (y - (top + bottom) / 2) * factor + size / 2,
  ];
  const context = canvas.getContext("2d") as CanvasRenderingContext2D | null;
  if (!context) return;
  context.fillStyle = "#000";
  context.fillRect(0, 0, size, size);
  drawLines(
    context,
    strokes.map((stroke) => stroke.map(place)),
    (PEN * size) / SIDE,
  );
}

/** Draws white lines with round ends; a single point is a dot. */
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
