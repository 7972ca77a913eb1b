"""Write the table of speed in docs/asugnn.md and docs/asymmetric-unit.md from benchmarks/results/speed.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
STORED = DOCS.parent / "benchmarks" / "results" / "speed.json"
PAGES = {  # the pages, and whether a row of the table is one of theirs
    "asugnn.md": lambda work: work.startswith("ASUGNN"),
    "asymmetric-unit.md": lambda work: work.startswith("training step of"),
}
TABLE = re.compile(r"(<!-- speed -->\n).*?(<!-- end of speed -->)", re.DOTALL)


def page(name: str) -> str:
    """A page with its table as the stored runs give it."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return TABLE.sub(lambda m: m[1] + _table(name) + m[2], text)


def _table(name: str) -> str:
    runs = json.loads(STORED.read_text(encoding="utf-8"))
    rows = {(row["work"], row["threads"]): _row(row, run) for run in runs for row in run["ratios"]}  # the last of each
    kept = [row for (work, _), row in rows.items() if PAGES[name](work)]
    head = "| work | crystals | threads | ratio | measured | processor | load |\n|---|---:|---:|---:|---|---|---|\n"
    return head + "\n".join(kept) + "\n"


def _row(row: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    load = "not stored" if "load" not in run else f"{max(run['load']):.0f} processes on {run['cores']} cores"
    ratio = f"{row['ratio']:.1f}" if row["ratio"] else f"{row['seconds_here']:.0f} s"
    cells = (row["work"], row["crystals"], row["threads"], ratio, run["date"], run["machine"], load)
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Write both pages."""
    for name in PAGES:
        (DOCS / name).write_text(page(name), encoding="utf-8")


if __name__ == "__main__":
    main()
