// Runs webpack with the page's configuration.

import webpack from "webpack";
import configuration from "../../webpack.config.js";
import { CommandFailed } from "./tools.mjs";

/** Bundles the page; throws with webpack's own words if that fails. */
export async function bundle({ single = false } = {}) {
  const compiler = webpack(configuration({ single }));
  const stats = await new Promise((resolve, reject) => compiler.run((error, result) => (error ? reject(error) : resolve(result))));
  await new Promise((resolve) => compiler.close(resolve));
  if (stats.hasErrors() || stats.hasWarnings()) throw new CommandFailed(stats.toString({ all: false, errors: true, warnings: true }));
  console.log(stats.toString({ all: false, assets: true, assetsSpace: 40, groupAssetsByPath: false }));
}
