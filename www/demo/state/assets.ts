// Where the models, pictures and the engine's worker lie: beside the page, or inside it when it is
// a single file.

import { type Detector, type LoadOptions, loadDetector, OodError } from "itp-ood";

/** The files inside a single-file page, by path, as data addresses. */
const inside: Record<string, string> | undefined = (() => {
  const text = document.getElementById("files")?.textContent;
  return text ? (JSON.parse(text) as Record<string, string>) : undefined;
})();

/** Whether the page is one file, opened perhaps from a disk: nothing to fetch beside it. */
export const isSingleFile = inside !== undefined;

/** The address of a file below `models/`. */
export function asset(path: string): string {
  return inside?.[path] ?? new URL(`models/${path}`, document.baseURI).href;
}

/** Loads a detector with whatever worker can be had here. */
export async function loadHere(options: LoadOptions): Promise<Detector> {
  if (!isSingleFile) return loadDetector(options);
  engine ??= unpackInside();
  const inPage = { ...options, engine: await engine };
  try {
    return await loadDetector({ ...inPage, worker: startInside });
  } catch (thrown) {
    if (!(thrown instanceof OodError && thrown.code === "engine")) throw thrown;
    // Some browsers start no workers at all from a disk. Without one the page works, but stands still meanwhile.
    return loadDetector({ ...inPage, worker: false });
  }
}

let engine: Promise<string> | undefined;

/** Compressed, the engine takes a third of the room. Under its address it is compiled once. */
async function unpackInside(): Promise<string> {
  const { body } = await fetch(asset("engine.wasm.gz"));
  const unpacked = new Response(body?.pipeThrough(new DecompressionStream("gzip")), { headers: { "content-type": "application/wasm" } });
  return URL.createObjectURL(await unpacked.blob());
}

let script: string | undefined;

/** Browsers load no worker from a disk, not even from the page's own folder: its script is in the page. */
function startInside(): Worker {
  script ??= URL.createObjectURL(new Blob([document.getElementById("worker")?.textContent ?? ""], { type: "text/javascript" }));
  return new Worker(script, { name: "itp-ood" });
}
