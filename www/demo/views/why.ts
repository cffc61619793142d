// The section Why: the scores, logits, energies and weights behind a verdict.

import { axisChart } from "../chart/axis.js";
import { logitsChart } from "../chart/logits.js";
import { waterfallChart } from "../chart/waterfall.js";
import type { App } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import { hyperparameter } from "../state/scores.js";
import { byId, setOptions } from "../ui/dom.js";
import { count, decimal } from "../ui/format.js";
import { describeReason, detailsOf, fillDetails } from "../weights/details.js";
import { fillList, overconfidentWeights } from "../weights/list.js";
import { WeightMap, type Weight } from "../weights/map.js";
import { fillLegend, STATES } from "../weights/palette.js";
import { whenShown } from "./navigation.js";
import type { Detection, Explanation } from "itp-ood";

/** If less than this fraction of the weights is pruned, there is hardly anything to see. */
const LITTLE_PRUNED = 0.02;

/** Up to this many classes are explained in advance, so that pointing responds at once. */
const MAX_PRELOADED_CLASSES = 20;

/** Starts the section. */
export function startWhy(app: App): void {
  const charts = [
    axisChart(byId("why-axis"), () => app.result && { result: app.result, idScores: app.idScores }),
    logitsChart(byId("why-logits"), () => app.result && { result: app.result, labels: labelsOf(app) }),
    waterfallChart(byId("why-waterfall"), () => app.result),
  ];
  const explain = explanationCache(app);
  const map = new WeightMap(byId("map"), (weight) => void showWeight(weight));
  const listClass = byId<HTMLSelectElement>("list-class");
  let states: { of: Detection; values: Uint8Array } | undefined;

  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      app.notify(messageOf(error));
    }
  };

  const showWeight = (weight: Weight | undefined): Promise<void> =>
    attempt(async () => {
      const { result } = app;
      if (!result || !weight) return;
      const explanation = await explain(result, weight.classIndex);
      const now = map.weight;
      if (result !== app.result || now?.classIndex !== weight.classIndex || now.feature !== weight.feature) return;
      const details = detailsOf(explanation, weight.feature);
      byId("weight-title").textContent = `${explanation.label}, feature ${weight.feature}`;
      fillDetails(byId("weight"), details);
      byId("weight-words").textContent =
        `${explanation.label}, feature ${weight.feature}, ${STATES[details.reason]?.name ?? ""}. ${describeReason(details, explanation.omega)}`;
    });

  const showList = (): Promise<void> =>
    attempt(async () => {
      const { result } = app;
      // Without a linear last layer there are no weights to show.
      if (!result?.counts || listClass.value === "") return;
      const explanation = await explain(result, Number(listClass.value));
      if (result !== app.result) return;
      const total = fillList(byId("list"), explanation, (feature) => {
        map.touched = true;
        map.goTo({ classIndex: explanation.classIndex, feature });
        byId("map").focus();
        byId("map-card").scrollIntoView({ block: "nearest" });
      });
      byId("list-note").textContent =
        `${count(total)} of the ${count(explanation.weight.length)} weights of “${explanation.label}” are overconfident for this image, sorted by contribution above the mean.`;
      byId("held-note").textContent = heldNote(explanation);
    });

  const showMap = (): Promise<void> =>
    attempt(async () => {
      const { model, result } = app;
      if (!model || !result?.counts) return;
      if (states?.of !== result) {
        const values = await model.detector.weightMap(result, app.options);
        if (result !== app.result) return;
        states = { of: result, values };
      }
      const labels = labelsOf(app);
      map.show({
        states: states.values,
        labels,
        features: result.features.length,
        rowOrder: rowOrder(byId<HTMLSelectElement>("map-rows").value, result),
        columnOrder: columnOrder(byId<HTMLSelectElement>("map-columns").value, result, states.values),
      });
      fillLegend(byId("map-legend"), result);
      if (labels.length <= MAX_PRELOADED_CLASSES) await Promise.all(labels.map((_, k) => explain(result, k)));
      const first = map.touched ? undefined : overconfidentWeights(await explain(result, result.classIndex)).weights[0];
      if (first && result === app.result) map.goTo({ classIndex: result.classIndex, feature: first.feature });
      else await showWeight(map.weight);
    });

  const draw = whenShown("why", () => {
    for (const redraw of charts) redraw();
    void showMap();
    void showList();
  });
  app.on("model", () => showPaperLink(byId("why-little")));
  let listed: string | undefined;
  app.on("result", () => {
    const { result } = app;
    if (result) {
      const key = `${app.model?.id}`;
      if (listed !== key)
        setOptions(
          listClass,
          labelsOf(app).map((text, k) => ({ value: String(k), text })),
        );
      listed = key;
      listClass.value = String(result.classIndex);
      byId("why-features").textContent = count(result.features.length);
      byId("why-little").hidden = !result.counts || result.counts.kept < (1 - LITTLE_PRUNED) * result.counts.total;
    }
    draw();
  });
  listClass.addEventListener("change", () => void showList());
  for (const id of ["map-rows", "map-columns"]) byId(id).addEventListener("change", () => void showMap());
  byId("zoom-in").addEventListener("click", () => map.zoom(2));
  byId("zoom-out").addEventListener("click", () => map.zoom(0.5));
  byId("zoom-all").addEventListener("click", () => map.showAll());
}

