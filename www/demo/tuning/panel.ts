// Choosing settings without foreign pictures: the last part of Calibrate.

import { type Detector, type Source, type TuneImage, type TuneProgress, type Tuned } from "itp-ood";
import type { App } from "../state/app.js";
import { loadHere } from "../state/assets.js";
import { classOf } from "../calibrate/classes.js";
import { h, setOptions, wordsOf } from "../ui/dom.js";
import { download, type FoundFile, isPicture } from "../ui/files.js";
import { count } from "../ui/format.js";
import { intake } from "../ui/intake.js";
import { fetched, type GalleryPicture } from "../state/models.js";
import { fileName, type MadeStats, plainTitle, statsActions } from "../calibrate/stats-actions.js";
import { kindFigure } from "./kinds.js";
import { showReport } from "./report.js";

/** A held-out picture, and its class where it is known. */
export interface HeldPicture {
  file: FoundFile;
  classIndex?: number;
}

/** The part, in use. */
export interface TunePanel {
  /** Takes a stats file that was just made, and the pictures that were held out. */
  offer(made: MadeStats, heldOut: HeldPicture[]): void;
}

const PARTS: Record<TuneProgress["part"], string> = {
  holdout: "Looking at the held-out pictures",
  made: "Making strange pictures of them, and looking at those",
  rating: "Rating the settings",
};

/** Starts the part in `place`. */
export function startTuning(app: App, place: HTMLElement, gallery: () => readonly GalleryPicture[]): TunePanel {
  let offered: { made: MadeStats; heldOut: HeldPicture[] } | undefined;
  let given: FoundFile[] = [];

  const made = h("input", { type: "radio", name: "tune", value: "made", disabled: true });
  const current = h("input", { type: "radio", name: "tune", value: "current", checked: true });
  const currentTitle = h("span", {}, "The model in use");
  app.on("model", () => (currentTitle.textContent = `The model in use, ${app.model?.title ?? ""}`));

  const held = h("div", { class: "intake tune-intake" });
  const pictures = intake(held, {
    title: "Held-out pictures for it",
    hint: "Familiar pictures that the network was not trained on, 500 or more. Folders named as the classes tell which class a picture is of; without them the predicted class is taken.",
    take: async (found) => {
      given = found.filter(isPicture);
      return given.length ? `${count(given.length)} held-out pictures.` : "There are no pictures among these files.";
    },
  });
  const sample = h("button", { type: "button", class: "as-link" }, "Take the gallery's, to see how it works");
  sample.addEventListener("click", async () => {
    try {
      const { id } = await app.loaded();
      const of = gallery().filter(({ model, truth }) => model === id && typeof truth === "string");
      current.checked = true;
      if (of.length === 0) pictures.say("The gallery has no pictures for this model: take one of the page's own models, or give pictures.");
      else await pictures.give(await Promise.all(of.map(fetched)));
    } catch (thrown) {
      pictures.say(wordsOf(thrown));
    }
  });
  held.append(h("p", {}, sample));

  const rule = h("select");
  setOptions(rule, [{ value: "r1", text: "R1: best on average" }, { value: "r*", text: "R*: safe near the training data" }]);
  const perKind = h("input", { type: "number", value: "100", min: "1", step: "1" });
  const seed = h("input", { type: "number", value: "0", min: "0", step: "1" });
  const start = h("button", { type: "button", class: "primary" }, "Choose the settings");
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Choosing settings", hidden: true });
  const status = h("p", { class: "status", role: "status" });
  const kinds = h("ul", { class: "kinds", "aria-label": "Kinds of strange pictures" });
  const shown = h("div", { class: "outcome", hidden: true }, h("h3", {}, "What is made of them: one picture of each kind"), kinds, h("p", { class: "quiet small" }, "Near: stands for what lies near the training data."));
  const outcome = h("div", { class: "outcome" });
  place.append(
    h("h2", {}, "5. Choose settings without foreign pictures"),
    h("p", { class: "quiet" }, "Settings from a paper rarely suit another network, and foreign pictures to try them on are what one does not have. So sixteen kinds of strange pictures are made of familiar ones here, every setting is rated by how well it tells them apart, and the best is taken: ", h("i", {}, "p"), " and ", h("i", {}, "λ"), " of ITP, the clip of ReAct, and the settings of HELD and HELD+T."),
    h("label", { class: "choice" }, made, "The stats file made above, with its held-out pictures"),
    h("label", { class: "choice" }, current, currentTitle),
    held,
    h("div", { class: "fields" }, h("label", {}, "Rule", rule), h("label", {}, "Pictures of each kind", perKind), h("label", {}, "Seed", seed)),
    h("div", { class: "actions" }, start, cancel),
    bar,
    status,
    shown,
    outcome,
  );

  /** What is to be tuned, and with which pictures. */
  const work = async (): Promise<{ title: string; model: Source; stats: Source; pictures: (labels: readonly string[]) => HeldPicture[] }> => {
    if (made.checked && offered) {
      const { made: file, heldOut } = offered;
      return { title: file.title, model: file.model, stats: file.bytes, pictures: () => heldOut };
    }
    if (given.length === 0) throw new Error("Give held-out pictures first.");
    const { title, model, stats } = await app.loaded();
    return { title: plainTitle(title).toLowerCase(), model, stats, pictures: (labels) => given.map((file) => ({ file, ...known(classOf(file, labels)) })) };
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
      const { title, model, stats, pictures: picturesOf } = await work();
      status.textContent = "Loading the network …";
      detector = await loadHere({ model, stats, signal });
      const files = picturesOf(detector.info.labels);
      const images: TuneImage[] = files.map(({ file, classIndex }) => ({ image: file.file, ...known(classIndex) }));
      const tuned = await detector.tune(images, {
        rule: rule.value as "r1" | "r*",
        perKind: Number(perKind.value),
        seed: Number(seed.value),
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
      status.textContent = `Done: ${count(tuned.report.holdout)} held-out pictures, ${count(tuned.report.images.reduce((sum, n) => sum + n, 0))} made of them.${brokenWords(tuned, files)}`;
      showReport(outcome, tuned.report);
      outcome.append(h("div", { class: "actions" }, ...statsActions(app, { title, model, bytes: new Uint8Array(tuned.stats) }, "tuned"), ...reportActions(title, tuned)));
    } catch (thrown) {
      status.textContent = signal.aborted ? "Cancelled." : wordsOf(thrown);
    } finally {
      // Ends the worker, and with it a step that is under way.
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

const known = (classIndex: number | undefined): { classIndex?: number } => (classIndex === undefined ? {} : { classIndex });

function brokenWords({ broken }: Tuned, files: readonly HeldPicture[]): string {
  const places = new Set(broken.map(({ index }) => index));
  const [first] = broken;
  return first ? ` ${places.size} pictures can't be read, such as ${files[first.index]?.file.path ?? ""}.` : "";
}

function reportActions(title: string, { report, markdown }: Tuned): HTMLElement[] {
  const button = (text: string, ending: string, content: () => string, type: string): HTMLElement => {
    const made = h("button", { type: "button" }, text);
    made.addEventListener("click", () => download(`${fileName(title)}.tuning.${ending}`, content(), type));
    return made;
  };
  return [
    button("Report as JSON", "json", () => `${JSON.stringify(report, null, 2)}\n`, "application/json"),
    button("Report as Markdown", "md", () => markdown, "text/markdown"),
  ];
}
