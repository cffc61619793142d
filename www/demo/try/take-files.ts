// Files that are dropped, pasted or chosen anywhere on the page.

import type { App } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import { MOST_OWN, type OwnImages } from "../state/own-images.js";
import { type ChosenFile, droppedFiles, holdsFiles, isImage } from "../ui/files.js";
import { count } from "../ui/format.js";
import { openFile } from "./open.js";

export type TakeFiles = (files: readonly ChosenFile[]) => void;

const isModelFile = ({ file }: ChosenFile): boolean => /\.(onnx|safetensors)$/i.test(file.name);

/** Shows the first of several images, and all of them in the gallery; hands model files to `takeModel`. */
export function fileTaker(app: App, own: OwnImages, takeModel: TakeFiles): TakeFiles {
  return (files) => {
    if (files.length === 0) return;
    const images = files.filter(isImage);
    const models = files.filter(isModelFile);
    const others = files.filter((file) => !isImage(file) && !isModelFile(file));
    if (models.length) {
      location.hash = "#measure";
      takeModel(models);
    }
    const [first] = images;
    const names = others.slice(0, 3).map(({ path }) => `“${path}”`);
    const notImages = others.length
      ? `${names.join(", ")}${others.length > names.length ? ` and ${others.length - names.length} more` : ""} ${others.length === 1 ? "is" : "are"} not an image.`
      : "";
    if (!first) {
      if (!models.length) app.notice.value = notImages;
      return;
    }
    const tooMany =
      images.length > MOST_OWN ? `The first ${MOST_OWN} of ${count(images.length)} images are shown; Measure takes all of them.` : "";
    if (images.length > 1) own.show(images);
    // These sections are about the image; the others are not.
    if (!["try", "why", "play"].includes(app.view.peek())) location.hash = "#try";
    void app.open({ image: openFile(first) }).then(() => {
      const text = [app.notice.peek(), notImages, tooMany].filter(Boolean).join(" ");
      if (text) app.notice.value = text;
    });
  };
}

/** Takes files that are dropped or pasted anywhere; where a card of its own takes them, that comes first. */
export function takeEverywhere(app: App, take: TakeFiles): void {
  let depth = 0;
  const highlight = (on: boolean): void => void document.body.classList.toggle("dropping", on);
  addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth++;
    highlight(true);
  });
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("dragleave", () => highlight((depth = Math.max(0, depth - 1)) > 0));
  // In the capturing phase: a card that takes the files stops the event.
  addEventListener("drop", () => highlight((depth = 0) > 0), { capture: true });
  addEventListener("drop", (event) => {
    if (!event.dataTransfer || !holdsFiles(event)) return;
    event.preventDefault();
    droppedFiles(event.dataTransfer).then(take, (error: unknown) => (app.notice.value = messageOf(error)));
  });
  addEventListener("paste", (event) => {
    const files = Array.from(event.clipboardData?.files ?? [], (file) => ({ file, path: file.name }));
    if (files.length === 0) return;
    event.preventDefault();
    take(files);
  });
}
