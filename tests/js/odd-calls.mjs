// Odd calls of the package: every method, with arguments that are right, almost right, or anything at all.

import fc from "fast-check";
import { OodError } from "itp-ood";
import { model, preprocess, testImage } from "./support.mjs";

const CODES = ["fetch", "engine", "model", "stats", "mismatch", "image", "features", "options", "data", "aborted", "disposed"];
/** A call takes milliseconds; one that has not settled by then never does. */
const HANGS_AFTER_MS = 60_000;

/** A value that is made when it is needed, with a name for reports. */
const recipe = (name, make) => ({ make, [fc.toStringMethod]: () => name });

const raise = () => {
  throw new Error("from the caller");
};
const detached = (array) => {
  structuredClone(0, { transfer: [array.buffer] });
  return array;
};
const shared = (Type, length) => new Type(new SharedArrayBuffer(length * Type.BYTES_PER_ELEMENT));
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};
const cyclic = () => {
  const value = {};
  return Object.assign(value, { value });
};

const SPECIAL = Object.entries({
  detachedBytes: () => detached(new Uint8Array(12)),
  detachedFloats: () => detached(new Float32Array(12)),
  detachedBuffer: () => detached(new Uint8Array(12)).buffer,
  sharedBytes: () => shared(Uint8Array, 12),
  sharedFloats: () => shared(Float32Array, 12),
  sharedBuffer: () => new SharedArrayBuffer(8),
  resizable: () => new Uint8Array(new ArrayBuffer(12, { maxByteLength: 24 })),
  shrunk: () => {
    const buffer = new ArrayBuffer(12, { maxByteLength: 24 });
    const view = new Uint8Array(buffer, 4, 8);
    buffer.resize(2);
    return view;
  },
  lyingBytes: () => Object.defineProperty(new Uint8Array(12), "length", { value: 2 ** 31 }),
  lyingFloats: () => Object.defineProperty(new Float32Array(4), "length", { value: 2 ** 31 }),
  dataView: () => new DataView(new ArrayBuffer(4)),
  manyEntries: () => new Array(2 ** 32 - 1),
  arrayLike: () => ({ length: 2 ** 40 }),
  endless: () => ({ *[Symbol.iterator]() { for (;;) yield 1; }, length: 3 }), // prettier-ignore
  throwingGetters: () => Object.defineProperties({}, Object.fromEntries(["data", "features", "signal", "score", "length", "model", "then"].map((name) => [name, { get: raise, enumerable: true }]))), // prettier-ignore
  throwingProxy: () => new Proxy({}, { get: raise, ownKeys: raise, has: raise, getPrototypeOf: raise }),
  throwingIterator: () => ({ [Symbol.iterator]: raise, [Symbol.asyncIterator]: raise }),
  throwingNext: () => ({ [Symbol.iterator]: () => ({ next: raise, return: raise }) }),
  rejectingNext: () => ({ [Symbol.asyncIterator]: () => ({ next: async () => raise(), return: async () => raise() }) }),
  nextOfNothing: () => ({ [Symbol.iterator]: () => ({ next: () => null }) }),
  noPrimitive: () => ({ [Symbol.toPrimitive]: raise, toString: raise, valueOf: raise }),
  forgedTag: () => ({ [Symbol.toStringTag]: "Blob" }),
  forgedBitmap: () => ({ [Symbol.toStringTag]: "ImageBitmap", width: 8, height: 8 }),
  forgedElement: () => ({ [Symbol.toStringTag]: "HTMLVideoElement", readyState: 4, decode: raise }),
  forgedSignal: () => ({ aborted: false, addEventListener: raise, removeEventListener: raise }),
  forgedResponse: () => ({ [Symbol.toStringTag]: "Response", ok: true, url: 7 }),
  forgedModule: () => ({ [Symbol.toStringTag]: "WebAssembly.Module" }),
  usedResponse: () => {
    const response = new Response("x");
    void response.text();
    return response;
  },
  revoked,
  cyclic,
  emptyBlob: () => new Blob([]),
  blob: () => new Blob(["abc"]),
  html: () => new Blob(["<!doctype html>"]),
  url: () => new URL("file:///nowhere/file"),
  path: () => "/nowhere/file",
  longText: () => "x".repeat(1e6),
  symbol: () => Symbol("odd"),
  function: () => raise,
  asyncFunction: () => async () => raise(),
  promise: () => Promise.resolve(1),
  error: () => new Error("odd"),
  bigint: () => 2n ** 70n,
  floats64: () => new Float64Array(12),
  bigints: () => new BigInt64Array(12),
  nan: () => NaN,
  huge: () => 2 ** 53,
  beyond32: () => 2 ** 32 + 1,
  infinity: () => Infinity,
  negative: () => -1,
}).map(([name, make]) => recipe(name, make));

