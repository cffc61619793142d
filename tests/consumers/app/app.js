// What every consumer does: five lines of use, then the result where the test can read it.

import { loadDetector } from "itp-ood";

async function main() {
  const detector = await loadDetector({ model: "model.onnx", stats: "model.itp.safetensors" });
  const image = await (await fetch("image.png")).blob();
  const result = await detector.detect(image);
  const why = await detector.explain(result, { class: result.label });
  const again = await detector.rescore(result, { p: 20, lambda: 1.6 });
  globalThis.verdict = {
    label: result.label,
    score: result.score,
    inDistribution: result.inDistribution,
    reasons: why.reason.length,
    rescored: again.settings.p,
  };
  globalThis.detector = detector;
}

main().catch((error) => (globalThis.verdict = { error: `${error.code}: ${error.message}` }));
