// Finds the browser of the tests, or installs one. `ITP_BROWSER` names it: chromium (the default),
// firefox or webkit.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import * as playwright from "playwright-core";

const KINDS = { chromium: playwright.chromium, firefox: playwright.firefox, webkit: playwright.webkit };
const CHROMIUMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The browser's name. */
export const kind = process.env.ITP_BROWSER || "chromium";
if (!(kind in KINDS)) throw new Error(`ITP_BROWSER is "${kind}"; it may be ${Object.keys(KINDS).join(", ")}`);

/**
 * The path of an installed browser, or undefined: for Chromium `CHROMIUM_PATH` or the
 * distribution's, then what `npx playwright-core install` has put in its place.
 */
export function findBrowser() {
  if (kind === "chromium") {
    const given = process.env.CHROMIUM_PATH;
    if (given) return existsSync(given) ? given : undefined;
    for (const name of CHROMIUMS) {
      const { status, stdout } = spawnSync("which", [name], { encoding: "utf8" });
      if (status === 0) return stdout.trim();
    }
  }
  const own = KINDS[kind].executablePath();
  return existsSync(own) ? own : undefined;
}

/** Installs Chromium where that needs no questions: as root on a distribution with apt-get. */
export function installBrowser() {
  const isRoot = process.getuid?.() === 0;
  if (kind !== "chromium" || !isRoot || spawnSync("which", ["apt-get"]).status !== 0) return false;
  const apt = (...args) =>
    spawnSync("apt-get", args, { stdio: "inherit", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } }).status === 0;
  return apt("update", "-qq") && apt("install", "-y", "-qq", "--no-install-recommends", "chromium");
}

/** Why browser tests are skipped, for node:test's `skip` option; false where they can run. */
export const noBrowser = findBrowser()
  ? false
  : `no ${kind}: run \`npx playwright-core install --with-deps ${kind}\`${kind === "chromium" ? ", or set CHROMIUM_PATH" : ""}`;

/** Starts the browser without a window; close it after the tests. */
export function launchBrowser({ args = CHROMIUM_ARGS, ...options } = {}) {
  return KINDS[kind].launch({ executablePath: findBrowser(), args: kind === "chromium" ? args : [], ...options });
}

/** Collects what a page logs as errors, its failed requests and its uncaught exceptions. */
export function watchErrors(page) {
  const errors = [];
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => errors.push(`uncaught: ${error.message}`));
  page.on("requestfailed", (request) => errors.push(`request: ${request.url()} ${request.failure()?.errorText}`));
  page.on("response", (response) => {
    if (response.status() >= 400) errors.push(`response: ${response.url()} ${response.status()}`);
  });
  return errors;
}
