// The section Play: hyperparameters as controls, with immediate results.

import { effect } from "@preact/signals-core";
import { axisChart } from "../chart/axis.js";
import { logitsChart } from "../chart/logits.js";
import { waterfallChart } from "../chart/waterfall.js";
import type { App } from "../state/app.js";
import { isBuiltIn } from "../state/models.js";
import { baseScore, isReact, type Overrides, reactIsOn, withReact } from "../state/overrides.js";
import type { Pointing } from "../state/pointing.js";
import type { Reference } from "../state/reference.js";
import { descriptionOf, helpOf, hyperparameter, inOrder, labelOf, nameOf, warningOn } from "../state/scores.js";
import { whenShown } from "../state/views.js";
import { byId, setOptions } from "../ui/dom.js";
import { decimal, percent } from "../ui/format.js";
import { fillLegend } from "../weights/palette.js";

/** Lambda has no greatest value: the right end of its slider stands for infinity. */
const LAMBDA_INFINITY = 6;

/** Starts the section. */
export function startPlay(app: App, reference: Reference, pointing: Pointing): void {
  for (const draw of [
    axisChart(byId("play-axis"), () => app.outcome.value, { small: () => innerWidth < 980 }),
    logitsChart(byId("play-logits"), () => app.outcome.value, pointing),
    waterfallChart(byId("play-waterfall"), () => app.outcome.value, reference),
  ])
    whenShown(app, "play", draw);
  whenShown(app, "play", () => {
    const { result } = app.outcome.value ?? {};
    if (result) fillLegend(byId("play-counts"), result);
  });
  startControls(app);
  startLink(app);
}

function startControls(app: App): void {
  const p = byId<HTMLInputElement>("p");
  const lambda = byId<HTMLInputElement>("lambda");
  const score = byId<HTMLSelectElement>("score-choice");
  const react = byId<HTMLInputElement>("react");
  const clip = byId<HTMLInputElement>("clip");
  effect(() => {
    if (!app.model.value) return;
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

  effect(() => {
    const { id, info } = app.model.value ?? {};
    const overrides = app.overrides.value;
    const separation = app.separation.value;
    if (!info || id === undefined) return;
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
        .map((name) => ({ value: name, text: `${nameOf(name)}${warningOn(name, id, separation) ? " (worse than chance here)" : ""}` })),
      base,
    );
    byId("score-help").textContent = descriptionOf(base);
    byId("score-warning").textContent = warningOn(on ? withReact(base) : base, id, separation);
    react.checked = on;
    react.disabled = !reactable;
    clip.disabled = !on;
    if (clipNow !== undefined) clip.value = String(clipNow);
    byId("clip-out").textContent = on ? decimal(clipNow ?? Number(clip.value)) : "";
    byId("react-help").textContent = reactable
      ? descriptionOf("react")
      : `Not available for the score ${nameOf(base)} with this stats file.`;
    byId("changed").hidden = Object.keys(overrides).length === 0;
  });

  const merge = (changed: Overrides): void => app.override({ ...app.overrides.peek(), ...changed });
  p.addEventListener("input", () => merge({ p: Number(p.value) }));
  lambda.addEventListener("input", () => merge({ lambda: Number(lambda.value) >= LAMBDA_INFINITY ? Infinity : Number(lambda.value) }));
  score.addEventListener("change", () => merge({ score: score.value }));
  clip.addEventListener("input", () => merge({ clip: Number(clip.value) }));
  react.addEventListener("change", () => {
    const { info } = app.model.peek() ?? {};
    if (!info) return;
    const overrides = app.overrides.peek();
    const rest = { ...overrides };
    delete rest.clip;
    const base = baseScore(overrides, info);
    app.override(react.checked ? { ...rest, score: base, clip: info.settings.react ?? Number(clip.value) } : { ...rest, score: base });
  });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("reset").addEventListener("click", () => app.override({}));
}

/** The address says it all; only what is the visitor's own has none. */
function startLink(app: App): void {
  const done = byId("link-done");
  byId("link").addEventListener("click", () => {
    const model = app.model.peek();
    const own = [
      ...(app.subject.peek()?.gallery && app.source.peek() === "image" ? [] : ["image"]),
      ...(model && !isBuiltIn(model.id) ? ["model"] : []),
    ];
    const without = own.length ? `, without your ${own.join(" and ")}: what is yours stays in this browser` : "";
    const inBar = `The link is in the address bar${without}.`;
    if (!navigator.clipboard) done.textContent = inBar;
    else
      navigator.clipboard.writeText(location.href).then(
        () => (done.textContent = `Copied${without}.`),
        () => (done.textContent = inBar),
      );
  });
  // What was copied is what is shown no more.
  const forget = (): void => void (done.textContent = "");
  for (const of of [app.overrides, app.subject, app.model]) of.subscribe(forget);
}
