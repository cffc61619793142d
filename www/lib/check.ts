// Checks what callers pass in, before it gets any further. Objects are recognised by what they are, not
// by `instanceof`: they may come from another realm (an iframe, jsdom, a vm context).

import { messageOf, OodError, type OodErrorCode } from "./errors.js";
import type { Input, RawImage } from "./types.js";

/** Most images, labels, scores and the like in one argument. */
const MAX_ENTRIES = 10_000_000;
/** Most features in one argument: 256 MiB. */
const MAX_VALUES = 2 ** 26;
const MAX_TEXT = 1000;
/** Same as the engine's limit. */
export const MAX_PIXELS = 100_000_000;

/** The name of a platform class, in any realm. */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** A value in a message. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  return Object(value) === value ? `[${tagOf(value)}]` : String(value);
}

/** Getters of typed arrays, which objects that only look like one, or hide their true size, can't mislead. */
function ofTypedArray(value: unknown, name: string | symbol): unknown {
  return Reflect.get(Uint8Array.prototype, name, value);
}

/** The class of a typed array; undefined for anything else. */
export function typedArrayName(value: unknown): string | undefined {
  return ofTypedArray(value, Symbol.toStringTag) as string | undefined;
}

/** What `make` makes of a buffer, if that has not been detached. */
export function view<T>(make: () => T, code: OodErrorCode): T {
  try {
    return make();
  } catch (cause) {
    throw new OodError(code, "The array's buffer was transferred or resized.", { cause });
  }
}

/** The same values as a plain array of this realm; copied if they are part of a larger buffer, or if it may change under them. */
function plainArray<T extends Uint8Array | Float32Array>(
  value: unknown,
  Type: new (buffer: ArrayBuffer, offset: number, length: number) => T,
  code: OodErrorCode,
): T {
  const buffer = ofTypedArray(value, "buffer") as ArrayBuffer & { resizable?: boolean };
  const array = view(() => new Type(buffer, ofTypedArray(value, "byteOffset") as number, ofTypedArray(value, "length") as number), code);
  const isWhole = array.byteLength === buffer.byteLength && tagOf(buffer) === "ArrayBuffer" && !buffer.resizable;
  return isWhole ? array : (array.slice() as T);
}

/** The values of a Float32Array; undefined for anything else. */
export function floats(value: unknown): Float32Array | undefined {
  return typedArrayName(value) === "Float32Array" ? plainArray(value, Float32Array, "features") : undefined;
}

/** Pixels in memory with their checked size; undefined for what are none. */
export function rawImage(input: object): (RawImage & { channels: 1 | 3 | 4 }) | undefined {
  const { data, width, height, channels } = input as Record<keyof RawImage, unknown>;
  if (!/^Uint8(Clamped)?Array$/.test(typedArrayName(data) ?? "")) return undefined;
  const pixels = plainArray(data, Uint8Array, "image");
  const isSide = (side: unknown): side is number => Number.isSafeInteger(side) && (side as number) > 0;
  const count = isSide(width) && isSide(height) && width * height <= MAX_PIXELS ? (channels ?? pixels.length / (width * height)) : 0;
  if ((count === 1 || count === 3 || count === 4) && pixels.length === (width as number) * (height as number) * count) {
    return { data: pixels, width: width as number, height: height as number, channels: count };
  }
  throw new OodError(
    "image",
    `${pixels.length} values can't be an image of ${show(width)} x ${show(height)} pixels: data must hold width * height * channels (1, 3 or 4) values, at most ${MAX_PIXELS} pixels.`,
  );
}

/** Reads an option; undefined if it can't be one. */
type Read = (value: unknown, name: string) => unknown;
/** By name, how an option is read, and what it must be. */
export type Rules = Readonly<Record<string, readonly [read: Read, expected: string]>>;

const isIn = (value: unknown, low: number, high = Number.MAX_SAFE_INTEGER): boolean =>
  Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high;

const rule = (test: (value: unknown) => boolean, expected: string): readonly [Read, string] => [
  (value) => (test(value) ? value : undefined),
  expected,
];
const NUMBER = rule((value) => typeof value === "number" && !Number.isNaN(value), "a number");
const COUNT = rule((value) => isIn(value, 0), "a whole number, 0 or more");
const TEXT = rule(isText, "a string");
const FLAG = rule((value) => typeof value === "boolean", "true or false");
const ANY = rule(() => true, "");
const CALLBACK = [
  (value: unknown, name: string) => (typeof value === "function" ? callback(value as () => unknown, name) : undefined),
  "a function",
] as const;
const NUMBERS = [
  (value: unknown) => (isIn((Object(value) as ArrayLike<unknown>).length, 1, 100) ? numbers(value) : undefined),
  "an array of numbers",
] as const;
const SIGNAL = rule((value) => {
  const has = (name: string): boolean => typeof Reflect.get(Object(value) as object, name) === "function";
  return typeof (value as AbortSignal).aborted === "boolean" && has("addEventListener") && has("removeEventListener");
}, "an AbortSignal");

