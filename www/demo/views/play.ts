// The section Play: the settings as controls, and what follows from them at once.

import type { App } from "../state/app.js";
import { axisChart } from "../chart/axis.js";
import { logitsChart } from "../chart/logits.js";
import { waterfallChart } from "../chart/waterfall.js";
import { byId, setOptions } from "../ui/dom.js";
import { decimal, percent } from "../ui/format.js";
import { baseScore, inOrder, isReact, meaningOf, nameOf, reactIsOn, type Settings, toQuery, withReact } from "../state/overrides.js";
import { whenShown } from "./navigation.js";
import { fillLegend } from "../weights/palette.js";

/** The slider's right end means infinity. */
const LAMBDA_OFF = 6;

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

  const showSettings = (): void => {
    const { info } = app.model ?? {};
    if (!info) return;
    const { settings } = app;
    const lambdaNow = settings.lambda ?? info.settings.lambda;
    const base = baseScore(settings, info);
    const reactable = info.scores.includes(withReact(base));
    const on = reactable && reactIsOn(settings, info);
    const clipNow = settings.clip ?? info.settings.react;
    p.value = String(settings.p ?? info.settings.p);
    lambda.value = String(Math.min(lambdaNow, LAMBDA_OFF));
    byId("p-value-out").textContent = percent(Number(p.value) / 100);
    byId("lambda-out").textContent = lambdaNow === Infinity ? "off" : decimal(lambdaNow, 1);
    lambda.setAttribute("aria-valuetext", byId("lambda-out").textContent ?? "");
    setOptions(
      score,
      inOrder(info.scores).filter((name) => !isReact(name) || !info.scores.some((other) => withReact(other) === name)).map((name) => ({ value: name, text: nameOf(name) })),
      base,
    );
    byId("score-help").textContent = meaningOf(base);
    react.checked = on;
    react.disabled = !reactable;
    clip.disabled = !on;
    if (clipNow !== undefined) clip.value = String(clipNow);
    byId("clip-out").textContent = on ? decimal(clipNow ?? Number(clip.value)) : "";
    byId("react-help").textContent = reactable
      ? "Features above this value are cut down to it before the score is computed."
      : `Not available for the score ${nameOf(base)} with this stats file.`;
    byId("changed").hidden = Object.keys(settings).length === 0;
  };
  app.on("settings", showSettings);

  const merge = (change: Settings): void => app.change({ ...app.settings, ...change });
  p.addEventListener("input", () => merge({ p: Number(p.value) }));
  lambda.addEventListener("input", () => merge({ lambda: Number(lambda.value) >= LAMBDA_OFF ? Infinity : Number(lambda.value) }));
  score.addEventListener("change", () => merge({ score: score.value }));
  clip.addEventListener("input", () => merge({ clip: Number(clip.value) }));
  react.addEventListener("change", () => {
    const { info } = app.model ?? {};
    if (!info) return;
    const rest = { ...app.settings };
    delete rest.clip;
    const base = baseScore(app.settings, info);
    app.change(react.checked ? { ...rest, score: base, clip: info.settings.react ?? Number(clip.value) } : { ...rest, score: base });
  });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("reset").addEventListener("click", () => app.change({}));

  // The link.
  const done = byId("link-done");
  byId("link").addEventListener("click", () => {
    const address = linkOf(app);
    history.replaceState(null, "", address);
    void navigator.clipboard?.writeText(address).then(
      () => (done.textContent = "Copied."),
      () => (done.textContent = "The address above is the link."),
    );
    if (!navigator.clipboard) done.textContent = "The address above is the link.";
  });
  app.on("settings", () => (done.textContent = ""));
}

/** The page's address with the model, the gallery picture and the settings. */
export function linkOf(app: App): string {
  const query = toQuery(app.settings);
  if (app.model) query.set("model", app.model.id);
  if (app.subject?.gallery) query.set("picture", app.subject.gallery.file);
  return `${location.href.replace(/#.*$/, "")}#play?${query}`;
}
