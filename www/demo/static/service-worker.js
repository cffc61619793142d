// Keeps the whole site, so that it works offline after the first visit. Each build has a cache of
// its own, filled before it takes over.

const PREFIX = `itp-ood ${self.registration.scope} `;
const here = (path) => new URL(path, self.registration.scope).href;

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const { version, files } = await (await fetch(here("files.json"), { cache: "no-store" })).json();
      const cache = await caches.open(PREFIX + version);
      await cache.addAll([here("./"), ...files.map(here)].map((address) => new Request(address, { cache: "no-cache" })));
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const mine = (await caches.keys()).filter((name) => name.startsWith(PREFIX));
      // The newest was opened last.
      await Promise.all(mine.slice(0, -1).map((name) => caches.delete(name)));
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const kept = await caches.match(request, { ignoreSearch: true });
  if (kept) return kept;
  return fetch(request);
}