const anything = fc
  .anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withNullPrototype: true,
    maxDepth: 2,
  }) // prettier-ignore
  .map((value) => recipe(fc.stringify(value), () => value));
const odd = fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...SPECIAL) }, { weight: 1, arbitrary: anything });

/** A signal that is aborted already, soon, later or never. */
const signals = fc.constantFrom(
  recipe("aborted", () => AbortSignal.abort()),
  recipe("abortedWithNothing", () => AbortSignal.abort(null)),
  ...[0, 1, 5].map((ms) => recipe(`in${ms}ms`, () => AbortSignal.timeout(ms))),
  recipe("thisTick", () => {
    const controller = new AbortController();
    queueMicrotask(() => controller.abort(raise));
    return controller.signal;
  }),
  recipe("never", () => new AbortController().signal),
);
const callbacks = fc.constantFrom(
  recipe("throws", () => raise),
  recipe("throwsNothing", () => () => {
    throw undefined;
  }),
  recipe("rejects", () => async () => raise()),
  recipe("thenable", () => () => ({ then: raise })),
  recipe("returns", () => () => 7),
);
const numbers = fc.oneof(fc.double(), fc.integer({ min: -2, max: 120 }), fc.double({ min: 0, max: 100, noNaN: true }));
const made = (arbitrary) => arbitrary.map((value) => recipe(fc.stringify(value), () => value));

/** Options: mostly known names, mostly with values that suit them. */
function options(names) {
  const suiting = {
    signal: signals,
    onProgress: callbacks,
    onPreview: callbacks,
    score: made(fc.constantFrom("itp", "msp", "energy", "held", "dice+react", "vim", "nonsense", "")),
    topK: made(fc.integer({ min: -1, max: 2 ** 33 })),
    concurrency: made(fc.integer({ min: -1, max: 4 })),
    class: made(fc.oneof(fc.integer({ min: -1, max: 5 }), fc.constantFrom("class 1", "class"))),
    detectors: made(fc.array(fc.constantFrom("all", "knn", "vim", "nonsense", "itp"), { maxLength: 3 })),
    rule: made(fc.constantFrom("r1", "r*", "r2")),
    perKind: made(fc.constantFrom(1, 1, 2, 0, -1, 1.5)),
    seed: made(fc.constantFrom(0, 7, -1, 2 ** 53)),
  };
  const name = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "sgnal", "Score")) }); // prettier-ignore
  const entry = name.chain((key) =>
    fc.tuple(
      fc.constant(key),
      fc.oneof({ weight: 4, arbitrary: Object.hasOwn(suiting, key) ? suiting[key] : made(numbers) }, { weight: 1, arbitrary: odd }),
    ),
  );
  const object = fc.array(entry, { maxLength: 3 }).map((entries) =>
    recipe(fc.stringify(entries), () => {
      const given = {};
      for (const [key, value] of entries) Object.defineProperty(given, key, { value: value.make(), enumerable: true, configurable: true });
      return given;
    }),
  );
  return fc.oneof({ weight: 6, arbitrary: object }, { weight: 2, arbitrary: fc.constant(recipe("none", () => undefined)) }, { weight: 1, arbitrary: odd }); // prettier-ignore
}

