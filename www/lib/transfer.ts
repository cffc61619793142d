// Which bitmaps `postMessage` may move instead of copy: those that the package created itself. A
// caller's own image must stay usable.

const created = new WeakSet();

/** Marks a bitmap of the package's own as transferable. */
export function markTransferable(bitmap: ImageBitmap): ImageBitmap {
  created.add(bitmap);
  return bitmap;
}

/** Whether a bitmap was marked; its mark is removed, as it can be moved or closed once only. */
export function takeMark(bitmap: unknown): boolean {
  return created.delete(bitmap as object);
}

/** The marked bitmaps among `args`. */
export function takeTransferables(args: readonly unknown[]): ImageBitmap[] {
  return args.filter((arg): arg is ImageBitmap => takeMark(arg));
}

/** Closes the package's own bitmaps that no worker got, since the call ended before. */
export function closeLeft(args: readonly unknown[]): void {
  for (const bitmap of takeTransferables(args)) bitmap.close();
}
