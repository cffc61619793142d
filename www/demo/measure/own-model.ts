// The visitor's own model, from an ONNX file and a stats file, for the whole page.

import { PRESETS } from "../generated.js";
import type { App } from "../state/app.js";
import { loadPageDetector } from "../state/assets.js";
import { modelProblem } from "../state/errors.js";
import type { TakeFiles } from "../try/take-files.js";
import type { ChosenFile } from "../ui/files.js";
import { intake } from "../ui/intake.js";
import { OodError } from "itp-ood";

/** Adds the intake to `container`; the returned function takes files from elsewhere. */
export function startOwnModel(app: App, container: HTMLElement): TakeFiles {
  let model: File | undefined;
  let stats: File | undefined;
  const own = intake(container, {
    title: "Your own network",
    hint: "Choose an ONNX classifier and its stats file (.itp.safetensors) to use it on the whole page. If you have no stats file, make one under Calibrate.",
    accept: ".onnx,.safetensors",
    folders: false,
    process: async (files: ChosenFile[]) => {
      const ending = (end: string): File | undefined => files.find(({ file }) => file.name.toLowerCase().endsWith(end))?.file;
      model = ending(".onnx") ?? model;
      stats = ending(".safetensors") ?? stats;
      if (!model && !stats) return "There is neither an .onnx file nor a .safetensors file among these.";
      if (!model) return `${stats?.name ?? ""} is here. Now choose the ONNX file.`;
      if (!stats) return `${model.name} is here. Now choose its stats file, or make one under Calibrate.`;
      const pair = { model, stats };
      // A pair that fails must not spoil the next one.
      model = stats = undefined;
      try {
        const { info } = await app.adopt({ id: "own", title: pair.model.name.replace(/\.onnx$/i, ""), ...pair });
        const warnings = info.warnings.length ? ` ${info.warnings.join(" ")}` : "";
        return `${pair.model.name} is in use: ${info.classes} classes, ${info.features} features.${warnings}`;
      } catch (error) {
        throw new Error(`${await problemOf(error, pair)} Then choose both files again.`, { cause: error });
      }
    },
  });
  return (files) => void own.add([...files]);
}

async function problemOf(error: unknown, { model, stats }: { model: File; stats: File }): Promise<string> {
  // A damaged ONNX file is first of all not the one that the stats file names: only reading it tells.
  if (error instanceof OodError && error.code === "mismatch") {
    try {
      (await loadPageDetector({ model, preprocess: PRESETS["imagenet"] })).dispose();
    } catch (cause) {
      if (cause instanceof OodError && cause.code === "model") return modelProblem(cause, model.name);
    }
  }
  return modelProblem(error, model.name, stats.name);
}
