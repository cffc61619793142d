// A small static file server for the page and for the tests.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".jpg": "image/jpeg",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".md": "text/markdown; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
  ".webp": "image/webp",
};

/**
 * Serves a folder on this machine only.
 * @param {object} options
 * @param {string} options.directory
 * @param {number} [options.port] 0, the default, takes a free one
 * @param {Record<string, string>} [options.headers] for every answer, such as a Content-Security-Policy
 * @param {string} [options.base] a path that the folder appears under, "/" by default
 * @param {boolean} [options.fallback] answer unknown paths with index.html, as servers of single-page apps do
 * @param {(path: string) => void} [options.onRequest]
 * @returns {Promise<{ url: string, requests: string[], close(): Promise<void> }>}
 */
export async function startServer({ directory, port = 0, headers = {}, base = "/", fallback = false, onRequest }) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const path = pathOf(request.url ?? "/");
    if (path === undefined) {
      response.writeHead(400, { "content-type": "text/plain", ...headers });
      response.end("that is no address");
      return;
    }
    requests.push(path);
    onRequest?.(path);
    const file = (await find(directory, path, base)) ?? (fallback ? join(directory, "index.html") : undefined);
    if (!file) {
      response.writeHead(404, { "content-type": "text/plain", ...headers });
      response.end(`${path} is not here`);
      return;
    }
    response.writeHead(200, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "content-length": (await stat(file)).size,
      "cache-control": "no-cache",
      ...headers,
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${server.address().port}${base}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/** The path of a request, or undefined for one that can't be read, such as `//` or `/%`. */
function pathOf(address) {
  try {
    return decodeURIComponent(new URL(address, "http://localhost").pathname);
  } catch {
    return undefined;
  }
}

async function find(directory, path, base) {
  if (!path.startsWith(base)) return undefined;
  const file = normalize(join(directory, path.slice(base.length)));
  if (file !== directory && !file.startsWith(directory + sep)) return undefined;
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile()) return file;
  if (!found?.isDirectory()) return undefined;
  const index = join(file, "index.html");
  return (await stat(index).catch(() => undefined)) ? index : undefined;
}
