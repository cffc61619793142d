// The page in every browser engine: both models' verdicts, every section, offline, and as a single file.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
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
function choose({ model, file }) {
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
  document.querySelector(`section[data-model="${model}"] .thumb:has(img[src$="${file}"])`).click();
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
          await page.evaluate(choose, { model, file });
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

    check("where in the image: evidence that sums to the logit, and covers", async (page) => {
      await page.evaluate(() => (location.hash = "#why?model=digits&image=digit-3.png"));
      const said = (id, pattern) =>
        waitFor(page, ([at, wanted]) => RegExp(wanted).exec(document.querySelector(at).textContent)?.slice(), [id, pattern]);
      const [, sum, bias, logit] = await said("#sight-words", "add up to ([\\d.]+)\\. With the class's bias, ([\\d.]+), .*: ([\\d.]+)\\.$");
      assert.equal((Number(sum) + Number(bias)).toFixed(2), logit);
      await shown(page, "#sight-stage.mapped");
      await screenshot(page, `${engine}-where`);
      await click(page, "#sight-way-occlusion");
      const [, uncovered] = await said("#sight-live", "with the cover: ITP .* Without it (.*)\\.$");
      const [, score] = await said("#subject-text", "^ITP (.*), threshold");
      assert.equal(uncovered, score, "as the file itself");
      await click(page, "#sight-run");
      await said("#sight-words", "^Uncovered, the ITP score is");
      await shown(page, "#sight-stage.mapped");
      await page.evaluate(() => (location.hash = "#try?model=photos"));
      await verdict(page);
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

    check("dropped files are read where they have no path, and a folder that can't be read is named", async (page) => {
      await verdict(page);
      // As browsers give them: from another program, from a disk's page, and a folder of such a page.
      const drop = async (kind) => {
        const blob = await (await fetch(document.querySelector(".thumb img").src)).blob();
        const file = new File([blob], `${kind}.webp`, { type: "image/webp" });
        const refuse = (resolve, reject) => reject(new DOMException("", "EncodingError"));
        const entries = {
          none: null,
          unreadable: { isFile: true, isDirectory: false, fullPath: "/unreadable.webp", file: refuse },
          folder: { isFile: false, isDirectory: true, fullPath: "/folder", createReader: () => ({ readEntries: refuse }) },
        };
        const items = [{ kind: "file", webkitGetAsEntry: () => entries[kind], getAsFile: () => file }];
        const event = new Event("drop", { bubbles: true, cancelable: true });
        Object.defineProperty(event, "dataTransfer", { value: { types: ["Files"], files: [file], items } });
        document.querySelector("#try-title").dispatchEvent(event);
      };
      for (const kind of ["none", "unreadable"]) {
        await page.evaluate(drop, kind);
        await verdict(page, `${kind}.webp`);
      }
      await page.evaluate(drop, "folder");
      await waitFor(page, () => /“folder” can't be read by dropping it/.test(document.querySelector("#notice").textContent));
    });

    check("a webcam that is refused says why, and one that can't be the wanted one is taken", async (page) => {
      await verdict(page);
      // Refuses with each name in turn; then there is a camera, if the engine can film a canvas.
      const press = (names) => {
        globalThis.asked = [];
        const canvas = document.createElement("canvas");
        canvas.getContext("2d").fillRect(0, 0, 300, 150);
        const getUserMedia = async (wanted) => {
          globalThis.asked.push(wanted);
          const name = names[globalThis.asked.length - 1];
          // No DOMException, and no message: as OverconstrainedError is in some engines.
          if (name) throw Object.assign(new Error(""), { name });
          setInterval(() => canvas.getContext("2d").fillRect(0, 0, 300, 150), 50);
          return canvas.captureStream();
        };
        Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia }, configurable: true });
        document.querySelector("#camera").click();
      };
      for (const [names, says] of [
        [["NotAllowedError"], "There is no webcam"],
        [["NotFoundError"], "There is no webcam"],
        [["NotReadableError"], "Another program is using the webcam"],
        [["OverconstrainedError", "OverconstrainedError"], "There is no webcam"],
      ]) {
        await page.evaluate(press, names);
        await waitFor(page, (text) => document.querySelector("#notice").textContent.startsWith(text), says);
        assert.equal(await page.evaluate(() => globalThis.asked.length), names.length, String(names));
        await page.evaluate(() => (document.querySelector("#notice").textContent = ""));
      }
      if (!(await page.evaluate(() => "captureStream" in HTMLCanvasElement.prototype))) return;
      await page.evaluate(press, ["OverconstrainedError"]);
      await waitFor(page, () => /^[\d.]+ frames per second$/.test(document.querySelector("#fps").textContent));
      assert.deepEqual(await page.evaluate(() => globalThis.asked), [{ video: { facingMode: "environment" } }, { video: true }]);
      await click(page, "#camera");
    });

    check("the page works offline after the first visit", async (page) => {
      const server = await startServer({ directory: at("target/site"), base: "/some/where/" });
      try {
        await page.goto(`${server.url}#try?model=photos`);
        await verdict(page);
        // Active once every file is kept.
        await page.evaluate(async () => void (await navigator.serviceWorker.ready));
      } finally {
        await server.close();
      }
      await page.reload();
      const { file, title, expected } = gallery.find(({ model }) => model === "digits");
      await verdict(page);
      await page.evaluate(choose, { model: "digits", file });
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

    check("one HTML file whose worker ends at once works on the page's thread", async (page) => {
      await single;
      const html = readFileSync(at("target/single/itp.html"), "utf8");
      const broken = html.replace(/(<script type="?text\/plain"? id="?worker"?>)/, '$1throw new Error("made to fail");');
      assert.notEqual(broken, html);
      writeFileSync(at("target/single/broken-worker.html"), broken);
      await page.goto(pathToFileURL(at("target/single/broken-worker.html")).href);
      await verdict(page);
    });
  },
  { server: { directory: at("target/site") }, path: "#try?model=photos", skip },
);

/** Built once for all engines. */
let single;
