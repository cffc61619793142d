// Where in the image: the maps over the crop say what the package says, and a cover can be dragged.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { loadDetector } from "itp-ood";
import { at } from "../../scripts/lib/tools.mjs";
import { makeStats, model, preprocess, testImage, toPng } from "../js/support.mjs";
import { number, onPage, png, screenshot, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const axe = readFileSync(at("node_modules/axe-core/axe.min.js"), "utf8");
const text = (page, id) => page.locator(`#sight-${id}`).textContent();
const says = (page, id, what) => page.locator(`#sight-${id}`, { hasText: what }).waitFor();
const choose = (page, way) => page.locator(`#sight-way-${way}`).check();

/** A seven, so to say: as pixels, and as a file. */
const stroke = (x, y) => (Math.abs(y - 6) < 2 && x > 6 && x < 21 ? 255 : Math.abs(x + y / 2 - 21) < 2 && y > 5 && y < 25 ? 220 : 0);
const SEVEN = {
  data: Uint8Array.from({ length: 28 * 28 }, (_, i) => stroke(i % 28, Math.floor(i / 28))),
  width: 28,
  height: 28,
  channels: 1,
};
const SEVEN_FILE = { name: "seven.png", mimeType: "image/png", buffer: png(28, 28, stroke) };

/** The digit model in Node. */
const digits = (options) =>
  loadDetector({
    model: readFileSync(at("www/models/digits.onnx")),
    stats: readFileSync(at("www/models/digits.itp.safetensors")),
    worker: false,
    ...options,
  });

/** Opens Why on the seven. */
async function openSeven(page) {
  await page.waitForFunction(() => document.querySelector("#model").value === "digits");
  await page.setInputFiles("#file", SEVEN_FILE);
  await verdict(page, "seven.png");
}

/** Gives the page a network of ours, and an image. */
async function openOwn(page, onnx, resized = preprocess) {
  const stats = await makeStats(loadDetector, onnx, {}, resized);
  await page.setInputFiles("#own input[accept]", [
    { name: "own.onnx", mimeType: "", buffer: Buffer.from(onnx) },
    { name: "own.itp.safetensors", mimeType: "", buffer: Buffer.from(stats) },
  ]);
  await page.waitForFunction(() => document.querySelector("#model").value === "own");
  const image = testImage(3, 8, 8);
  await page.setInputFiles("#file", { name: "own.png", mimeType: "image/png", buffer: toPng(image) });
  await verdict(page, "own.png");
  await page.evaluate(() => (location.hash = "#why"));
  return { stats, image };
}

/** What the card says of the map at a cell. */
async function readAt(page, column, row, columns, rows) {
  const stage = page.locator("#sight-stage");
  await stage.scrollIntoViewIfNeeded();
  const box = await stage.boundingBox();
  await page.mouse.move(box.x + ((column + 0.5) / columns) * box.width, box.y + ((row + 0.5) / rows) * box.height);
  await says(page, "at", `Row ${row + 1}, column ${column + 1}:`);
  return number((await text(page, "at")).split(": ")[1]);
}

/** An image with a square of a colour, as the page covers it. */
function cover({ data, width, height, channels }, { x, y, size }, colour) {
  const side = size * Math.min(width, height);
  const [left, right] = [x * width - side / 2, x * width + side / 2].map(Math.round);
  const [top, bottom] = [y * height - side / 2, y * height + side / 2].map(Math.round);
  const copy = data.map((value, i) => {
    const pixel = Math.floor(i / channels);
    const [column, row] = [pixel % width, Math.floor(pixel / width)];
    return column >= left && column < right && row >= top && row < bottom ? colour[i % channels] : value;
  });
  return { data: copy, width, height, channels };
}

test("the evidence is the package's at every position, and its sums are those of the logits", { skip }, async () => {
  const settings = { p: 20, lambda: 1 };
  const detector = await digits({ evidence: true });
  try {
    await onPage(up, { hash: "#why?model=digits&p=20&lambda=1", fresh: true }, async (page) => {
      await openSeven(page);
      const result = await detector.detect(SEVEN, settings);
      const why = await detector.explain(result, settings);
      const near = (found, expected, what) => assert.ok(Math.abs(found - expected) < 0.0051, `${what}: ${found} instead of ${expected}`);
      for (const part of ["kept", "crp", "ftp", "all"]) {
        await page.selectOption("#sight-part", part);
        const expected = await detector.evidence(SEVEN, { ...settings, part });
        const name = { kept: "after pruning", crp: "what CRP prunes", ftp: "what FTP prunes", all: `the logit of “${why.label}”:` }[part];
        await says(page, "words", name);
        const words = (await text(page, "words")).replaceAll("−", "-");
        const [, positions, sum] = /^The (\d+) positions .* add up to (-?[\d.]+)[.:]/.exec(words);
        assert.equal(Number(positions), expected.data.length);
        const total = expected.data.reduce((all, value) => all + value, 0);
        assert.ok(Math.abs(Number(sum) - total) < 0.0101, `${part}: ${sum} instead of ${total}`);
        if (part === "kept" || part === "all") {
          const [, bias, logit] = /bias, (-?[\d.]+), that is .*: (-?[\d.]+)\.$/.exec(words);
          near(Number(logit), part === "all" ? why.logit : why.prunedLogit, part);
          assert.equal((Number(sum) + Number(bias)).toFixed(2), logit);
        }
        const { width, height, data } = expected;
        for (const [column, row] of [
          [0, 0],
          [3, 2],
          [width - 1, height - 1],
        ])
          near(await readAt(page, column, row, width, height), data[row * width + column], `${part}, row ${row}, column ${column}`);
        const most = Math.max(...data.map(Math.abs));
        near(number(await text(page, "high")), most, "the legend's end");
        assert.equal(number(await text(page, "low")), -number(await text(page, "high")));
      }
      // Another class.
      await page.selectOption("#sight-class", "3");
      await says(page, "words", "the logit of “3”");
      await page.waitForFunction(() => location.hash.includes("part=all") && location.hash.includes("class=3"));
    });
  } finally {
    detector.dispose();
  }
});

test("in the browser, too, the positions sum to the parts of the logit, to 1e-5", { skip }, async () => {
  const prepare = (page) =>
    page.addInitScript(() => {
      globalThis.answers = [];
      const { postMessage } = Worker.prototype;
      const known = new WeakSet();
      Worker.prototype.postMessage = function (...message) {
        if (!known.has(this)) this.addEventListener("message", ({ data }) => globalThis.answers.push(data.value));
        known.add(this);
        return postMessage.apply(this, message);
      };
    });
  for (const [model, image] of [
    ["photos", "horse.webp"],
    ["digits", "digit-3.png"],
  ]) {
    await onPage(up, { hash: `#why?model=${model}&image=${image}&p=20&lambda=1`, prepare }, async (page) => {
      for (const [part, words] of [
        ["crp", /CRP prunes/],
        ["ftp", /FTP prunes/],
        ["all", /that is the logit of “[^”]+”:/],
        ["kept", /after pruning/],
      ]) {
        await page.selectOption("#sight-part", part);
        await says(page, "words", words);
        const { sum, why } = await page.evaluate(() => {
          const { data, classIndex } = globalThis.answers.findLast((value) => value?.height && value.data);
          const found = globalThis.answers.findLast((value) => value?.prunedLogit !== undefined && value.classIndex === classIndex);
          const { bias, logit, prunedLogit, redundantSum, bothSum, overconfidentSum } = found;
          const scale = found.contribution.reduce((total, value) => total + Math.abs(value), 1);
          return {
            sum: data.reduce((total, value) => total + value, 0),
            why: { bias, logit, prunedLogit, redundantSum, bothSum, overconfidentSum, scale },
          };
        });
        const expected = {
          kept: why.prunedLogit - why.bias,
          all: why.logit - why.bias,
          crp: why.redundantSum + why.bothSum,
          ftp: why.overconfidentSum,
        }[part];
        assert.ok(Math.abs(sum - expected) < 1e-5 * why.scale, `${model}, ${part}: ${sum} instead of ${expected}`);
      }
    });
  }
});

test("holding the button, by pointer or by key, shows the plain image", { skip }, async () => {
  await onPage(up, { hash: "#why?model=photos&image=horse.webp", fresh: true }, async (page) => {
    await says(page, "words", "add up to");
    const looks = () =>
      page.evaluate(() => {
        const [picture, map] = ["#sight-picture", "#sight-map"].map((id) => getComputedStyle(document.querySelector(id)));
        return { grey: picture.filter !== "none", map: map.visibility === "visible" };
      });
    const hold = page.locator("#sight-hold");
    assert.deepEqual(await looks(), { grey: true, map: true });
    await hold.scrollIntoViewIfNeeded();
    await hold.hover();
    await page.mouse.down();
    assert.deepEqual(await looks(), { grey: false, map: false });
    assert.equal(await hold.getAttribute("aria-pressed"), "true");
    await page.mouse.move(5, 300);
    await page.mouse.up();
    assert.deepEqual(await looks(), { grey: true, map: true });
    await hold.focus();
    await page.keyboard.down("Space");
    assert.deepEqual(await looks(), { grey: false, map: false });
    await page.keyboard.up("Space");
    assert.deepEqual(await looks(), { grey: true, map: true });
    assert.equal(await hold.getAttribute("aria-pressed"), "false");
  });
});

test("covering every spot gives the package's scores, with progress, and can be cancelled", { skip }, async () => {
  const detector = await digits();
  try {
    await onPage(up, { hash: "#why?model=digits&see=occlusion", fresh: true }, async (page) => {
      await openSeven(page);
      // Cancelled at once: nothing is drawn, and it can be started again.
      await page.selectOption("#sight-size", "0.125");
      await page.evaluate(() => {
        document.querySelector("#sight-run").click();
        document.querySelector("#sight-cancel").click();
      });
      await says(page, "status", "Cancelled.");
      await page.locator("#sight-run:enabled").waitFor();
      assert.equal(await page.locator("#sight-stage.mapped").count(), 0);
      await page.selectOption("#sight-size", "0.2");
      await page.evaluate(() => {
        globalThis.told = [];
        new MutationObserver(() => globalThis.told.push(document.querySelector("#sight-status").textContent)).observe(
          document.querySelector("#sight-status"),
          { childList: true },
        );
      });
      await page.locator("#sight-run").click();
      await says(page, "words", /^Uncovered, the ITP score is/);
      assert.ok((await page.evaluate(() => globalThis.told)).some((told) => /^\d+ of 101 runs of the network$/.test(told)));
      const plain = await detector.detect(SEVEN);
      const changes = [];
      let turned = 0;
      for (let i = 0; i < 100; i++) {
        const place = { x: ((i % 10) + 0.5) / 10, y: (Math.floor(i / 10) + 0.5) / 10, size: 0.2 };
        const { score, inDistribution } = await detector.detect(cover(SEVEN, place, [0]));
        changes.push(plain.score - score);
        turned += inDistribution !== plain.inDistribution;
      }
      for (const i of [0, 33, 47, 62, 99]) {
        const found = await readAt(page, i % 10, Math.floor(i / 10), 10, 10);
        assert.ok(Math.abs(found - changes[i]) < 0.0101, `cell ${i}: ${found} instead of ${changes[i]}`);
      }
      const words = await text(page, "words");
      assert.match(words, turned ? new RegExp(` ${turned} of the 100 covers turn the verdict`) : /No cover turns the verdict/);
      assert.ok(words.includes(`by ${Math.max(...changes).toFixed(2)}, `), words);
      // Another size is another map; the one that is known is there at once.
      await page.selectOption("#sight-size", "0.333");
      await page.waitForFunction(() => !document.querySelector("#sight-stage.mapped"));
      await page.selectOption("#sight-size", "0.2");
      await page.locator("#sight-stage.mapped").waitFor();
      assert.equal(await text(page, "words"), words);
      // It is of this image alone.
      await page.evaluate(() => (location.hash = "#why?model=digits&image=digit-3.png&see=occlusion"));
      await page.waitForFunction(() => !document.querySelector("#sight-stage.mapped"));
    });
  } finally {
    detector.dispose();
  }
});

test("a cover is dragged and moved by keys, with the live score and verdict", { skip }, async () => {
  const detector = await digits();
  try {
    await onPage(up, { hash: "#why?model=digits&see=occlusion&cover=0.5+0.5+0.333", fresh: true }, async (page) => {
      await openSeven(page);
      const plain = await detector.detect(SEVEN);
      const check = async (x, y) => {
        const { score, threshold, inDistribution } = await detector.detect(cover(SEVEN, { x, y, size: 0.333 }, [0]));
        const shown = (value) => value.toFixed(2).replace("-", "−");
        await says(
          page,
          "live",
          `${inDistribution ? "Familiar" : "Unfamiliar"} with the cover: ITP ${shown(score)}, threshold ${shown(threshold)}.`,
        );
        assert.ok((await text(page, "live")).endsWith(`Without it ${shown(plain.score)}.`));
      };
      await check(0.5, 0.5);
      const stage = page.locator("#sight-stage");
      await stage.scrollIntoViewIfNeeded();
      const box = await stage.boundingBox();
      // Taken beside its centre, it does not jump.
      await page.mouse.move(box.x + 0.55 * box.width, box.y + 0.52 * box.height);
      await page.mouse.down();
      await page.mouse.move(box.x + 0.65 * box.width, box.y + 0.32 * box.height, { steps: 5 });
      await page.mouse.up();
      await page.waitForFunction(() => /cover=(0\.6|0\.59)\d*\+(0\.3|0\.29)\d*\+0\.333/.test(location.hash));
      const place = () => page.evaluate(() => new URLSearchParams(location.hash.split("?")[1]).get("cover").split(" ").map(Number));
      let [x, y] = await place();
      assert.ok(Math.abs(x - 0.6) < 0.004 && Math.abs(y - 0.3) < 0.004, `${x} ${y}`);
      await check(x, y);
      await page.locator("#sight-cover").focus();
      await page.keyboard.press("ArrowLeft");
      await page.keyboard.press("Shift+ArrowDown");
      const after = [x - 0.025, y + 0.1].map((share) => Number(share.toFixed(3)));
      await page.waitForFunction((now) => location.hash.includes(`cover=${now}+0.333`), after.join("+"));
      await check(...after);
      // It stays on the image, and follows a click.
      for (let i = 0; i < 12; i++) await page.keyboard.press("Shift+ArrowUp");
      await page.waitForFunction(() => / 0 0\.333$/.test(new URLSearchParams(location.hash.split("?")[1]).get("cover")));
      await page.mouse.click(box.x + 0.2 * box.width, box.y + 0.8 * box.height);
      await page.waitForFunction(() => /cover=0\.(2|19)\d*\+0\.(8|79)\d*\+/.test(location.hash));
      [x, y] = await place();
      await check(x, y);
    });
  } finally {
    detector.dispose();
  }
});

test("where the features are no averages over places, the card says so and offers covers", { skip }, async () => {
  await onPage(up, { hash: "#measure", fresh: true }, async (page) => {
    await openOwn(page, new Uint8Array(readFileSync(at("tests/models/heads/tokens_mean.onnx"))));
    await says(
      page,
      "problem",
      /^This network doesn't tell which place .* its features are no averages over places of the image \(.*ReduceMean.*\)\./,
    );
    assert.equal(await page.locator("#sight-stage.mapped").count(), 0);
    await page.locator("#sight-instead").click();
    assert.ok(await page.locator("#sight-way-occlusion").isChecked());
    assert.equal(await text(page, "problem"), "");
    await says(page, "live", / with the cover: /);
    await page.locator("#sight-run").click();
    await says(page, "words", /^Uncovered, the ITP score is/);
    await page.locator("#sight-stage.mapped").waitFor();
  });
});

test("the gradient is the package's, loaded when it is asked for; where there is none, the card says why", { skip }, async () => {
  await onPage(up, { hash: "#measure", fresh: true }, async (page) => {
    const { stats, image } = await openOwn(page, model(), { ...preprocess, resize: undefined });
    await says(page, "words", "add up to");
    const workers = page.workers().length;
    await choose(page, "gradient");
    await says(page, "words", /^Brighter, \d+ of the 8 × 8 pixels/);
    assert.equal(page.workers().length, workers + 1);
    const detector = await loadDetector({ model: model(), stats, gradient: true, worker: false });
    const slopes = await detector.saliency(image);
    detector.dispose();
    for (const [column, row] of [
      [1, 2],
      [6, 3],
      [4, 7],
    ]) {
      const expected = [0, 1, 2].reduce((sum, channel) => sum + slopes[64 * channel + 8 * row + column] / 0.25, 0);
      const found = await readAt(page, column, row, 8, 8);
      assert.ok(Math.abs(found - expected) < 0.01 * Math.abs(expected) + 0.0051, `${found} instead of ${expected}`);
    }
    // The photo model's weights are packed.
    await page.evaluate(() => (location.hash = "#why?model=photos&image=horse.webp&see=gradient"));
    await says(page, "problem", /^This network's gradient can't be had: its file holds weights in a packed form/);
    await page.locator("#sight-instead").click();
    await says(page, "live", / with the cover: /);
  });
});

test("the address says what the card shows, and the card what the address says", { skip }, async () => {
  await onPage(up, { hash: "#why?model=photos&image=horse.webp&p=20&part=crp&class=ship", fresh: true }, async (page) => {
    await says(page, "words", "what CRP prunes of the logit of “ship”");
    assert.equal(await page.locator("#sight-class").inputValue(), "ship");
    await choose(page, "occlusion");
    await page.locator("#sight-cover").focus();
    await page.keyboard.press("ArrowLeft");
    await page.waitForFunction(() => /p=20&see=occlusion&part=crp&class=ship&cover=0\.475\+0\.5\+0\.2$/.test(location.hash));
    const address = await page.evaluate(() => location.hash);
    await page.reload();
    await says(page, "live", / with the cover: /);
    assert.equal(await page.evaluate(() => location.hash), address);
    assert.match(await page.locator("#sight-cover").getAttribute("style"), /left: 47\.5%/);
    // Without any of it, all is as at first.
    await page.evaluate(() => (location.hash = "#why?model=photos&image=horse.webp"));
    await says(page, "words", "after pruning");
    for (const [wrong, what] of [
      ["see=nothing", /see = nothing; there is evidence, occlusion, gradient/],
      ["part=most", /part = most; there is kept, crp, ftp, all/],
      ["class=unicorn", /Photos has no class “unicorn”/],
      ["cover=2+0+0.2", /places a cover at “2 0 0\.2”/],
    ]) {
      await page.evaluate((query) => (location.hash = `#why?model=photos&${query}`), wrong);
      await page.locator("#notice", { hasText: what }).waitFor();
      await page.waitForFunction((query) => !location.hash.includes(query), wrong);
    }
  });
});

for (const [width, height, colorScheme] of [
  [1280, 900, "dark"],
  [390, 844, "light"],
]) {
  test(`each of its maps is accessible, ${width} wide, ${colorScheme}`, { skip }, async () => {
    const context = { viewport: { width, height }, colorScheme, reducedMotion: "reduce" };
    await onPage(up, { hash: "#why?model=photos&image=horse.webp", context }, async (page) => {
      await page.addScriptTag({ content: axe });
      for (const [way, sign] of [
        ["evidence", "#sight-stage.mapped"],
        ["gradient", "#sight-instead:not([hidden])"],
        ["occlusion", "#sight-live svg"],
      ]) {
        await choose(page, way);
        await page.locator(sign).first().waitFor();
        if (way === "occlusion") {
          await page.locator("#sight-run").click();
          await page.locator("#sight-stage.mapped").waitFor();
        }
        const { violations } = await page.evaluate(() => globalThis.axe.run("#sight-card", { resultTypes: ["violations"] }));
        assert.deepEqual(
          violations.map(({ id, nodes }) => `${way}: ${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`),
          [],
        );
        const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(beyond <= 0, `${way} is ${beyond} pixels too wide`);
        await screenshot(page, `where-${way}-${width}x${height}-${colorScheme}`);
      }
    });
  });
}
