// `npm run zoo`: makes the small classifiers of tests/zoo/models and their logits again.
// `npm run zoo -- --full`: measures full-size ones and writes the table of docs/models.md.
//
// `npm run zoo -- --families`: makes the models of docs/performance.md's table of families, measures them natively.
//
//   --full            hours, gigabytes of packages; what is measured already is kept
//   --folder FOLDER   where models, results and packages go (a folder itp-ood-zoo beside temporary files)
//   WORD ...          only models whose name holds a word

import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { at, CommandFailed, ensureRust, main, run, stage } from "./lib/tools.mjs";

const bin = (environment, name) => join(environment, process.platform === "win32" ? "Scripts" : "bin", name);

/** A Python environment with the packages of the small zoo, or with more. */
async function python(folder, name, ...packages) {
  const environment = join(folder, name);
  const interpreter = process.env.ZOO_PYTHON ?? "python3";
  if (!existsSync(bin(environment, "installed"))) {
    await stage(`Python packages, ${name}`, async () => {
      await run(interpreter, ["-m", "venv", environment]);
      await run(bin(environment, "python"), ["-m", "pip", "install", "--quiet", ...packages]);
      await run(bin(environment, "python"), ["-c", `open(${JSON.stringify(bin(environment, "installed"))}, "w").close()`]);
    });
  }
  return bin(environment, "python");
}

await main(async () => {
  const { values, positionals: words } = parseArgs({
    allowPositionals: true,
    options: { full: { type: "boolean" }, families: { type: "boolean" }, folder: { type: "string" } },
  });
  const folder = resolve(values.folder ?? join(tmpdir(), "itp-ood-zoo"));
  if (!folder.startsWith(at("target")) && folder.startsWith(at(".")))
    throw new CommandFailed(`${folder} is inside the repository; give another --folder`);
  mkdirSync(folder, { recursive: true });
  const small = await python(folder, "python", "-r", at("tests/zoo/requirements.txt"));
  if (!values.full && !values.families) return void (await stage("small zoo", () => run(small, [at("tests/zoo/make.py"), ...words])));

  await ensureRust();
  await stage("engine", () => run("cargo", ["build", "--release", "--workspace", "--exclude", "xtask", "--examples"]));
  const logits = at("target/release/examples/logits");
  if (values.families) {
    const models = join(folder, "families");
    await stage("families", () => run(small, [at("tests/zoo/families.py"), models, logits, ...words]));
    return console.log(`In WebAssembly: npm run bench -- --folder=${models}`);
  }
  const keras = await python(folder, "python-keras", "-r", at("tests/zoo/requirements-keras.txt"));
  const env = { ZOO_KERAS_PYTHON: keras };
  await stage("full-size zoo", () => run(small, [at("tests/zoo/full.py"), folder, logits, ...words], { env }));
  await run(small, [at("tests/zoo/table.py"), join(folder, "results.jsonl")]);
});
