// Which bitmaps `postMessage` may move instead of copy: those that the package created itself. A
// caller's own image must stay usable.

const created = new WeakSet();

/** Marks a bitmap of the package's own as transferable. */
export function markTransferable(bitmap: ImageBitmap): ImageBitmap {
  created.add(bitmap);
  return bitmap;
}

/** The marked bitmaps among `args`. A bitmap is moved once, so its mark is removed. */
export function takeTransferables(args: readonly unknown[]): Transferable[] {
  return args.filter((arg): arg is ImageBitmap => typeof arg === "object" && arg !== null && created.delete(arg));
}
