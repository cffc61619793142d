// Sends the page's blobs to the single file's worker as bytes: WebKit gives a worker from a blob address,
// as there is no other without a server, no access to what the page's blobs hold.

interface Packed {
  packedBlob: ArrayBuffer;
  type: string;
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && [Object.prototype, Array.prototype].includes(Object.getPrototypeOf(value) as object);

/** A message with every blob as its bytes. */
export async function pack(value: unknown): Promise<unknown> {
  if (value instanceof Blob) {
    // What can't be read is left to the package, which says so.
    const packedBlob = await value.arrayBuffer().catch(() => undefined);
    return packedBlob ? ({ packedBlob, type: value.type } satisfies Packed) : value;
  }
  if (!isPlain(value)) return value;
  const entries = await Promise.all(Object.entries(value).map(async ([name, part]) => [name, await pack(part)] as const));
  return Array.isArray(value) ? entries.map(([, part]) => part) : Object.fromEntries(entries);
}

/** The message that was packed. */
export function unpack(value: unknown): unknown {
  if (!isPlain(value)) return value;
  if ("packedBlob" in value) {
    const { packedBlob, type } = value as unknown as Packed;
    return new Blob([packedBlob], { type });
  }
  if (Array.isArray(value)) return value.map(unpack);
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, unpack(part)]));
}