/** Fills in the paper's hyperparameters for CIFAR-10. */
function showPaperLink(container: HTMLElement): void {
  const [p, lambda] = ["itp.p", "itp.lambda"].map((name) => hyperparameter(name)?.defaults?.cifar10);
  const link = container.querySelector("a");
  if (!link || p === undefined || lambda === undefined) return;
  link.href = `#why?p=${p}&lambda=${lambda}`;
  link.textContent = `Try the paper's for CIFAR-10 (p = ${p}, λ = ${lambda})`;
}

/** The scores HELD and HELD+T of the same image, as sums that add up. */
function heldNote({ label, held }: Explanation): string {
  const logit = `HELD clamps ${decimal(held.heldBackSum, 3)} off the logit of “${label}”: ${decimal(held.logit + held.heldBackSum, 3)} becomes ${decimal(held.logit, 3)}. The score HELD, over all classes, is ${decimal(held.held, 3)}, and the atypicality T of the features is ${decimal(held.t, 3)}`;
  return held.a === undefined || held.heldT === undefined
    ? `${logit}.`
    : `${logit}: HELD+T = ${decimal(held.held, 3)} − ${decimal(held.a, 3)} × ${decimal(held.t, 3)} = ${decimal(held.heldT, 3)}.`;
}

const labelsOf = (app: App): readonly string[] => app.model?.info.labels ?? [];

/** Explains each class of a result at most once. */
function explanationCache(app: App): (result: Detection, classIndex: number) => Promise<Explanation> {
  const known = new WeakMap<Detection, Map<number, Promise<Explanation>>>();
  return (result, classIndex) => {
    const of = known.get(result) ?? new Map<number, Promise<Explanation>>();
    known.set(result, of);
    let explanation = of.get(classIndex);
    if (!explanation) {
      const { detector } = app.model ?? {};
      if (!detector) throw new Error("No model is loaded.");
      explanation = detector.explain(result, { ...app.options, class: classIndex });
      of.set(classIndex, explanation);
    }
    return explanation;
  };
}

function rowOrder(by: string, { logits }: Detection): number[] {
  const order = Array.from(logits.keys());
  return by === "logit" ? order.sort((a, b) => (logits[b] as number) - (logits[a] as number)) : order;
}

function columnOrder(by: string, { features }: Detection, states: Uint8Array): number[] {
  const order = Array.from(features.keys());
  if (by === "activation") return order.sort((a, b) => (features[b] as number) - (features[a] as number));
  if (by !== "pruned") return order;
  const pruned = new Uint32Array(features.length);
  states.forEach((state, at) => {
    if (state >= 2) pruned[at % features.length] = (pruned[at % features.length] as number) + 1;
  });
  return order.sort((a, b) => (pruned[b] as number) - (pruned[a] as number));
}
