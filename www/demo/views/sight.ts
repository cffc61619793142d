// The card "Where in the image" of the section Why: a map over the greyed crop, and a cover to drag.

import { effect, signal } from "@preact/signals-core";
import { startCover } from "../sight/cover.js";
import { evidenceOf } from "../sight/evidence.js";
import { gradientOf } from "../sight/gradient.js";
import { startGrid } from "../sight/grid.js";
import { whileHeld } from "../sight/hold.js";
import { startLive } from "../sight/live.js";
import { describeAt, drawCrop, drawMap, type Overlay, showScale } from "../sight/overlay.js";
import { neutralColour } from "../sight/picture.js";
import type { App, Outcome } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import { nameOf } from "../state/scores.js";
import { type Part, type Sight, type Way, WAYS } from "../state/sight.js";
import { whenShown } from "../state/views.js";
import { byId, setOptions } from "../ui/dom.js";

/** A map that is shown, and what it says. */
interface Shown {
  overlay: Overlay;
  words: string;
}

const WHAT: Readonly<Record<Way, string>> = {
  evidence: "How much each place of the image adds to the logit of a class, exactly: the features are means over the network's last map.",
  occlusion: "How the score changes when a spot is covered with the network's neutral colour. It works for any network.",
  gradient: "How the score would change if a pixel were a little brighter: the gradient of the score with respect to the image.",
};

/** Starts the card. */
export function startSight(app: App, sight: Sight): void {
  const shown = signal<Shown | undefined>(undefined);
  const problem = signal("");
  const fail = (error: unknown): void => void (problem.value = messageOf(error));
  startControls(app, sight);
  startLive(app, sight);
  const grid = startGrid(app, sight, fail);
  startStage(app, sight, () => shown.value?.overlay);

  whenShown(app, "why", () => {
    const outcome = app.outcome.value;
    const way = sight.way.value;
    const [chosen, part] = [sight.classIndex.value, sight.part.value];
    const covers = grid.value;
    problem.value = "";
    shown.value = way === "occlusion" ? covers : undefined;
    if (!outcome || way === "occlusion") return;
    const isCurrent = (): boolean =>
      app.outcome.peek() === outcome &&
      sight.way.peek() === way &&
      (way === "gradient" || (sight.classIndex.peek() === chosen && sight.part.peek() === part));
    const loading = way === "gradient" ? gradientOf(outcome) : evidenceOf(outcome, chosen ?? outcome.result.classIndex, part);
    loading.then(
      (found) => isCurrent() && (shown.value = found),
      (error: unknown) => isCurrent() && fail(error),
    );
  });
  whenShown(app, "why", () => {
    const way = sight.way.value;
    showMap(shown.value, way !== "occlusion" && problem.value === "", way, app.outcome.value);
  });
  effect(() => {
    byId("sight-problem").textContent = problem.value;
    byId("sight-instead").hidden = problem.value === "" || sight.way.value === "occlusion";
  });
  byId("sight-instead").addEventListener("click", () => (sight.way.value = "occlusion"));
}

/** Draws the map, its legend and its sum in words. */
function showMap(shown: Shown | undefined, isComing: boolean, way: Way, outcome: Outcome | undefined): void {
  const [stage, scale] = [byId("sight-stage"), byId("sight-scale")];
  stage.classList.toggle("mapped", shown !== undefined);
  // Its place is kept while a map is on its way.
  scale.classList.toggle("unneeded", shown === undefined);
  scale.hidden = shown === undefined && !isComing;
  byId("sight-words").textContent = shown?.words ?? "";
  byId("sight-at").textContent = "";
  byId<HTMLButtonElement>("sight-hold").disabled = !shown && way !== "occlusion";
  if (!shown || !outcome) return;
  drawMap(byId<HTMLCanvasElement>("sight-map"), shown.overlay);
  const score = nameOf(outcome.result.scoreName);
  const { unit, ...texts } = {
    evidence: { unit: "of the logit, per position", below: "takes away", above: "adds" },
    occlusion: { unit: `${score} score lost by covering`, below: "covering raises it", above: "covering lowers it" },
    gradient: { unit: `${score} score, per pixel from black to white`, below: "darker raises it", above: "brighter raises it" },
  }[way];
  showScale(shown.overlay, unit, texts);
}

/** The crop, what is pointed at, and the button that shows it as it is. */
function startStage(app: App, sight: Sight, overlay: () => Overlay | undefined): void {
  const stage = byId("sight-stage");
  const canvas = byId<HTMLCanvasElement>("sight-picture");
  whenShown(app, "why", () => {
    const { subject, model } = app.outcome.value ?? {};
    stage.hidden = !subject;
    if (!subject || !model) return;
    drawCrop(canvas, subject.drawable, model.info.preprocess);
    canvas.setAttribute("aria-label", `What the network sees of the image: ${subject.title}`);
    stage.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
    stage.style.setProperty("--cover", `rgb(${neutralColour(model.info.preprocess).join(" ")})`);
  });
  stage.addEventListener("pointermove", (event) => {
    const of = overlay();
    if (!of) return;
    const box = stage.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    if (x >= 0 && y >= 0 && x < 1 && y < 1) byId("sight-at").textContent = describeAt(of, x, y);
  });
  stage.addEventListener("pointerleave", () => (byId("sight-at").textContent = ""));
  whileHeld(byId("sight-hold"), (held) => stage.classList.toggle("plain", held));
  const cover = byId("sight-cover");
  startCover(cover, stage, sight);
  whenShown(app, "why", () => {
    cover.hidden = sight.way.value !== "occlusion";
    const { size } = sight.cover.value;
    // The crop's shorter side is the whole of the stage's.
    const { width = 1, height = 1 } = app.outcome.value ? canvas : {};
    cover.style.width = `${(100 * size * Math.min(width, height)) / width}%`;
    cover.style.height = `${(100 * size * Math.min(width, height)) / height}%`;
  });
}

function startControls(app: App, sight: Sight): void {
  const [classes, part, size] = [
    byId<HTMLSelectElement>("sight-class"),
    byId<HTMLSelectElement>("sight-part"),
    byId<HTMLSelectElement>("sight-size"),
  ];
  for (const way of WAYS) {
    const choice = byId<HTMLInputElement>(`sight-way-${way}`);
    choice.addEventListener("change", () => (sight.way.value = way));
    effect(() => {
      const isChosen = sight.way.value === way;
      choice.checked = isChosen;
      if (isChosen) byId("sight-what").textContent = WHAT[way];
    });
  }
  effect(() => {
    byId("sight-evidence").hidden = sight.way.value !== "evidence";
    byId("sight-occlusion").hidden = byId("sight-live").hidden = sight.way.value !== "occlusion";
  });
  effect(() => {
    const { model, result } = app.outcome.value ?? {};
    const labels = model?.info.labels ?? [];
    setOptions(
      classes,
      [{ value: "", text: `the predicted one${result ? `, ${result.label}` : ""}` }, ...labels.map((text) => ({ value: text, text }))],
      sight.classIndex.value === undefined ? "" : labels[sight.classIndex.value],
    );
  });
  classes.addEventListener("change", () => (sight.label.value = classes.value || undefined));
  effect(() => void (part.value = sight.part.value));
  part.addEventListener("change", () => (sight.part.value = part.value as Part));
  effect(() => void (size.value = String(sight.cover.value.size)));
  size.addEventListener("change", () => (sight.cover.value = { ...sight.cover.peek(), size: Number(size.value) }));
}
