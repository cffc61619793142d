// The server of the page and the tests: types, headers, and addresses that are none.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startServer } from "../../scripts/lib/server.mjs";

const folder = mkdtempSync(join(tmpdir(), "itp-server-"));
const site = join(folder, "site");
const isolated = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
let server;

before(async () => {
  mkdirSync(join(site, "deeper"), { recursive: true });
  for (const name of [
    "index.html",
    "deeper/index.html",
    "a.wasm",
    "a.mjs",
    "a.js",
    "a.css",
    "a.json",
    "a.webp",
    "a.onnx",
    "a b.safetensors",
  ]) {
    writeFileSync(join(site, name), name);
  }
  writeFileSync(join(folder, "secret.txt"), "secret");
  server = await startServer({ directory: site, base: "/some/where/", headers: isolated });
});

after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** A request with the path as it is given: fetch tidies it up first. */
const ask = (path, headers = {}) =>
  new Promise((resolve, reject) => {
    request(new URL(server.url), { path, headers }, async (response) => {
      let body = "";
      for await (const chunk of response) body += chunk;
      resolve({ status: response.statusCode, type: response.headers["content-type"], headers: response.headers, body });
    })
      .on("error", reject)
      .end();
  });

test("every file comes with its type, below the base", async () => {
  const types = {
    "": /^text\/html;\s*charset=utf-8$/i,
    deeper: /^text\/html/,
    "a.wasm": /^application\/wasm$/,
    "a.mjs": /^text\/javascript/,
    "a.js": /^text\/javascript/,
    "a.css": /^text\/css/,
    "a.json": /^application\/json/,
    "a.webp": /^image\/webp$/,
    "a.onnx": /^application\/octet-stream$/,
    "a%20b.safetensors": /^application\/octet-stream$/,
  };
  for (const [name, type] of Object.entries(types)) {
    const answer = await ask(`/some/where/${name}?x=1`);
    assert.equal(answer.status, 200, name);
    assert.match(answer.type, type);
  }
  assert.equal((await ask("/a.wasm")).status, 404);
});

test("headers come with every answer, whether it is a file or not", async () => {
  for (const path of ["/some/where/a.wasm", "/some/where/gone", "/%"]) {
    const { headers } = await ask(path);
    for (const [name, value] of Object.entries(isolated)) assert.equal(headers[name], value, path);
  }
});

test("addresses that can't be read are refused, and what lies outside is not found", async () => {
  for (const path of ["//", "/%", "/some/where/%E0%A4"]) assert.equal((await ask(path)).status, 400, path);
  for (const path of ["/some/where/../secret.txt", "/some/where/..%2fsecret.txt", "/some/where/%2e%2e/secret.txt", "/some/where/%00"]) {
    const { status, body } = await ask(path);
    assert.equal(status, 404, path);
    assert.doesNotMatch(body, /^secret$/);
  }
});

test("a senseless range does not end the server", async () => {
  await ask("/some/where/a.wasm", { range: "bytes=5-3" }).catch(() => undefined);
  assert.equal((await ask("/some/where/a.wasm")).status, 200);
});
