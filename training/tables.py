"""Print the results of `itp eval --json` as a table for a model card: FPR95 / AUROC in percent.

    python tables.py eval.json
"""

import json
import sys
from pathlib import Path


def main():
    report = json.loads(Path(sys.argv[1]).read_text())
    results = report["results"]
    sets = list(dict.fromkeys(r["ood"] for r in results))
    cells = {(r["detector"], r["ood"]): f"{r['fpr95']:.1f} / {r['auroc']:.1f}" for r in results}
    print(f"| p {report['p']:g}, lambda {report['lambda']:g} | {' | '.join(sets)} |")
    print("|---|" + "---|" * len(sets))
    for detector in dict.fromkeys(r["detector"] for r in results):
        print(f"| {detector} | {' | '.join(cells[detector, name] for name in sets)} |")


if __name__ == "__main__":
    main()
