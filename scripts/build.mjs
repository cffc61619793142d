// Builds the package and the page.
//
//   node scripts/build.mjs             the package (dist/) and the page (target/site/)
//   node scripts/build.mjs lib         the package only
//   node scripts/build.mjs single      the page as one HTML file (target/single/)
//   --dev                              with the engine that compiles faster, as `npm start` does

import { copyFileSync, existsSync, rmSync } from "node:fs";
import { at, ensurePackages, ensureRust, main, run, runTool, stage } from "./lib/tools.mjs";

/** Builds the npm package into dist/, with the engine that ships or the one that compiles faster. */
export async function buildLib({ release = false } = {}) {
  await ensureRust();
  await ensurePackages();
  await stage("engine", () => run("cargo", ["xtask", "engine", ...(release ? ["--opt"] : [])]));
  await stage("package", async () => {
    // A file that has been renamed or removed must not stay in the package.
    rmSync(at("dist"), { recursive: true, force: true });
    await runTool("typescript", ["-p", "tsconfig.lib.json"]);
    for (const name of ["engine.js", "engine.d.ts", "engine.wasm", "engine-relaxed.wasm"])
      copyFileSync(at("www/lib", name), at("dist", name));
  });
}

/** Builds the page into target/site/ or, as a single file, into target/single/. */
export async function buildSite({ single = false } = {}) {
  if (!existsSync(at("www/demo"))) return;
  await stage(single ? "page in one file" : "page", async () => {
    const { bundle } = await import("./lib/bundle.mjs");
    await bundle({ single });
  });
}

if (process.argv[1] === import.meta.filename) {
  const words = process.argv.slice(2);
  const what = words.find((word) => !word.startsWith("-")) ?? "site";
  await main(async () => {
    await buildLib({ release: !words.includes("--dev") });
    if (what !== "lib") await buildSite({ single: what === "single" });
  });
}
