// The package as others use it: packed, installed, built by their tools, opened in Chromium. Each
// output holds the engine once.

import assert from "node:assert/strict";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { noBrowser } from "../../scripts/lib/browser.mjs";
import { run, runTool } from "../../scripts/lib/tools.mjs";
import { app, assertBothEngines, assertVerdict, consumer, html, image, verdictAt, verdictOf } from "./support.mjs";

const skip = noBrowser;

test("webpack 5 with an empty configuration", { skip }, async () => {
  const { directory, expected, addFiles } = await consumer("webpack", { files: { "src/index.js": app("app.js") } });
  const { default: webpack } = await import("webpack");
  const stats = await new Promise((resolve, reject) =>
    webpack({ context: directory, mode: "production", output: { path: join(directory, "dist") } }, (error, done) =>
      error ? reject(error) : resolve(done),
    ),
  );
  // An engine of this size is above webpack's recommendation for any asset.
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
  const problems = [...errors, ...warnings]
    .map(({ message }) => message)
    .filter((message) => !/^(asset|entrypoint) size limit|^webpack performance/.test(message));
  assert.deepEqual(problems, []);
  const out = join(directory, "dist");
  assertBothEngines(out);
  writeFileSync(join(out, "index.html"), html("./main.js"));
  addFiles(out);
  assertVerdict(await verdictOf(out), expected);
});

test("Vite, built and in development", { skip }, async () => {
  const { directory, expected, addFiles } = await consumer("vite", {
    files: {
      "app.js": app("app.js"),
      "index.html": html("./app.js"),
      "vite.config.js": 'export default { base: "./", optimizeDeps: { exclude: ["itp-ood"] } };\n',
    },
  });
  addFiles(join(directory, "public"));
  const vite = await import("vite");
  await vite.build({ root: directory, logLevel: "warn" });
  assertBothEngines(join(directory, "dist"));
  assertVerdict(await verdictOf(join(directory, "dist")), expected);

  const server = await vite.createServer({ root: directory, logLevel: "warn", server: { port: 0, host: "127.0.0.1" } });
  try {
    await server.listen();
    assertVerdict(await verdictAt(`http://127.0.0.1:${server.httpServer.address().port}/`), expected);
  } finally {
    await server.close();
  }
});

const CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; img-src 'self' data:";

/** A page without any build step: the package's files are served as they are. */
async function plainPage(name) {
  const made = await consumer(name);
  const out = join(made.directory, "site");
  cpSync(join(made.directory, "node_modules/itp-ood/dist"), join(out, "itp-ood"), { recursive: true });
  writeFileSync(join(out, "app.js"), app("app.js").replace('"itp-ood"', '"./itp-ood/index.js"'));
  writeFileSync(join(out, "index.html"), html("./app.js"));
  made.addFiles(out);
  return { ...made, out };
}

test("a plain page under a strict Content-Security-Policy, silent after loading", { skip }, async () => {
  const { out, expected } = await plainPage("plain");
  const verdict = await verdictOf(out, {
    headers: { "content-security-policy": CSP },
    inPage: async (page, server) => {
      assert.equal(await page.evaluate(() => globalThis.crossOriginIsolated), false);
      assert.equal(server.requests.filter((path) => path.endsWith(".wasm")).length, 1);
      const before = server.requests.length;
      const indices = await page.evaluate(async () => {
        const { detector } = globalThis;
        const image = new ImageData(40, 30);
        const result = await detector.detect(image);
        await detector.explain(result);
        const seen = [];
        // The batch starts a second worker, whose script is then loaded again.
        for await (const { index } of detector.detectAll([image, image, image], { concurrency: 1 })) seen.push(index);
        return seen;
      });
      assert.deepEqual(indices, [0, 1, 2]);
      assert.deepEqual(server.requests.slice(before), []);
    },
  });
  assertVerdict(verdict, expected);
});

