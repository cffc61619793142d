// The section Why: the score, the logits, the energies and every weight behind a verdict.

import type { Detection, Explanation } from "itp-ood";
import type { App } from "../state/app.js";
import { axisChart } from "../chart/axis.js";
import { logitsChart } from "../chart/logits.js";
import { waterfallChart } from "../chart/waterfall.js";
import { byId, setOptions, wordsOf } from "../ui/dom.js";
import { count, decimal } from "../ui/format.js";
import { whenShown } from "./navigation.js";
import { fate, figuresOf, fillDetails } from "../weights/details.js";
import { fillList, overconfident } from "../weights/list.js";
import { WeightMap, type Weight } from "../weights/map.js";
import { fillLegend, STATES } from "../weights/palette.js";

/** Where less than this share of the weights is left out, there is hardly anything to see. */
const LITTLE = 0.02;

/** Of so few classes all are explained ahead, so that pointing answers at once. */
const FEW_CLASSES = 20;

/** Starts the section. */
export function startWhy(app: App): void {
  const charts = [
    axisChart(byId("why-axis"), () => app.result && { result: app.result, idScores: app.idScores }),
    logitsChart(byId("why-logits"), () => app.result && { result: app.result, labels: labelsOf(app) }),
    waterfallChart(byId("why-waterfall"), () => app.result),
  ];
  const explain = explainer(app);
  const map = new WeightMap(byId("map"), (weight) => void showWeight(weight));
  const listClass = byId<HTMLSelectElement>("list-class");
  let states: { of: Detection; values: Uint8Array } | undefined;

  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (thrown) {
      app.tell(wordsOf(thrown));
    }
  };

  const showWeight = (weight: Weight | undefined): Promise<void> =>
    attempt(async () => {
      const { result } = app;
      if (!result || !weight) return;
      const explanation = await explain(result, weight.classIndex);
      const now = map.weight;
      if (result !== app.result || now?.classIndex !== weight.classIndex || now.feature !== weight.feature) return;
      const figures = figuresOf(explanation, weight.feature);
      byId("weight-title").textContent = `${explanation.label}, feature ${weight.feature}`;
      fillDetails(byId("weight"), figures);
      byId("weight-words").textContent = `${explanation.label}, feature ${weight.feature}, ${STATES[figures.reason]?.name ?? ""}. ${fate(figures, explanation.omega)}`;
    });

  const showList = (): Promise<void> =>
    attempt(async () => {
      const { result } = app;
      if (!result || listClass.value === "") return;
      const explanation = await explain(result, Number(listClass.value));
      if (result !== app.result) return;
      const all = fillList(byId("list"), explanation, (feature) => {
        map.touched = true;
        map.goTo({ classIndex: explanation.classIndex, feature });
        byId("map").focus();
        byId("map-card").scrollIntoView({ block: "nearest" });
      });
      byId("list-note").textContent = `${count(all)} of the ${count(explanation.weight.length)} weights of “${explanation.label}” are overconfident here; sorted by how much more than usual they say.`;
      byId("held-note").textContent = heldNote(explanation);
    });

  const showMap = (): Promise<void> =>
    attempt(async () => {
      const { model, result } = app;
      if (!model || !result) return;
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
      if (labels.length <= FEW_CLASSES) await Promise.all(labels.map((_, k) => explain(result, k)));
      const loudest = map.touched ? undefined : overconfident(await explain(result, result.classIndex)).weights[0];
      if (loudest && result === app.result) map.goTo({ classIndex: result.classIndex, feature: loudest.feature });
      else await showWeight(map.weight);
    });

  const draw = whenShown("why", () => {
    for (const redraw of charts) redraw();
    void showMap();
    void showList();
  });
  let listed: string | undefined;
  app.on("result", () => {
    const { result } = app;
    if (result) {
      const key = `${app.model?.id}`;
      if (listed !== key) setOptions(listClass, labelsOf(app).map((text, k) => ({ value: String(k), text })));
      listed = key;
      listClass.value = String(result.classIndex);
      byId("why-features").textContent = count(result.features.length);
      byId("why-little").hidden = result.counts.kept < (1 - LITTLE) * result.counts.total;
    }
    draw();
  });
  listClass.addEventListener("change", () => void showList());
  for (const id of ["map-rows", "map-columns"]) byId(id).addEventListener("change", () => void showMap());
  byId("zoom-in").addEventListener("click", () => map.zoom(2));
  byId("zoom-out").addEventListener("click", () => map.zoom(0.5));
  byId("zoom-all").addEventListener("click", () => map.showAll());
}

/** What the scores HELD and T make of the same picture: sums that add up. */
function heldNote({ label, held }: Explanation): string {
  const logit = `HELD holds back ${decimal(held.heldBackSum, 3)} of the logit of “${label}”: ${decimal(held.logit + held.heldBackSum, 3)} becomes ${decimal(held.logit, 3)}. With all classes it scores ${decimal(held.held, 3)}, and T, the sum of all features' parts, is ${decimal(held.t, 3)}`;
  return held.a === undefined || held.heldT === undefined ? `${logit}.` : `${logit}: HELD+T = ${decimal(held.held, 3)} − ${decimal(held.a, 3)} × ${decimal(held.t, 3)} = ${decimal(held.heldT, 3)}.`;
}

const labelsOf = (app: App): readonly string[] => app.model?.info.labels ?? [];

/** Explains classes of a result, each once. */
function explainer(app: App): (result: Detection, classIndex: number) => Promise<Explanation> {
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
