// The section Why: the scores, logits, energies and weights behind a verdict.

import { effect, signal } from "@preact/signals-core";
import { axisChart } from "../chart/axis.js";
import { logitsChart } from "../chart/logits.js";
import { waterfallChart } from "../chart/waterfall.js";
import type { App, Outcome } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import type { Pointing } from "../state/pointing.js";
import type { Reference } from "../state/reference.js";
import { descriptionOf, hyperparameter, nameOf, warningOn } from "../state/scores.js";
import { whenShown } from "../state/views.js";
import { byId, setOptions } from "../ui/dom.js";
import { apart, count, decimal } from "../ui/format.js";
import { kindOf } from "../ui/verdict.js";
import { describeReason, detailsOf, fillDetails } from "../weights/details.js";
import { explain, preload, weightStates } from "../weights/explanations.js";
import { describeLoudest, fillList, heldNote, markRow, overconfidentWeights } from "../weights/list.js";
import { type Weight, WeightMap } from "../weights/map.js";
import { columnOrder, rowOrder } from "../weights/order.js";
import { fillLegend, STATES } from "../weights/palette.js";
import { describeTurn } from "../weights/turn.js";
import type { Detection } from "itp-ood";

/** If less than this fraction of the weights is pruned, there is hardly anything to see. */
const LITTLE_PRUNED = 0.02;

/** Starts the section. */
export function startWhy(app: App, reference: Reference, pointing: Pointing): void {
  for (const draw of [
    axisChart(byId("why-axis"), () => app.outcome.value),
    logitsChart(byId("why-logits"), () => app.outcome.value, pointing),
    waterfallChart(byId("why-waterfall"), () => app.outcome.value, reference),
  ])
    whenShown(app, "why", draw);
  whenShown(app, "why", () => showWords(app));
  effect(() => {
    if (app.model.value) showPaperLink(byId("why-little"));
  });
  startMap(app, pointing);
}

function showWords(app: App): void {
  const outcome = app.outcome.value;
  // Without a linear last layer there are no weights to show.
  byId("why-itp").hidden = outcome !== undefined && !outcome.result.counts;
  if (!outcome) return;
  const { model, result } = outcome;
  byId("why-axis-title").textContent = `The ${nameOf(result.scoreName)} score among held-out familiar images`;
  byId("why-decided").textContent = describeDecision(outcome);
  byId("why-score").textContent = result.scoreName === "itp" ? "" : descriptionOf(result.scoreName);
  byId("why-warning").textContent = warningOn(result.scoreName, model.id, app.separation.value);
  byId("why-features").textContent = count(result.features.length);
  byId("why-little").hidden = !result.counts || result.counts.kept < (1 - LITTLE_PRUNED) * result.counts.total;
}

/** Which score decided, and what ITP says where it is another one. */
function describeDecision({ result, itp }: Outcome): string {
  const decided = `${nameOf(result.scoreName)} decided: ${compare(result)}.`;
  if (result.scoreName === "itp") return decided;
  if (!itp) return `${decided} This model's last layer isn't linear, so that ITP can't look into it.`;
  return `${decided} What follows below is how ITP sees the same image: ${compare(itp)}.`;
}

function compare(result: Detection): string {
  const { score, threshold } = result;
  if (threshold === undefined) return `${decimal(score)}, without a threshold`;
  const [a, b] = apart(score, threshold);
  const verdict = kindOf(result) === "in" ? "familiar" : "unfamiliar";
  return `${a} is ${score >= threshold ? "not below" : "below"} its threshold ${b}, so ${verdict}`;
}

