// Finds the browsers of the tests, installs what may be installed, and starts them. `ITP_BROWSER` names
// the one that the page's tests run in: chromium (the default) or firefox.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import * as playwright from "playwright-core";
import { findWebKit, launchWebKit, PACKAGES } from "./webkit.mjs";

const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const BROWSERS = {
  chromium: {
    packages: ["chromium"],
    find: () => installed("chromium", "CHROMIUM_PATH", ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]),
    hint: "run `npx playwright-core install --with-deps chromium`, or set CHROMIUM_PATH",
    launch: ({ args = CHROMIUM_ARGS, ...options }, executablePath) => playwright.chromium.launch({ executablePath, args, ...options }),
  },
  firefox: {
    packages: ["firefox-esr"],
    find: () => installed("firefox", "FIREFOX_PATH", ["firefox-esr", "firefox"]),
    hint: "install Firefox, or set FIREFOX_PATH",
    launch: (options, executablePath) =>
      playwright.firefox.launch({
        ...options,
        // Chromium's.
        args: [],
        executablePath,
        // One of Playwright's own builds, or any other.
        ...(executablePath !== own("firefox") && { channel: "moz-firefox" }),
        firefoxUserPrefs: {
          "media.navigator.streams.fake": true,
          "media.navigator.permission.disabled": true,
          ...options.firefoxUserPrefs,
        },
      }),
  },
  webkit: {
    packages: PACKAGES,
    find: findWebKit,
    hint: `install ${PACKAGES.join(", ")} (Debian's names)`,
    launch: () => launchWebKit(),
  },
};

/** Every browser engine that the package is tested in. */
export const ENGINES = Object.keys(BROWSERS);

/** The browser of the page's tests. */
export const kind = process.env.ITP_BROWSER || "chromium";
if (kind !== "chromium" && kind !== "firefox") throw new Error(`ITP_BROWSER is "${kind}"; it may be chromium or firefox`);

/**
 * The path of an installed browser, or undefined: what the environment names, the distribution's, then
 * what `npx playwright-core install` has put in its place.
 */
export function findBrowser(name = kind) {
  return BROWSERS[name].find();
}

function installed(name, variable, programs) {
  const given = process.env[variable];
  if (given) return existsSync(given) ? given : undefined;
  for (const program of programs) {
    const { status, stdout } = spawnSync("which", [program], { encoding: "utf8" });
    if (status === 0) return stdout.trim();
  }
  return existsSync(own(name)) ? own(name) : undefined;
}

const own = (name) => playwright[name].executablePath();

/** Installs the browsers that are missing where that needs no questions: as root on a distribution with apt-get. */
export function installBrowsers(names) {
  const missing = names.filter((name) => !findBrowser(name));
  if (missing.length === 0 || process.getuid?.() !== 0 || spawnSync("which", ["apt-get"]).status !== 0) return;
  const apt = (...args) =>
    spawnSync("apt-get", args, { stdio: "inherit", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } }).status === 0;
  if (!apt("update", "-qq")) return;
  // One by one: a distribution may have some of them only.
  for (const name of missing) apt("install", "-y", "-qq", "--no-install-recommends", ...BROWSERS[name].packages);
}

/** Why tests in a browser are skipped, for node:test's `skip` option; false where they can run. */
export const whyNot = (name) => (findBrowser(name) ? false : `no ${name}: ${BROWSERS[name].hint}`);

/** The same for the browser of the page's tests. */
export const noBrowser = whyNot(kind);

/** Starts a browser without a window; close it after the tests. */
export function launchBrowser(options = {}, name = kind) {
  return BROWSERS[name].launch(options, findBrowser(name));
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
