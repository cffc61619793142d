// How fast the built page is for a visitor: `node bench/page-times.mjs`, after `npm run build`.
//
// Opening: from asking for the address to the verdict on the default image, with nothing cached.
// Play: a slider is moved in every frame. "frame" is the time between frames, "update" the time from
// moving a slider that was at rest until score, logits and energies are drawn anew. The times are
// medians and 95th percentiles in milliseconds; other programs on the machine lengthen them.
// Drag: a slider of Play is dragged by the mouse, back and forth, on the page's own models: frames a
// second while it is held, and of what length.
//
// --rounds=N: how often the page is opened (9). --only=opening,play,drag: some of the measurements.

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
const wanted = (options.only ?? "opening,play,drag").split(",");

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

/** Notes the time of every frame, and how often a chart is drawn, until `stop`. */
function watchFrames() {
  const times = [];
  let drawn = 0;
  const watch = new MutationObserver(() => drawn++);
  watch.observe(document.querySelector("#play-waterfall svg"), { childList: true });
  let running = true;
  const note = (time) => {
    times.push(time);
    if (running) requestAnimationFrame(note);
  };
  requestAnimationFrame(note);
  globalThis.stopWatching = () => {
    running = false;
    watch.disconnect();
    return { times, drawn };
  };
}

/** Drags a slider by the mouse from one end to the other and back. */
async function drag(browser, url, model, id) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, serviceWorkers: "block" });
  await page.goto(`${url}#play?model=${model}`);
  await page.locator("#play-waterfall .ghost").first().waitFor();
  const box = await page.locator(`#${id}`).boundingBox();
  const middle = box.y + box.height / 2;
  const at = (share) => box.x + 8 + share * (box.width - 16);
  await page.mouse.move(at(0), middle);
  await page.mouse.down();
  await page.evaluate(watchFrames);
  const steps = 120;
  for (const way of [0, 1])
    for (let step = 0; step <= steps; step++) await page.mouse.move(at(way % 2 ? 1 - step / steps : step / steps), middle);
  const { times, drawn } = await page.evaluate(() => globalThis.stopWatching());
  await page.mouse.up();
  await page.close();
  const frames = times.slice(1).map((time, i) => time - times[i]);
  const { median, p95 } = spread(frames);
  const seconds = (times.at(-1) - times[0]) / 1000;
  return {
    "frames a second": Number((frames.length / seconds).toFixed(1)),
    frame: median,
    "frame p95": p95,
    longest: Number(Math.max(...frames).toFixed(1)),
    "drawn a second": Number((drawn / seconds).toFixed(1)),
    seconds: Number(seconds.toFixed(1)),
  };
}

async function drags(browser, url) {
  const found = {};
  for (const model of ["photos", "digits"])
    for (const id of ["p", "lambda"]) found[`${model}, ${id}`] = await drag(browser, url, model, id);
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
    if (wanted.includes("opening")) console.log("first verdict, ms:", await opening(browser, server.url));
    if (wanted.includes("play")) for (const size of SIZES) console.table(await play(browser, server.url, size));
    if (wanted.includes("drag")) console.table(await drags(browser, server.url));
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
