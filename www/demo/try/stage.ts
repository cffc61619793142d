// The image of the section Try: from a file, the webcam or the drawing pad, with what the network sees of it.

import { effect } from "@preact/signals-core";
import type { App, Source, Subject } from "../state/app.js";
import { takesDrawings } from "../state/models.js";
import { cropOf, drawInput, isWhole, placeFrame } from "../ui/crop.js";
import { byId } from "../ui/dom.js";
import { filesOf } from "../ui/files.js";
import { decimal } from "../ui/format.js";
import { drawImage } from "../ui/image.js";
import { startDrawPad } from "./drawpad.js";
import { openGalleryImage } from "./open.js";
import type { TakeFiles } from "./take-files.js";
import { startWebcam } from "./webcam.js";

/** Starts the stage; `takeFiles` gets the files that are chosen. */
export function startStage(app: App, takeFiles: TakeFiles): void {
  const input = byId<HTMLInputElement>("file");
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    takeFiles(filesOf(input));
    input.value = "";
  });
  startCamera(app);
  startDrawing(app);

  const canvas = byId<HTMLCanvasElement>("image");
  effect(() => {
    const { value: source } = app.source;
    canvas.hidden = source !== "image";
    byId("video").hidden = byId("fps").hidden = source !== "camera";
    byId("pad-box").hidden = byId("clear").hidden = source !== "draw";
    for (const [button, of] of [
      ["camera", "camera"],
      ["draw", "draw"],
    ] as const)
      byId(button).setAttribute("aria-pressed", String(source === of));
  });
  effect(() => {
    const { value: subject } = app.subject;
    const { value: source } = app.source;
    byId("caption").textContent = captionOf(source, subject);
    if (source !== "image") return;
    if (subject) drawImage(canvas, subject.drawable, 448);
    canvas.setAttribute("aria-label", subject ? `The image: ${subject.title}` : "No image yet");
  });
  effect(() => showSeen(app.subject.value, app.current.value, app.source.value));
}

/** Shows the crop and the network's input. */
function showSeen(subject: Subject | undefined, model: App["model"]["value"], source: Source): void {
  const frame = byId("crop-frame");
  const seen = byId<HTMLCanvasElement>("input-view");
  seen.hidden = !subject || !model;
  frame.hidden = true;
  byId("sees-text").textContent = "";
  if (!subject || !model) return;
  const { preprocess } = model.info;
  const { drawable } = subject;
  const { part, input } = cropOf(preprocess, drawable);
  drawInput(seen, drawable, preprocess);
  const whole = isWhole(part, drawable);
  // The pad is drawn anew, centred: there is nothing to frame on it.
  if (!whole && source !== "draw") {
    frame.hidden = false;
    placeFrame(frame, part, drawable);
  }
  const what = whole ? "this" : "only what is framed";
  byId("sees-text").textContent =
    `The network sees ${what}, as ${input[0]} × ${input[1]} ${preprocess.channels === "grey" ? "grey " : ""}pixels.`;
}

function captionOf(source: Source, subject: Subject | undefined): string {
  if (source === "draw") return "Draw one of the digits 0 to 9, or anything else.";
  if (source === "camera") return "Your webcam";
  if (!subject) return "";
  if (subject.series === "camera") return "The last frame of your webcam";
  const { gallery, title } = subject;
  const from = gallery && [gallery.attribution ?? gallery.source, gallery.licence].filter(Boolean).join(", ");
  return from ? `${title} (${from})` : title;
}

function startCamera(app: App): void {
  const fps = byId("fps");
  let stop: (() => void) | undefined;
  byId("camera").addEventListener("click", () => {
    if (app.source.peek() === "camera") return stop?.();
    app.frame.value = undefined;
    app.take("camera");
    fps.textContent = "starting …";
    stop = startWebcam({
      video: byId<HTMLVideoElement>("video"),
      onFrame: (frame) => app.watch(frame),
      onRate: (rate) => (fps.textContent = `${decimal(rate, rate < 9.95 ? 1 : 0)} frames per second`),
      onStop: (problem) => {
        stop = undefined;
        // The last frame stays, with its verdict.
        if (app.source.peek() === "camera") {
          app.chosen.value = app.frame.peek() ?? app.chosen.peek();
          app.take("image");
        }
        if (problem) app.notice.value = problem;
      },
    });
  });
  effect(() => {
    if (app.view.value !== "try" || app.source.value !== "camera") stop?.();
  });
}

function startDrawing(app: App): void {
  const pad = startDrawPad(byId<HTMLCanvasElement>("pad"), (drawing) => (app.drawing.value = drawing));
  byId("clear").addEventListener("click", () => pad.clear());
  byId("draw").addEventListener("click", () => {
    if (app.source.peek() === "draw") {
      // Back to the image before, which may belong to another model.
      const { gallery } = app.chosen.peek() ?? {};
      if (gallery && gallery.model !== app.wanted.peek()) void app.open({ model: gallery.model, image: openGalleryImage(gallery) });
      else app.take("image");
      return;
    }
    app.take("draw");
    const { value: model } = app.model;
    if (!model || !takesDrawings(model)) void app.open({ model: "digits" });
    byId("pad").scrollIntoView({ block: "nearest" });
  });
}
