// The package in every browser engine: inputs, threads, aborting, crashes, policies.

import assert from "node:assert/strict";
import { startServer } from "../../scripts/lib/server.mjs";
import { at } from "../../scripts/lib/tools.mjs";
import { inEveryEngine, waitFor } from "./support.mjs";

/** In the page: loads the photo model, runs `work` with it, and returns what that returns, or its error. */
const using = async (page, options, work, argument) => {
  const run = `async ({ options, argument }) => {
    const { loadDetector } = await import("/dist/index.js");
    const made = options.workerAt ? () => new Worker(options.workerAt, { type: "module" }) : options.worker;
    try {
      const detector = await loadDetector({
        model: "/www/models/photos.onnx", stats: "/www/models/photos.itp.safetensors", worker: made,
      });
      try {
        return await (${work})(detector, argument);
      } finally {
        detector.dispose();
      }
    } catch (error) {
      return { code: error.code, message: error.message };
    }
  }`;
  return page.evaluate(new Function(`return ${run}`)(), { options, argument });
};

/** Scores of one picture as every kind of input that the engine has. */
async function scoresOfInputs(detector, address) {
  const blob = await (await fetch(address)).blob();
  const bitmap = await createImageBitmap(blob);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const offscreen = new OffscreenCanvas(canvas.width, canvas.height);
  offscreen.getContext("2d").putImageData(pixels, 0, 0);
  const image = new Image();
  image.src = address;
  const video = document.createElement("video");
  if (canvas.captureStream) {
    Object.assign(video, { srcObject: canvas.captureStream(), muted: true });
    // A canvas is filmed when it is drawn on.
    const drawing = setInterval(() => context.putImageData(pixels, 0, 0), 50);
    await video.play();
    clearInterval(drawing);
  }
  const inputs = {
    pixels: { data: new Uint8Array(pixels.data), width: canvas.width, height: canvas.height },
    imageData: pixels,
    blob,
    file: new File([blob], "photo"),
    address,
    url: new URL(address, location.href),
    image,
    bitmap,
    canvas,
    offscreen,
    ...(typeof VideoFrame === "function" && { frame: new VideoFrame(canvas, { timestamp: 0 }) }),
    ...(video.readyState >= 2 && { video }),
  };
  const scores = {};
  for (const [name, input] of Object.entries(inputs)) scores[name] = (await detector.detect(input)).score;
  inputs.frame?.close();
  return scores;
}

