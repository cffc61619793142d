// Selecting hyperparameters without OOD images for a stats file that is there: the last part of Calibrate.

import { effect } from "@preact/signals-core";
import { classOf } from "../calibrate/classes.js";
import { type NewStats, plainTitle, statsActions } from "../calibrate/stats-actions.js";
import type { App } from "../state/app.js";
import { loadPageDetector } from "../state/assets.js";
import { messageOf } from "../state/errors.js";
import { fetchGalleryFile, type GalleryImage } from "../state/models.js";
import { h } from "../ui/dom.js";
import { type ChosenFile, isImage } from "../ui/files.js";
import { count } from "../ui/format.js";
import { intake } from "../ui/intake.js";
import { type HeldOutImage, tuningFields } from "./choice.js";
import { reportActions, tuningView } from "./view.js";
import type { Detector, Source, TuneImage, TuneProgress, Tuned } from "itp-ood";

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

  const choice = tuningFields();
  const start = h("button", { type: "button", class: "primary" }, "Select hyperparameters");
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Selecting hyperparameters", hidden: true });
  const status = h("p", { class: "status", role: "status" });
  const view = tuningView("tune");
  const actions = h("div", { class: "outcome" });
  container.append(
    h("h2", {}, "Select hyperparameters again, or for another stats file"),
    h("p", { class: "quiet" }, "As the last step above, without calibrating: for the model in use, for example."),
    h("label", { class: "choice" }, made, "The stats file made above, with its held-out images"),
    h("label", { class: "choice" }, current, currentTitle),
    held,
    choice.element,
    h("div", { class: "actions" }, start, cancel),
    bar,
    status,
    ...view.elements,
    actions,
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
    view.clear();
    actions.replaceChildren();
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
        ...choice.read(),
        trainedOn: files.some(({ features }) => features),
        signal,
        onPreview: view.preview,
        onProgress: ({ part, done, total }) => {
          bar.value = done / total;
          status.textContent = `${PARTS[part]}: ${count(done)} of ${count(total)} steps`;
        },
      });
      status.textContent = `Done: ${count(tuned.report.holdout)} held-out images, ${count(tuned.report.images.reduce((sum, n) => sum + n, 0))} pseudo-OOD images.${describeBroken(tuned, files)}`;
      view.show(tuned);
      actions.append(
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
