// Loads a detector where a Content-Security-Policy may forbid it, and says what came of it.

/** Under `require-trusted-types-for 'script'` a page makes its workers itself, or has none. */
const policy = globalThis.trustedTypes?.createPolicy("itp-ood", { createScriptURL: (url) => url });
const WORKERS = {
  "": true,
  "#own-worker": () => new Worker(policy?.createScriptURL("/dist/worker.js") ?? "/dist/worker.js", { type: "module" }),
  "#no-worker": false,
};

const answer = async () => {
  const { loadDetector } = await import("/dist/index.js");
  const detector = await loadDetector({
    model: "/www/models/photos.onnx",
    stats: "/www/models/photos.itp.safetensors",
    worker: WORKERS[location.hash],
  });
  await detector.detect("/tests/images/colour/p3.png");
  return "a verdict";
};

globalThis.outcome = await answer().catch(({ code, message }) => `${code}: ${message}`);