const PREPROCESS: Rules = {
  resize: COUNT,
  stretch: NUMBERS,
  crop: NUMBERS,
  interpolation: TEXT,
  channels: TEXT,
  mean: NUMBERS,
  std: NUMBERS,
};

/** As the engine tells them apart. */
function isHuggingFace(value: unknown): boolean {
  const has = (name: string): boolean => Object.hasOwn(Object(value) as object, name);
  return !has("std") && ["do_resize", "do_normalize", "do_rescale", "image_mean", "size", "crop_size", "image_processor"].some(has);
}

/** A copy by way of JSON; undefined for what has none. */
function jsonOf(value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(value));
  } catch {
    return undefined;
  }
}

/** Whether a value is an object as literals make it, in any realm. */
function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

export const CALL: Rules = { signal: SIGNAL };
export const LOAD: Rules = {
  ...CALL,
  model: ANY,
  stats: ANY,
  // A preprocessor of Hugging Face has many more keys; the engine reads it.
  preprocess: [(value) => (isHuggingFace(value) ? jsonOf(value) : readOptions(value, PREPROCESS)), "an object of plain values"],
  output: rule((value) => isText(value) && value !== "", "the name of one of the model's outputs"),
  externalData: [
    (value) => (isPlain(value) ? { ...value } : undefined),
    'an object with a URL or bytes for each file\'s name: { "model.data": "/model.data" }',
  ],
  memory: rule((value) => isIn(value, 1, 2 ** 32 - 1), "a whole number of MiB, 1 or more"),
  gradient: FLAG,
  evidence: FLAG,
  engine: ANY,
  worker: rule(
    (value) => /^(boolean|function)$/.test(typeof value) || typeof (value as Worker).postMessage === "function",
    "true, false, a function that creates workers, or a worker",
  ),
  onProgress: CALLBACK,
};
export const CALIBRATE: Rules = {
  ...CALL,
  detectors: [(value) => (Array.isArray(value) && value.length <= MAX_TEXT && listOf(value).every(isText) ? listOf(value) : undefined), "an array of names"], // prettier-ignore
};
export const HELD_BACK: Rules = { ...CALL, seed: COUNT };
export const TUNE: Rules = {
  ...HELD_BACK,
  perKind: COUNT,
  rule: TEXT,
  detector: TEXT,
  trainedOn: FLAG,
  onProgress: CALLBACK,
  onPreview: CALLBACK,
};

/** What new stats files store: the score, and hyperparameters by their names. */
export function settingRules(hyperparameters: readonly string[]): Rules {
  const known = Object.fromEntries(hyperparameters.map((name) => [name, NUMBER]));
  return { score: TEXT, tpr: NUMBER, ...known, hyperparameters: [(value) => readOptions(value, known), ""] };
}

/** What a single detection takes. */
export function detectRules(settings: Rules): Rules {
  return { ...CALL, ...settings, threshold: NUMBER, topK: COUNT };
}

export const EXPLAIN: Rules = { class: ANY };
export const EVIDENCE: Rules = { ...EXPLAIN, part: TEXT };
export const BATCH: Rules = {
  concurrency: rule((value) => isIn(value, 1, 256), "a whole number from 1 to 256"),
  onProgress: CALLBACK,
};

/** A copy of options, each checked; null counts as not given. */
export function readOptions<T>(given: T | undefined, rules: Rules): T {
  const read: Record<string, unknown> = {};
  if (given === undefined || given === null) return read as T;
  if (typeof given !== "object" || Array.isArray(given)) throw wrong("The options", given, "an object");
  for (const name of Object.keys(given)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (!rule) throw new OodError("options", `There is no option ${show(name)}${nearest(name, Object.keys(rules))}`);
    const value = (given as Record<string, unknown>)[name];
    if (value === undefined || value === null) continue;
    read[name] = rule[0](value, name);
    if (read[name] === undefined) throw wrong(name, value, rule[1]);
  }
  return read as T;
}

/** The error for an argument or option that is something else than expected. */
export function wrong(name: string, value: unknown, expected: string): OodError {
  return new OodError("options", `${name} can't be ${show(value)}; it must be ${expected}.`);
}

