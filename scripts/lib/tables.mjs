// Tables of `itp eval --json` reports, between marks in Markdown files.

/** A mark with what its table shows, up to the mark that ends it. */
const BLOCK = /(<!-- results (\{.*?\}) -->\n)[^]*?(<!-- \/results -->)/g;

/**
 * The text with every table written anew.
 * @param {string} text - Markdown with blocks `<!-- results {"report": "NAME", ...} -->`, which say what to show:
 *   `detectors` and `sets`, as lists of names or as objects from names to titles (all of the report's by
 *   default); `average`, the sets that a column of this name is the mean of; `digits` behind the point (2); `rows`, a list of `figures` (the default: FPR95 / AUROC against each set),
 *   or `shifted` (share of shifted images accepted, and full-spectrum AUROC); `bytes`, for a column of each
 *   detector's tensors.
 * @param {(name: string) => object} report - reads a report by its name.
 */
export function fill(text, report) {
  let blocks = 0;
  const filled = text.replace(BLOCK, (_, begin, json, end) => {
    blocks++;
    const show = JSON.parse(json);
    return `${begin}${table(report(show.report), show)}${end}`;
  });
  if ((text.match(/<!-- results /g) ?? []).length !== blocks) throw new Error("a table has no end: <!-- /results --> is missing");
  return filled;
}

/** One table in Markdown. */
function table(report, show) {
  const lines = show.rows === "shifted" ? shifted(report, show) : figures(report, show);
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** Names with titles: those asked for, or all; a name without a title stands for itself. */
function titled(asked, all, quote) {
  const names = asked ?? all;
  const pairs = Array.isArray(names) ? names.map((name) => [name, quote(name)]) : Object.entries(names);
  const unknown = pairs.find(([name]) => !all.includes(name));
  if (unknown) throw new Error(`the report has no ${JSON.stringify(unknown[0])}; it has ${all.join(", ")}`);
  return pairs;
}

const unique = (values) => [...new Set(values)];
const code = (name) => `\`${name}\``;
const header = (titles) => [titles, titles.map(() => "---")];

/** The plain mean of a detector's figures over some sets. */
function averages(rows, sets) {
  return unique(rows.map(({ detector }) => detector)).map((detector) => {
    const over = rows.filter((row) => row.detector === detector && sets.includes(row.ood));
    const mean = (of) => over.reduce((sum, row) => sum + row[of], 0) / over.length;
    return { detector, ood: "average", fpr95: mean("fpr95"), auroc: mean("auroc") };
  });
}

function figures(report, { detectors, sets, average, digits = 2, bytes = false }) {
  const given = report.results.filter(({ ood }) => !average || ood !== "average");
  const rows = average ? [...given, ...averages(given, average)] : given;
  const columns = titled(sets, unique(rows.map(({ ood }) => ood)), String);
  const names = titled(detectors, unique(rows.map(({ detector }) => detector)), code);
  const cell = (name, set) => {
    const found = rows.find(({ detector, ood }) => detector === name && ood === set);
    return found ? `${found.fpr95.toFixed(digits)} / ${found.auroc.toFixed(digits)}` : "";
  };
  const size = (name) => (bytes ? [kilobytes(report.tensorBytes?.[name])] : []);
  return [
    ...header([
      detectors && !Array.isArray(detectors) ? "" : "detector",
      ...columns.map(([, title]) => title),
      ...(bytes ? ["tensors"] : []),
    ]),
    ...names.map(([name, title]) => [title, ...columns.map(([set]) => cell(name, set)), ...size(name)]),
  ];
}

function kilobytes(bytes) {
  if (bytes === undefined) return "";
  return bytes === 0 ? "-" : `${Math.max(1, Math.round(bytes / 1000))} kB`;
}

/** Each detector's share of accepted images on each shifted set, and its AUROC on both spectra. */
function shifted(report, { detectors, sets, digits = 1 }) {
  const rows = report.shifted ?? [];
  const columns = titled(sets, unique(rows.map(({ set }) => set)), String);
  const names = titled(detectors, unique(rows.map(({ detector }) => detector)), code);
  const figure = (value) => (value === undefined || value === null ? "" : value.toFixed(digits));
  const accuracy = columns.map(([set]) => figure(rows.find((row) => row.set === set)?.accuracy));
  const average = (name) => report.results.findLast(({ detector }) => detector === name);
  return [
    ...header(["detector", ...columns.map(([, title]) => title), "AUROC", "full-spectrum AUROC"]),
    ["(accuracy)", ...accuracy, "", ""],
    ...names.map(([name, title]) => [
      title,
      ...columns.map(([set]) => figure(rows.find((row) => row.detector === name && row.set === set)?.accepted)),
      figure(average(name)?.auroc),
      figure(average(name)?.fullSpectrumAuroc),
    ]),
  ];
}
