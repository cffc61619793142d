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

const folder = at("target/python");

const pip = (own, args, options) => run(own, ["-m", "pip", ...args, "--quiet", "--disable-pip-version-check"], { quiet: true, ...options });

/** The interpreter of the tests' environment, with what they need beside the wheel; undefined if that can't be installed. */
export async function environment(python) {
  const own = join(folder, process.platform === "win32" ? "venv/Scripts" : "venv/bin", "python");
  if (!existsSync(own)) await run(python, ["-m", "venv", join(folder, "venv")], { quiet: true });
  linkPackages(python, own);
  const { code } = await pip(own, ["install", ...REQUIREMENTS], { allowFailure: true });
  return code === 0 ? own : undefined;
}

/** Builds the wheel and installs it. */
export async function installWheel(own) {
  const wheels = join(folder, "wheels");
  rmSync(wheels, { recursive: true, force: true });
  // Where pip has its own environment for the build, maturin is fetched anew each time.
  await pip(own, ["wheel", "--no-deps", "--wheel-dir", wheels, "."]);
  const [wheel] = readdirSync(wheels);
  await pip(own, ["install", "--force-reinstall", "--no-deps", join(wheels, wheel)]);
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
