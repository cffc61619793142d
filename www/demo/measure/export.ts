// Measured scores and metrics, and their export as CSV and JSON.

import type { LoadedModel } from "../state/models.js";
import type { Scores } from "./scores.js";
import type { ImageSet } from "./sets.js";
import type { DetectOptions } from "itp-ood";

/** One line per image. */
export function csvOf(sets: { id: ImageSet; ood: ImageSet }, scores: Scores): string {
  const names = Array.from(scores.metrics.keys());
  const lines = [["set", "path", "label", ...names]];
  for (const side of ["id", "ood"] as const) {
    sets[side].files.forEach(({ path }, i) => {
      lines.push([side, path, sets[side].labels[i] ?? "", ...names.map((name) => String(scores[side].get(name)?.[i] ?? ""))]);
    });
  }
  return lines.map((fields) => `${fields.map(quoted).join(",")}\r\n`).join("");
}

/** Quotes a field for CSV, and keeps spreadsheets from reading it as a formula. */
function quoted(field: string): string {
  const safe = /^[=+@\t]|^-(?![\d.])/.test(field) ? `'${field}` : field;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** The layout of `itp eval --json`, in percent. */
export function jsonOf(model: LoadedModel, options: DetectOptions, sets: { id: ImageSet; ood: ImageSet }, { metrics }: Scores): string {
  const { settings, modelSha256 } = model.info;
  const lambda = options.lambda ?? settings.lambda;
  const results = Array.from(metrics, ([detector, { fpr95, auroc, auprIn, auprOut }]) => ({
    detector,
    ood: "dropped",
    images: sets.ood.features.length,
    fpr95: fpr95 * 100,
    auroc: auroc * 100,
    auprIn: auprIn * 100,
    auprOut: auprOut * 100,
  }));
  const broken = [...sets.id.broken, ...sets.ood.broken];
  const all = {
    model: model.title,
    modelSha256,
    p: options.p ?? settings.p,
    lambda: Number.isFinite(lambda) ? lambda : "inf",
    id: { name: "dropped", images: sets.id.features.length },
    results,
    broken,
  };
  return `${JSON.stringify(all, null, 2)}\n`;
}
