// The section Measure: familiar and foreign pictures, and how well each score tells them apart.

import type { Metrics } from "itp-ood";
import type { App } from "../state/app.js";
import { histogramsChart } from "../chart/histograms.js";
import { rocChart } from "../chart/roc.js";
import { byId, h, setOptions, wordsOf } from "../ui/dom.js";
import { download, type FoundFile, isPicture } from "../ui/files.js";
import { count, percent } from "../ui/format.js";
import { intake, type Intake, type IntakeWork } from "../ui/intake.js";
import { csvOf, jsonOf, type PictureSet, type Scores } from "../measure/export.js";
import { fetched, type GalleryPicture, type LoadedModel } from "../state/models.js";
import { startOwnModel } from "../measure/own-model.js";
import { inOrder, nameOf } from "../state/overrides.js";
import { whenShown } from "./navigation.js";

type Side = "id" | "ood";

/** Starts the section. */
export function startMeasure(app: App, gallery: () => readonly GalleryPicture[]): void {
  const sets: Record<Side, PictureSet> = { id: empty(), ood: empty() };
  let scores: Scores | undefined;
  const select = byId<HTMLSelectElement>("measure-score");
  startOwnModel(app, byId("own"));

  const chosen = (): Metrics | undefined => scores?.metrics.get(select.value);
  const charts = [
    histogramsChart(byId("measure-histogram"), () => {
      const id = scores?.id.get(select.value);
      const ood = scores?.ood.get(select.value);
      return id && ood && { id, ood, threshold: chosen()?.threshold95 ?? 0 };
    }),
    rocChart(byId("measure-roc"), () => scores && { all: scores.metrics, chosen: select.value }),
  ];
  const draw = whenShown("measure", () => charts.forEach((redraw) => redraw()));

  const measure = async (): Promise<void> => {
    const { model } = app;
    scores = undefined;
    if (model && sets.id.features.length && sets.ood.features.length) {
      try {
        scores = await score(app, sets);
      } catch (thrown) {
        app.tell(wordsOf(thrown));
      }
    }
    byId("measure-results").hidden = !scores;
    if (!scores || !model) return;
    const names = Array.from(scores.metrics.keys());
    setOptions(select, names.map((value) => ({ value, text: nameOf(value) })), select.value || model.info.settings.score);
    showTable(scores);
    byId("measure-size").textContent = `Of ${count(sets.id.features.length)} familiar and ${count(sets.ood.features.length)} foreign pictures.`;
    draw();
  };

  const take = (side: Side) => async (files: FoundFile[], work: IntakeWork): Promise<string> => {
    const set = await look(app, files.filter(isPicture), work);
    sets[side] = set;
    await measure();
    return summary(set, files.length);
  };
  const places: Record<Side, Intake> = {
    id: intake(byId("measure-id"), { title: "Familiar pictures", hint: "In-distribution: of the kinds of things that the model was trained on, but not its training pictures.", take: take("id") }),
    ood: intake(byId("measure-ood"), { title: "Foreign pictures", hint: "Out-of-distribution: anything else.", take: take("ood") }),
  };
  byId("measure-gallery").addEventListener("click", () => {
    const of = gallery().filter(({ model, truth }) => model === app.model?.id && truth !== undefined);
    if (of.length === 0) {
      app.tell("The gallery has no pictures for this model.");
      return;
    }
    void (async () => {
      const files = async (inside: boolean): Promise<FoundFile[]> =>
        Promise.all(of.filter(({ truth }) => (truth !== null) === inside).map(fetched));
      await places.id.give(await files(true));
      await places.ood.give(await files(false));
    })().catch((thrown: unknown) => app.tell(wordsOf(thrown)));
  });

  select.addEventListener("change", draw);
  let used: LoadedModel | undefined;
  app.on("model", () => {
    const isFirst = used === undefined;
    used = app.model;
    // Pictures may have been given while the first model was still coming.
    if (isFirst) return;
    for (const side of ["id", "ood"] as const) {
      places[side].cancel();
      if (sets[side].features.length) places[side].say("Another model is in use: give the pictures again.");
      sets[side] = empty();
    }
    void measure();
  });
  let waiting: ReturnType<typeof setTimeout> | undefined;
  app.on("settings", () => {
    clearTimeout(waiting);
    if (scores) waiting = setTimeout(() => void measure(), 200);
  });
  byId("csv").addEventListener("click", () => scores && download("itp-scores.csv", csvOf(sets, scores), "text/csv"));
  byId("json").addEventListener("click", () => {
    if (scores && app.model) download("itp-measured.json", jsonOf(app.model, app.options, sets, scores), "application/json");
  });
}

const empty = (): PictureSet => ({ paths: [], labels: [], features: [], broken: [] });

/** Runs the network on all pictures; broken ones are kept apart with what is wrong with them. */
async function look(app: App, files: FoundFile[], { signal, progress }: IntakeWork): Promise<PictureSet> {
  const { detector } = await app.loaded();
  if (files.length === 0) throw new Error("There are no pictures among these files.");
  const set = empty();
  const pictures = files.map(({ file }) => file);
  for await (const { index, detection, error } of detector.detectAll(pictures, { signal, onProgress: ({ done }) => progress(done, files.length) })) {
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

async function score(app: App, sets: Record<Side, PictureSet>): Promise<Scores> {
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

function summary({ features, broken }: PictureSet, files: number): string {
  const parts = [`${count(features.length)} pictures`];
  if (broken.length) parts.push(`${broken.length} can't be read, such as ${broken[0]?.path ?? ""}: ${broken[0]?.message ?? ""}`);
  const others = files - features.length - broken.length;
  if (others > 0) parts.push(`${others} files are no pictures`);
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