/** An argument that is right five times out of six. */
const or = (...right) => fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...right) }, { weight: 1, arbitrary: odd });

const image = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 5 }).map((seed) => recipe(`image ${seed}`, () => testImage(seed, 9, 8))) },
  {
    weight: 3,
    arbitrary: fc
      .record({ data: or(recipe("72 bytes", () => new Uint8Array(72))), width: or(recipe("9", () => 9)), height: or(recipe("8", () => 8)), channels: or(recipe("1", () => 1), recipe("none", () => undefined)) }) // prettier-ignore
      .map((parts) => recipe(fc.stringify(parts), () => Object.fromEntries(Object.entries(parts).map(([name, { make }]) => [name, make()])))), // prettier-ignore
  },
  { weight: 2, arbitrary: odd },
);

/** All calls, as arbitraries of `(loaded) => promise`. */
export function oddCalls({ info, stats, result, loadDetector }) {
  const hyperparameters = info.detectors.flatMap((of) => of.hyperparameters.flatMap(({ name, short }) => (short ? [name, short] : [name])));
  const settings = ["score", "tpr", "hyperparameters", ...hyperparameters.slice(0, 12)];
  const detect = ["signal", "signal", "threshold", "topK", ...settings];
  const features = or(
    recipe("result", () => result),
    recipe("features", () => result.features),
    recipe("few", () => new Float32Array(3)),
    recipe("NaN", () => result.features.map(() => NaN)),
  );
  const images = fc.oneof(
    { weight: 3, arbitrary: fc.array(image, { maxLength: 4 }).map((list) => recipe(fc.stringify(list), () => list.map(({ make }) => make()))) }, // prettier-ignore
    { weight: 1, arbitrary: odd },
  );
  const tuneImages = fc.oneof(
    { weight: 3, arbitrary: fc.constant(recipe("held out", () => Array.from({ length: 6 }, (_, i) => ({ image: testImage(i, 9, 8), classIndex: i % 3 })))) }, // prettier-ignore
    { weight: 2, arbitrary: fc.array(fc.tuple(image, or(recipe("0", () => 0), recipe("none", () => undefined))), { maxLength: 4 }).map((list) => recipe(fc.stringify(list), () => list.map(([of, k]) => ({ image: of.make(), classIndex: k.make() })))) }, // prettier-ignore
    { weight: 1, arbitrary: odd },
  );
  const scores = or(
    recipe("scores", () => [1, 2, 3]),
    recipe("floats", () => Float64Array.of(0, 1)),
    recipe("none", () => []),
    recipe("strings", () => ["1", "2"]),
  );
  const call = (name, arbitraries, run) => fc.tuple(...arbitraries).map((args) => ({ name, args, run }));
  const method = (name, ...arbitraries) => call(name, arbitraries, ({ detector }, ...args) => detector[name](...args));
  return fc.oneof(
    method("detect", image, options(detect)),
    method("features", image, options(["signal"])),
    method("saliency", image, options(detect)),
    method("evidence", image, options(["class", "part", ...detect])),
    method("rescore", features, options(detect)),
    method("explain", features, options(["class", ...detect])),
    method("counterfactual", features, options(detect)),
    method("weightMap", features, options(detect)),
    method("scores", fc.oneof(features, fc.array(features, { maxLength: 3 }).map((rows) => recipe(fc.stringify(rows), () => rows.map(({ make }) => make())))), options(detect)), // prettier-ignore
    method(
      "idScores",
      or(
        recipe("itp", () => "itp"),
        recipe("energy", () => "energy"),
      ),
      options(detect),
    ),
    method("metrics", scores, scores),
    call("detectAll", [images, options(["concurrency", "onProgress", ...detect]), made(fc.integer({ min: 0, max: 6 }))], readSome),
    method("tune", tuneImages, options(["signal", "onProgress", "onPreview", "perKind", "seed", "rule"])),
    call("calibrate", [or(recipe("labels", () => ["a", "b", "c", "d"]), recipe("sparse", () => new Array(4))), options(["signal", "detectors"])], calibrateOnce), // prettier-ignore
    call("add", [fc.oneof(image, features), or(recipe("label", () => "a"), recipe("index", () => 1)), options(["signal"])], ({ calibrator }, ...args) => calibrator.add(...args)), // prettier-ignore
    call("addHoldout", [fc.oneof(image, features), options(["signal"])], ({ calibrator }, ...args) => calibrator.addHoldout(...args)),
    call("finish", [options(settings)], ({ calibrator }, ...args) => calibrator.finish(...args)),
    call("unbound", [made(fc.constantFrom("detect", "tune", "metrics", "calibrate", "features")), image], ({ detector }, name, of) => detector[name].call(undefined, of)), // prettier-ignore
    call("loadDetector", [loadOptions(stats)], async (_, given) => {
      const detector = await loadDetector(given);
      detector.dispose();
    }),
  );
}

