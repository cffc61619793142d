// Every kind of image file in every engine: its score is the command line's, and cut off it is refused.
// With ITP_BLESS=1 and all engines, the table in docs/datasets.md is written anew.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { ENGINES } from "../../scripts/lib/browser.mjs";
import { at } from "../../scripts/lib/tools.mjs";
import { inEveryEngine } from "./support.mjs";

/** By file; crates/cli/tests/cli/colour.rs compares them with the command line. */
const scores = JSON.parse(readFileSync(at("tests/images/colour/scores.json"), "utf8"));

const FILES = {
  "plain.jpg": "JPEG, 4:2:0",
  "full.jpg": "JPEG, 4:4:4",
  "halved.jpg": "JPEG, 4:2:2",
  "halved_downwards.jpg": "JPEG, 4:4:0, odd size",
  "restarts.jpg": "JPEG, 4:2:0, odd size, restart markers",
  "progressive.jpg": "JPEG, progressive",
  "grey.jpg": "JPEG, grey",
  "p3.jpg": "JPEG, Display P3",
  "adobe.jpg": "JPEG, Adobe RGB",
  "turned.jpg": "JPEG, Display P3, EXIF orientation",
  "cmyk.jpg": "JPEG, CMYK",
  "ycck.jpg": "JPEG, YCCK",
  "p3.png": "PNG, Display P3",
  "gamma.png": "PNG, `gAMA`",
  "cicp.png": "PNG, `cICP` of Display P3",
  "turned.png": "PNG, EXIF orientation",
  "animated.png": "PNG, animated",
  "alpha.png": "PNG, alpha",
  "wide.png": "PNG, 16 bits",
  "wide_grey.png": "PNG, 16 bits, grey",
  "wide_alpha.png": "PNG, 16 bits, alpha",
  "wide_grey_alpha.png": "PNG, 16 bits, grey and alpha",
  "cmyk_as_rgb.png": "PNG of what PIL makes of the CMYK file",
  "ycck_as_rgb.png": "PNG of what PIL makes of the YCCK file",
  "p3.webp": "WebP, lossy, Display P3",
  "lossless.webp": "WebP, lossless, Adobe RGB",
  "turned.webp": "WebP, EXIF orientation",
  "alpha.webp": "WebP, alpha",
  "animated.webp": "WebP, animated",
  "plain.gif": "GIF",
  "animated.gif": "GIF, animated",
  "plain.bmp": "BMP",
};

/** What not every front end reads; the score of the first two is that of plain.bmp. */
const OTHERS = { "plain.tiff": "TIFF", "plain.ppm": "PNM", "plain.avif": "AVIF" };

/** Shares of a file that are no image; 1 stands for all but the last byte. */
const CUTS = [1, 0.9, 0.5, 0.1];

/** How far a score may be off: browsers convert CMYK themselves, and keep colours multiplied with WebP's alpha. */
const tolerance = (name, engine) =>
  name === "cmyk.jpg" || name === "ycck.jpg" || (name === "alpha.webp" && engine !== "chromium") ? 0.1 : 1e-4;

/** In the page: scores of files, or the messages of their errors, whole and cut off. */
async function judge({ names, cuts, folder }) {
  const { loadDetector } = await import("/dist/index.js");
  const detector = await loadDetector({ model: "/www/models/photos.onnx", stats: "/www/models/photos.itp.safetensors" });
  const outcome = (image) =>
    detector.detect(image).then(
      ({ score }) => score,
      ({ code, message }) => `${code}: ${message}`,
    );
  const found = {};
  for (const name of names) {
    const file = await (await fetch(`/tests/images/${folder}${name}`)).blob();
    found[name] = [await outcome(file)];
    for (const share of cuts) found[name].push(await outcome(file.slice(0, share === 1 ? file.size - 1 : share * file.size)));
  }
  detector.dispose();
  return found;
}

/** Differences from the command line's scores, by engine. */
const differences = {};
const others = {};

