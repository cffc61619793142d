// What runs inside the browser; bench/run.mjs calls it.

import { interleave, photo, inputValues, row } from "./lib/measure.mjs";
import { Engine, measureCompile, measureLargeHead, measureModel } from "./lib/parts.mjs";

async function loadOrt(threads) {
  const ort = await import("/ort/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = "/ort/";
  if (threads > 1 && !crossOriginIsolated) throw new Error("the page isn't cross-origin isolated");
  return ort;
}

const fetchBytes = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());

export async function measure({ name, runtime, threads, rounds, backboneOnly }) {
  const ort = await loadOrt(threads);
  const module = await WebAssembly.compileStreaming(fetch("/engine.wasm"));
  return measureModel({ name, model: await fetchBytes(`/models/${name}.onnx`), module, ort, runtime, rounds, backboneOnly });
}

/** Decoding, large heads, and compiling. */
export async function measureRest(runtime) {
  const canvas = new OffscreenCanvas(640, 480);
  canvas.getContext("2d").putImageData(new ImageData(photo(640, 480), 640, 480), 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/jpeg" });
  const decode = async () => {
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const target = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
    target.drawImage(bitmap, 0, 0);
    return target.getImageData(0, 0, bitmap.width, bitmap.height).data;
  };
  const times = await interleave({ ours: decode }, { rounds: 20 });
  const module = await WebAssembly.compileStreaming(fetch("/engine.wasm"));
  const [engine, peer] = [await fetchBytes("/engine.wasm"), await fetchBytes("/ort/ort-wasm-simd-threaded.wasm")];
  return [
    row("photo 640x480", "decode jpeg", runtime, times.ours),
    ...(await measureLargeHead(module, runtime)),
    await measureCompile({ engine, peer, runtime }),
  ];
}

/** From nothing to the first result: fetch and compile the engine, load the model, run once. */
export async function cold({ side, name }) {
  const start = performance.now();
  if (side === "ours") {
    const [module, model] = await Promise.all([WebAssembly.compileStreaming(fetch("/engine.wasm")), fetchBytes(`/models/${name}.onnx`)]);
    const engine = await Engine.create(module);
    const network = engine.load(model);
    engine.setInput(network, inputValues(engine.exports.bench_input_length(network)));
    engine.run(network);
  } else {
    const [ort, model] = await Promise.all([loadOrt(1), fetchBytes(`/models/${name}.onnx`)]);
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
    const shape = session.inputMetadata[0].shape.map((side, axis) => (axis === 0 ? 1 : side));
    const values = inputValues(shape.reduce((product, side) => product * side));
    await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", values, shape) });
  }
  return performance.now() - start;
}
