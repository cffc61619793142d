// Where the models and pictures lie: beside the page, or inside it when it is a single file.

/** The files inside a single-file page, by path, as data addresses. */
const inside: Record<string, string> | undefined = (() => {
  const text = document.getElementById("files")?.textContent;
  return text ? (JSON.parse(text) as Record<string, string>) : undefined;
})();

/** Whether the page is one file, opened perhaps from a disk: no workers, nothing to fetch. */
export const isSingleFile = inside !== undefined;

/** The address of a file below `models/`. */
export function asset(path: string): string {
  return inside?.[path] ?? new URL(`models/${path}`, document.baseURI).href;
}
