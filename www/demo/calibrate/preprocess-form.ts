// A form for the preprocessing of a network without a stats file.

import { h } from "../ui/dom.js";
import type { Preprocess } from "itp-ood";

const PRESETS: Record<string, { title: string; preprocess: Preprocess }> = {
  imagenet: {
    title: "ImageNet (256, crop 224)",
    preprocess: {
      resize: 256,
      crop: [224, 224],
      interpolation: "bilinear",
      channels: "rgb",
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    },
  },
  mobilenet: {
    title: "−1 to 1 (256, crop 224)",
    preprocess: { resize: 256, crop: [224, 224], interpolation: "bilinear", channels: "rgb", mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  },
  cifar: {
    title: "CIFAR (32)",
    preprocess: {
      resize: 32,
      crop: [32, 32],
      interpolation: "bilinear",
      channels: "rgb",
      mean: [0.4914, 0.4822, 0.4465],
      std: [0.2023, 0.1994, 0.201],
    },
  },
  digits: {
    title: "Digits (28, grey)",
    preprocess: { resize: 28, crop: [28, 28], interpolation: "bilinear", channels: "grey", mean: [0], std: [1] },
  },
};

/** A form, and its values. */
export interface PreprocessForm {
  element: HTMLElement;
  /** Throws if a field is invalid. */
  read(): Preprocess;
}

/** Creates the form; a preset fills the fields, which can then be edited. */
export function preprocessForm(): PreprocessForm {
  const field = (name: string, type = "text"): HTMLInputElement => h("input", { type, name, autocomplete: "off" });
  const preset = h("select", {}, ...Object.entries(PRESETS).map(([value, { title }]) => h("option", { value }, title)));
  const channels = h("select", {}, h("option", { value: "rgb" }, "RGB"), h("option", { value: "grey" }, "grey"));
  const interpolation = h("select", {}, h("option", { value: "bilinear" }, "bilinear"), h("option", { value: "bicubic" }, "bicubic"));
  const [resize, crop, mean, std] = [field("resize", "number"), field("crop", "number"), field("mean"), field("std")];
  resize.min = crop.min = "1";
  const fill = (): void => {
    const { preprocess } = PRESETS[preset.value] as { preprocess: Preprocess };
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
