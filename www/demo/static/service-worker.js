// Caches the whole site, so that it works offline after the first visit. Each build has its own
// cache, which is filled before the build is activated.

const PREFIX = `itp-ood ${self.registration.scope} `;
const urlOf = (path) => new URL(path, self.registration.scope).href;

// The engine that this browser does not use is not cached (see www/lib/source.ts).
const RELAXED_SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 0, 253, 133, 2, 26, 11];
const OTHER_ENGINE = WebAssembly.validate(Uint8Array.from(RELAXED_SIMD)) ? /^engine\.\w+\.wasm$/ : /^engine-relaxed\./;

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const { version, files } = await (await fetch(urlOf("files.json"), { cache: "no-store" })).json();
      const cache = await caches.open(PREFIX + version);
      const wanted = files.filter((name) => !OTHER_ENGINE.test(name));
      await cache.addAll([urlOf("./"), ...wanted.map(urlOf)].map((url) => new Request(url, { cache: "no-cache" })));
      await self.skipWaiting();
    })(),
  );
});

// What the page has fetched on demand is kept beside the rest.
self.addEventListener("message", (event) => {
  const { keep } = event.data ?? {};
  if (!Array.isArray(keep)) return;
  event.waitUntil(
    (async () => {
      const name = (await caches.keys()).filter((of) => of.startsWith(PREFIX)).at(-1);
      const cache = name && (await caches.open(name));
      const missing = [];
      for (const url of cache ? keep : []) if (url.startsWith(self.registration.scope) && !(await cache.match(url))) missing.push(url);
      // As a rule the browser still has them.
      await cache?.addAll(missing);
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const mine = (await caches.keys()).filter((name) => name.startsWith(PREFIX));
      // The newest cache was opened last.
      await Promise.all(mine.slice(0, -1).map((name) => caches.delete(name)));
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith(respond(request));
});

async function respond(request) {
  const cached = await caches.match(request, { ignoreSearch: true });
  if (cached) return cached;
  return fetch(request);
}
