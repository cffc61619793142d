// A static file server for the page and for the tests: sirv, below any path and with any headers.

import { createServer } from "node:http";

/** What sirv knows no type for. */
const BINARY = /\.(onnx|safetensors)$/;

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
  // Only here: `npm start` installs the packages before it serves anything.
  const { default: sirv } = await import("sirv");
  const requests = [];
  const files = sirv(directory, { dev: true, etag: true, single: fallback, ignores: false });
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const refuse = (status, words) => response.writeHead(status, { "content-type": "text/plain" }).end(words);
    const path = pathOf(request.url);
    if (!path) return refuse(400, "that is no address");
    requests.push(path.decoded);
    onRequest?.(path.decoded);
    const missing = () => refuse(404, `${path.decoded} is not here`);
    if (!path.encoded.startsWith(base)) return missing();
    request.url = `/${path.encoded.slice(base.length)}`;
    if (BINARY.test(path.encoded)) response.setHeader("content-type", "application/octet-stream");
    try {
      files(request, response, missing);
    } catch {
      // A range that ends before it starts, for example.
      response.destroy();
    }
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
    const encoded = new URL(address, "http://localhost").pathname;
    return { encoded, decoded: decodeURIComponent(encoded) };
  } catch {
    return undefined;
  }
}
