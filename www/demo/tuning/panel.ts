// Selecting hyperparameters without OOD images: the last part of Calibrate.

import { effect } from "@preact/signals-core";
import { classOf } from "../calibrate/classes.js";
import { fileName, type NewStats, plainTitle, statsActions } from "../calibrate/stats-actions.js";
import type { App } from "../state/app.js";
import { loadPageDetector } from "../state/assets.js";
import { messageOf } from "../state/errors.js";
import { fetchGalleryFile, type GalleryImage } from "../state/models.js";
import { h, setOptions } from "../ui/dom.js";
import { download, type ChosenFile, isImage } from "../ui/files.js";
import { count } from "../ui/format.js";
import { intake } from "../ui/intake.js";
import { kindFigure } from "./kinds.js";
import { showReport } from "./report.js";
import { type Detector, type Source, type TuneImage, type TuneProgress, type TuneReport, type Tuned } from "itp-ood";

/** A held-out image, with its class if that is known. */
export interface HeldOutImage {
  file: ChosenFile;
  classIndex?: number;
  /** Of an image held back from the training images: the features that stand for it. */
  features?: Float32Array;
}

/** Controls the panel. */
export interface TuningPanel {
  /** Offers a stats file that was just made, with its held-out images. */
  offer(file: NewStats, heldOut: HeldOutImage[]): void;
}

const PARTS: Record<TuneProgress["part"], string> = {
  holdout: "Running the held-out images",
  made: "Making and running the pseudo-OOD images",
  rating: "Rating the candidates",
};

