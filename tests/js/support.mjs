// Images, models and stats files for the tests of the package.

import { readFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";
import { at } from "../../scripts/lib/tools.mjs";

/** A small network of ours: 3 classes, made by tests/models/make.py. */
export const modelPath = at("tests/models/gemm.onnx");
export const model = () => new Uint8Array(readFileSync(modelPath));

/** The network takes 8 x 8 pixels; a larger image has to be resized and cropped. */
export const preprocess = {
  resize: 8,
  crop: [8, 8],
  interpolation: "bilinear",
  channels: "rgb",
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
};

/** Numbers in 0..1 that are the same in every run. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A smooth image with a little noise, so that decoding and resizing are put to the test. */
export function testImage(seed, width = 24, height = 20, channels = 3) {
  const random = seeded(seed);
  const phases = Array.from({ length: channels }, () => [random() * 6, random() * 0.6, random() * 0.6]);
  const data = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        const [phase, dx, dy] = phases[c];
        data[(y * width + x) * channels + c] = 120 + 90 * Math.sin(phase + dx * x + dy * y) + 40 * random();
      }
    }
  }
  return { data, width, height, channels };
}

/** The image as a PNG file. */
export function toPng({ data, width, height, channels }) {
  const rows = Buffer.alloc(height * (1 + width * channels));
  for (let y = 0; y < height; y++) {
    rows.set(data.subarray(y * width * channels, (y + 1) * width * channels), y * (1 + width * channels) + 1);
  }
  const chunk = (type, body) => {
    const named = Buffer.concat([Buffer.from(type), body]);
    const result = Buffer.alloc(named.length + 8);
    result.writeUInt32BE(body.length);
    named.copy(result, 4);
    result.writeUInt32BE(crc32(named) >>> 0, named.length + 4);
    return result;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, { 1: 0, 3: 2, 4: 6 }[channels], 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** Makes a stats file for a model with the package itself. */
export async function makeStats(loadDetector, bytes = model(), settings = {}, resized = preprocess) {
  const detector = await loadDetector({ model: bytes, preprocess: resized, worker: false });
  const labels = Array.from({ length: detector.info.classes }, (_, k) => `class ${k}`);
  const calibrator = await detector.calibrate(labels);
  for (let i = 0; i < 12 * labels.length; i++) await calibrator.add(testImage(i), i % labels.length);
  for (let i = 0; i < 40; i++) await calibrator.addHoldout(testImage(1000 + i));
  const stats = await calibrator.finish(settings);
  calibrator.dispose();
  detector.dispose();
  return stats;
}
