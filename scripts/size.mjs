// The sizes of what a browser downloads (one of the engines), beside those of onnxruntime-web, and the budget.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { constants, brotliCompressSync, gzipSync } from "node:zlib";
import { at, CommandFailed, main } from "./lib/tools.mjs";

/** At most, in bytes. */
const BUDGET = {
  "engine.wasm": { raw: 7_200_000, brotli: 1_600_000 },
  "engine-relaxed.wasm": { raw: 7_200_000, brotli: 1_600_000 },
  "JavaScript, bundled and minified": { gzip: 12_000 },
};

function sizesOf(bytes) {
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = constants;
  const params = { [BROTLI_PARAM_QUALITY]: 11, [BROTLI_PARAM_LGWIN]: 24, [BROTLI_PARAM_SIZE_HINT]: bytes.length };
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes, { params }).length };
}

/** What a browser loads with a worker, minified: every file of the package once. */
async function bundledJavaScript() {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    entryPoints: [at("dist/index.js"), at("dist/worker.js")],
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    write: false,
    outdir: "out",
    logLevel: "error",
  });
  return Buffer.concat(outputFiles.map(({ contents }) => contents));
}

await main(async () => {
  const names = readdirSync(at("dist")).filter((name) => name.endsWith(".js") && !/^(node|worker-node)\.js$/.test(name));
  const rows = {
    "engine.wasm": sizesOf(readFileSync(at("dist/engine.wasm"))),
    "engine-relaxed.wasm": sizesOf(readFileSync(at("dist/engine-relaxed.wasm"))),
    "JavaScript, as published": sizesOf(Buffer.concat(names.map((name) => readFileSync(at("dist", name))))),
    "JavaScript, bundled and minified": sizesOf(await bundledJavaScript()),
  };
  const peer = at("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");
  if (existsSync(peer) && process.argv.includes("--peer")) rows["ort-wasm-simd-threaded.wasm"] = sizesOf(readFileSync(peer));
  console.table(rows);
  const over = Object.entries(BUDGET).flatMap(([name, limits]) =>
    Object.entries(limits)
      .filter(([kind, limit]) => rows[name][kind] > limit)
      .map(([kind, limit]) => `${name} has ${rows[name][kind]} bytes (${kind}), over its budget of ${limit}`),
  );
  if (over.length > 0) throw new CommandFailed(over.join("\n"));
});
