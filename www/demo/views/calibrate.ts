// The section Calibrate: makes a stats file for a network from training images by class.

import { effect } from "@preact/signals-core";
import { classesOf, MIN_RELIABLE, type TrainingClass } from "../calibrate/classes.js";
import { preprocessForm } from "../calibrate/preprocess-form.js";
import { type Course, makeStats } from "../calibrate/run.js";
import { plainTitle, statsActions } from "../calibrate/stats-actions.js";
import type { App } from "../state/app.js";
import { modelProblem } from "../state/errors.js";
import type { GalleryImage } from "../state/models.js";
import { hyperparameter } from "../state/scores.js";
import { tuningFields } from "../tuning/choice.js";
import { startTuning } from "../tuning/panel.js";
import { reportActions, tuningView } from "../tuning/view.js";
import { byId, h } from "../ui/dom.js";
import { type ChosenFile, filesOf, isImage } from "../ui/files.js";
import { count } from "../ui/format.js";
import { intake } from "../ui/intake.js";
import type { CalibrationSettings, Hyperparameter } from "itp-ood";

/** Starts the section. */
export function startCalibrate(app: App, gallery: () => readonly GalleryImage[]): void {
  const container = byId("calibrate");
  let classes: TrainingClass[] = [];
  let holdout: ChosenFile[] = [];

  // The network.
  const form = preprocessForm();
  const own = h("input", { type: "radio", name: "network", value: "own", checked: true });
  const current = h("input", { type: "radio", name: "network", value: "current" });
  const currentTitle = h("span", {}, "The model in use");
  const onnx = h("input", { type: "file", accept: ".onnx", "aria-label": "ONNX file" });
  const ownFields = h(
    "div",
    {},
    h("p", { class: "file-row" }, onnx),
    h("p", { class: "quiet small" }, "Preprocessing, as in the network’s training:"),
    form.element,
  );
  const network = h(
    "fieldset",
    { class: "card" },
    h("h2", {}, "1. The network"),
    h("label", { class: "choice" }, own, "My own ONNX file"),
    h("label", { class: "choice" }, current, currentTitle),
    ownFields,
  );
  const chooseNetwork = (): void => void (ownFields.hidden = !own.checked);
  own.addEventListener("change", chooseNetwork);
  current.addEventListener("change", chooseNetwork);
  effect(() => {
    currentTitle.textContent = `The model in use, ${app.model.value?.title ?? ""}`;
  });

  // The training images.
  const training = h("div", { class: "card intake", id: "calibrate-training" });
  const table = h("tbody");
  const warning = h("p", { class: "small warn" });
  const listed = h(
    "div",
    { class: "scroll classes", tabindex: 0, role: "region", "aria-label": "Classes", hidden: true },
    h(
      "table",
      { class: "list" },
      h("thead", {}, h("tr", {}, ...["Output", "Class", "Images"].map((head) => h("th", { scope: "col" }, head)))),
      table,
    ),
  );
  const showClasses = (): void => {
    listed.hidden = classes.length === 0;
    table.replaceChildren(
      ...classes.map(({ name, files }, k) =>
        h(
          "tr",
          {},
          h("td", {}, String(k)),
          h("th", { scope: "row" }, name),
          h("td", {}, count(files.length), files.length < MIN_RELIABLE ? h("span", { class: "warn" }, " few") : ""),
        ),
      ),
    );
    const smallClasses = classes.filter(({ files }) => files.length < MIN_RELIABLE).length;
    warning.textContent = smallClasses
      ? `${smallClasses} of ${classes.length} classes have fewer than ${MIN_RELIABLE} images: their statistics will be uncertain.`
      : "";
  };
  intake(training, {
    title: "2. Training images",
    hint: "A folder with one subfolder of images per class. Classes are numbered in the order of the subfolders’ names, as training tools do; this must be the order of the network’s outputs.",
    process: async (files) => {
      const found = classesOf(files);
      if (found.length === 0) return "There is no image in a class folder. You can add files to a class by hand below.";
      classes = found;
      showClasses();
      return `${count(found.reduce((sum, { files: of }) => sum + of.length, 0))} images in ${found.length} classes.`;
    },
  });
  const name = h("input", { type: "text", autocomplete: "off" });
  const files = h("input", { type: "file", multiple: true, accept: "image/*", "aria-label": "Images of this class" });
  const add = h("button", { type: "button" }, "Add to the class");
  const clear = h("button", { type: "button" }, "Start over");
  add.addEventListener("click", () => {
    const found = filesOf(files).filter(isImage);
    if (!name.value.trim() || found.length === 0) {
      warning.textContent = "Enter the class’s name, and choose its images.";
      return;
    }
    const known = classes.find((of) => of.name === name.value.trim());
    if (known) known.files.push(...found);
    else classes.push({ name: name.value.trim(), files: found });
    files.value = "";
    showClasses();
  });
  clear.addEventListener("click", () => {
    classes = [];
    showClasses();
  });
  training.append(
    listed,
    warning,
    h(
      "details",
      {},
      h("summary", {}, "Add classes by hand"),
      h("div", { class: "fields" }, h("label", {}, "Class", name), h("label", {}, "Images", files)),
      h("div", { class: "actions" }, add, clear),
    ),
  );

  // The held-out images.
  const held = h("div", { class: "card intake", id: "calibrate-holdout" });
  intake(held, {
    title: "3. Held-out images",
    hint: "ID images that are not among the training images, 100 or more. The threshold is set on them. Folders don’t matter here.",
    process: async (found) => {
      holdout = found.filter(isImage);
      every.checked = false;
      return `${count(holdout.length)} held-out images.`;
    },
  });
  const every = h("input", { type: "checkbox", checked: true });
  held.append(h("label", { class: "choice" }, every, "Hold back a tenth of each class of the training images instead"));

  // Hyperparameters, and the calibration.
  const p = h("input", { type: "number", step: "any" });
  const lambda = h("input", { type: "number", step: "any" });
  effect(() => {
    // The engine's registry is known once a model is loaded.
    if (!app.model.value) return;
    for (const [name, field] of [
      ["itp.p", p],
      ["itp.lambda", lambda],
    ] as const) {
      const of = hyperparameter(name);
      if (of) describeField(field, of);
    }
  });
  const tune = h("input", { type: "checkbox", checked: true });
  const tpr = h("input", { type: "number", value: "95", min: "1", max: "99", step: "any" });
  const start = h("button", { type: "button", class: "primary" }, "Make the stats file");
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Calibration", hidden: true });
  const status = h("p", { class: "status", role: "status" });
  const outcome = h("div", { class: "outcome" });
  const actions = h("div", { class: "actions" });
  const choice = tuningFields();
  const view = tuningView("made");
  const work = h(
    "div",
    { class: "card", id: "calibrate-work" },
    h("h2", {}, "4. The stats file"),
    h(
      "div",
      { class: "fields" },
      h("label", {}, "CRP: p, in percent", p),
      h("label", {}, "FTP: λ", lambda),
      h("label", {}, "ID images accepted, in percent", tpr),
    ),
    h("label", { class: "choice" }, tune, "Select p, λ and the other hyperparameters from the held-out images, unless p or λ is given"),
    h(
      "details",
      {},
      h("summary", {}, "How they are selected"),
      h(
        "p",
        { class: "quiet small" },
        "A paper’s hyperparameters rarely suit another network, and real OOD images to select them on are usually not available. So sixteen kinds of pseudo-OOD images are made of the held-out ones, and the candidates that separate the two best are selected: ",
        h("i", {}, "p"),
        " and ",
        h("i", {}, "λ"),
        " of ITP, ReAct’s clip, and the hyperparameters of HELD and HELD+T; never ones with which ITP is rated below Energy.",
      ),
      choice.element,
    ),
    h("div", { class: "actions" }, start, cancel),
    bar,
    status,
    outcome,
    ...view.elements,
    actions,
  );
  const tuning = h("div", { class: "card", id: "tuning" });
  const panel = startTuning(app, tuning, gallery);
  container.append(network, h("div", { class: "pair" }, training, held), work, tuning);

  let running: AbortController | undefined;
  cancel.addEventListener("click", () => running?.abort());
  start.addEventListener("click", async () => {
    if (running) return;
    running = new AbortController();
    const { signal } = running;
    outcome.replaceChildren();
    actions.replaceChildren();
    view.clear();
    start.disabled = true;
    cancel.hidden = bar.hidden = false;
    bar.value = 0;
    try {
      const file = onnx.files?.[0];
      if (own.checked && !file) throw new Error("Choose your ONNX file first.");
      const used = own.checked ? undefined : await app.loaded();
      if (classes.length === 0) throw new Error("Choose the training images first.");
      const preprocess = used ? used.info.preprocess : form.read();
      const model = used ? used.model : (file as File);
      status.textContent = "Loading the network …";
      const made = await makeStats(
        {
          model,
          preprocess,
          classes,
          holdout: every.checked ? [] : holdout,
          fromTraining: every.checked,
          settings: { ...given("p", p), ...given("lambda", lambda), tpr: Number(tpr.value) / 100 },
          tuning: tune.checked ? choice.read() : undefined,
        },
        { signal, progress: progressOf(bar, status), onPreview: view.preview },
      );
      status.textContent = `Done: ${count(made.bytes.length)} bytes.${made.broken.length ? ` ${made.broken.length} images can't be read, such as ${made.broken[0]}.` : ""}`;
      const title = used ? plainTitle(used.title).toLowerCase() : (file as File).name.replace(/\.onnx$/i, "");
      const stats = { title, model, bytes: made.bytes };
      showWarnings(outcome, made.warnings);
      if (made.tuned) view.show(made.tuned);
      actions.append(...statsActions(app, stats), ...(made.tuned ? reportActions(title, made.tuned) : []));
      panel.offer(stats, made.heldOut);
    } catch (error) {
      status.textContent = signal.aborted ? "Cancelled." : modelProblem(error, onnx.files?.[0]?.name ?? "The model");
    } finally {
      running = undefined;
      start.disabled = false;
      cancel.hidden = bar.hidden = true;
    }
  });
}

