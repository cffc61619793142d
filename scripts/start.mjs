// `npm start`: builds whatever is missing or old, serves the page and opens it.
//
//   --no-open     only print the address
//   --port N      another port than 8080

import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { buildLib, buildSite } from "./build.mjs";
import { startServer } from "./lib/server.mjs";
import { at, main } from "./lib/tools.mjs";

await main(async () => {
  const { values: options } = parseArgs({ options: { "no-open": { type: "boolean" }, port: { type: "string", default: "8080" } } });
  await buildLib();
  await buildSite();
  const directory = at("target/site");
  const { url } = await startServer({ directory, port: Number(options.port) }).catch((error) => {
    if (error.code !== "EADDRINUSE") throw error;
    return startServer({ directory });
  });
  console.log(`\nThe page is at ${url} (Ctrl-C ends it)`);
  if (!options["no-open"]) open(url);
});

/** Opens a browser where there is a display; the printed address is enough elsewhere. */
function open(url) {
  const { platform, env } = process;
  const opener =
    { darwin: ["open"], win32: ["cmd", "/c", "start", ""] }[platform] ?? (env.DISPLAY || env.WAYLAND_DISPLAY ? ["xdg-open"] : undefined);
  if (!opener) return;
  spawn(opener[0], [...opener.slice(1), url], { stdio: "ignore", detached: true })
    .on("error", () => undefined)
    .unref();
}
