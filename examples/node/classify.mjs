// node classify.mjs MODEL STATS IMAGE...

import sharp from "sharp";
import { loadDetector, OodError } from "itp-ood";

const [model, stats, ...images] = process.argv.slice(2);
if (images.length === 0) {
  console.error("usage: node classify.mjs MODEL.onnx MODEL.itp.safetensors IMAGE...");
  process.exit(2);
}

/** Node decodes no images by itself. */
async function decode(path) {
  const upright = sharp(path).rotate().toColourspace("srgb");
  const { data, info } = await upright.raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

try {
  const detector = await loadDetector({ model, stats });
  for (const path of images) {
    const { label, inDistribution, score, threshold } = await detector.detect(await decode(path));
    const verdict = inDistribution ? "in-distribution" : "out-of-distribution";
    console.log(`${path}: ${label}, ${verdict} (score ${score.toFixed(2)}, threshold ${threshold.toFixed(2)})`);
  }
  detector.dispose();
} catch (error) {
  if (!(error instanceof OodError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
