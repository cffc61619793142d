// The package's worker, which fails at the second image.

import "../../dist/worker.js";

const handle = globalThis.onmessage;
let images = 0;
globalThis.onmessage = (event) => {
  if (event.data.name === "detect" && ++images === 2) throw new Error("made to fail");
  handle(event);
};
