// The section Measure: how well each score separates the visitor's ID and OOD images.

import { computed, effect, signal } from "@preact/signals-core";
import { scale } from "../chart/frame.js";
import { idOodHistograms, type IdOodScores, rangeOf } from "../chart/id-ood-histograms.js";
import { rocChart } from "../chart/roc.js";
import { csvOf, jsonOf } from "../measure/export.js";
import { faceRow, worst } from "../measure/faces.js";
import { accepted, type Scores, scoreSets } from "../measure/scores.js";
import { extract, type ImageSet, type Side, summary } from "../measure/sets.js";
import { showTable } from "../measure/table.js";
import type { App } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import type { Measuring } from "../state/measuring.js";
import { fetchGalleryFile, type GalleryImage, type LoadedModel } from "../state/models.js";
import { nameOf } from "../state/scores.js";
import { whenShown } from "../state/views.js";
import { byId, setOptions } from "../ui/dom.js";
import { download, type ChosenFile, isImage } from "../ui/files.js";
import { count, decimal, percent } from "../ui/format.js";
import { intake, type Intake, type IntakeContext } from "../ui/intake.js";

const SIDES = ["id", "ood"] as const;

/** Both sets, of the same model. */
type Sets = Readonly<Record<Side, ImageSet>>;

/** Milliseconds that a slider of Play must rest before everything is measured again. */
const PAUSE = 200;

/** Starts the section. */
export function startMeasure(app: App, measuring: Measuring, gallery: () => readonly GalleryImage[]): void {
  const chosen = { id: signal<ImageSet | undefined>(undefined), ood: signal<ImageSet | undefined>(undefined) };
  /** The sets, while the model is the one that they were run on. */
  const sets = computed<Sets | undefined>(() => {
    const { current } = app;
    const [id, ood] = SIDES.map((side) => chosen[side].value);
    const fits = id && ood && id.model === current.value && ood.model === current.value && id.features.length && ood.features.length;
    return fits ? { id, ood } : undefined;
  });
  const intakes = startIntakes(app, measuring, chosen);
  startGallery(app, measuring, gallery, intakes);
  effect(() => {
    const { value: model } = app.current;
    for (const side of SIDES) {
      const set = chosen[side].peek();
      if (!model || !set || set.model === model) continue;
      intakes[side].cancel();
      intakes[side].setStatus("The model has changed: choose the images again.");
    }
  });
  const measured = signal<{ sets: Sets; scores: Scores } | undefined>(undefined);
  startScoring(app, sets, (value) => (measured.value = value));
  /** What was measured, while it is of the present sets. */
  const now = computed(() => (measured.value?.sets === sets.value ? measured.value : undefined));
  showResults(app, measuring, now);
  byId("csv").addEventListener("click", () => {
    const of = now.peek();
    if (of) download("itp-scores.csv", csvOf(of.sets, of.scores), "text/csv");
  });
  byId("json").addEventListener("click", () => {
    const of = now.peek();
    if (of) download("itp-measured.json", jsonOf(of.sets.id.model, app.options, of.sets, of.scores), "application/json");
  });
}

type Chosen = Readonly<Record<Side, { value: ImageSet | undefined }>>;

function startIntakes(app: App, measuring: Measuring, chosen: Chosen): Record<Side, Intake> {
  const process =
    (side: Side) =>
    async (files: ChosenFile[], context: IntakeContext): Promise<string> => {
      if (!files.every(({ gallery }) => gallery)) measuring.gallery.value = false;
      const set = await extract(app, files.filter(isImage), context);
      chosen[side].value = set;
      return summary(set, files.length);
    };
  return {
    id: intake(byId("measure-id"), {
      title: "In-distribution (ID) images",
      hint: "Images of the classes that the model was trained on, but not its training images.",
      process: process("id"),
    }),
    ood: intake(byId("measure-ood"), {
      title: "Out-of-distribution (OOD) images",
      hint: "Images of anything else.",
      process: process("ood"),
    }),
  };
}

/** Measures the gallery of each model that is chosen while the gallery is to be measured. */
function startGallery(
  app: App,
  measuring: Measuring,
  gallery: () => readonly GalleryImage[],
  intakes: Readonly<Record<Side, Intake>>,
): void {
  let measured: LoadedModel | undefined;
  let running = Promise.resolve();
  const measure = (model: LoadedModel | undefined): void => {
    measured = model;
    for (const side of SIDES) intakes[side].cancel();
    running = running.then(() => measureGallery(app, gallery(), intakes, () => measured === model));
  };
  byId("measure-gallery").addEventListener("click", () => {
    measure(app.current.peek());
    measuring.gallery.value = true;
  });
  whenShown(app, "measure", () => {
    const { value: model } = app.current;
    if (!measuring.gallery.value) measured = undefined;
    else if (model && model !== measured) measure(model);
  });
}

