"""Writes what full.py measured into docs/models.md.

    python table.py FOLDER/results.jsonl
"""

import json
import pathlib
import sys

BEGIN, END = "<!-- zoo: made by tests/zoo/table.py -->", "<!-- /zoo -->"
DOCS = pathlib.Path(__file__).parents[2] / "docs/models.md"
TOLERANCE = 1e-3
KINDS = {"hf": "Hugging Face", "tv": "torchvision", "timm": "timm", "keras": "Keras"}
QUANTISED = ("_qdq", "_qop", "_dynamic_")


def is_quantised(row):
    return any(word in row["name"] for word in QUANTISED)


def error(row):
    """ONNX Runtime without its optimisations is the reference where these change the logits."""
    return min(row["error"], row.get("error_plain", row["error"]))


def precision(row):
    name = row["name"]
    return next((word for word in ("fp16", "bf16") if f"_{word}" in name),
                "int8" if is_quantised(row) else "float32, optimised" if "_ort_" in name
                else "float32")


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def summary(rows):
    lines = ["| precision | files | loaded | largest error | time, median | time, 90% below |",
             "|---|---|---|---|---|---|"]
    for kind in ("float32", "float32, optimised", "fp16", "bf16", "int8"):
        chosen = [row for row in rows if precision(row) == kind]
        loaded = [row for row in chosen if "refused" not in row]
        if not loaded:
            continue
        largest = max(map(error, loaded))
        ratios = [row["ratio"] for row in loaded]
        lines.append(f"| {kind} | {len(chosen)} | {len(loaded)} | {largest:.0e} | "
                     f"{percentile(ratios, 0.5):.2f} | {percentile(ratios, 0.9):.2f} |")
    return lines


def line(row):
    size = f"{row['mb']:.0f}" if row["mb"] >= 10 else f"{row['mb']:.1f}"
    start = f"| {row['name']} | {row['exporter']} {row['opset']} | {size} |"
    if "refused" in row:
        return f"{start} refused | | | |"
    shown = f"{error(row):.0e}"
    if is_quantised(row):
        shown += f" ({row['theirs']:.0e})"
    return f"{start} {shown} | {row['ratio']:.2f} | {row['load_s']:.2f} | {row['peak_mb']:.0f} |"


def words(row):
    text = row["refused"].replace("\n", " ")
    if "message: " in text:
        text = text.split('message: "', 1)[1].rsplit('", source', 1)[0].replace('\\"', '"')
    return text.replace("|", "\\|")


def table(rows):
    rows = sorted(rows, key=lambda row: row["name"])
    refused = [row for row in rows if "refused" in row]
    loaded = [row for row in rows if "refused" not in row]
    slow = [row for row in loaded if row["ratio"] > 2]
    wrong = [row for row in loaded if not is_quantised(row) and not error(row) < TOLERANCE]
    noisy = [row for row in loaded if row.get("noise", 0) > TOLERANCE]
    # What is stored with fewer bits becomes float32, so the float32 file counts.
    single = {row["name"]: row["mb"] for row in rows if precision(row) == "float32"}
    base = lambda name: max((n for n in single if name.startswith(n)), key=len, default=name)  # noqa: E731
    large = [row for row in loaded
             if row["peak_mb"] > 2 * max(row["mb"], single.get(base(row["name"]), 0)) + 100]
    kinds = {KINDS[row["name"].split("_")[0]] for row in rows}
    result = [f"{len(rows)} files from {', '.join(sorted(kinds))}; {len(loaded)} load. "
              f"{sum(row['name'].startswith('hf_') and precision(row) == 'float32' for row in loaded)} "
              "kinds of Hugging Face classifiers are among these.", "", *summary(rows), ""]
    if wrong:
        result += ["Wrong by more than 1e-3:", "", *(f"- {row['name']}: {error(row):.0e}"
                                                     for row in wrong), ""]
    if noisy:
        result += ["ONNX Runtime's optimisations change the logits of " + ", ".join(
            f"{row['name']} (by {row['noise']:.0e})" for row in noisy)
            + "; the error there is against ONNX Runtime without them.", ""]
    if refused:
        result += ["Refused:", "", *(f"- {row['name']}: {words(row)}" for row in refused), ""]
    if slow:
        result += ["More than twice ONNX Runtime's time:", "", "| file | times |", "|---|---|",
                   *(f"| {row['name']} | {row['ratio']:.1f} |"
                     for row in sorted(slow, key=lambda row: -row["ratio"])), ""]
    if large:
        result += ["More memory while loading than twice the file and 100 MB: " + ", ".join(
            f"{row['name']} ({row['peak_mb']:.0f} MB for {row['mb']:.0f})" for row in large) + ".",
            ""]
    result += ["<details><summary>Every file</summary>", "",
               "| file | exporter, opset | MB | error | time | load, s | peak, MB |",
               "|---|---|---|---|---|---|---|", *map(line, rows), "", "</details>"]
    return result


def main():
    rows = {}
    for text in pathlib.Path(sys.argv[1]).read_text().splitlines():
        row = json.loads(text)
        rows[row["name"]] = row
    failed = [row for row in rows.values() if "failed" in row]
    for row in failed:
        print("not measured:", row["name"], row["failed"][:200])
    lines = table([row for row in rows.values() if "failed" not in row])
    text = DOCS.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    DOCS.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}")


if __name__ == "__main__":
    main()
