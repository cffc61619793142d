// Serves a folder: node scripts/serve.mjs [FOLDER] [--port N]

import { resolve } from "node:path";
import { startServer } from "./lib/server.mjs";
import { at, main } from "./lib/tools.mjs";

await main(async () => {
  const words = process.argv.slice(2);
  const port = words.includes("--port") ? Number(words[words.indexOf("--port") + 1]) : 8080;
  const folder = words[0] && !words[0].startsWith("-") ? resolve(words[0]) : at("target/site");
  const { url } = await startServer({ directory: folder, port });
  console.log(`${folder} is at ${url}`);
});