async function measureGallery(
  app: App,
  images: readonly GalleryImage[],
  intakes: Readonly<Record<Side, Intake>>,
  isWanted: () => boolean,
): Promise<void> {
  try {
    const of = images.filter(({ model }) => model === app.wanted.peek());
    if (of.length === 0) throw new Error("The gallery has no images for this model.");
    for (const side of SIDES) {
      const files = of.filter(({ truth }) => (truth !== null) === (side === "id")).map(fetchGalleryFile);
      const fetched = await Promise.all(files);
      if (isWanted()) await intakes[side].add(fetched);
    }
  } catch (error) {
    app.notice.value = messageOf(error);
  }
}

/** Scores the sets when they or the hyperparameters have changed. */
function startScoring(app: App, sets: { value: Sets | undefined }, done: (measured: { sets: Sets; scores: Scores }) => void): void {
  let waiting: ReturnType<typeof setTimeout> | undefined;
  let scored: Sets | undefined;
  effect(() => {
    const { value: of } = sets;
    const { value: overrides } = app.overrides;
    clearTimeout(waiting);
    if (!of) return;
    const work = (): void => {
      scoreSets(app, of).then(
        (scores) => {
          if (app.overrides.peek() === overrides) done({ sets: of, scores });
        },
        (error: unknown) => (app.notice.value = messageOf(error)),
      );
    };
    if (scored === of) waiting = setTimeout(work, PAUSE);
    else work();
    scored = of;
  });
}

function showResults(app: App, measuring: Measuring, now: { value: { sets: Sets; scores: Scores } | undefined }): void {
  const select = byId<HTMLSelectElement>("measure-score");
  const slider = byId<HTMLInputElement>("measure-threshold");
  const score = computed(() => {
    const { sets, scores } = now.value ?? {};
    const { value: name } = measuring.score;
    return name !== undefined && scores?.metrics.has(name) ? name : (sets?.id.model.info.settings.score ?? "");
  });
  const view = computed<IdOodScores | undefined>(() => {
    const { scores } = now.value ?? {};
    const name = score.value;
    const [id, ood, metrics] = [scores?.id.get(name), scores?.ood.get(name), scores?.metrics.get(name)];
    if (!scores || !id || !ood || !metrics) return undefined;
    const initial = scores.thresholds.get(name) ?? metrics.threshold95;
    const { value: own } = measuring.threshold;
    return { id, ood, threshold: own?.score === name ? own.value : initial };
  });
  const setThreshold = (value: number): void => void (measuring.threshold.value = { score: score.peek(), value });
  select.addEventListener("change", () => (measuring.score.value = select.value));
  slider.addEventListener("input", () => setThreshold(Number(slider.value)));
  byId("measure-reset").addEventListener("click", () => (measuring.threshold.value = undefined));

  effect(() => {
    byId("measure-results").hidden = !now.value;
    if (!now.value) return;
    const { scores, sets } = now.value;
    const names = Array.from(scores.metrics.keys());
    setOptions(
      select,
      names.map((value) => ({ value, text: nameOf(value) })),
      score.value,
    );
    showTable(scores);
    byId("measure-size").textContent = `From ${count(sets.id.features.length)} ID and ${count(sets.ood.features.length)} OOD images.`;
  });
  whenShown(
    app,
    "measure",
    idOodHistograms(byId("measure-histogram"), () => view.value, setThreshold),
  );
  whenShown(
    app,
    "measure",
    rocChart(byId("measure-roc"), () => now.value && { all: now.value.scores.metrics, selected: score.value }),
  );
  whenShown(app, "measure", () => {
    const { value: shown } = view;
    const { sets } = now.value ?? {};
    if (!shown || !sets) return;
    const { id, ood, threshold } = shown;
    const [low, high] = rangeOf(shown);
    slider.min = String(low);
    slider.max = String(high);
    slider.step = "any";
    slider.value = String(threshold);
    slider.setAttribute("aria-valuetext", decimal(threshold));
    const [kept, passed] = [accepted(id, threshold), accepted(ood, threshold)];
    byId("measure-counts").textContent =
      `At ${decimal(threshold)}: ${count(kept)} of ${count(id.length)} ID images accepted (${percent(kept / id.length)}), and ${count(passed)} of ${count(ood.length)} OOD images (${percent(passed / ood.length)}).`;
    const place = byId("measure-faces");
    const width = place.clientWidth;
    const x = scale([low, high], [10, width - 10]);
    const scored = [
      { side: "id" as const, set: sets.id, scores: id },
      { side: "ood" as const, set: sets.ood, scores: ood },
    ];
    place.replaceChildren(...scored.map((of) => faceRow(app, of, x, width, threshold)));
    for (const of of scored) {
      const figures = worst(app, of, threshold);
      byId(`measure-worst-${of.side}`).replaceChildren(...figures);
      byId(`measure-none-${of.side}`).hidden = figures.length > 0;
    }
  });
}
