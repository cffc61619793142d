// How fast the built page is for a visitor: `node bench/page-times.mjs`, after `npm run build`.
//
// Opening: from asking for the address to the verdict on the default image, with nothing cached.
// Play: a slider is moved in every frame. "frame" is the time between frames, "update" the time from
// moving a slider that was at rest until score, logits and energies are drawn anew. The times are
// medians and 95th percentiles in milliseconds; other programs on the machine lengthen them.
//
// --rounds=N: how often the page is opened (9).

import { loadavg } from "node:os";
import { loadDetector } from "itp-ood";
import { launchBrowser } from "../scripts/lib/browser.mjs";
import { startServer } from "../scripts/lib/server.mjs";
import { at, main } from "../scripts/lib/tools.mjs";
import { headModel } from "../tests/js/onnx.mjs";
import { testImage, toPng } from "../tests/js/support.mjs";
import { headStats } from "./lib/head.mjs";

const options = Object.fromEntries(process.argv.slice(2).map((word) => word.replace(/^--/, "").split("=")));
const rounds = Number(options.rounds ?? 9);

/** Heads: classes, features, held-out images. Above 2^26 multiplications for all of these, new settings have no threshold. */
const SIZES = [
  [10, 216, 512],
  [1000, 1280, 52],
  [1000, 2048, 512],
  [1000, 2048, 32],
];

function spread(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const share = (part) => Number(sorted[Math.round(part * (sorted.length - 1))].toFixed(1));
  return { median: share(0.5), p95: share(0.95), n: times.length };
}

/** Notes in the page when the first verdict is there. */
function watchVerdict() {
  new MutationObserver(() => {
    const card = document.querySelector("#verdict");
    if (card?.dataset.kind && card.getAttribute("aria-busy") === "false") globalThis.seen ??= performance.now();
  }).observe(document, { subtree: true, childList: true, attributes: true });
}

async function opening(browser, url) {
  const times = [];
  for (let i = 0; i < rounds; i++) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, serviceWorkers: "block" });
    const page = await context.newPage();
    await page.addInitScript(watchVerdict);
    await page.goto(url);
    await page.waitForFunction(() => globalThis.seen, undefined, { timeout: 60_000 });
    times.push(await page.evaluate(() => globalThis.seen));
    await context.close();
  }
  return spread(times);
}

/** Moves a slider in every frame for a while, then one by one, each after the last was drawn. */
async function dragging(id) {
  const frame = () => new Promise(requestAnimationFrame);
  const slider = document.querySelector(`#${id}`);
  const chart = document.querySelector("#play-waterfall svg");
  const [low, high] = [Number(slider.min), Number(slider.max) * 0.9];
  const steps = 40;
  let drawn = 0;
  const watch = new MutationObserver(() => drawn++);
  watch.observe(chart, { childList: true });
  const move = (step) => {
    slider.value = String(low + ((high - low) * (step % steps)) / steps);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const frames = [];
  let last = await frame();
  for (let step = 1; step <= 180; step++) {
    move(step);
    const now = await frame();
    frames.push(now - last);
    last = now;
  }
  const updates = drawn;
  const rest = () => new Promise((resolve) => setTimeout(resolve, 250));
  const times = [];
  for (let step = 1; step <= 25; step++) {
    await rest();
    const before = drawn;
    const start = performance.now();
    move(step * 7);
    while (drawn === before) await new Promise((resolve) => setTimeout(resolve, 1));
    times.push(performance.now() - start);
  }
  watch.disconnect();
  return { frames, updatesPerFrame: updates / frames.length, times };
}

async function play(browser, url, [classes, features, heldOut]) {
  const model = headModel(classes, features);
  const stats = await headStats(loadDetector, model, heldOut);
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, serviceWorkers: "block" });
  await page.goto(`${url}#measure`);
  await page.setInputFiles("#own input[accept]", [
    { name: "made-up.onnx", mimeType: "application/octet-stream", buffer: model },
    { name: "made-up.itp.safetensors", mimeType: "application/octet-stream", buffer: Buffer.from(stats) },
  ]);
  await page.waitForFunction(() => document.querySelector("#model").value === "own", undefined, { timeout: 120_000 });
  await page.setInputFiles("#file", { name: "image.png", mimeType: "image/png", buffer: toPng(testImage(3, 64, 64)) });
  await page.waitForFunction(
    () => document.querySelector("#caption").textContent === "image.png" && document.querySelector("#verdict").ariaBusy === "false",
  );
  await page.evaluate(() => (location.hash = "#play"));
  await page.locator("#play-waterfall .step-value").first().waitFor();
  const found = {};
  for (const id of ["p", "lambda"]) {
    const { frames, updatesPerFrame, times } = await page.evaluate(dragging, id);
    const [frame, update] = [spread(frames), spread(times)];
    found[`${classes} x ${features}, ${heldOut} held out, ${id}`] = {
      frame: frame.median,
      "frame p95": frame.p95,
      "updates a frame": Number(updatesPerFrame.toFixed(2)),
      update: update.median,
      "update p95": update.p95,
    };
  }
  await page.close();
  return found;
}

await main(async () => {
  const server = await startServer({ directory: at("target/site") });
  const browser = await launchBrowser();
  try {
    console.log(
      `load of the machine: ${loadavg()
        .map((load) => load.toFixed(1))
        .join(", ")}`,
    );
    console.log("first verdict, ms:", await opening(browser, server.url));
    for (const size of SIZES) console.table(await play(browser, server.url, size));
    console.log(
      `load of the machine: ${loadavg()
        .map((load) => load.toFixed(1))
        .join(", ")}`,
    );
  } finally {
    await browser.close();
    await server.close();
  }
});
