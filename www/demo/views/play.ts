// The section Play: hyperparameters as controls, with immediate results.

import { axisChart } from "../chart/axis.js";
import { logitsChart } from "../chart/logits.js";
import { waterfallChart } from "../chart/waterfall.js";
import type { App } from "../state/app.js";
import { baseScore, isReact, type Overrides, reactIsOn, toQuery, withReact } from "../state/overrides.js";
import { descriptionOf, helpOf, hyperparameter, inOrder, labelOf, nameOf } from "../state/scores.js";
import { byId, setOptions } from "../ui/dom.js";
import { decimal, percent } from "../ui/format.js";
import { fillLegend } from "../weights/palette.js";
import { whenShown } from "./navigation.js";

/** Lambda has no greatest value: the right end of its slider stands for infinity. */
const LAMBDA_INFINITY = 6;

/** Starts the section. */
export function startPlay(app: App): void {
  const p = byId<HTMLInputElement>("p");
  const lambda = byId<HTMLInputElement>("lambda");
  const score = byId<HTMLSelectElement>("score-choice");
  const react = byId<HTMLInputElement>("react");
  const clip = byId<HTMLInputElement>("clip");

  const charts = [
    axisChart(byId("play-axis"), () => app.result && { result: app.result, idScores: app.idScores }),
    logitsChart(byId("play-logits"), () => app.result && { result: app.result, labels: app.model?.info.labels ?? [] }),
    waterfallChart(byId("play-waterfall"), () => app.result),
  ];
  app.on(
    "result",
    whenShown("play", () => {
      for (const redraw of charts) redraw();
      if (app.result) fillLegend(byId("play-counts"), app.result);
    }),
  );

  app.on("model", () => {
    for (const [name, control] of [
      ["itp.p", p],
      ["itp.lambda", lambda],
    ] as const) {
      const of = hyperparameter(name);
      if (!of) continue;
      byId(`${control.id}-label`).textContent = labelOf(of);
      byId(`${control.id}-help`).textContent = helpOf(of);
      control.min = String(of.low);
      control.max = String(Math.min(of.high, control === lambda ? LAMBDA_INFINITY : Infinity));
    }
  });

  const showOverrides = (): void => {
    const { info } = app.model ?? {};
    if (!info) return;
    const { overrides } = app;
    const lambdaNow = overrides.lambda ?? info.settings.lambda;
    const base = baseScore(overrides, info);
    const reactable = info.scores.includes(withReact(base));
    const on = reactable && reactIsOn(overrides, info);
    const clipNow = overrides.clip ?? info.settings.react;
    p.value = String(overrides.p ?? info.settings.p);
    lambda.value = String(Math.min(lambdaNow, LAMBDA_INFINITY));
    byId("p-value-out").textContent = percent(Number(p.value) / 100);
    byId("lambda-out").textContent = lambdaNow === Infinity ? "off" : decimal(lambdaNow, 1);
    lambda.setAttribute("aria-valuetext", byId("lambda-out").textContent ?? "");
    setOptions(
      score,
      inOrder(info.scores)
        .filter((name) => !isReact(name) || !info.scores.some((other) => withReact(other) === name))
        .map((name) => ({ value: name, text: nameOf(name) })),
      base,
    );
    byId("score-help").textContent = descriptionOf(base);
    react.checked = on;
    react.disabled = !reactable;
    clip.disabled = !on;
    if (clipNow !== undefined) clip.value = String(clipNow);
    byId("clip-out").textContent = on ? decimal(clipNow ?? Number(clip.value)) : "";
    byId("react-help").textContent = reactable
      ? descriptionOf("react")
      : `Not available for the score ${nameOf(base)} with this stats file.`;
    byId("changed").hidden = Object.keys(overrides).length === 0;
  };
  app.on("overrides", showOverrides);

  const merge = (changed: Overrides): void => app.override({ ...app.overrides, ...changed });
  p.addEventListener("input", () => merge({ p: Number(p.value) }));
  lambda.addEventListener("input", () => merge({ lambda: Number(lambda.value) >= LAMBDA_INFINITY ? Infinity : Number(lambda.value) }));
  score.addEventListener("change", () => merge({ score: score.value }));
  clip.addEventListener("input", () => merge({ clip: Number(clip.value) }));
  react.addEventListener("change", () => {
    const { info } = app.model ?? {};
    if (!info) return;
    const rest = { ...app.overrides };
    delete rest.clip;
    const base = baseScore(app.overrides, info);
    app.override(react.checked ? { ...rest, score: base, clip: info.settings.react ?? Number(clip.value) } : { ...rest, score: base });
  });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("reset").addEventListener("click", () => app.override({}));

  // The link to this state.
  const done = byId("link-done");
  byId("link").addEventListener("click", () => {
    const link = linkOf(app);
    history.replaceState(null, "", link);
    void navigator.clipboard?.writeText(link).then(
      () => (done.textContent = "Copied."),
      () => (done.textContent = "The link is in the address bar."),
    );
    if (!navigator.clipboard) done.textContent = "The link is in the address bar.";
  });
  app.on("overrides", () => (done.textContent = ""));
}

/** A link to the model, the gallery image and the overrides. */
export function linkOf(app: App): string {
  const query = toQuery(app.overrides);
  if (app.model) query.set("model", app.model.id);
  if (app.subject?.gallery) query.set("image", app.subject.gallery.file);
  return `${location.href.replace(/#.*$/, "")}#play?${query}`;
}
