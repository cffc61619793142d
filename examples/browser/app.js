// Loads a detector when model and stats file are chosen, and rates every image that is chosen then.

import { loadDetector } from "itp-ood";

const file = (id) => document.getElementById(id).files[0];
const output = document.querySelector("output");
let detector;

async function load() {
  if (!file("model") || !file("stats")) return;
  detector?.dispose();
  detector = await loadDetector({ model: file("model"), stats: file("stats") });
  await detect();
}

async function detect() {
  if (!detector || !file("image")) return;
  const { label, inDistribution, score, threshold } = await detector.detect(file("image"));
  const verdict = inDistribution ? "in-distribution" : "out-of-distribution";
  output.textContent = `${label}, ${verdict} (score ${score.toFixed(2)}, threshold ${threshold.toFixed(2)})`;
}

const show = (work) => () => work().catch((error) => (output.textContent = `${error.code}: ${error.message}`));
for (const id of ["model", "stats"]) document.getElementById(id).addEventListener("change", show(load));
document.getElementById("image").addEventListener("change", show(detect));