inEveryEngine((check) => {
  for (const worker of [true, false]) {
    const where = worker ? "in a worker" : "on the page's thread";

    check(`every kind of input has the same score, ${where}`, async (page, t) => {
      const scores = await using(page, { worker }, scoresOfInputs, "/tests/images/colour/plain.bmp");
      assert.ok(scores.pixels, JSON.stringify(scores));
      t.diagnostic(`${Object.keys(scores).join(", ")}: ${scores.pixels}`);
      for (const [name, score] of Object.entries(scores)) {
        // Frames and videos pass through a video's colours, YUV in some engines.
        if (name !== "frame" && name !== "video") assert.equal(score, scores.pixels, name);
        else assert.ok(Math.abs(score - scores.pixels) < 1, name);
      }
    });

    check(`one picture has one score, whatever its file says of colours, ${where}`, async (page) => {
      const scores = await using(
        page,
        { worker },
        async (detector, names) => {
          const found = [];
          for (const name of names) found.push((await detector.detect(`/tests/images/colour/${name}`)).score);
          return found;
        },
        [
          ...["plain.bmp", "p3.png", "gamma.png", "cicp.png", "wide.png", "animated.png", "lossless.webp", "animated.webp"],
          ...["plain.jpg", "p3.jpg", "adobe.jpg", "progressive.jpg"],
        ],
      );
      assert.deepEqual(scores.slice(0, 8), Array(8).fill(scores[0]));
      assert.deepEqual(scores.slice(8), Array(4).fill(scores[8]));
    });
  }

  check("a batch on two workers, an aborted call, a disposed detector", async (page) => {
    const found = await using(page, { worker: true }, async (detector) => {
      const names = ["p3.png", "plain.jpg", "no.png", "plain.gif"].map((name) => `/tests/images/colour/${name}`);
      const batch = [];
      for await (const { index, detection, error } of detector.detectAll(names, { concurrency: 2 }))
        batch.push([index, error?.code ?? typeof detection.score]);
      const stop = new AbortController();
      const call = detector.detect(names[0], { signal: stop.signal });
      stop.abort();
      const aborted = await call.catch(({ code }) => code);
      const after = typeof (await detector.detect(names[0])).score;
      detector.dispose();
      return { batch, aborted, after, disposed: await detector.detect(names[0]).catch(({ code }) => code) };
    });
    assert.deepEqual(found, {
      batch: [
        [0, "number"],
        [1, "number"],
        [2, "fetch"],
        [3, "number"],
      ],
      aborted: "aborted",
      after: "number",
      disposed: "disposed",
    });
  });

  check("a worker that crashes is replaced", async (page) => {
    const [first, crashed, again] = await using(page, { workerAt: "/tests/engines/crashing-worker.mjs" }, async (detector) => {
      const results = [];
      for (let i = 0; i < 3; i++) {
        const result = detector.detect("/tests/images/colour/p3.png");
        results.push(
          await result.then(
            ({ score }) => score,
            ({ code, message }) => `${code}: ${message}`,
          ),
        );
      }
      return results;
    });
    assert.match(crashed, /^crashed: .*made to fail.*replaced/);
    assert.equal(again, first);
  });

  check("a service worker runs the package on its own thread, and is told so", async (page) => {
    const { score, withWorker, error } = await page.evaluate(async () => {
      const registration = await navigator.serviceWorker.register("/tests/engines/service-worker.mjs", { type: "module" });
      const worker = registration.installing ?? registration.waiting ?? registration.active;
      const blob = await (await fetch("/tests/images/colour/plain.bmp")).blob();
      const { port1, port2 } = new MessageChannel();
      const answered = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
      worker.postMessage(blob, [port2]);
      const answer = await answered;
      await registration.unregister();
      return answer;
    });
    assert.equal(error, undefined);
    assert.equal(typeof score, "number");
    assert.match(withWorker, /^engine: .*`worker: false`/);
  });

  check("what can't be decoded or read back is an error that says why", async (page) => {
    const messages = await using(page, { worker: false }, async (detector) => {
      const blob = await (await fetch("/tests/images/colour/p3.png")).blob();
      const attempt = (image) =>
        detector.detect(image).then(
          () => "a verdict",
          ({ code, message }) => `${code}: ${message}`,
        );
      const found = { text: await attempt(new Blob(["not an image"])), cut: await attempt(blob.slice(0, blob.size - 1)) };
      // As iOS does above its limit for canvases, and browsers that shield their users from being recognised.
      const { prototype } = OffscreenCanvasRenderingContext2D;
      const { getImageData } = prototype;
      const changed = (change) =>
        function (...area) {
          const image = getImageData.apply(this, area);
          image.data.forEach((value, i, data) => (data[i] = change(value, i)));
          return image;
        };
      for (const [name, change] of Object.entries({
        transparent: () => 0,
        white: () => 255,
        noise: (value, i) => value ^ Number(i % 97 === 0),
      })) {
        prototype.getImageData = changed(change);
        found[name] = await attempt(blob);
      }
      prototype.getImageData = getImageData;
      found.again = await attempt(blob);
      return found;
    });
    const { text, cut, again, ...unreadable } = messages;
    assert.match(text, /^image: The image can't be decoded/);
    assert.match(cut, /^image: The PNG file is cut off/);
    assert.equal(again, "a verdict");
    for (const [name, message] of Object.entries(unreadable))
      assert.match(message, /^image: .* can't be read back .* privacy setting/, name);
  });
});

const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";

inEveryEngine((check) => {
  const TRUSTED = `${POLICY}; require-trusted-types-for 'script'`;
  for (const [name, policy, outcome, hash = ""] of [
    ["a strict Content-Security-Policy will do", POLICY, /^a verdict$/],
    [
      "a policy that forbids WebAssembly is named",
      POLICY.replace(" 'wasm-unsafe-eval'", ""),
      /^engine: .*Add 'wasm-unsafe-eval' to script-src/s,
    ],
    ["a policy that forbids workers is named", POLICY.replace("worker-src 'self'", "worker-src 'none'"), /^engine: .*worker-src/],
    ["Trusted Types will do with a worker of the page's", TRUSTED, /^a verdict$/, "#own-worker"],
    ["Trusted Types will do without a worker", TRUSTED, /^a verdict$/, "#no-worker"],
    ["Trusted Types that forbid the package's worker are named", TRUSTED, /^engine: .*Trusted Types/],
    ["a policy that forbids downloads is named", `${POLICY}; connect-src 'none'`, /^fetch: .*connect-src/],
  ]) {
    check(name, async (page) => {
      const server = await startServer({ directory: at("."), headers: { "content-security-policy": policy } });
      try {
        await page.goto(`${server.url}tests/engines/policy.html${hash}`);
        assert.match(await waitFor(page, () => globalThis.outcome), outcome);
      } finally {
        await server.close();
      }
    });
  }
});
