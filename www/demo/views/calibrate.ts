// The section Calibrate: a stats file for a network, from training pictures by class.

import type { Detector } from "itp-ood";
import type { App } from "../state/app.js";
import { loadHere } from "../state/assets.js";
import { classesOf, FEW, plan, type TrainingClass } from "../calibrate/classes.js";
import { byId, h } from "../ui/dom.js";
import { chosenFiles, type FoundFile, isPicture } from "../ui/files.js";
import { count } from "../ui/format.js";
import { intake, type IntakeWork } from "../ui/intake.js";
import type { GalleryPicture } from "../state/models.js";
import { plainTitle, statsActions } from "../calibrate/stats-actions.js";
import { preprocessForm } from "../calibrate/preprocess-form.js";
import { startTuning } from "../tuning/panel.js";

/** Starts the section. */
export function startCalibrate(app: App, gallery: () => readonly GalleryPicture[]): void {
  const place = byId("calibrate");
  let classes: TrainingClass[] = [];
  let holdout: FoundFile[] = [];

  // The network.
  const form = preprocessForm();
  const own = h("input", { type: "radio", name: "network", value: "own", checked: true });
  const current = h("input", { type: "radio", name: "network", value: "current" });
  const currentTitle = h("span", {}, "The model in use");
  const onnx = h("input", { type: "file", accept: ".onnx", "aria-label": "ONNX file" });
  const ownFields = h("div", {}, h("p", { class: "file-row" }, onnx), h("p", { class: "quiet small" }, "How pictures become the network's input, as it was when the network was trained:"), form.element);
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
  app.on("model", () => (currentTitle.textContent = `The model in use, ${app.model?.title ?? ""}`));

  // The training pictures.
  const training = h("div", { class: "card intake", id: "calibrate-training" });
  const table = h("tbody");
  const few = h("p", { class: "small warn" });
  const listed = h(
    "div",
    { class: "scroll classes", tabindex: 0, role: "region", "aria-label": "Classes", hidden: true },
    h("table", { class: "list" }, h("thead", {}, h("tr", {}, ...["Output", "Class", "Pictures"].map((head) => h("th", { scope: "col" }, head)))), table),
  );
  const showClasses = (): void => {
    listed.hidden = classes.length === 0;
    table.replaceChildren(
      ...classes.map(({ name, files }, k) =>
        h("tr", {}, h("td", {}, String(k)), h("th", { scope: "row" }, name), h("td", {}, count(files.length), files.length < FEW ? h("span", { class: "warn" }, " few") : "")),
      ),
    );
    const scarce = classes.filter(({ files }) => files.length < FEW).length;
    few.textContent = scarce ? `${scarce} of ${classes.length} classes have fewer than ${FEW} pictures: their limits will be uncertain.` : "";
  };
  intake(training, {
    title: "2. Training pictures",
    hint: "A folder with one folder of pictures a class. The classes are numbered by the folders' names, as training tools do; they must be the network's outputs in this order.",
    take: async (files) => {
      const found = classesOf(files);
      if (found.length === 0) return "No picture lies in a class's folder here. Add single files to a class below.";
      classes = found;
      showClasses();
      return `${count(found.reduce((sum, { files: of }) => sum + of.length, 0))} pictures in ${found.length} classes.`;
    },
  });
  const name = h("input", { type: "text", autocomplete: "off" });
  const files = h("input", { type: "file", multiple: true, accept: "image/*", "aria-label": "Pictures for this class" });
  const add = h("button", { type: "button" }, "Add to the class");
  const clear = h("button", { type: "button" }, "Start over");
  add.addEventListener("click", () => {
    const found = chosenFiles(files).filter(isPicture);
    if (!name.value.trim() || found.length === 0) {
      few.textContent = "Give the class a name, and choose its pictures.";
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
  training.append(listed, few, h("details", {}, h("summary", {}, "Put files into classes one by one"), h("div", { class: "fields" }, h("label", {}, "Class", name), h("label", {}, "Pictures", files)), h("div", { class: "actions" }, add, clear)));

  // The held-out pictures.
  const held = h("div", { class: "card intake", id: "calibrate-holdout" });
  intake(held, {
    title: "3. Held-out pictures",
    hint: "Familiar pictures that are not among the training pictures, 100 or more: they set the threshold. Folders don't matter here.",
    take: async (found) => {
      holdout = found.filter(isPicture);
      every.checked = false;
      return `${count(holdout.length)} held-out pictures.`;
    },
  });
  const every = h("input", { type: "checkbox", checked: true });
  held.append(h("label", { class: "choice" }, every, "Hold out every tenth training picture instead"));

  // The settings, and the work.
  const p = h("input", { type: "number", value: "10", min: "0", max: "100", step: "any" });
  const lambda = h("input", { type: "number", value: "2.2", min: "0", step: "any" });
  const tpr = h("input", { type: "number", value: "95", min: "1", max: "99", step: "any" });
  const start = h("button", { type: "button", class: "primary" }, "Make the stats file");
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Calibration", hidden: true });
  const status = h("p", { class: "status", role: "status" });
  const outcome = h("div", { class: "outcome" });
  const work = h(
    "div",
    { class: "card", id: "calibrate-work" },
    h("h2", {}, "4. The stats file"),
    h("div", { class: "fields" }, h("label", {}, "CRP: p, in percent", p), h("label", {}, "FTP: λ", lambda), h("label", {}, "Familiar pictures that pass, in percent", tpr)),
    h("div", { class: "actions" }, start, cancel),
    bar,
    status,
    outcome,
  );
  const tuning = h("div", { class: "card", id: "tuning" });
  const panel = startTuning(app, tuning, gallery);
  place.append(network, h("div", { class: "pair" }, training, held), work, tuning);

  let running: AbortController | undefined;
  cancel.addEventListener("click", () => running?.abort());
  start.addEventListener("click", async () => {
    if (running) return;
    running = new AbortController();
    const { signal } = running;
    outcome.replaceChildren();
    start.disabled = true;
    cancel.hidden = bar.hidden = false;
    bar.value = 0;
    let detector: Detector | undefined;
    try {
      const file = onnx.files?.[0];
      if (own.checked && !file) throw new Error("Choose your ONNX file first.");
      const used = own.checked ? undefined : await app.loaded();
      if (classes.length === 0) throw new Error("Give the training pictures first.");
      const preprocess = used ? used.info.preprocess : form.read();
      const model = used ? used.model : (file as File);
      status.textContent = "Loading the network …";
      detector = await loadHere({ model, preprocess, signal });
      const steps = plan(classes, every.checked ? [] : holdout, every.checked ? 10 : undefined);
      const made = await calibrate(detector, classes, steps, { p: Number(p.value), lambda: Number(lambda.value), tpr: Number(tpr.value) / 100 }, {
        signal,
        progress: (done, total) => {
          bar.value = done / total;
          status.textContent = `${count(done)} of ${count(total)} pictures`;
        },
      });
      status.textContent = `Done: ${count(made.bytes.length)} bytes.${made.broken.length ? ` ${made.broken.length} pictures can't be read, such as ${made.broken[0]}.` : ""}`;
      const title = used ? plainTitle(used.title).toLowerCase() : (file as File).name.replace(/\.onnx$/i, "");
      const stats = { title, model, bytes: made.bytes };
      showWarnings(outcome, made.warnings);
      outcome.append(h("div", { class: "actions" }, ...statsActions(app, stats)));
      panel.offer(
        stats,
        steps.filter(({ heldOut }) => heldOut).map(({ file, classIndex }) => ({ file, ...(classIndex !== undefined && { classIndex }) })),
      );
    } catch (thrown) {
      status.textContent = signal.aborted ? "Cancelled." : thrown instanceof Error ? thrown.message : String(thrown);
    } finally {
      detector?.dispose();
      running = undefined;
      start.disabled = false;
      cancel.hidden = bar.hidden = true;
    }
  });
}

interface Made {
  bytes: Uint8Array<ArrayBuffer>;
  warnings: string[];
  broken: string[];
}

async function calibrate(
  detector: Detector,
  classes: readonly TrainingClass[],
  steps: ReturnType<typeof plan>,
  settings: { p: number; lambda: number; tpr: number },
  { signal, progress }: IntakeWork,
): Promise<Made> {
  const { info } = detector;
  if (classes.length !== info.classes) {
    throw new Error(`The network has ${info.classes} outputs, but there are ${classes.length} classes of pictures. There must be one class an output.`);
  }
  const calibrator = await detector.calibrate(classes.map(({ name }) => name));
  const broken: string[] = [];
  try {
    let done = 0;
    for (const { file, classIndex, heldOut } of steps) {
      signal.throwIfAborted();
      try {
        if (heldOut || classIndex === undefined) await calibrator.addHoldout(file.file, { signal });
        else await calibrator.add(file.file, classIndex, { signal });
      } catch (thrown) {
        if ((thrown as { code?: string }).code !== "image") throw thrown;
        broken.push(`${file.path}: ${(thrown as Error).message}`);
      }
      progress(++done, steps.length);
    }
    const bytes = await calibrator.finish({ ...settings, score: "itp" });
    return { bytes: new Uint8Array(bytes), warnings: await calibrator.warnings(), broken };
  } finally {
    calibrator.dispose();
  }
}

function showWarnings(place: HTMLElement, warnings: readonly string[]): void {
  if (warnings.length) place.append(h("ul", { class: "small", "aria-label": "Warnings" }, ...warnings.map((text) => h("li", { class: "warn" }, text))));
}
