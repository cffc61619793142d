// One answer from every browser's decoder: the pixels that Pillow reads, which knows no colour profiles.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { at } from "../../scripts/lib/tools.mjs";
import { inEveryEngine } from "./support.mjs";

const expected = JSON.parse(readFileSync(at("tests/images/colour/pixels.json"), "utf8"));
const names = Object.keys(expected);

/** In the page: what the package makes of a file, over white as its engine composites it. */
async function decode({ name, length }) {
  const { toPixels } = await import("/dist/image.js");
  const file = await (await fetch(`/tests/images/colour/${name}`)).blob();
  try {
    const { data, width, height, channels } = await toPixels(length ? file.slice(0, length * file.size) : file, () => true);
    const rgb = new Uint8Array(width * height * 3);
    for (let i = 0; i < rgb.length; i++) {
      const pixel = Math.floor(i / 3);
      const alpha = channels === 4 ? data[pixel * 4 + 3] : 255;
      rgb[i] = Math.floor((data[pixel * channels + (channels === 1 ? 0 : i % 3)] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", rgb));
    return { width, height, sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(""), rgb: [...rgb] };
  } catch (error) {
    return { code: error.code, message: error.message };
  }
}

inEveryEngine((check, { engine }) => {
  /** Files whose pixels are rounded, the same without, and by how much they may be off. */
  const ROUNDED = {
    // Alpha of WebP files passes through a canvas, which keeps colours multiplied with it.
    ...(engine !== "chromium" && { "alpha.webp": ["alpha.png", 1] }),
    // Browsers turn CMYK into RGB themselves.
    "cmyk.jpg": ["cmyk_as_rgb.png", 2],
    "ycck.jpg": ["ycck_as_rgb.png", 2],
  };

  check("profiles, gamma, orientation, alpha, 16 bits and animations: the pixels of Pillow", async (page) => {
    const wrong = [];
    for (const name of names) {
      const { rgb, ...found } = await page.evaluate(decode, { name });
      if (name in ROUNDED) {
        const [same, most] = ROUNDED[name];
        const exact = await page.evaluate(decode, { name: same });
        const off = Math.max(...rgb.map((value, i) => Math.abs(value - exact.rgb[i])));
        assert.ok(off <= most, `${name}: off by ${off}`);
      } else if (!isDeepStrictEqual(found, expected[name])) wrong.push({ name, ...found });
    }
    assert.deepEqual(wrong, []);
  });

  check("files that are cut off are refused", async (page) => {
    for (const name of names) {
      for (const length of [0.1, 0.5, 0.9]) {
        // The second frame of an animated GIF is not looked at.
        if (name === "animated.gif" && length > 0.4) continue;
        const { code, message } = await page.evaluate(decode, { name, length });
        assert.equal(code, "image", `${name}, ${length}`);
        assert.match(message, /cut off: copy or download it again/);
      }
    }
  });
});
