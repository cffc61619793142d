// A model of the visitor's own: ONNX and stats file, for the whole page.

import type { App } from "../state/app.js";
import type { FoundFile } from "../ui/files.js";
import { intake } from "../ui/intake.js";

/** Starts the place for an own model. */
export function startOwnModel(app: App, place: HTMLElement): void {
  let model: File | undefined;
  let stats: File | undefined;
  intake(place, {
    title: "Your own network",
    hint: "Give an ONNX classifier and its stats file (.itp.safetensors), and the whole page works with it. Without a stats file, make one under Calibrate.",
    accept: ".onnx,.safetensors",
    folders: false,
    take: async (files: FoundFile[]) => {
      const ending = (end: string): File | undefined => files.find(({ file }) => file.name.toLowerCase().endsWith(end))?.file;
      model = ending(".onnx") ?? model;
      stats = ending(".safetensors") ?? stats;
      if (!model && !stats) return "Neither an .onnx file nor a .safetensors file is among these.";
      if (!model) return `${stats?.name ?? ""} is here. Now the ONNX file, please.`;
      if (!stats) return `${model.name} is here. Now its stats file, please; or make one under Calibrate.`;
      const { name } = model;
      const loaded = await app.add({ id: "own", title: name.replace(/\.onnx$/i, ""), model, stats });
      // What was given stays only if it fits together.
      model = stats = undefined;
      await app.use("own");
      const { info } = loaded;
      const warnings = info.warnings.length ? ` ${info.warnings.join(" ")}` : "";
      return `${name} is in use: ${info.classes} classes, ${info.features} features.${warnings}`;
    },
  });
}
