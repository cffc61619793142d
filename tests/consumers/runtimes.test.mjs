// Other test runners and runtimes, installed from the npm registry: ITP_RUNTIMES=1.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../scripts/lib/tools.mjs";
import { consumer, image } from "./support.mjs";

const skip = process.env.ITP_RUNTIMES ? false : "set ITP_RUNTIMES=1 to install Vitest, Jest, Bun and Deno and try them";

/** Detects one image and writes the result beside the script. */
const body = (worker) => `
  const detector = await loadDetector({ model: await readFile("model.onnx"), stats: await readFile("model.itp.safetensors"), worker: ${worker} });
  const image = JSON.parse(await readFile("image.json", "utf8"));
  const { label, score } = await detector.detect({ ...image, data: Uint8Array.from(image.data) });
  await writeFile("result.json", JSON.stringify({ label, score }));
  detector.dispose();
`;
const imports = `import { readFile, writeFile } from "node:fs/promises";\nimport { loadDetector } from "itp-ood";\n`;
const asTest = (worker) => `${imports}test("a verdict", async () => {${body(worker)}}, 60_000);\n`;

const RUNTIMES = {
  Vitest: {
    packages: ["vitest@4"],
    files: { "app.test.mjs": `import { test } from "vitest";\n${asTest(false)}` },
    command: ["vitest", "run"],
  },
  "Vitest with jsdom": {
    packages: ["vitest@4", "jsdom"],
    files: { "app.test.mjs": `// @vitest-environment jsdom\nimport { test } from "vitest";\n${asTest(false)}` },
    command: ["vitest", "run"],
  },
  Jest: {
    packages: ["jest@30"],
    files: { "app.test.mjs": asTest(false), "jest.config.mjs": 'export default { testMatch: ["**/*.test.mjs"] };\n' },
    command: ["jest"],
    env: { NODE_OPTIONS: "--experimental-vm-modules" },
  },
  // jsdom's blobs can't be read there: such a file asks for Node's environment.
  "Jest with jsdom": {
    packages: ["jest@30", "jest-environment-jsdom@30"],
    files: {
      "app.test.mjs": `/** @jest-environment node */\n${asTest(false)}`,
      "jest.config.mjs": 'export default { testMatch: ["**/*.test.mjs"], testEnvironment: "jsdom" };\n',
    },
    command: ["jest"],
    env: { NODE_OPTIONS: "--experimental-vm-modules" },
  },
  "Bun, in a worker": { packages: ["bun"], files: { "app.mjs": imports + body(true) }, command: ["bun", "run", "app.mjs"] },
  "Deno, in a worker": {
    packages: ["deno"],
    files: { "app.mjs": imports + body(true) },
    command: ["deno", "run", "-A", "--node-modules-dir=manual", "app.mjs"],
  },
};

for (const [name, { packages, files, command, env }] of Object.entries(RUNTIMES)) {
  test(name, { skip }, async () => {
    const { directory, tarball, expected, addFiles } = await consumer(name.replace(/\W+/g, "-").toLowerCase(), { files });
    addFiles(directory);
    writeFileSync(join(directory, "image.json"), JSON.stringify({ ...image, data: [...image.data] }));
    // All at once: npm removes what it did not install itself.
    await run("npm", ["install", tarball, ...packages, "--loglevel=error", "--no-audit", "--no-fund"], { cwd: directory });
    await run(join(directory, "node_modules/.bin", command[0]), command.slice(1), { cwd: directory, env });
    const result = JSON.parse(readFileSync(join(directory, "result.json"), "utf8"));
    assert.equal(result.label, expected.label);
    assert.ok(Math.abs(result.score - expected.score) <= 1e-4 * Math.abs(expected.score), `${result.score}, not ${expected.score}`);
  });
}