inEveryEngine((check, { engine }) => {
  check("every kind of image file has the command line's score, and is refused when it is cut off", async (page, t) => {
    const found = await page.evaluate(judge, { names: Object.keys(FILES), cuts: CUTS, folder: "colour/" });
    const wrong = [];
    differences[engine] = {};
    for (const [name, [score, ...cut]] of Object.entries(found)) {
      const difference = (differences[engine][name] = Math.abs(score - scores[name]));
      if (!(difference <= tolerance(name, engine))) wrong.push(`${name}: ${score}, not ${scores[name]}`);
      cut.forEach((outcome, i) => {
        // Of a GIF file the first frame counts, which ends before its last byte, and in an animation long before.
        const isWhole = name.endsWith(".gif") && CUTS[i] > (name === "plain.gif" ? 0.9 : 0.4);
        const isRight = isWhole ? outcome === score : /^image: .* is cut off/.test(outcome);
        if (!isRight) wrong.push(`${name}, ${CUTS[i]} of it: ${outcome}`);
      });
    }
    t.diagnostic(`${engine}: ${JSON.stringify(differences[engine])}`);
    assert.deepEqual(wrong, []);
  });

  check("other formats have the right score, or are an error that says so", async (page, t) => {
    const found = await page.evaluate(judge, { names: Object.keys(OTHERS), cuts: [], folder: "" });
    others[engine] = Object.fromEntries(Object.entries(found).map(([name, [outcome]]) => [name, outcome]));
    t.diagnostic(`${engine}: ${JSON.stringify(others[engine])}`);
    for (const [name, outcome] of Object.entries(others[engine])) {
      if (typeof outcome === "string") assert.match(outcome, /^image: The image can't be decoded/, name);
      // AVIF files are never quite lossless here.
      else assert.ok(Math.abs(outcome - scores["plain.bmp"]) <= (name === "plain.avif" ? 0.2 : 1e-4), `${name}: ${outcome}`);
    }
  });
});

const page = at("docs/datasets.md");
const [START, END] = ["<!-- inputs: written by tests/engines/inputs.test.mjs -->\n", "<!-- end of inputs -->"];

/** The table as it was just measured. */
function write() {
  const off = (value) => (value < 1e-6 ? "0" : value.toExponential(0));
  const row = (...cells) => `| ${cells.join(" | ")} |`;
  const rows = Object.entries(FILES).map(([name, what]) =>
    row(what, scores[name].toFixed(5), ...ENGINES.map((engine) => off(differences[engine][name])), "refused by all"),
  );
  const ofOthers = Object.entries(OTHERS).map(([name, what]) => {
    const cells = ENGINES.map((engine) => others[engine][name]).map((outcome) =>
      typeof outcome === "string" ? "refused" : off(Math.abs(outcome - scores["plain.bmp"])),
    );
    return row(what, name === "plain.avif" ? "refused" : scores["plain.bmp"].toFixed(5), ...cells, "");
  });
  const head = [row("file", "command line", "Chromium", "Firefox", "WebKit", "cut off"), "|---|---|---|---|---|---|"];
  const [before, rest] = readFileSync(page, "utf8").split(START);
  writeFileSync(page, `${before}${START}\n${[...head, ...rows, ...ofOthers].join("\n")}\n\n${END}${rest.split(END)[1]}`);
}

test("the table names every file", () => {
  if (process.env.ITP_BLESS && ENGINES.every((engine) => others[engine])) write();
  assert.deepEqual(Object.keys(FILES).sort(), Object.keys(scores).sort());
  const table = readFileSync(page, "utf8").split(START)[1].split(END)[0];
  const rows = table.split("\n").filter((row) => row.startsWith("| "));
  assert.deepEqual(
    rows.slice(1).map((row) => row.split(" | ")[0].slice(2)),
    Object.values({ ...FILES, ...OTHERS }),
  );
});
