// One cold start in a process of its own: node bench/cold.mjs ours|peer ENGINE MODEL

import { readFileSync } from "node:fs";
import { now, inputValues } from "./lib/measure.mjs";
import { Engine } from "./lib/parts.mjs";

const [side, enginePath, modelPath] = process.argv.slice(2);
const start = now();
if (side === "ours") {
  const engine = await Engine.create(await WebAssembly.compile(readFileSync(enginePath)));
  const network = engine.load(readFileSync(modelPath));
  engine.setInput(network, inputValues(engine.exports.bench_input_length(network)));
  engine.run(network);
} else {
  const ort = await import("onnxruntime-web/wasm");
  ort.env.wasm.numThreads = 1;
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  const session = await ort.InferenceSession.create(readFileSync(modelPath), options);
  const shape = session.inputMetadata[0].shape.map((length, axis) => (axis === 0 ? 1 : length));
  const values = inputValues(shape.reduce((product, length) => product * length));
  await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", values, shape) });
}
process.send?.(now() - start, () => process.exit(0));
