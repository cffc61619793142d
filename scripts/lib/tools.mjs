// What the scripts share: running commands and printing stages.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** A path inside the repository. */
export const at = (...parts) => join(root, ...parts);

/** A command that did not end well. */
export class CommandFailed extends Error {}

/**
 * Runs a command in the root, its output shown; `capture` also returns it, `quiet` only does that.
 * @returns {Promise<{ code: number, output: string }>}
 */
export function run(command, args = [], { capture = false, quiet = false, allowFailure = false, env = {}, cwd = root } = {}) {
  const stdio = capture || quiet ? "pipe" : "inherit";
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", stdio, stdio],
    });
    let output = "";
    for (const [stream, shown] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      stream?.on("data", (chunk) => {
        output += chunk;
        if (!quiet) shown.write(chunk);
      });
    }
    child.on("error", (error) => reject(new CommandFailed(`${command} could not be started: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0 || allowFailure) resolve({ code: code ?? 1, output });
      else reject(new CommandFailed(`${quiet ? output : ""}${[command, ...args].join(" ")} ended with ${signal ?? code}`));
    });
  });
}

/** What a command prints, or undefined if it can't be run. */
export function ask(command, args = []) {
  const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/** Runs a tool of node_modules. */
export const runTool = (name, args = [], options) => {
  const { bin } = JSON.parse(readFileSync(at("node_modules", name, "package.json"), "utf8"));
  const script = typeof bin === "string" ? bin : (bin[name.split("/").pop()] ?? Object.values(bin)[0]);
  return run(process.execPath, [at("node_modules", name, script), ...args], options);
};

/** Prints a stage's name and, when it is over, how long it took. */
export async function stage(name, work) {
  const start = performance.now();
  console.log(`\n== ${name}`);
  const result = await work();
  console.log(`-- ${name}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

/** Makes node_modules agree with the lockfile. */
export async function ensurePackages() {
  const installed = at("node_modules/.package-lock.json");
  const fresh = existsSync(installed) && statSync(installed).mtimeMs >= statSync(at("package-lock.json")).mtimeMs;
  if (!fresh) await stage("npm ci", () => run("npm", ["ci", "--no-audit", "--no-fund"]));
}

/** Makes sure that there is a Rust compiler with the WebAssembly target. */
export async function ensureRust() {
  if (!ask("cargo", ["--version"])) {
    throw new CommandFailed("cargo was not found. Install Rust from https://rustup.rs and run this again.");
  }
  // rust-toolchain.toml names the target, and rustup installs it; another installation must have it.
  const targets = ask("rustup", ["target", "list", "--installed"]);
  if (targets !== undefined && !targets.includes("wasm32-unknown-unknown")) {
    await stage("rustup target add", () => run("rustup", ["target", "add", "wasm32-unknown-unknown"]));
  }
}

/** Runs a script's main function; an expected failure is printed without a stack. */
export async function main(work) {
  try {
    await work();
  } catch (error) {
    console.error(error instanceof CommandFailed ? `\n${error.message}` : error);
    process.exitCode = 1;
  }
}
