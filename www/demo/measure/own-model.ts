// The visitor's own model, from an ONNX file and a stats file, for the whole page.

import type { App } from "../state/app.js";
import type { ChosenFile } from "../ui/files.js";
import { intake } from "../ui/intake.js";

/** Adds the intake to `container`. */
export function startOwnModel(app: App, container: HTMLElement): void {
  let model: File | undefined;
  let stats: File | undefined;
  intake(container, {
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
      const { name } = model;
      const loaded = await app.add({ id: "own", title: name.replace(/\.onnx$/i, ""), model, stats });
      // Only after success: if the two don't match, the visitor can replace one of them.
      model = stats = undefined;
      await app.use("own");
      const { info } = loaded;
      const warnings = info.warnings.length ? ` ${info.warnings.join(" ")}` : "";
      return `${name} is in use: ${info.classes} classes, ${info.features} features.${warnings}`;
    },
  });
}
