// Files that are chosen or dropped, with their folders.

import type { GalleryImage } from "../state/models.js";

/** A file, and its path relative to what was chosen or dropped. */
export interface ChosenFile {
  file: File;
  path: string;
  /** Where it comes from the page itself. */
  gallery?: GalleryImage;
}

/** What is meant as an image, even if no browser or only some can read it. */
const IMAGE_NAME = /\.(png|jpe?g|webp|gif|bmp|avif|hei[cf]|tiff?|svgz?|dng)$/i;

/** Whether the file looks like an image, by its type or name. */
export const isImage = ({ file }: ChosenFile): boolean => file.type.startsWith("image/") || IMAGE_NAME.test(file.name);

/** The files of a file input, sorted by path. */
export function filesOf(input: HTMLInputElement): ChosenFile[] {
  return sorted(Array.from(input.files ?? [], (file) => ({ file, path: file.webkitRelativePath || file.name })));
}

/**
 * Dropped files, including those in dropped folders. Must be called while the drop event is handled. Rejects, with a
 * sentence for visitors, where a folder can't be read.
 */
export async function droppedFiles(transfer: DataTransfer): Promise<ChosenFile[]> {
  // All is read before the first await, as the list is emptied afterwards.
  const items = Array.from(transfer.items).filter(({ kind }) => kind === "file");
  const dropped = items.map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const found: ChosenFile[] = [];
  for (const { entry, file } of dropped) {
    // What comes from another page or program may have no entry, or one that can't be read, as on a page that is opened
    // from a disk. So entries are for folders only.
    if (entry?.isDirectory) await walk(entry as FileSystemDirectoryEntry, found);
    else if (file) found.push({ file, path: file.name });
  }
  return sorted(found);
}

async function walk(folder: FileSystemDirectoryEntry, found: ChosenFile[]): Promise<void> {
  const reader = folder.createReader();
  // A reader returns at most a hundred entries per call.
  for (;;) {
    const some = await read<FileSystemEntry[]>(folder, (resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const child of some) {
      if (child.isDirectory) await walk(child as FileSystemDirectoryEntry, found);
      else {
        const file = await read<File>(child, (resolve, reject) => (child as FileSystemFileEntry).file(resolve, reject));
        found.push({ file, path: pathOf(child) });
      }
    }
  }
}

const pathOf = ({ fullPath }: FileSystemEntry): string => fullPath.replace(/^\//, "");

const read = <T>(entry: FileSystemEntry, start: ConstructorParameters<typeof Promise<T>>[0]): Promise<T> =>
  new Promise(start).catch((cause: unknown) => {
    throw new Error(`“${pathOf(entry)}” can't be read by dropping it: choose the folder, or drop the files themselves.`, { cause });
  });

/** By code points, as the command line sorts. */
function sorted(files: ChosenFile[]): ChosenFile[] {
  return files.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** Whether what is dragged are files. */
export const holdsFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;

/** Lets files be dropped on an element, and highlights it while they hover. `fail` gets why a folder can't be read. */
export function onDrop(target: HTMLElement, take: (files: ChosenFile[]) => void, fail: (error: unknown) => void): void {
  let depth = 0;
  const highlight = (on: boolean): void => void target.classList.toggle("dropping", on);
  target.addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth++;
    highlight(true);
  });
  target.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  target.addEventListener("dragleave", () => highlight((depth = Math.max(0, depth - 1)) > 0));
  target.addEventListener("drop", (event) => {
    depth = 0;
    highlight(false);
    if (!event.dataTransfer || !holdsFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    droppedFiles(event.dataTransfer).then(take, fail);
  });
}

/** Downloads bytes or text as a file. */
export function download(name: string, content: BlobPart, type: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
