// The Python package: its wheel, built and installed into an environment of its own, and pytest.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask, at, run } from "./tools.mjs";

/** What the tests need beside the wheel. PyTorch is taken from the interpreter's own packages, where it has it. */
const REQUIREMENTS = ["pytest", "pillow", "tqdm", "ray[data]", "dask[distributed]"];

const candidates = [process.env.ITP_PYTHON, "python3", "python"].filter(Boolean);

/** An interpreter that is new enough and can make environments, or undefined. `ITP_PYTHON` names one. */
export const findPython = () =>
  candidates.find((python) => ask(python, ["-c", "import sys, venv, ensurepip; print(sys.version_info >= (3, 10))"]) === "True");

/** Builds the wheel and installs it; gives the environment's interpreter. */
export async function installWheel(python) {
  const folder = at("target/python");
  const wheels = join(folder, "wheels");
  const bin = join(folder, process.platform === "win32" ? "venv/Scripts" : "venv/bin");
  const own = join(bin, "python");
  if (!existsSync(own)) await run(python, ["-m", "venv", join(folder, "venv")], { quiet: true });
  linkPackages(python, own);
  const pip = (...args) => run(own, ["-m", "pip", ...args, "--quiet", "--disable-pip-version-check"], { quiet: true });
  await pip("install", ...REQUIREMENTS);
  rmSync(wheels, { recursive: true, force: true });
  // Where pip has its own environment for the build, maturin is fetched anew each time.
  await pip("wheel", "--no-deps", "--wheel-dir", wheels, ".");
  const [wheel] = readdirSync(wheels);
  await pip("install", "--force-reinstall", "--no-deps", join(wheels, wheel));
  return own;
}

/** Lets the environment find what the interpreter has, such as PyTorch, which would take gigabytes a second time. */
function linkPackages(python, own) {
  const where = ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"];
  const [theirs, ours] = [ask(python, where), ask(own, where)];
  if (theirs && ours && theirs !== ours) writeFileSync(join(ours, "interpreter.pth"), `${theirs}\n`);
}

/** Runs tests/python, adds its results to the tally, and gives its output. */
export async function pytest(python, tally) {
  mkdirSync(at("target/reports"), { recursive: true });
  const report = at("target/reports/python.xml");
  rmSync(report, { force: true });
  const { code, output } = await run(python, ["-m", "pytest", `--junitxml=${report}`], { quiet: true, allowFailure: true });
  tally.addJUnit(existsSync(report) ? readFileSync(report, "utf8") : "", code);
  return output;
}
