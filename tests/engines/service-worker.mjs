// The package in a service worker, which has no workers: answers a blob with its score, and with what loading says otherwise.

import { loadDetector } from "/dist/index.js";

const options = { model: "/www/models/photos.onnx", stats: "/www/models/photos.itp.safetensors" };

const answer = async (image) => {
  const detector = await loadDetector({ ...options, worker: false });
  const { score } = await detector.detect(image);
  detector.dispose();
  const withWorker = await loadDetector(options).then(
    () => "loaded",
    ({ code, message }) => `${code}: ${message}`,
  );
  return { score, withWorker };
};

globalThis.addEventListener("message", ({ data, ports: [port] }) => {
  answer(data)
    .catch((error) => ({ error: String(error) }))
    .then((found) => port.postMessage(found));
});
