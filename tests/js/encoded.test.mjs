// What is taken out of image files before a browser decodes them, and which files are refused.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { prepare } from "../../dist/encoded.js";
import { decodePng } from "../../dist/png.js";
import { seeded } from "./support.mjs";

const folder = at("tests/images/colour");
const names = readdirSync(folder).filter((name) => !name.endsWith(".json"));
const expected = JSON.parse(readFileSync(at("tests/images/colour/pixels.json"), "utf8"));
const read = (name) => new Uint8Array(readFileSync(join(folder, name)));
const bytesOf = ({ parts }) => Buffer.concat(parts);

/** What browsers would read: colour profiles, gamma, orientation, further frames. */
const MARKS = ["ICC_PROFILE", "iCCP", "gAMA", "cICP", "ICCP", "Exif", "EXIF", "eXIf", "acTL"];

test("nothing is left that changes colours, turns or animates", () => {
  const found = new Set();
  for (const name of names) {
    const file = read(name);
    const prepared = prepare(file);
    // WebP's animations are left: browsers show their first frame.
    for (const mark of MARKS) {
      if (Buffer.from(file).includes(mark)) found.add(mark);
      assert.ok(!bytesOf(prepared).includes(mark), `${name}: ${mark}`);
    }
    assert.equal(prepared.orientation, name.startsWith("turned") ? 6 : 1, name);
  }
  assert.deepEqual([...found].sort(), [...MARKS].sort(), "the files have what is looked for");
});

test("a file that is cut off anywhere is refused, and one with bytes behind its end is not", () => {
  for (const name of names) {
    const file = read(name);
    const whole = bytesOf(prepare(file));
    const behind = Buffer.concat([file, Buffer.from("\xff\xd8\xff\xe1 a film, or a second image \x89PNG", "latin1")]);
    // BMP files are only looked at.
    assert.deepEqual(bytesOf(prepare(new Uint8Array(behind))), name.endsWith(".bmp") ? behind : whole, name);
    // Of GIF files the first frame counts.
    const end = name.endsWith(".gif") ? whole.length - 2 : file.length - 1;
    for (let length = end; length > 64; length -= Math.ceil(length / 97)) {
      assert.throws(
        () => prepare(file.slice(0, length)),
        ({ code, message }) => code === "image" && /^The \w+ file is cut off/.test(message),
        `${name}, ${length} of ${file.length} bytes`,
      );
    }
  }
});

test("damaged files are prepared or refused, and take no time", () => {
  const random = seeded(22);
  for (let i = 0; i < 4000; i++) {
    const file = read(names[i % names.length]);
    for (let n = 0; n < 4; n++) file[Math.floor(random() ** 2 * file.length)] = Math.floor(random() * 256);
    try {
      const { parts, orientation } = prepare(file.slice(0, Math.ceil((1 - random() ** 3) * file.length)));
      assert.ok(parts.length > 0 && orientation >= 1 && orientation <= 8);
    } catch (error) {
      assert.equal(error.code, "image", error.stack);
    }
  }
});

test("other formats are left as they are", () => {
  for (const content of ["<svg xmlns='http://www.w3.org/2000/svg'/>", "", "\xff\xd8", "\0\0\0\x20ftypavif", "RIFF\0\0\0\0WAVE"]) {
    const file = new Uint8Array(Buffer.from(content, "latin1"));
    assert.deepEqual(prepare(file), { parts: [file], orientation: 1 });
  }
});

test("PNG files with alpha or 16 bits a value have the pixels that Pillow reads", async () => {
  const own = [];
  for (const name of names) {
    const image = await decodePng(prepare(read(name)).parts);
    if (!image) continue;
    own.push(name);
    const { data, width, height, channels } = image;
    const rgb = new Uint8Array(width * height * 3);
    for (let i = 0; i < rgb.length; i++) {
      const [pixel, c] = [Math.floor(i / 3), i % 3];
      const value = data[pixel * channels + (channels === 1 ? 0 : c)];
      const alpha = channels === 4 ? data[pixel * 4 + 3] : 255;
      rgb[i] = Math.floor((value * alpha + 255 * (255 - alpha) + 127) / 255);
    }
    const sha256 = createHash("sha256").update(rgb).digest("hex");
    assert.deepEqual({ width, height, sha256 }, expected[name], name);
  }
  assert.deepEqual(own, ["alpha.png", "wide.png", "wide_alpha.png", "wide_grey.png", "wide_grey_alpha.png"]);
});

test("a PNG file whose pixels can't be unpacked is left to the browser, which refuses it", async () => {
  const file = read("alpha.png");
  file.fill(0, 60, 200);
  assert.equal(await decodePng(prepare(file).parts), undefined);
});

test("a PNG file without pixels, or with more than there is memory for, is left to the browser", async () => {
  for (const [width, height] of [
    [0, 5],
    [5, 0],
    [2 ** 31, 2 ** 31],
  ]) {
    const file = read("alpha.png");
    const header = new DataView(file.buffer);
    header.setUint32(16, width);
    header.setUint32(20, height);
    assert.equal(await decodePng(prepare(file).parts), undefined, `${width} x ${height}`);
  }
});
