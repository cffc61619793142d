// Builds the page through the package's own name, as any user's bundler would. No experiments but
// webpack's own CSS; see scripts/lib/bundle.mjs for how it is run.

import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import CopyPlugin from "copy-webpack-plugin";
import webpack from "webpack";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** @returns {import("webpack").Configuration} */
export default ({ single = false } = {}) => ({
  mode: "production",
  target: ["web", "es2022"],
  // One classic script works from file://, where module scripts are refused.
  entry: { page: at("www/demo/main.ts"), ...(single && { worker: "itp-ood/worker" }) },
  output: {
    path: at(single ? "target/single" : "target/site"),
    clean: true,
    filename: "[name].js",
    chunkFilename: "[name].[contenthash:8].js",
    cssFilename: "[name].css",
    assetModuleFilename: "[name].[contenthash:8][ext]",
    publicPath: single ? "" : "auto",
    module: !single,
    ...(single ? {} : { chunkFormat: "module" }),
  },
  experiments: { css: true, outputModule: !single },
  resolve: { extensions: [".ts", ".js"], extensionAlias: { ".js": [".ts", ".js"] } },
  module: {
    rules: [
      {
        test: /\.ts$/,
        loader: "ts-loader",
        options: { transpileOnly: true, configFile: at("tsconfig.json"), compilerOptions: { noEmit: false } },
      },
      { test: /\.css$/, type: "css/auto", sideEffects: true },
      // The page takes its engine from its own files.
      ...(single ? [{ test: /\.wasm$/, dependency: "url", type: "asset/resource", generator: { emit: false } }] : []),
    ],
    ...(single ? { parser: { javascript: { worker: false, dynamicImportMode: "eager" } } } : {}),
  },
  plugins: single
    ? [new OneFile(at("www/demo/index.html"), at("www/models"), at("dist/engine.wasm"))]
    : [
        new CopyPlugin({
          patterns: [
            { from: at("www/demo/*.html"), to: "[name][ext]" },
            { from: at("www/demo/static"), to: ".", noErrorOnMissing: true },
            { from: at("www/models"), to: "models", noErrorOnMissing: true, globOptions: { ignore: ["**/*.md"] } },
          ],
        }),
        new FileList(),
      ],
  // None on disk: a page was once built that asked for the engine by the name of an earlier build.
  cache: false,
  performance: { hints: false },
  devtool: false,
});

/** Models that the page loads on demand: they are kept for offline use once they were asked for. */
const ON_DEMAND = /(^|\/)things\.(onnx|itp\.safetensors)$/;
/** No single file holds them, nor the images of theirs alone. */
const NOT_IN_ONE = /(^|\/)(things\.(onnx|itp\.safetensors)|still-[^/]*\.webp)$/;

/** Writes the list of the site's files, with which its service worker works offline. */
class FileList {
  apply(compiler) {
    compiler.hooks.thisCompilation.tap("FileList", (compilation) => {
      compilation.hooks.processAssets.tap({ name: "FileList", stage: webpack.Compilation.PROCESS_ASSETS_STAGE_REPORT }, () => {
        const files = Object.keys(compilation.assets)
          .filter((name) => name !== "service-worker.js" && !ON_DEMAND.test(name))
          .sort();
        compilation.emitAsset("files.json", new webpack.sources.RawSource(JSON.stringify({ version: compilation.hash, files })));
      });
    });
  }
}

/** Puts scripts, style, models and images into the HTML file, and drops every other file. */
class OneFile {
  constructor(template, models, engine) {
    this.template = template;
    this.models = models;
    this.engine = engine;
  }

  apply(compiler) {
    compiler.hooks.thisCompilation.tap("OneFile", (compilation) => {
      compilation.fileDependencies.add(this.template);
      compilation.fileDependencies.add(this.engine);
      compilation.contextDependencies.add(this.models);
      compilation.hooks.processAssets.tap({ name: "OneFile", stage: webpack.Compilation.PROCESS_ASSETS_STAGE_REPORT }, (assets) => {
        const text = (name) => assets[name]?.source().toString() ?? "";
        // What would end the element, or hide its end, stands in strings only.
        const script = (name) => text(name).replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
        const html = readFileSync(this.template, "utf8")
          .replace(/<link[^>]*page\.css[^>]*>/, () => `<style>${text("page.css")}</style>`)
          .replace(/<script[^>]*page\.js[^>]*><\/script>/, "")
          .replace(
            "</body>",
            () =>
              `${this.data()}<script type="text/plain" id="worker">${script("worker.js")}</script><script>${script("page.js")}</script></body>`,
          );
        for (const name of Object.keys(assets)) compilation.deleteAsset(name);
        compilation.emitAsset("itp.html", new webpack.sources.RawSource(html));
      });
    });
  }

  /** What the page would fetch from models/, and the engine, as data addresses. */
  data() {
    const names = readdirSync(this.models, { recursive: true }).map((name) => name.replaceAll("\\", "/"));
    const wanted = names.filter((name) => extname(name) in TYPES_OF && !NOT_IN_ONE.test(name)).sort();
    const files = Object.fromEntries(
      wanted.map((name) => [name, `data:${TYPES_OF[extname(name)]};base64,${readFileSync(join(this.models, name)).toString("base64")}`]),
    );
    files["engine.wasm.gz"] = `data:application/gzip;base64,${gzipSync(readFileSync(this.engine), { level: 9 }).toString("base64")}`;
    return `<script type="application/json" id="files">${JSON.stringify(files)}</script>`;
  }
}

const TYPES_OF = {
  ".json": "application/json",
  ".onnx": "application/octet-stream",
  ".png": "image/png",
  ".safetensors": "application/octet-stream",
  ".svg": "image/svg+xml",
  ".webp": "image/webp",
};