/** Adds the panel to `container`. */
export function startTuning(app: App, container: HTMLElement, gallery: () => readonly GalleryImage[]): TuningPanel {
  let offered: { made: NewStats; heldOut: HeldOutImage[] } | undefined;
  let given: ChosenFile[] = [];

  const made = h("input", { type: "radio", name: "tune", value: "made", disabled: true });
  const current = h("input", { type: "radio", name: "tune", value: "current", checked: true });
  const currentTitle = h("span", {}, "The model in use");
  effect(() => {
    currentTitle.textContent = `The model in use, ${app.model.value?.title ?? ""}`;
  });

  const held = h("div", { class: "intake tune-intake" });
  const images = intake(held, {
    title: "Held-out images for it",
    hint: "ID images that the network was not trained on, 500 or more. Folders named after the classes give each image’s class; without them, the predicted class is used.",
    process: async (found) => {
      given = found.filter(isImage);
      return given.length ? `${count(given.length)} held-out images.` : "There are no images among these files.";
    },
  });
  const sample = h("button", { type: "button", class: "as-link" }, "Use the gallery’s, to see how it works");
  sample.addEventListener("click", async () => {
    try {
      const { id } = await app.loaded();
      const of = gallery().filter(({ model, truth }) => model === id && typeof truth === "string");
      current.checked = true;
      if (of.length === 0)
        images.setStatus("The gallery has no images for this model: choose one of the page’s own models, or your own images.");
      else await images.add(await Promise.all(of.map(fetchGalleryFile)));
    } catch (error) {
      images.setStatus(messageOf(error));
    }
  });
  held.append(h("p", {}, sample));

  const rule = h("select");
  setOptions(rule, [
    { value: "r1", text: "R1: best mean" },
    { value: "r*", text: "R*: safe for near-OOD" },
  ]);
  const perKind = h("input", { type: "number", value: "100", min: "1", step: "1" });
  const seed = h("input", { type: "number", value: "0", min: "0", step: "1" });
  const start = h("button", { type: "button", class: "primary" }, "Select hyperparameters");
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Selecting hyperparameters", hidden: true });
  const status = h("p", { class: "status", role: "status" });
  const kinds = h("ul", { class: "kinds", "aria-label": "Kinds of pseudo-OOD images" });
  const shown = h(
    "div",
    { class: "outcome", hidden: true },
    h("h3", {}, "Pseudo-OOD images: one of each kind"),
    kinds,
    h("p", { class: "quiet small" }, "Near-OOD: stands for images close to the training data."),
  );
  const outcome = h("div", { class: "outcome" });
  container.append(
    h("h2", {}, "5. Select hyperparameters without OOD images"),
    h(
      "p",
      { class: "quiet" },
      "A paper’s hyperparameters rarely suit another network, and real OOD images to select them on are usually not available. Here, sixteen kinds of pseudo-OOD images are made of ID images, and the candidates that separate the two best are selected: ",
      h("i", {}, "p"),
      " and ",
      h("i", {}, "λ"),
      " of ITP, ReAct’s clip, and the hyperparameters of HELD and HELD+T.",
    ),
    h("label", { class: "choice" }, made, "The stats file made above, with its held-out images"),
    h("label", { class: "choice" }, current, currentTitle),
    held,
    h("div", { class: "fields" }, h("label", {}, "Rule", rule), h("label", {}, "Images per kind", perKind), h("label", {}, "Seed", seed)),
    h("div", { class: "actions" }, start, cancel),
    bar,
    status,
    shown,
    outcome,
  );

  /** What to tune, and with which images. */
  const inputs = async (): Promise<{
    title: string;
    model: Source;
    stats: Source;
    imagesFor: (labels: readonly string[]) => HeldOutImage[];
  }> => {
    if (made.checked && offered) {
      const { made: file, heldOut } = offered;
      return { title: file.title, model: file.model, stats: file.bytes, imagesFor: () => heldOut };
    }
    if (given.length === 0) throw new Error("Choose held-out images first.");
    const { title, model, stats } = await app.loaded();
    return {
      title: plainTitle(title).toLowerCase(),
      model,
      stats,
      imagesFor: (labels) => given.map((file) => ({ file, ...optionalClass(classOf(file, labels)) })),
    };
  };

  let running: AbortController | undefined;
  cancel.addEventListener("click", () => running?.abort());
  start.addEventListener("click", async () => {
    if (running) return;
    running = new AbortController();
    const { signal } = running;
    kinds.replaceChildren();
    outcome.replaceChildren();
    shown.hidden = true;
    start.disabled = true;
    cancel.hidden = bar.hidden = false;
    bar.value = 0;
    let detector: Detector | undefined;
    try {
      const { title, model, stats, imagesFor } = await inputs();
      status.textContent = "Loading the network …";
      detector = await loadPageDetector({ model, stats, signal });
      const files = imagesFor(detector.info.labels);
      const tuneImages: TuneImage[] = files.map(({ file, ...known }) => ({ image: file.file, ...known }));
      const tuned = await detector.tune(tuneImages, {
        rule: rule.value as "r1" | "r*",
        perKind: Number(perKind.value),
        seed: Number(seed.value),
        trainedOn: files.some(({ features }) => features),
        signal,
        onPreview: (preview) => {
          shown.hidden = false;
          kinds.append(kindFigure(preview));
        },
        onProgress: ({ part, done, total }) => {
          bar.value = done / total;
          status.textContent = `${PARTS[part]}: ${count(done)} of ${count(total)} steps`;
        },
      });
      status.textContent = `Done: ${count(tuned.report.holdout)} held-out images, ${count(tuned.report.images.reduce((sum, n) => sum + n, 0))} pseudo-OOD images.${describeBroken(tuned, files)}`;
      showReport(outcome, tuned.report);
      outcome.append(
        h(
          "div",
          { class: "actions" },
          ...statsActions(app, { title, model, bytes: new Uint8Array(tuned.stats) }, "tuned"),
          ...reportActions(title, tuned),
        ),
      );
    } catch (error) {
      status.textContent = signal.aborted ? "Cancelled." : messageOf(error);
    } finally {
      // Terminates the worker, even during the long rating step.
      detector?.dispose();
      running = undefined;
      start.disabled = false;
      cancel.hidden = bar.hidden = true;
    }
  });

  return {
    offer: (file, heldOut) => {
      offered = { made: file, heldOut };
      made.disabled = false;
      made.checked = true;
    },
  };
}

const optionalClass = (classIndex: number | undefined): { classIndex?: number } => (classIndex === undefined ? {} : { classIndex });

function describeBroken({ broken }: Tuned, files: readonly HeldOutImage[]): string {
  const indices = new Set(broken.map(({ index }) => index));
  const [first] = broken;
  return first ? ` ${indices.size} images can't be read, such as ${files[first.index]?.file.path ?? ""}.` : "";
}

/** The report as `itp tune --report` writes it: JSON has no infinity. */
const jsonOf = (report: TuneReport): string =>
  `${JSON.stringify(report, (_, value: unknown) => (value === Infinity ? "inf" : value), 2)}\n`;

function reportActions(title: string, { report, markdown }: Tuned): HTMLElement[] {
  const button = (text: string, ending: string, content: () => string, type: string): HTMLElement => {
    const made = h("button", { type: "button" }, text);
    made.addEventListener("click", () => download(`${fileName(title)}.tuning.${ending}`, content(), type));
    return made;
  };
  return [
    button("Report as JSON", "json", () => jsonOf(report), "application/json"),
    button("Report as Markdown", "md", () => markdown, "text/markdown"),
  ];
}
