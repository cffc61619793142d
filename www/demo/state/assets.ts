// Where models, images and the engine's worker are: beside the page, or inside it if the page is a
// single file.

import { type Detector, type LoadOptions, loadDetector, OodError } from "itp-ood";

/** The files embedded in a single-file page: data URLs by path. */
const embedded: Record<string, string> | undefined = (() => {
  const text = document.getElementById("files")?.textContent;
  return text ? (JSON.parse(text) as Record<string, string>) : undefined;
})();

/** Whether the page is a single file, perhaps opened from a disk, with nothing beside it to fetch. */
export const isSingleFile = embedded !== undefined;

/** Whether the page has a file below `models/`: a single file lacks what is large. */
export const hasAsset = (path: string): boolean => embedded === undefined || path in embedded;

/** The URL of a file below `models/`. */
export function assetUrl(path: string): string {
  return embedded?.[path] ?? new URL(`models/${path}`, document.baseURI).href;
}

/** Loads a detector, in a worker if one can be started here. */
export async function loadPageDetector(options: LoadOptions): Promise<Detector> {
  if (!isSingleFile) return loadDetector(options);
  engine ??= unpackEngine();
  const embeddedOptions = { ...options, engine: await engine };
  try {
    return await loadDetector({ ...embeddedOptions, worker: startEmbeddedWorker });
  } catch (error) {
    if (!(error instanceof OodError && /^(engine|fetch|crashed)$/.test(error.code))) throw error;
    // Some browsers start no workers from a disk, or end them at once, and in WebKit such a worker can't read any blob.
    // Without one the page works, but freezes during inference.
    return loadDetector({ ...embeddedOptions, worker: false });
  }
}

let engine: Promise<string> | undefined;

/** The engine is embedded compressed, at a third of its size. A blob URL lets it be compiled only once. */
async function unpackEngine(): Promise<string> {
  const { body } = await fetch(assetUrl("engine.wasm.gz"));
  const unpacked = new Response(body?.pipeThrough(new DecompressionStream("gzip")), { headers: { "content-type": "application/wasm" } });
  return URL.createObjectURL(await unpacked.blob());
}

let script: string | undefined;

/** Browsers load no worker script from a disk, so it is embedded in the page. */
function startEmbeddedWorker(): Worker {
  script ??= URL.createObjectURL(new Blob([document.getElementById("worker")?.textContent ?? ""], { type: "text/javascript" }));
  return new Worker(script, { name: "itp-ood" });
}
