// `npm run check`: formatting, lints, documentation, types, and the package as it would be published.

import { readFileSync, rmSync } from "node:fs";
import { buildLib, buildSite } from "./build.mjs";
import { Tally } from "./lib/tally.mjs";
import { at, CommandFailed, ensurePackages, main, run, runTool, stage } from "./lib/tools.mjs";

const tally = new Tally();

/** Runs one check; a failure lets the others run. */
async function check(name, work) {
  await stage(name, async () => {
    try {
      await work();
      tally.passed++;
    } catch (error) {
      if (!(error instanceof CommandFailed)) throw error;
      console.error(`FAILED: ${error.message}`);
      tally.fail(name);
    }
  });
}

const PACKED = ["dist/", "package.json", "README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/** The package holds what it must, no more, and its two engines. */
async function packedFiles() {
  const { output } = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts", "--loglevel=error"], { capture: true });
  const [{ files, size, unpackedSize }] = JSON.parse(output.slice(output.indexOf("[")));
  const names = files.map(({ path }) => path);
  const wrong = names.filter((name) => !PACKED.some((allowed) => name === allowed || (allowed.endsWith("/") && name.startsWith(allowed))));
  const { exports } = JSON.parse(readFileSync(at("package.json"), "utf8"));
  const needed = ["README.md", ...Object.values(exports).flatMap((entry) => Object.values(typeof entry === "string" ? { entry } : entry))];
  const missing = needed.map((path) => path.replace(/^\.\//, "")).filter((path) => !names.includes(path));
  const engines = names.filter((name) => name.endsWith(".wasm"));
  if (wrong.length || missing.length || engines.length !== 2) {
    throw new CommandFailed(`the package would hold ${JSON.stringify({ wrong, missing, engines })}`);
  }
  console.log(`${names.length} files, ${size} bytes packed, ${unpackedSize} unpacked`);
}

await main(async () => {
  await ensurePackages();
  await check("cargo fmt", () => run("cargo", ["fmt", "--all", "--check"]));
  await check("prettier", () => runTool("prettier", ["--check", "."]));
  await check("clippy", () => run("cargo", ["clippy", "--release", "--all-targets", "--workspace", "--", "-D", "warnings"]));
  await check("clippy for wasm32", () =>
    run(
      "cargo",
      "clippy --profile wasm --lib --package itp-ood-wasm --package itp-ood-bench --target wasm32-unknown-unknown -- -D warnings".split(
        " ",
      ),
    ),
  );
  await check("cargo doc", () =>
    run("cargo", ["doc", "--release", "--no-deps", "--lib", "--workspace", "--exclude", "xtask"], { env: { RUSTDOCFLAGS: "-D warnings" } }),
  );
  await check("types of the page and the tests", () => runTool("typescript", ["-p", "tsconfig.json"]));
  await check("eslint", () => runTool("eslint", [".", "--max-warnings", "0"]));
  await check("typedoc", () => runTool("typedoc", []));
  await check("the package as released", () => buildLib({ release: true }));
  await check("the page", () => buildSite());
  await check("sizes", () => runTool("size-limit"));
  await check("own operators against tract's", () => run("node", ["bench/guard.mjs"]));
  await check("packed files", packedFiles);
  const tarball = at("target", `itp-ood-${JSON.parse(readFileSync(at("package.json"), "utf8")).version}.tgz`);
  await check("npm pack", () => run("npm", ["pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", "target"]));
  await check("publint", () => runTool("publint", ["run", tarball, "--strict"]));
  await check("are the types wrong", () =>
    runTool("@arethetypeswrong/cli", [tarball, "--profile", "esm-only", "--exclude-entrypoints", "engine.wasm", "engine-relaxed.wasm"]),
  );
  rmSync(tarball, { force: true });
  tally.save("checks");
  tally.print();
  if (tally.failed > 0) process.exitCode = 1;
});