/** A number field for a hyperparameter; left empty, the engine takes its default for the number of classes. */
function describeField(field: HTMLInputElement, { low, high, defaults }: Hyperparameter): void {
  field.min = String(low);
  if (Number.isFinite(high)) field.max = String(high);
  field.placeholder = "default";
  if (defaults)
    field.title = `By default ${defaults.cifar10} for models like those of CIFAR-10, ${defaults.cifar100} for CIFAR-100, ${defaults.imagenet} for ImageNet`;
}

const given = (name: "p" | "lambda", { value }: HTMLInputElement): CalibrationSettings => (value === "" ? {} : { [name]: Number(value) });

/** Shows how far the work is, and how long it still takes. */
function progressOf(bar: HTMLProgressElement, status: HTMLElement): Course["progress"] {
  const started = Date.now();
  return (done, total, what = "images") => {
    bar.value = done / total;
    const seconds = Math.round(((Date.now() - started) / 1000 / done) * (total - done));
    const left = done < 20 ? "" : seconds < 100 ? `, ${count(seconds)} s left` : `, ${count(Math.round(seconds / 60))} min left`;
    status.textContent = `${count(done)} of ${count(total)} ${what}${left}`;
  };
}

function showWarnings(container: HTMLElement, warnings: readonly string[]): void {
  if (warnings.length)
    container.append(h("ul", { class: "small", "aria-label": "Warnings" }, ...warnings.map((text) => h("li", { class: "warn" }, text))));
}