test("every kind of image in a browser", { skip }, async () => {
  const { out, expected } = await plainPage("inputs");
  await verdictOf(out, {
    inPage: async (page) => {
      const scores = await page.evaluate(async () => {
        const { detector } = globalThis;
        const blob = await (await fetch("image.png")).blob();
        const element = new Image();
        element.src = "image.png";
        const bitmap = await createImageBitmap(blob);
        const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
        const context = canvas.getContext("2d");
        context.drawImage(bitmap, 0, 0);
        const offscreen = new OffscreenCanvas(bitmap.width, bitmap.height);
        offscreen.getContext("2d").drawImage(bitmap, 0, 0);
        const imageData = context.getImageData(0, 0, bitmap.width, bitmap.height);
        const frame = new VideoFrame(bitmap, { timestamp: 0 });
        const inputs = {
          blob,
          file: new File([blob], "image.png"),
          text: "image.png",
          url: new URL("image.png", location.href),
          element,
          canvas,
          offscreen,
          imageData,
          frame,
          bitmap,
        };
        const results = {};
        for (const [name, input] of Object.entries(inputs)) {
          results[name] = await detector.detect(input).then(
            ({ score }) => score,
            (error) => `${error.code}: ${error.message}`,
          );
        }
        // The caller's own bitmap is still whole.
        results.bitmapAgain = (await detector.detect(bitmap)).score;
        return results;
      });
      for (const [name, score] of Object.entries(scores)) {
        // A frame may pass through YUV and back.
        const tolerance = name === "frame" ? 2e-2 : 1e-4;
        assert.ok(Math.abs(score - expected.score) <= tolerance * Math.abs(expected.score), `${name}: ${score}, not ${expected.score}`);
      }
    },
  });
});

