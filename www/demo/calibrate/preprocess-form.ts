// A form for the preprocessing of a network without a stats file.

import { PRESETS } from "../generated.js";
import { h } from "../ui/dom.js";
import type { Preprocess } from "itp-ood";

/** A preset's name, and what tells it apart. */
function titleOf(name: string, { resize, crop, channels }: Preprocess): string {
  const side = crop?.[0];
  const parts = [resize, side !== resize && `crop ${side}`, channels === "grey" && channels];
  return `${name} (${parts.filter(Boolean).join(", ")})`;
}

/** A form, and its values. */
export interface PreprocessForm {
  element: HTMLElement;
  /** Throws if a field is invalid. */
  read(): Preprocess;
}

/** Creates the form; a preset fills the fields, which can then be edited. */
export function preprocessForm(): PreprocessForm {
  const field = (name: string, type = "text"): HTMLInputElement => h("input", { type, name, autocomplete: "off" });
  const preset = h(
    "select",
    {},
    ...Object.entries(PRESETS).map(([value, preprocess]) => h("option", { value }, titleOf(value, preprocess))),
  );
  preset.value = "imagenet";
  const channels = h("select", {}, h("option", { value: "rgb" }, "RGB"), h("option", { value: "grey" }, "grey"));
  const interpolation = h("select", {}, h("option", { value: "bilinear" }, "bilinear"), h("option", { value: "bicubic" }, "bicubic"));
  const [resize, crop, mean, std] = [field("resize", "number"), field("crop", "number"), field("mean"), field("std")];
  resize.min = crop.min = "1";
  const fill = (): void => {
    const preprocess = PRESETS[preset.value] as Preprocess;
    resize.value = String(preprocess.resize ?? "");
    crop.value = String(preprocess.crop?.[0] ?? "");
    mean.value = preprocess.mean.join(", ");
    std.value = preprocess.std.join(", ");
    channels.value = preprocess.channels ?? "rgb";
  };
  preset.addEventListener("change", fill);
  fill();
  const row = (text: string, control: HTMLElement): HTMLElement => h("label", {}, text, control);
  const element = h(
    "div",
    { class: "fields" },
    row("Start from", preset),
    row("Shorter side resized to", resize),
    row("Centre crop", crop),
    row("Interpolation", interpolation),
    row("Channels", channels),
    row("Mean per channel", mean),
    row("Std. deviation per channel", std),
  );
  return {
    element,
    read: () => ({
      ...(resize.value && { resize: whole("Shorter side", resize.value) }),
      ...(crop.value && { crop: [whole("Centre crop", crop.value), whole("Centre crop", crop.value)] as [number, number] }),
      interpolation: interpolation.value as "bilinear" | "bicubic",
      channels: channels.value as "rgb" | "grey",
      mean: numbers("Mean", mean.value),
      std: numbers("Std. deviation", std.value),
    }),
  };
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name}: “${text}” is not a positive integer.`);
  return value;
}

function numbers(name: string, text: string): number[] {
  const values = text
    .split(/[\s,;]+/)
    .filter(Boolean)
    .map(Number);
  if (values.length === 0 || values.some((value) => !Number.isFinite(value)))
    throw new Error(`${name}: enter one number per channel, such as 0.485, 0.456, 0.406.`);
  return values;
}
