// Errors in words for visitors, who have no command line.

import { OodError } from "itp-ood";

/** The message of a thrown value. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll(/`itp calibrate[^`]*`/g, "this page's section Calibrate").replaceAll(/`itp tune[^`]*`/g, "Calibrate");
}

/** Why a network and its stats file can't be used, by the names of the files. */
export function modelProblem(error: unknown, model: string, stats?: string): string {
  if (!(error instanceof OodError)) return messageOf(error);
  const sentence = messageOf(error).replace(/[.\s]*$/, ".");
  switch (error.code) {
    case "model":
      return `${model} can't be used as a network: ${sentence}`;
    case "stats":
      return `${stats ?? "The stats file"} can't be used: ${sentence}`;
    case "mismatch":
      return `${stats ?? "The stats file"} was not made for ${model}. Choose the stats file of this very ONNX file, or make one under Calibrate.`;
    default:
      return sentence;
  }
}