function loadOptions(stats) {
  const right = {
    model: recipe("model", model),
    stats: recipe("stats", () => stats),
    preprocess: recipe("preprocess", () => preprocess),
    worker: recipe("false", () => false),
    onProgress: recipe("progress", () => () => undefined),
    signal: recipe("signal", () => new AbortController().signal),
  };
  const wrongPreprocess = fc
    .tuple(fc.constantFrom("resize", "crop", "mean", "std", "channels", "interpolation", "sizes"), odd)
    .map(([name, value]) => recipe(`preprocess.${name} ${fc.stringify(value)}`, () => ({ ...preprocess, [name]: value.make() })));
  const changed = fc.array(
    fc.tuple(fc.constantFrom(...Object.keys(right), "engine", "modell"), fc.oneof({ weight: 3, arbitrary: odd }, { weight: 1, arbitrary: wrongPreprocess }, { weight: 1, arbitrary: callbacks }, { weight: 1, arbitrary: signals })), // prettier-ignore
    { minLength: 1, maxLength: 2 },
  );
  return fc.oneof(
    { weight: 5, arbitrary: changed.map((entries) => recipe(fc.stringify(entries), () => Object.fromEntries([...Object.entries(right), ...entries].map(([name, { make }]) => [name, make()])))) }, // prettier-ignore
    { weight: 1, arbitrary: odd },
  );
}

async function readSome({ detector }, images, given, count) {
  const batch = detector.detectAll(images, given);
  for (let i = 0; i < count; i++) {
    const { done, value } = await batch.next();
    if (done) return;
    if (value.error) check(value.error, "an image of a batch");
  }
  await batch.return();
}

async function calibrateOnce({ detector }, labels, given) {
  const calibrator = await detector.calibrate(labels, given);
  await calibrator.counts();
  calibrator.dispose();
}

/** An error must be the package's own, and no crash. */
function check(error, name) {
  if (!(error instanceof OodError) || !CODES.includes(error.code) || typeof error.message !== "string" || error.message === "") {
    throw new Error(`${name} failed with ${error?.code}: ${error?.stack ?? String(error)}`, { cause: error });
  }
}

/** Makes one call: it settles, and what it rejects with is typed. Returns the code, or "done". */
export async function makeCall(loaded, { name, args, run }) {
  const given = args.map(({ make }) => make());
  let promise;
  try {
    promise = Promise.resolve(run(loaded, ...given));
  } catch (error) {
    throw new Error(`${name} threw at once: ${error?.stack ?? String(error)}`, { cause: error });
  }
  let timer;
  const hang = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} hangs`)), HANGS_AFTER_MS);
  });
  try {
    await Promise.race([promise, hang]);
    return "done";
  } catch (error) {
    check(error, name);
    return error.code;
  } finally {
    clearTimeout(timer);
  }
}
