// Loads a detector where a Content-Security-Policy may forbid it, and says what came of it.

const answer = async () => {
  const { loadDetector } = await import("/dist/index.js");
  const detector = await loadDetector({ model: "/www/models/photos.onnx", stats: "/www/models/photos.itp.safetensors" });
  await detector.detect("/tests/images/colour/p3.png");
  return "a verdict";
};

globalThis.outcome = await answer().catch(({ code, message }) => `${code}: ${message}`);
