// What is shown can be seen: the verdict, the crop, every label, the section, at all widths.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { onPage, open, png, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const VIEWS = ["try", "why", "play", "measure", "calibrate", "explain"];
const PHONE = { viewport: { width: 390, height: 844 } };
const gallery = JSON.parse(readFileSync(at("www/models/gallery/gallery.json"), "utf8"));

/** Whether some of the element with the verdict's words is on the screen, under nothing else. */
const verdictInSight = (page) =>
  page.evaluate(() =>
    ["#verdict-words", "#subject-verdict"].some((selector) => {
      const element = document.querySelector(selector);
      const { left, right, top, bottom } = element.getBoundingClientRect();
      const [x, y] = [(left + Math.min(right, left + 80)) / 2, (top + bottom) / 2];
      const hit = y > 0 && y < innerHeight && document.elementFromPoint(x, y);
      return hit && (element.contains(hit) || hit.contains(element)) && getComputedStyle(element).visibility === "visible";
    }),
  );

for (const viewport of [PHONE.viewport, { width: 1280, height: 900 }]) {
  test(`image and verdict stay in sight in every section, ${viewport.width} wide`, { skip }, async () => {
    await onPage(up, { context: { viewport } }, async (page) => {
      await verdict(page);
      // Choosing an image far down in the gallery.
      await page.locator('.thumb[data-file="digit-3.png"]').click();
      await verdict(page, "A 3");
      await page.waitForFunction(() => document.querySelector("#subject-verdict").checkVisibility({ visibilityProperty: true }));
      assert.ok(await verdictInSight(page), "after choosing an image in the gallery");
      for (const view of VIEWS) {
        await open(page, view);
        for (const share of [0, 0.5, 0.9]) {
          await page.evaluate((part) => scrollTo(0, part * (document.documentElement.scrollHeight - innerHeight - 120)), share);
          await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 60))));
          assert.ok(await verdictInSight(page), `${view}, scrolled by ${share}`);
        }
      }
    });
  });

  test(`the sliders of Play and the axis are in one view, ${viewport.width} wide`, { skip }, async () => {
    await onPage(up, { context: { viewport }, hash: "#play" }, async (page) => {
      await verdict(page);
      for (const id of ["p", "lambda"]) {
        await page.locator(`#${id}`).scrollIntoViewIfNeeded();
        const boxes = await Promise.all([page.locator("#play-axis svg").boundingBox(), page.locator(`#${id}`).boundingBox()]);
        for (const { y, height } of boxes) assert.ok(y >= 0 && y + height <= viewport.height, `${id}: ${JSON.stringify(boxes)}`);
        const [axis, slider] = boxes;
        assert.ok(slider.y >= axis.y + axis.height || slider.x + slider.width <= axis.x, "neither covers the other");
      }
    });
  });
}

/** Which labels and marks of a chart meet, and what sticks out of it. */
const faults = (page, selector) =>
  page.evaluate((where) => {
    const found = [];
    for (const svg of document.querySelectorAll(`${where} svg`)) {
      const { width, height } = svg.viewBox.baseVal;
      const boxOf = (element) => {
        const { x, y, width: wide, height: tall } = element.getBBox();
        return { element, left: x, right: x + wide, top: y, bottom: y + tall };
      };
      const name = ({ element }) => element.textContent || element.getAttribute("class");
      const texts = [...svg.querySelectorAll("text:not([transform])")].map(boxOf);
      const marks = [...svg.querySelectorAll(".mark, .mark-before")].map(boxOf);
      const meet = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
      for (const [i, a] of texts.entries())
        for (const b of [...texts.slice(i + 1), ...marks]) if (meet(a, b)) found.push(`${name(a)} meets ${name(b)}`);
      for (const box of [...texts, ...marks, ...[...svg.querySelectorAll("rect, circle")].map(boxOf)])
        if (box.left < -1 || box.right > width + 1 || box.top < -1 || box.bottom > height + 1) found.push(`${name(box)} sticks out`);
    }
    return found;
  }, selector);

test("no label of the axis meets another, for any gallery image at any width", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    const wrong = [];
    for (const { model, file, title } of gallery) {
      await page.locator(`section[data-model="${model}"] .thumb[data-file="${file}"]`).evaluate((thumb) => thumb.click());
      await verdict(page, title);
      for (const width of [1280, 390, 320]) {
        await page.setViewportSize({ width, height: 900 });
        await page.waitForFunction(() => {
          const svg = document.querySelector("#try-axis svg");
          return Number(svg.getAttribute("width")) === svg.parentElement.clientWidth;
        });
        for (const fault of await faults(page, "#try-axis")) wrong.push(`${title}, ${width} wide: ${fault}`);
      }
    }
    assert.deepEqual(wrong, []);
  });
});

test("nothing of the other charts sticks out, whatever the image and the width", { skip }, async () => {
  for (const width of [1280, 320]) {
    await onPage(up, { context: { viewport: { width, height: 900 } } }, async (page) => {
      await verdict(page);
      // Of high, low and negative scores, with and without CRP.
      for (const [file, title] of [
        ["drawn-airplane.webp", "An airplane"],
        ["noise.webp", "Noise"],
        ["digit-8.png", "A 8"],
      ]) {
        await page.locator(`.thumb[data-file="${file}"]`).evaluate((thumb) => thumb.click());
        await verdict(page, title);
        for (const view of ["why", "play"]) {
          await open(page, view);
          await page.locator(`#${view}-waterfall .ghost`).first().waitFor();
          const wrong = (await faults(page, `#view-${view} .chart`)).filter((fault) => fault.endsWith("sticks out"));
          assert.deepEqual(wrong, [], `${title}, ${view}, ${width} wide`);
        }
        await open(page, "try");
      }
    });
  }
});

