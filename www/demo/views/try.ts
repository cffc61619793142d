// The section Try: an image from any source, and the verdict on it.

import { axisChart } from "../chart/axis.js";
import type { App, Subject } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import { type GalleryImage, galleryUrl, takesDrawings } from "../state/models.js";
import { startDrawPad } from "../try/drawpad.js";
import { startWebcam } from "../try/webcam.js";
import { byId, h } from "../ui/dom.js";
import { type ChosenFile, filesOf, isImage, onDrop } from "../ui/files.js";
import { decimal, percent, probability } from "../ui/format.js";
import { decodeForDisplay, drawImage } from "../ui/image.js";
import { iconOf, verdictOf } from "../ui/verdict.js";
import { onLeave, whenShown } from "./navigation.js";

type Source = "image" | "camera" | "draw";

/** Starts the section; `openGallery` opens a gallery image. */
export function startTry(app: App): { openGallery(image: GalleryImage): Promise<void> } {
  const canvas = byId<HTMLCanvasElement>("image");
  const video = byId<HTMLVideoElement>("video");
  const fps = byId("fps");
  let source: Source = "image";
  let stopCamera: (() => void) | undefined;
  /** Incremented for each image, so that one that loads late does not replace a newer one. */
  let generation = 0;

  const show = (next: Source): void => {
    if (source === "camera" && next !== "camera") stopCamera?.();
    source = next;
    canvas.hidden = next !== "image";
    video.hidden = next !== "camera";
    byId("pad-box").hidden = next !== "draw";
    byId("clear").hidden = next !== "draw";
    fps.hidden = next !== "camera";
    byId("camera").setAttribute("aria-pressed", String(next === "camera"));
    byId("draw").setAttribute("aria-pressed", String(next === "draw"));
    showSubject();
  };

  const showSubject = (): void => {
    const { subject } = app;
    byId("caption").textContent =
      source === "draw" ? "Draw one of the digits 0 to 9, or anything else." : source === "camera" ? "Your webcam" : captionOf(subject);
    if (source !== "image") return;
    if (subject?.drawable) drawImage(canvas, subject.drawable, 448);
    canvas.setAttribute("aria-label", subject ? `The image: ${subject.title}` : "No image yet");
  };
  app.on("subject", showSubject);

  const open = async (file: ChosenFile): Promise<void> => {
    const current = ++generation;
    try {
      const drawable = await decodeForDisplay(file.file);
      if (current !== generation) return;
      show("image");
      await app.detect({ title: file.file.name || "Pasted image", input: file.file, drawable });
    } catch (error) {
      app.notify(messageOf(error));
    }
  };
  const openFirst = (files: ChosenFile[]): void => {
    const first = files.find(isImage);
    if (first) void open(first);
    else if (files.length) app.notify("There is no image among these files.");
  };

  const openGallery = async (chosen: GalleryImage): Promise<void> => {
    const current = ++generation;
    try {
      // Image and model load in parallel.
      const [file] = await Promise.all([
        fetch(galleryUrl(chosen)).then((response) => response.blob()),
        app.model?.id === chosen.model ? undefined : app.use(chosen.model),
      ]);
      const drawable = await decodeForDisplay(file);
      if (current !== generation) return;
      show("image");
      await app.detect({ title: chosen.title, input: file, drawable, gallery: chosen });
    } catch (error) {
      app.notify(messageOf(error));
    }
  };

  // Choosing, dropping and pasting files.
  const input = byId<HTMLInputElement>("file");
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    openFirst(filesOf(input));
    input.value = "";
  });
  onDrop(byId("view-try"), openFirst);
  addEventListener("paste", (event) => {
    const files = Array.from(event.clipboardData?.files ?? [], (file) => ({ file, path: file.name }));
    if (files.length === 0 || byId("view-try").hidden) return;
    event.preventDefault();
    openFirst(files);
  });

  // The webcam.
  byId("camera").addEventListener("click", () => {
    if (source === "camera") return stopCamera?.();
    generation++;
    show("camera");
    fps.textContent = "starting …";
    void startWebcam({
      video,
      detect: (frame) => app.detect({ title: "Your webcam", input: frame }, true),
      onRate: (rate) => (fps.textContent = `${decimal(rate, rate < 9.95 ? 1 : 0)} frames per second`),
      onStop: (problem) => {
        stopCamera = undefined;
        if (source === "camera") show("image");
        if (problem) app.notify(problem);
      },
    }).then((stop) => {
      if (source === "camera") stopCamera = stop;
      else stop();
    });
  });
  onLeave("try", () => stopCamera?.());

  // The drawing pad.
  const pad = startDrawPad(byId<HTMLCanvasElement>("pad"), (subject) => {
    if (subject) void app.detect(subject);
    else if (app.subject?.title === "Your drawing") app.clear();
  });
  byId("clear").addEventListener("click", () => pad.clear());
  byId("draw").addEventListener("click", () => {
    generation++;
    if (source === "draw") {
      show("image");
      return;
    }
    show("draw");
    pad.redraw();
    byId("pad").scrollIntoView({ block: "nearest" });
    if (!app.model || !takesDrawings(app.model)) void app.use("digits").then(() => app.clear());
  });

  startVerdict(app);
  return { openGallery };
}