/** The known name that has most pairs of letters in common, if it has many. */
function nearest(name: string, known: readonly string[]): string {
  const pairsOf = (text: string): string[] => {
    const letters = text.slice(0, 40).toLowerCase();
    return Array.from(letters, (letter, i) => letter + letters.charAt(i + 1));
  };
  const own = pairsOf(name);
  let best = 0.5;
  let found = "";
  for (const other of known) {
    const pairs = pairsOf(other);
    const share = (2 * pairs.filter((pair) => own.includes(pair)).length) / (own.length + pairs.length);
    if (share <= best) continue;
    best = share;
    found = `; did you mean "${other}"?`;
  }
  return found;
}

/** A caller's function: what it throws, or a promise of it rejects with, ends the call that it reports on. */
function callback(call: (argument: unknown) => unknown, name: string): (argument: unknown) => void {
  let failure: OodError | undefined;
  const fail = (cause: unknown): OodError => (failure = new OodError("options", `${name} threw: ${messageOf(cause)}`, { cause }));
  return (argument) => {
    try {
      void Promise.resolve(call(argument)).catch(fail);
    } catch (cause) {
      throw fail(cause);
    }
    if (failure) throw failure;
  };
}

export function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_TEXT;
}

/** A copy of the first entries, whatever iterator the array claims to have. */
function listOf<T>(array: ArrayLike<T>): T[] {
  return Array.from({ length: array.length }, (_, i) => array[i] as T);
}

/** Numbers of an array of any kind; undefined if it holds anything else. */
function numbers(value: unknown): number[] | undefined {
  const list = listOf(value as ArrayLike<number>);
  return list.every((entry) => typeof entry === "number") ? list : undefined;
}

/** The scores in an argument of `metrics`. */
export function scoreList(value: unknown, name: string): Float64Array {
  const { length } = Object(value) as ArrayLike<unknown>;
  const list = typeof value === "object" && isIn(length, 0, MAX_ENTRIES) ? numbers(value) : undefined;
  if (!list) throw wrong(name, value, `an array of at most ${MAX_ENTRIES} numbers`);
  return Float64Array.from(list);
}

/** A whole number. */
export function count(value: unknown, name: string): number {
  if (!isIn(value, 0)) throw wrong(name, value, COUNT[1]);
  return value as number;
}

/** A copy of an array, typed or not. */
export function entriesOf<T>(value: ArrayLike<T>, name: string, expected: string): T[] {
  if (!(Array.isArray(value) || ArrayBuffer.isView(value)) || value.length > MAX_ENTRIES) throw wrong(name, value, expected);
  return listOf<T>(value);
}

/** Features of an image. */
export function featuresOf(value: unknown, width: number): Float32Array {
  const features = floats(value) ?? floats((Object(value) as { features?: unknown }).features);
  if (!features) throw new OodError("features", "Pass a result of detect(), or its features as a Float32Array.");
  if (features.length === width) return features;
  throw new OodError("features", `There are ${features.length} features; the network has ${width}.`);
}

/** Rows of features, one after the other. */
export function featureRows(rows: unknown, width: number): Float32Array {
  const whole = floats(rows);
  const list = whole ?? entriesOf(rows as readonly unknown[], "rows", "a Float32Array, or an array of them");
  const count = whole ? whole.length : list.length * width;
  if (count > MAX_VALUES || count % width !== 0) {
    throw new OodError("features", `${count} values can't be rows of ${width} features each, or are more than ${MAX_VALUES}.`);
  }
  if (whole) return whole;
  const values = new Float32Array(count);
  list.forEach((row, index) => values.set(featuresOf(row, width), index * width));
  return values;
}

/** A class given as a label or an index. */
export function toClassIndex(requested: unknown, labels: readonly string[], classes: number): number {
  const index = typeof requested === "string" ? labels.indexOf(requested) : requested;
  if (isIn(index, 0, classes - 1)) return index as number;
  throw new OodError("options", `There is no class ${show(requested)}: pass one of the labels, or an index below ${classes}.`);
}

/** An iterator over the images of a batch. */
export function iteratorOf(images: Iterable<Input> | AsyncIterable<Input>): Iterator<Input> | AsyncIterator<Input> {
  const given = (typeof images === "object" ? (images ?? {}) : {}) as Partial<Iterable<Input> & AsyncIterable<Input>>;
  const start: unknown = given[Symbol.asyncIterator] ?? given[Symbol.iterator];
  if (typeof start !== "function") throw wrong("images", images, "an array of images, or another iterable of them");
  return start.call(images) as AsyncIterator<Input>;
}
