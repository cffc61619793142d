// A stats file for a made-up head.

import { seeded } from "../../tests/js/support.mjs";

/** From made-up features: four of each class, and `heldOut` more. */
export async function headStats(loadDetector, model, heldOut) {
  const half = [0.5, 0.5, 0.5];
  const detector = await loadDetector({ model, preprocess: { resize: 32, crop: [32, 32], mean: half, std: half } });
  const { classes, features } = detector.info;
  const random = seeded(7);
  const some = () => Float32Array.from({ length: features }, () => Math.max(0, random() * 2 - 0.8));
  const calibrator = await detector.calibrate(Array.from({ length: classes }, (_, k) => `class ${k}`));
  for (let i = 0; i < 4 * classes; i++) await calibrator.add(some(), i % classes);
  for (let i = 0; i < heldOut; i++) await calibrator.addHoldout(some());
  const stats = await calibrator.finish();
  calibrator.dispose();
  detector.dispose();
  return stats;
}
