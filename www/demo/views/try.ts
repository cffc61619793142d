// The section Try: a picture from anywhere, and the verdict on it.

import type { App, Subject } from "../state/app.js";
import { axisChart } from "../chart/axis.js";
import { byId, h, wordsOf } from "../ui/dom.js";
import { startDrawPad } from "../try/drawpad.js";
import { chosenFiles, type FoundFile, isPicture, onDrop } from "../ui/files.js";
import { decimal, percent, probability } from "../ui/format.js";
import { type GalleryPicture, pictureOf, takesDrawings } from "../state/models.js";
import { decodeForShow, showPicture } from "../ui/image.js";
import { shapeOf, verdictOf } from "../ui/verdict.js";
import { onLeave, whenShown } from "./navigation.js";
import { startWebcam } from "../try/webcam.js";

type Source = "picture" | "camera" | "draw";

/** Starts the section; the result opens gallery pictures. */
export function startTry(app: App): { openGallery(picture: GalleryPicture): Promise<void> } {
  const picture = byId<HTMLCanvasElement>("picture");
  const video = byId<HTMLVideoElement>("video");
  const fps = byId("fps");
  let source: Source = "picture";
  let stopCamera: (() => void) | undefined;
  /** Counts what was opened, so that what comes late does not take the place of something newer. */
  let opened = 0;

  const show = (next: Source): void => {
    if (source === "camera" && next !== "camera") stopCamera?.();
    source = next;
    picture.hidden = next !== "picture";
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
    byId("caption").textContent = source === "draw" ? "Draw one of the digits 0 to 9, or anything else." : source === "camera" ? "Your webcam" : captionOf(subject);
    if (source !== "picture") return;
    if (subject?.picture) showPicture(picture, subject.picture, 448);
    picture.setAttribute("aria-label", subject ? `The picture: ${subject.title}` : "No picture yet");
  };
  app.on("subject", showSubject);

  const open = async (file: FoundFile): Promise<void> => {
    const turn = ++opened;
    try {
      const shown = await decodeForShow(file.file);
      if (turn !== opened) return;
      show("picture");
      await app.look({ title: file.file.name || "Pasted picture", input: file.file, picture: shown });
    } catch (thrown) {
      app.tell(wordsOf(thrown));
    }
  };
  const openFirst = (files: FoundFile[]): void => {
    const first = files.find(isPicture);
    if (first) void open(first);
    else if (files.length) app.tell("There is no picture among these files.");
  };

  const openGallery = async (chosen: GalleryPicture): Promise<void> => {
    const turn = ++opened;
    try {
      // The picture comes while the model does.
      const [file] = await Promise.all([
        fetch(pictureOf(chosen)).then((response) => response.blob()),
        app.model?.id === chosen.model ? undefined : app.use(chosen.model),
      ]);
      const shown = await decodeForShow(file);
      if (turn !== opened) return;
      show("picture");
      await app.look({ title: chosen.title, input: file, picture: shown, gallery: chosen });
    } catch (thrown) {
      app.tell(wordsOf(thrown));
    }
  };

  // Choosing, dropping, pasting.
  const input = byId<HTMLInputElement>("file");
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    openFirst(chosenFiles(input));
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
    opened++;
    show("camera");
    fps.textContent = "starting …";
    void startWebcam({
      video,
      look: (frame) => app.look({ title: "Your webcam", input: frame }, true),
      onRate: (rate) => (fps.textContent = `${decimal(rate, rate < 9.95 ? 1 : 0)} frames a second`),
      onStop: (problem) => {
        stopCamera = undefined;
        if (source === "camera") show("picture");
        if (problem) app.tell(problem);
      },
    }).then((stop) => {
      if (source === "camera") stopCamera = stop;
      else stop();
    });
  });
  onLeave("try", () => stopCamera?.());

  // The pad.
  const pad = startDrawPad(byId<HTMLCanvasElement>("pad"), (subject) => {
    if (subject) void app.look(subject);
    else if (app.subject?.title === "Your drawing") app.forget();
  });
  byId("clear").addEventListener("click", () => pad.clear());
  byId("draw").addEventListener("click", () => {
    opened++;
    if (source === "draw") {
      show("picture");
      return;
    }
    show("draw");
    pad.redraw();
    byId("pad").scrollIntoView({ block: "nearest" });
    if (!app.model || !takesDrawings(app.model)) void app.use("digits").then(() => app.forget());
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
    // Only changes are read out.
    if (element.textContent !== text) element.textContent = text;
  };
  app.on("subject", () => card.setAttribute("aria-busy", String(app.subject !== undefined)));
  app.on("result", () => {
    const { result, subject } = app;
    card.setAttribute("aria-busy", "false");
    if (!result) {
      card.dataset["kind"] = "";
      byId("verdict-shape").replaceChildren();
      set("verdict-words", app.notice ? "No verdict" : "No picture yet");
      set("verdict-advice", app.notice ?? "Draw something, or choose a picture.");
      for (const id of ["score", "threshold", "p-value"]) set(id, "–");
      byId("top").replaceChildren();
      axis();
      return;
    }
    const { kind, words, advice } = verdictOf(result);
    const truth = subject?.gallery?.truth;
    const wrong = truth !== undefined && result.inDistribution !== undefined && (truth !== null) !== result.inDistribution;
    if (card.dataset["kind"] !== kind) byId("verdict-shape").replaceChildren(shapeOf(kind));
    card.dataset["kind"] = kind;
    set("verdict-words", words);
    set("verdict-advice", wrong ? `${advice} This verdict is a mistake.` : advice);
    set("score", decimal(result.score));
    set("threshold", result.threshold === undefined ? "none" : decimal(result.threshold));
    set("p-value", result.pValue === undefined ? "none" : probability(result.pValue));
    byId("top").replaceChildren(
      ...result.topK.map(({ label, probability: share }) =>
        h("li", {}, h("span", { class: "top-label" }, label), h("span", { class: "top-bar", "aria-hidden": "true" }, bar(share)), h("span", { class: "top-share" }, percent(share, share < 0.995 && share >= 0.001 ? 1 : 0))),
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
