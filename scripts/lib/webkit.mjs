// WebKitGTK under WebDriver, with the few calls of Playwright's pages that the tests of all engines
// need: Playwright itself runs only WebKit builds of its own, which no distribution has.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";

/** Debian's packages. */
export const PACKAGES = ["webkit2gtk-driver", "xvfb", "xauth", "dbus"];

const PROGRAMS = ["WebKitWebDriver", "xvfb-run", "dbus-run-session"];
/** What the machine waits for at most. */
const PATIENCE = 120_000;

/** The browser that WebDriver starts, if all that it needs is installed. */
export function findWebKit() {
  if (PROGRAMS.some((name) => spawnSync("which", [name]).status !== 0)) return undefined;
  return MINI_BROWSERS.find(existsSync);
}

const MINI_BROWSERS = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"].flatMap((folder) =>
  ["webkit2gtk-4.1", "webkitgtk-6.0", "webkit2gtk-4.0"].map((name) => `${folder}/${name}/MiniBrowser`),
);

/** Starts WebDriver on a display and a bus of its own. */
export async function launchWebKit() {
  const port = await freePort();
  const driver = spawn("dbus-run-session", ["--", "xvfb-run", "-a", "-s", "-screen 0 1600x1200x24", "WebKitWebDriver", `--port=${port}`], {
    // Its sandbox needs user namespaces, which containers lack.
    env: { ...process.env, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1", LIBGL_ALWAYS_SOFTWARE: "1" },
    stdio: "ignore",
    // A group of its own, which is ended as a whole.
    detached: true,
  });
  const ended = once(driver, "exit");
  const end = async () => {
    if (driver.exitCode === null && driver.signalCode === null) process.kill(-driver.pid);
    await ended;
  };
  const call = caller(`http://127.0.0.1:${port}`);
  for (let tries = 0; ; tries++) {
    const isUp = await call("GET", "/status").then(
      () => true,
      () => false,
    );
    if (isUp) break;
    if (tries === 150 || driver.exitCode !== null) {
      await end();
      throw new Error("WebKitWebDriver does not start");
    }
    await sleep(200);
  }
  let page;
  return {
    /** A fresh page without cookies or caches; it takes the place of the one before, since there is one session at a time. */
    async newPage() {
      await page?.close();
      page = await Page.open(call);
      return page;
    },
    async close() {
      await page?.close();
      await end();
    },
  };
}

class Page {
  #call;
  #path;

  static async open(call) {
    const page = new Page();
    const options = { binary: findWebKit(), args: ["--automation"] };
    const session = await call("POST", "/session", { capabilities: { alwaysMatch: { "webkitgtk:browserOptions": options } } });
    page.#call = call;
    page.#path = `/session/${session.sessionId}`;
    await page.#post("/timeouts", { script: PATIENCE });
    return page;
  }

  #post(path, body = {}) {
    return this.#call("POST", this.#path + path, body);
  }

  async goto(url) {
    await this.#post("/url", { url });
  }

  async reload() {
    await this.#post("/refresh");
  }

  setViewportSize({ width, height }) {
    return this.#post("/window/rect", { width, height });
  }

  /** Runs a function in the page, and returns what it returns or resolves to. */
  async evaluate(work, argument) {
    const script = `const done = arguments[1];
      Promise.resolve().then(() => (${work})(arguments[0])).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
    // `arguments` of the arrow functions are the script's.
    const { value, error } = await this.#post("/execute/async", { script, args: [argument ?? null] });
    if (error) throw new Error(error);
    return value;
  }

  /** Waits until a function returns something true. */
  async waitForFunction(work, argument, { timeout = PATIENCE } = {}) {
    for (const end = performance.now() + timeout; ; await sleep(50)) {
      const value = await this.evaluate(work, argument);
      if (value) return value;
      if (performance.now() > end) throw new Error(`waited ${timeout} ms for ${work}`);
    }
  }

  async screenshot({ path }) {
    writeFileSync(path, await this.#call("GET", `${this.#path}/screenshot`), "base64");
  }

  async close() {
    await this.#call("DELETE", this.#path).catch(() => undefined);
  }
}

/** Calls of the WebDriver protocol, each on a connection of its own: the driver may close an idle one while a call sets out. */
const caller = (base) => async (method, path, body) => {
  const headers = { connection: "close" };
  const response = await fetch(base + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
};

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));
