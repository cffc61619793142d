// What a browser downloads, in units of 1000 bytes. `npm run size` after `npm run build`; a browser
// takes one of the two engines.

const file = (name, path, limit, compression) => ({
  name,
  path,
  limit,
  brotli: compression === "brotli",
  gzip: compression === "gzip",
  disablePlugins: ["@size-limit/esbuild"],
});

const engine = (name) => [file(`${name}, raw`, `dist/${name}`, "8 MB"), file(`${name}, brotli`, `dist/${name}`, "1.7 MB", "brotli")];

export default [
  ...engine("engine.wasm"),
  ...engine("engine-relaxed.wasm"),
  {
    name: "the package's JavaScript, bundled and minified, gzip",
    path: ["dist/index.js", "dist/worker.js"],
    limit: "17.5 kB",
    gzip: true,
    // As bundlers do: what the page and its worker share is there once.
    modifyEsbuildConfig: (config) => ({ ...config, format: "esm", splitting: true }),
  },
  file("the page's JavaScript, gzip", "target/site/**/*.js", "120 kB", "gzip"),
];
