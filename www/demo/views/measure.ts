// The section Measure: how well each score separates the visitor's ID and OOD images.

import { idOodHistograms } from "../chart/id-ood-histograms.js";
import { rocChart } from "../chart/roc.js";
import { csvOf, jsonOf, type ImageSet, type Scores } from "../measure/export.js";
import { startOwnModel } from "../measure/own-model.js";
import type { App } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import { fetchGalleryFile, type GalleryImage, type LoadedModel } from "../state/models.js";
import { inOrder, nameOf } from "../state/scores.js";
import { byId, h, setOptions } from "../ui/dom.js";
import { download, type ChosenFile, isImage } from "../ui/files.js";
import { count, percent } from "../ui/format.js";
import { intake, type Intake, type IntakeContext } from "../ui/intake.js";
import { whenShown } from "./navigation.js";
import type { Metrics } from "itp-ood";

type Side = "id" | "ood";

/** Starts the section. */
export function startMeasure(app: App, gallery: () => readonly GalleryImage[]): void {
  const sets: Record<Side, ImageSet> = { id: empty(), ood: empty() };
  let scores: Scores | undefined;
  const select = byId<HTMLSelectElement>("measure-score");
  startOwnModel(app, byId("own"));

  const chosen = (): Metrics | undefined => scores?.metrics.get(select.value);
  const charts = [
    idOodHistograms(byId("measure-histogram"), () => {
      const id = scores?.id.get(select.value);
      const ood = scores?.ood.get(select.value);
      return id && ood && { id, ood, threshold: chosen()?.threshold95 ?? 0 };
    }),
    rocChart(byId("measure-roc"), () => scores && { all: scores.metrics, selected: select.value }),
  ];
  const draw = whenShown("measure", () => charts.forEach((redraw) => redraw()));

  const measure = async (): Promise<void> => {
    const { model } = app;
    scores = undefined;
    if (model && sets.id.features.length && sets.ood.features.length) {
      try {
        scores = await score(app, sets);
      } catch (error) {
        app.notify(messageOf(error));
      }
    }
    byId("measure-results").hidden = !scores;
    if (!scores || !model) return;
    const names = Array.from(scores.metrics.keys());
    setOptions(
      select,
      names.map((value) => ({ value, text: nameOf(value) })),
      select.value || model.info.settings.score,
    );
    showTable(scores);
    byId("measure-size").textContent = `From ${count(sets.id.features.length)} ID and ${count(sets.ood.features.length)} OOD images.`;
    draw();
  };

  const process =
    (side: Side) =>
    async (files: ChosenFile[], context: IntakeContext): Promise<string> => {
      const set = await extract(app, files.filter(isImage), context);
      sets[side] = set;
      await measure();
      return summary(set, files.length);
    };
  const intakes: Record<Side, Intake> = {
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
  byId("measure-gallery").addEventListener("click", () => {
    const of = gallery().filter(({ model, truth }) => model === app.model?.id && truth !== undefined);
    if (of.length === 0) {
      app.notify("The gallery has no images for this model.");
      return;
    }
    void (async () => {
      const files = async (inDistribution: boolean): Promise<ChosenFile[]> =>
        Promise.all(of.filter(({ truth }) => (truth !== null) === inDistribution).map(fetchGalleryFile));
      await intakes.id.add(await files(true));
      await intakes.ood.add(await files(false));
    })().catch((error: unknown) => app.notify(messageOf(error)));
  });

  select.addEventListener("change", draw);
  let used: LoadedModel | undefined;
  app.on("model", () => {
    const isFirst = used === undefined;
    used = app.model;
    // Images may have been chosen while the first model was still loading.
    if (isFirst) return;
    for (const side of ["id", "ood"] as const) {
      intakes[side].cancel();
      if (sets[side].features.length) intakes[side].setStatus("The model has changed: choose the images again.");
      sets[side] = empty();
    }
    void measure();
  });
  let waiting: ReturnType<typeof setTimeout> | undefined;
  app.on("overrides", () => {
    clearTimeout(waiting);
    if (scores) waiting = setTimeout(() => void measure(), 200);
  });
  byId("csv").addEventListener("click", () => scores && download("itp-scores.csv", csvOf(sets, scores), "text/csv"));
  byId("json").addEventListener("click", () => {
    if (scores && app.model) download("itp-measured.json", jsonOf(app.model, app.options, sets, scores), "application/json");
  });
}

const empty = (): ImageSet => ({ paths: [], labels: [], features: [], broken: [] });

/** Runs the network on all images; unreadable ones are listed with their errors. */
async function extract(app: App, files: ChosenFile[], { signal, progress }: IntakeContext): Promise<ImageSet> {
  const { detector } = await app.loaded();
  if (files.length === 0) throw new Error("There are no images among these files.");
  const set = empty();
  const images = files.map(({ file }) => file);
  for await (const { index, detection, error } of detector.detectAll(images, {
    signal,
    onProgress: ({ done }) => progress(done, files.length),
  })) {
    const path = files[index]?.path ?? "";
    if (error) {
      set.broken.push({ path, message: error.message });
      continue;
    }
    set.paths.push(path);
    set.labels.push(detection.label);
    set.features.push(detection.features);
  }
  signal.throwIfAborted();
  return set;
}

async function score(app: App, sets: Record<Side, ImageSet>): Promise<Scores> {
  const { detector, info } = app.model as NonNullable<App["model"]>;
  const result: Scores = { id: new Map(), ood: new Map(), metrics: new Map() };
  for (const name of inOrder(info.scores)) {
    const options = { ...app.options, score: name };
    const id = await detector.scores(sets.id.features, options);
    const ood = await detector.scores(sets.ood.features, options);
    result.id.set(name, id);
    result.ood.set(name, ood);
    result.metrics.set(name, await detector.metrics(id, ood));
  }
  return result;
}

function summary({ features, broken }: ImageSet, files: number): string {
  const parts = [`${count(features.length)} images`];
  if (broken.length) parts.push(`${broken.length} can't be read, such as ${broken[0]?.path ?? ""}: ${broken[0]?.message ?? ""}`);
  const others = files - features.length - broken.length;
  if (others > 0) parts.push(others === 1 ? "1 file is not an image" : `${others} files are not images`);
  return `${parts.join("; ")}.`;
}

function showTable({ metrics }: Scores): void {
  const best = Math.max(...Array.from(metrics.values(), ({ auroc }) => auroc));
  byId("measure-table").replaceChildren(
    ...Array.from(metrics, ([name, { auroc, fpr95, auprIn, auprOut }]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, nameOf(name)),
        h("td", { class: auroc === best ? "best" : "" }, percent(auroc, 1)),
        ...[fpr95, auprIn, auprOut].map((value) => h("td", {}, percent(value, 1))),
      ),
    ),
  );
}