test("the axis takes the range of the model in use", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    const ticks = () => page.locator("#try-axis .tick").allTextContents();
    const first = await page
      .goto(`${up.server.url}#try?model=digits&image=digit-3.png`)
      .then(() => verdict(page, "A 3"))
      .then(ticks);
    await page.locator('.thumb[data-file="noise.webp"]').evaluate((thumb) => thumb.click());
    await verdict(page, "Noise");
    assert.notDeepEqual(await ticks(), first);
    await page.locator('.thumb[data-file="digit-3.png"]').evaluate((thumb) => thumb.click());
    await verdict(page, "A 3");
    assert.deepEqual(await ticks(), first);
  });
});

test("at 320 pixels nothing is cut off or scrolls sideways", { skip }, async () => {
  await onPage(up, { context: { viewport: { width: 320, height: 640 } } }, async (page) => {
    await verdict(page);
    for (const view of VIEWS) {
      await open(page, view);
      if (view === "measure") {
        await page.locator("#measure-gallery").click();
        await page.locator("#measure-faces .face").first().waitFor();
      }
      const wrong = (await faults(page, `#view-${view} .chart`)).filter((fault) => fault.endsWith("sticks out"));
      assert.deepEqual(wrong, [], view);
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(beyond <= 0, `${view} is ${beyond} pixels too wide`);
    }
  });
});

test("at no width of a phone the page scrolls sideways", { skip }, async () => {
  await onPage(up, { context: { viewport: { width: 430, height: 800 } } }, async (page) => {
    await verdict(page);
    for (let width = 430; width >= 320; width -= 2) {
      await page.setViewportSize({ width, height: 800 });
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(beyond <= 0, `at ${width} it is ${beyond} pixels too wide`);
    }
  });
});

test("with forced colours the current section and what is pressed are marked", { skip }, async () => {
  await onPage(up, { context: { forcedColors: "active" } }, async (page) => {
    await verdict(page);
    await page.locator("#game").click();
    await page.locator("h1").first().hover();
    const outline = (selector) => page.evaluate((what) => getComputedStyle(document.querySelector(what)).outlineStyle, selector);
    await page.evaluate(() => document.activeElement.blur());
    assert.equal(await outline("nav a[aria-current]"), "solid");
    assert.equal(await outline("nav a:not([aria-current])"), "none");
    assert.equal(await outline("#game"), "solid");
    assert.equal(await outline("#camera"), "none");
  });
});

test("a score and a threshold that differ are told apart, however little", { skip }, async () => {
  const prepare = (page) =>
    page.addInitScript(() => {
      const real = Object.getOwnPropertyDescriptor(MessageEvent.prototype, "data");
      Object.defineProperty(MessageEvent.prototype, "data", {
        ...real,
        get() {
          const data = real.get.call(this);
          const value = data?.value;
          if (value?.scoreName === "itp" && value.threshold !== undefined) {
            value.score = value.threshold - 0.0004;
            value.inDistribution = false;
          }
          return data;
        },
      });
    });
  await onPage(up, { prepare }, async (page) => {
    const { words } = await verdict(page);
    assert.equal(words, "Unfamiliar");
    const [score, threshold] = await Promise.all(["#score", "#threshold"].map((id) => page.locator(id).textContent()));
    assert.notEqual(score, threshold);
    const axis = (await page.locator("#try-axis text").allTextContents()).join(" ");
    assert.ok(axis.includes(`this image ${score}`) && axis.includes(`threshold ${threshold}`), axis);
    await open(page, "why");
    assert.ok((await page.locator("#why-decided").textContent()).includes(`${score} is below its threshold ${threshold}`));
    assert.ok((await page.locator("#subject-text").textContent()).includes(`${score}, threshold ${threshold}`));
  });
});

test("the crop of a wide image is framed, and the network's input shown", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    assert.ok(await page.locator("#crop-frame").isHidden(), "a square image is seen whole");
    // Left third black, the rest white: the crop starts within the white.
    for (const [width, height] of [
      [300, 100],
      [100, 300],
    ]) {
      const name = `${width}x${height}.png`;
      const buffer = png(width, height, (x, y) => ((width > height ? x : y) < 100 ? 0 : 255));
      await page.setInputFiles("#file", { name, mimeType: "image/png", buffer });
      await verdict(page, name);
      const [frame, square] = await Promise.all(
        ["#crop-frame", ".crop-square"].map((selector) => page.locator(selector).first().boundingBox()),
      );
      // A third of the longer side, in the middle.
      for (const [at0, size] of [
        ["x", "width"],
        ["y", "height"],
      ]) {
        assert.ok(Math.abs(frame[size] - square[size] / 3) < 3, `${size}: ${frame[size]} of ${square[size]}`);
        assert.ok(Math.abs(frame[at0] - square[at0] - square[size] / 3) < 3);
      }
      assert.match(await page.locator("#sees-text").textContent(), /only what is framed, as 32 × 32 pixels/);
      const seen = await page.locator("#input-view").evaluate((canvas) => {
        const pixel = (x, y) => canvas.getContext("2d").getImageData(x, y, 1, 1).data[0];
        return [canvas.width, canvas.height, pixel(2, 2), pixel(29, 29)];
      });
      assert.deepEqual(seen, [32, 32, 255, 255], "the black third is cut off");
    }
  });
});