test("the calling thread leaves the caller's bitmap open; what an iframe made is as good", { skip }, async () => {
  const { out, expected } = await plainPage("local");
  await verdictOf(out, {
    inPage: async (page) => {
      const found = await page.evaluate(async () => {
        const { loadDetector } = await import("./itp-ood/index.js");
        const frame = document.body.appendChild(document.createElement("iframe"));
        const other = frame.contentWindow;
        const bytes = async (name, Type) => new Type(await (await fetch(name)).arrayBuffer());
        const model = await bytes("model.onnx", other.Uint8Array);
        const detector = await loadDetector({
          model,
          stats: new other.Blob([await bytes("model.itp.safetensors", Uint8Array)]),
          worker: false,
        });
        const blob = new other.Blob([await bytes("image.png", Uint8Array)]);
        const bitmap = await createImageBitmap(blob);
        const canvas = Object.assign(other.document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
        canvas.getContext("2d").drawImage(bitmap, 0, 0);
        const imageData = canvas.getContext("2d").getImageData(0, 0, bitmap.width, bitmap.height);
        const element = new other.Image();
        element.src = URL.createObjectURL(blob);
        const url = new other.URL("image.png", location.href);
        const scores = {};
        for (const [name, input] of Object.entries({ blob, bitmap, again: bitmap, canvas, imageData, element, url })) {
          const result = await detector.detect(input, { signal: new other.AbortController().signal }).catch((error) => error);
          scores[name] = result.score ?? result.message;
        }
        const aborted = await detector.detect(bitmap, { signal: other.AbortSignal.abort() }).catch(({ code }) => code);
        return { scores, width: bitmap.width, aborted };
      });
      assert.ok(found.width > 0);
      assert.equal(found.aborted, "aborted");
      for (const [name, score] of Object.entries(found.scores)) {
        assert.ok(Math.abs(score - expected.score) <= 1e-4 * Math.abs(expected.score), `${name}: ${score}, not ${expected.score}`);
      }
    },
  });
});

test("a service worker, which knows no import()", { skip }, async () => {
  const { out, expected } = await plainPage("service-worker");
  writeFileSync(
    join(out, "service.js"),
    `import { loadDetector } from "./itp-ood/index.js";
     self.addEventListener("message", ({ data, ports: [port] }) => {
       const work = async () => {
         const detector = await loadDetector({ model: "model.onnx", stats: "model.itp.safetensors", worker: false });
         const { score } = await detector.detect(data);
         const started = await loadDetector({ model: "model.onnx", stats: "model.itp.safetensors" }).catch((error) => error.code + ": " + error.message);
         detector.dispose();
         return { score, started };
       };
       work().catch((error) => ({ error: error.code + ": " + error.message })).then((answer) => port.postMessage(answer));
     });`,
  );
  await verdictOf(out, {
    inPage: async (page) => {
      const answer = await page.evaluate(async () => {
        const registration = await navigator.serviceWorker.register("./service.js", { type: "module" });
        const blob = await (await fetch("image.png")).blob();
        const { active } = await navigator.serviceWorker.ready;
        const { port1, port2 } = new MessageChannel();
        const answered = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
        active.postMessage(blob, [port2]);
        const answer = await answered;
        await registration.unregister();
        return answer;
      });
      assert.equal(answer.error, undefined);
      assert.ok(Math.abs(answer.score - expected.score) <= 1e-4 * Math.abs(expected.score));
      // There are no workers in a service worker: the error says what to pass.
      assert.match(answer.started, /^engine: .*`worker: false`/);
    },
  });
});

test("images that can't be decoded in a browser, and the next one that can", { skip }, async () => {
  const { out } = await plainPage("broken");
  await verdictOf(out, {
    inPage: async (page) => {
      const codes = await page.evaluate(async () => {
        const { detector } = globalThis;
        const blob = await (await fetch("image.png")).blob();
        const half = blob.slice(0, 40, "image/png");
        const text = new Blob(["no image at all"], { type: "image/png" });
        const gone = new Image();
        const inputs = [
          new Blob([]),
          half,
          text,
          gone,
          document.createElement("video"),
          Object.assign(document.createElement("canvas"), { width: 0 }),
          document.body,
        ];
        const found = [];
        for (const input of inputs)
          found.push(
            await detector.detect(input).then(
              () => "fine",
              (error) => error.code,
            ),
          );
        found.push(await detector.detect(blob).then(() => "fine"));
        return found;
      });
      assert.deepEqual(codes, ["image", "image", "image", "image", "image", "image", "image", "fine"]);
    },
  });
});

test("a worker that dies in a browser is replaced", { skip }, async () => {
  const { out } = await plainPage("crash");
  writeFileSync(
    join(out, "hostile.js"),
    `const kept = [];
     self.addEventListener("message", (event) => {
       if (event.data.name === "idScores") { event.stopImmediatePropagation(); throw new Error("hostile"); }
       globalThis.onmessage ? undefined : kept.push(event);
     });
     import("./itp-ood/worker.js").then(() => kept.splice(0).forEach((event) => self.onmessage(event)));`,
  );
  await verdictOf(out, {
    expectedErrors: /hostile|missing\.js|404/,
    inPage: async (page) => {
      const outcome = await page.evaluate(async () => {
        const { loadDetector } = await import("./itp-ood/index.js");
        let started = 0;
        const worker = () => (started++, new Worker("./hostile.js", { type: "module" }));
        const detector = await loadDetector({ model: "model.onnx", stats: "model.itp.safetensors", worker });
        const image = new ImageData(20, 20);
        const { score } = await detector.detect(image);
        const calls = await Promise.allSettled([detector.idScores("itp"), detector.detect(image)]);
        const next = await detector.detect(image);
        const missing = await loadDetector({
          model: "model.onnx",
          stats: "model.itp.safetensors",
          worker: () => new Worker("./missing.js", { type: "module" }),
        }).catch((error) => error.code);
        return {
          started,
          code: calls[0].reason?.code,
          message: calls[0].reason?.message,
          waiting: calls[1].value?.score === score,
          next: next.score === score,
          missing,
        };
      });
      assert.deepEqual(outcome, { ...outcome, started: 2, code: "crashed", waiting: true, next: true, missing: "engine" });
      assert.match(outcome.message, /hostile.*replaced/);
    },
  });
});

test("esbuild, with worker and engine beside the bundle", { skip }, async () => {
  const { directory, expected, addFiles } = await consumer("esbuild", { files: { "app.js": app("app.js") } });
  const { build } = await import("esbuild");
  const out = join(directory, "out");
  await build({
    absWorkingDir: directory,
    entryPoints: { app: "app.js", worker: "itp-ood/worker" },
    bundle: true,
    minify: true,
    format: "esm",
    outdir: out,
    logLevel: "warning",
  });
  for (const name of ["engine.wasm", "engine-relaxed.wasm"]) cpSync(join(directory, "node_modules/itp-ood/dist", name), join(out, name));
  assertBothEngines(out);
  writeFileSync(join(out, "index.html"), html("./app.js"));
  addFiles(out);
  assertVerdict(await verdictOf(out), expected);
});

test("Node, as an ES module", async () => {
  const { directory, expected, addFiles } = await consumer("node", {
    files: {
      "app.mjs": `import { readFileSync } from "node:fs";
import { loadDetector } from "itp-ood";
const detector = await loadDetector({ model: "./model.onnx", stats: new URL("./model.itp.safetensors", import.meta.url) });
const image = JSON.parse(readFileSync("image.json", "utf8"));
const { label, score } = await detector.detect({ ...image, data: Uint8Array.from(image.data) });
console.log(JSON.stringify({ label, score, engine: import.meta.resolve("itp-ood/engine.wasm") }));
`,
    },
  });
  addFiles(directory);
  writeFileSync(join(directory, "image.json"), JSON.stringify({ ...image, data: [...image.data] }));
  // The detector is not disposed of: an idle worker must not keep the process alive.
  const { output } = await run(process.execPath, ["app.mjs"], { cwd: directory, capture: true });
  const { label, score, engine } = JSON.parse(output);
  assert.equal(label, expected.label);
  assert.equal(score, expected.score);
  assert.match(engine, /node_modules\/itp-ood\/dist\/engine\.wasm$/);
});

const TYPESCRIPT = `import { loadDetector, OodError, type Detection, type Input } from "itp-ood";
export async function main(image: Input, signal: AbortSignalLike): Promise<string> {
  using detector = await loadDetector({ model: "model.onnx", stats: new Uint8Array(8), worker: false });
  const result: Detection = await detector.detect(image, { p: 10 });
  for await (const { detection, error } of detector.detectAll([image])) {
    if (error instanceof OodError) console.log(error.code satisfies string);
    else console.log(detection?.label satisfies string | undefined);
  }
  // @ts-expect-error a misspelt option
  await detector.rescore(result, { lamda: 1 });
  // @ts-expect-error no image
  await detector.detect({ width: 1 });
  return result.label;
}
declare const console: { log(text: string | undefined): void };
type AbortSignalLike = unknown;
`;

for (const [name, compilerOptions] of Object.entries({
  bundler: { module: "esnext", moduleResolution: "bundler", lib: ["es2022", "esnext.disposable", "dom"] },
  nodenext: { module: "nodenext", moduleResolution: "nodenext", lib: ["es2022"] },
})) {
  test(`TypeScript, moduleResolution ${name}, without skipLibCheck`, async () => {
    const { directory } = await consumer(`typescript-${name}`, {
      files: {
        "app.ts":
          name === "bundler" ? TYPESCRIPT.replace("declare const console: { log(text: string | undefined): void };\n", "") : TYPESCRIPT,
        "tsconfig.json": JSON.stringify({
          compilerOptions: { target: "es2022", strict: true, noEmit: true, types: [], skipLibCheck: false, ...compilerOptions },
          files: ["app.ts"],
        }),
      },
    });
    await runTool("typescript", ["-p", directory]);
  });
}

test(
  "Next.js, in a client component",
  { skip: skip || !process.env.ITP_NEXT ? skip || "set ITP_NEXT=1 to install Next.js and try it" : false },
  async () => {
    const { directory, tarball, expected, addFiles } = await consumer("next", {
      // As create-next-app makes it.
      manifest: { type: undefined },
      files: {
        "app/layout.js":
          "export default ({ children }) => (<html lang='en'><head><link rel='icon' href='data:,' /></head><body>{children}</body></html>);\n",
        "app/page.js": `"use client";
import { useEffect } from "react";
import { start } from "./app";
export default function Page() {
  useEffect(() => void start(), []);
  return <p>A consumer</p>;
}
`,
        "app/app.js": app("app.js").replace("\nmain().catch", "\nexport const start = () => main().catch"),
        // The repository around it has a lockfile, too.
        "next.config.js": 'module.exports = { output: "export", turbopack: { root: __dirname } };\n',
      },
    });
    addFiles(join(directory, "public"));
    // All at once: npm removes what it did not install itself.
    await run("npm", ["install", tarball, "next@16", "react@19", "react-dom@19", "--loglevel=error", "--no-audit", "--no-fund"], {
      cwd: directory,
    });
    await run(process.execPath, [join(directory, "node_modules/next/dist/bin/next"), "build"], {
      cwd: directory,
      env: { NEXT_TELEMETRY_DISABLED: "1" },
    });
    assertBothEngines(join(directory, "out"));
    assertVerdict(await verdictOf(join(directory, "out"), { base: "/" }), expected);
  },
);

test("the packed package holds each engine once", async () => {
  const { directory } = await consumer("contents");
  assertBothEngines(join(directory, "node_modules/itp-ood"));
});
