// Files that are dropped, with the folders they lie in.

/** A file, and its path inside what was dropped or chosen. */
export interface FoundFile {
  file: File;
  path: string;
}

const PICTURE = /\.(png|jpe?g|webp|gif|bmp|avif)$/i;

/** Whether it looks like a picture. */
export const isPicture = ({ file }: FoundFile): boolean => file.type.startsWith("image/") || PICTURE.test(file.name);

/** What a file input chose, in the order of their paths. */
export function chosenFiles(input: HTMLInputElement): FoundFile[] {
  return sorted(Array.from(input.files ?? [], (file) => ({ file, path: file.webkitRelativePath || file.name })));
}

/** What was dropped, folders opened. Must be called while the drop event is handled. */
export async function droppedFiles(transfer: DataTransfer): Promise<FoundFile[]> {
  // Both must be read before the first await: the list is emptied afterwards.
  const entries = Array.from(transfer.items, (item) => (item.kind === "file" ? item.webkitGetAsEntry() : null));
  const plain = Array.from(transfer.files);
  if (!entries.some((entry) => entry)) return plain.map((file) => ({ file, path: file.name }));
  const found: FoundFile[] = [];
  for (const entry of entries) if (entry) await walk(entry, found);
  return sorted(found);
}

async function walk(entry: FileSystemEntry, found: FoundFile[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // A reader hands out a hundred entries at a time.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const child of some) await walk(child, found);
  }
}

/** By code points, as the command line sorts. */
function sorted(files: FoundFile[]): FoundFile[] {
  return files.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** Lets files be dropped on an element, which is marked meanwhile. */
export function onDrop(target: HTMLElement, take: (files: FoundFile[]) => void): void {
  let depth = 0;
  const mark = (on: boolean): void => void target.classList.toggle("dropping", on);
  const holdsFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
  target.addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth++;
    mark(true);
  });
  target.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  target.addEventListener("dragleave", () => mark((depth = Math.max(0, depth - 1)) > 0));
  target.addEventListener("drop", (event) => {
    depth = 0;
    mark(false);
    if (!event.dataTransfer || !holdsFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    void droppedFiles(event.dataTransfer).then(take);
  });
}

/** Lets the browser save bytes or text as a file. */
export function download(name: string, content: BlobPart, type: string): void {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
