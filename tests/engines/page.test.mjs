// The page in every browser engine: both models' verdicts, every section, offline, and as a single file.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { bundle } from "../../scripts/lib/bundle.mjs";
import { startServer } from "../../scripts/lib/server.mjs";
import { at } from "../../scripts/lib/tools.mjs";
import { inEveryEngine, waitFor } from "./support.mjs";

const gallery = JSON.parse(readFileSync(at("www/models/gallery/gallery.json"), "utf8"));
const skip = existsSync(at("target/site/index.html")) ? false : "the page is not built: npm run build";
const SIZES = { wide: { width: 1280, height: 900 }, narrow: { width: 390, height: 844 } };

/** Waits for the verdict on an image with this caption (by default, any). */
const verdict = (page, caption = "") =>
  waitFor(
    page,
    (wanted) => {
      const card = document.querySelector("#verdict");
      if (card?.getAttribute("aria-busy") !== "false" || !card.dataset.kind) return false;
      if (!document.querySelector("#caption").textContent.startsWith(wanted)) return false;
      return { kind: card.dataset.kind, answer: document.querySelector("#top .top-label").textContent };
    },
    caption,
  );

const click = (page, selector) => page.evaluate((wanted) => document.querySelector(wanted).click(), selector);

/** Waits for an element that is shown and, for a list or a table, has something in it. */
const shown = (page, selector) => waitFor(page, (wanted) => document.querySelector(wanted)?.getClientRects().length > 0, selector);

async function screenshot(page, name) {
  mkdirSync(at("target/screenshots"), { recursive: true });
  await page.screenshot({ path: at("target/screenshots", `${name}.png`) });
}

/** In the page: clicks a gallery image, and keeps what the worker answers. */
function choose(file) {
  if (!globalThis.answers) {
    const { postMessage } = Worker.prototype;
    const known = new WeakSet();
    Worker.prototype.postMessage = function (...message) {
      if (!known.has(this)) this.addEventListener("message", ({ data }) => data.value?.topK && globalThis.answers.push(data.value));
      known.add(this);
      return postMessage.apply(this, message);
    };
  }
  globalThis.answers = [];
  document.querySelector(`.thumb:has(img[src$="${file}"])`).click();
}

/** What each section shows once it is there. */
const SECTIONS = {
  why: "#why-logits svg",
  play: "#play-waterfall svg",
  measure: "#measure-gallery",
  calibrate: "#calibrate select",
  explain: "#near-far",
};

inEveryEngine(
  (check, { engine }) => {
    for (const model of new Set(gallery.map((image) => image.model))) {
      const images = gallery.filter((image) => image.model === model);
      check(`the gallery of ${model}: class, verdict and score of the command line`, async (page, t) => {
        await verdict(page);
        let most = 0;
        for (const { file, title, expected } of images) {
          await page.evaluate(choose, file);
          const { kind, answer } = await verdict(page, title);
          const [{ label, inDistribution, score }] = await waitFor(
            page,
            () =>
              globalThis.answers.length && globalThis.answers.map(({ label, inDistribution, score }) => ({ label, inDistribution, score })),
          );
          assert.deepEqual({ label, inDistribution }, { label: expected.label, inDistribution: expected.inDistribution }, file);
          assert.deepEqual([answer, kind === "in"], [label, inDistribution], `${file}, as shown`);
          most = Math.max(most, Math.abs(score - expected.score));
        }
        t.diagnostic(`${engine}: ${images.length} images, the scores differ by ${most.toExponential(1)} at most`);
        assert.ok(most <= 1e-4, `${most}`);
      });
    }

    check("every section, wide and narrow", async (page) => {
      await verdict(page);
      for (const [size, area] of Object.entries(SIZES)) {
        await page.setViewportSize(area);
        for (const [section, sign] of Object.entries(SECTIONS)) {
          await click(page, `nav a[href="#${section}"]`);
          await shown(page, sign);
          const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(beyond <= 0, `${section}, ${size}: ${beyond} px too wide`);
          await screenshot(page, `${engine}-${section}-${size}`);
        }
        await click(page, 'nav a[href="#try"]');
        await screenshot(page, `${engine}-try-${size}`);
      }
      await page.setViewportSize(SIZES.wide);
    });

    check("a slider decides again, and Measure compares the scores", async (page) => {
      await click(page, 'nav a[href="#play"]');
      await page.evaluate(() => {
        const slider = document.querySelector("#p");
        slider.value = "60";
        slider.dispatchEvent(new Event("input", { bubbles: true }));
      });
      await shown(page, "#changed");
      await click(page, "#reset");
      await click(page, 'nav a[href="#measure"]');
      await click(page, "#measure-gallery");
      await waitFor(page, () => document.querySelectorAll("#measure-table tr").length >= 6);
      await click(page, 'nav a[href="#try"]');
    });

    check("the page works offline after the first visit", async (page) => {
      const server = await startServer({ directory: at("target/site"), base: "/some/where/" });
      try {
        await page.goto(server.url);
        await verdict(page);
        // Active once every file is kept.
        await page.evaluate(async () => void (await navigator.serviceWorker.ready));
      } finally {
        await server.close();
      }
      await page.reload();
      const { file, title, expected } = gallery.find(({ model }) => model === "digits");
      await verdict(page);
      await page.evaluate(choose, file);
      assert.equal((await verdict(page, title)).answer, expected.label);
    });

    check("one HTML file works from a disk", async (page) => {
      single ??= bundle({ single: true });
      await single;
      await page.goto(pathToFileURL(at("target/single/itp.html")).href);
      await verdict(page);
      await page.evaluate(() => [...document.querySelectorAll(".thumb")].find(({ textContent }) => textContent.includes("A 4")).click());
      assert.deepEqual(await verdict(page, "A 4"), { kind: "in", answer: "4" });
      await click(page, 'nav a[href="#why"]');
      await shown(page, SECTIONS.why);
    });
  },
  { server: { directory: at("target/site") }, path: "", skip },
);

/** Built once for all engines. */
let single;
