// Serves a folder: node scripts/serve.mjs [FOLDER] [--port N]

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { startServer } from "./lib/server.mjs";
import { at, ensurePackages, main } from "./lib/tools.mjs";

await main(async () => {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { port: { type: "string", default: "8080" } } });
  await ensurePackages();
  const directory = positionals[0] ? resolve(positionals[0]) : at("target/site");
  const { url } = await startServer({ directory, port: Number(values.port) });
  console.log(`${directory} is at ${url}`);
});