function captionOf(subject: Subject | undefined): string {
  const { gallery, title } = subject ?? {};
  if (!gallery) return title ?? "";
  const from = [gallery.attribution ?? gallery.source, gallery.licence].filter(Boolean).join(", ");
  return `${gallery.title}${from ? ` (${from})` : ""}`;
}

function startVerdict(app: App): void {
  const card = byId("verdict");
  const drawAxis = axisChart(byId("try-axis"), () => app.result && { result: app.result, idScores: app.idScores }, { small: true });
  const axis = whenShown("try", drawAxis);
  const set = (id: string, text: string): void => {
    const element = byId(id);
    // Screen readers announce only changes.
    if (element.textContent !== text) element.textContent = text;
  };
  app.on("subject", () => card.setAttribute("aria-busy", String(app.subject !== undefined)));
  app.on("result", () => {
    const { result, subject } = app;
    card.setAttribute("aria-busy", "false");
    if (!result) {
      card.dataset["kind"] = "";
      byId("verdict-shape").replaceChildren();
      set("verdict-words", app.notice ? "No verdict" : "No image yet");
      set("verdict-advice", app.notice ?? "Draw something, or choose an image.");
      for (const id of ["score", "threshold", "p-value"]) set(id, "–");
      byId("top").replaceChildren();
      axis();
      return;
    }
    const { kind, words, advice } = verdictOf(result);
    const truth = subject?.gallery?.truth;
    const isMistake = truth !== undefined && result.inDistribution !== undefined && (truth !== null) !== result.inDistribution;
    if (card.dataset["kind"] !== kind) byId("verdict-shape").replaceChildren(iconOf(kind));
    card.dataset["kind"] = kind;
    set("verdict-words", words);
    set("verdict-advice", isMistake ? `${advice} This verdict is wrong.` : advice);
    set("score", decimal(result.score));
    set("threshold", result.threshold === undefined ? "none" : decimal(result.threshold));
    set("p-value", result.pValue === undefined ? "none" : probability(result.pValue));
    byId("top").replaceChildren(
      ...result.topK.map(({ label, probability: share }) =>
        h(
          "li",
          {},
          h("span", { class: "top-label" }, label),
          h("span", { class: "top-bar", "aria-hidden": "true" }, bar(share)),
          h("span", { class: "top-share" }, percent(share, share < 0.995 && share >= 0.001 ? 1 : 0)),
        ),
      ),
    );
    axis();
  });
}

function bar(share: number): HTMLElement {
  const element = h("span");
  element.style.width = `${share * 100}%`;
  return element;
}