/** The map of all weights, the list of the overconfident ones, and the words on one of them. */
function startMap(app: App, pointing: Pointing): void {
  const map = new WeightMap(byId("map"), (weight) => (pointing.value = weight));
  const listClass = byId<HTMLSelectElement>("list-class");
  const rows = byId<HTMLSelectElement>("map-rows");
  const columns = byId<HTMLSelectElement>("map-columns");
  /** The class of the list: the predicted one, until another is chosen for this image. */
  const listed = signal<number | undefined>(undefined);
  const order = signal({ rows: rows.value, columns: columns.value });
  for (const select of [rows, columns])
    select.addEventListener("change", () => (order.value = { rows: rows.value, columns: columns.value }));
  listClass.addEventListener("change", () => (listed.value = Number(listClass.value)));
  byId("zoom-in").addEventListener("click", () => map.zoom(2));
  byId("zoom-out").addEventListener("click", () => map.zoom(0.5));
  byId("zoom-all").addEventListener("click", () => map.showAll());

  /** Runs when the section is visible, on the outcome; what is shown late must still be true. */
  const onOutcome = (work: (outcome: Outcome, isCurrent: () => boolean) => Promise<void>): void =>
    whenShown(app, "why", () => {
      const outcome = app.outcome.value;
      if (!outcome?.result.counts) return;
      work(outcome, () => app.outcome.peek() === outcome).catch((error: unknown) => (app.notice.value = messageOf(error)));
    });

  effect(() => {
    const labels = app.current.value?.info.labels ?? [];
    setOptions(
      listClass,
      labels.map((text, k) => ({ value: String(k), text })),
    );
  });
  effect(() => {
    const result = app.outcome.value?.result;
    if (!result) return;
    listed.value = result.classIndex;
    listClass.value = String(result.classIndex);
  });

  onOutcome(async (outcome, isCurrent) => {
    const by = order.value;
    const { result, model } = outcome;
    const states = await weightStates(outcome);
    if (!isCurrent()) return;
    map.show({
      states,
      labels: model.info.labels,
      features: result.features.length,
      rowOrder: rowOrder(by.rows, result),
      columnOrder: columnOrder(by.columns, result, states),
    });
    fillLegend(byId("map-legend"), result);
    await preload(outcome);
    const explanation = await explain(outcome, result.classIndex);
    const [first] = overconfidentWeights(explanation).weights;
    if (!isCurrent()) return;
    byId("why-sentence").textContent = describeLoudest(explanation);
    if (!map.touched && first) map.goTo({ classIndex: result.classIndex, feature: first.feature });
    else pointing.value = map.weight;
  });

  onOutcome(async (outcome, isCurrent) => {
    const words = await describeTurn(outcome);
    if (!isCurrent()) return;
    byId("why-turn").textContent = words;
    byId("why-turn-card").hidden = words === "";
  });

  onOutcome(async (outcome, isCurrent) => {
    const classIndex = listed.value ?? outcome.result.classIndex;
    const explanation = await explain(outcome, classIndex);
    if (!isCurrent() || classIndex !== listed.peek()) return;
    const goTo = (feature: number): void => {
      map.touched = true;
      map.goTo({ classIndex, feature });
      byId("map").focus();
      byId("map-card").scrollIntoView({ block: "nearest" });
    };
    const total = fillList(byId("list"), explanation, { goTo, point: (feature) => (pointing.value = { classIndex, feature }) });
    byId("list-note").textContent =
      `${count(total)} of the ${count(explanation.weight.length)} weights of “${explanation.label}” are overconfident for this image, sorted by contribution above the mean.`;
    byId("held-note").textContent = heldNote(explanation);
    markRow(byId("list"), pointing.peek()?.feature);
  });

  onOutcome(async (outcome, isCurrent) => {
    const weight = pointing.value;
    map.highlight(weight);
    markRow(byId("list"), weight?.classIndex === listed.value ? weight?.feature : undefined);
    if (weight?.feature === undefined) return;
    await showWeight(outcome, weight as Weight, () => isCurrent() && pointing.peek() === weight);
  });
}

async function showWeight(outcome: Outcome, { classIndex, feature }: Weight, isCurrent: () => boolean): Promise<void> {
  const { labels } = outcome.model.info;
  if (classIndex >= labels.length || feature >= outcome.result.features.length) return;
  const explanation = await explain(outcome, classIndex);
  if (!isCurrent()) return;
  const details = detailsOf(explanation, feature);
  const title = `${explanation.label}, feature ${feature}`;
  byId("weight-title").textContent = title;
  fillDetails(byId("weight"), details);
  byId("weight-words").textContent = `${title}, ${STATES[details.reason]?.name ?? ""}. ${describeReason(details, explanation.omega)}`;
}

/** Fills in the paper's hyperparameters for CIFAR-10. */
function showPaperLink(container: HTMLElement): void {
  const [p, lambda] = ["itp.p", "itp.lambda"].map((name) => hyperparameter(name)?.defaults?.cifar10);
  const link = container.querySelector("a");
  if (!link || p === undefined || lambda === undefined) return;
  link.href = `#why?p=${p}&lambda=${lambda}`;
  link.textContent = `Try the paper's for CIFAR-10 (p = ${p}, λ = ${lambda})`;
}
