"""Write the table of docs/reliability.md from the stored run of benchmarks/chaos.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
STORED = DOCS.parent / "benchmarks" / "results" / "chaos.json"
HEAD = "| what was done | counts | seconds | load | commit |\n|---|---|---|---|---|\n"
WHERE = ("took, s", "load at the start", "commit", "finished", "processor")  # where and when, not what came of it


def write_table() -> str:
    """The page, with the table as the stored run gives it."""
    text = (DOCS / "reliability.md").read_text(encoding="utf-8")
    before, rest = text.split(HEAD)
    after = rest[rest.index("\n\n") :]
    rows = [_row(name, counts) for name, counts in json.loads(STORED.read_text(encoding="utf-8")).items()]
    return before + HEAD + "\n".join(rows) + after


def _row(name: str, counts: dict[str, Any]) -> str:
    if "skipped" in counts:
        return f"| {name} | skipped: {counts['skipped']} | | | |"
    words = ", ".join(f"{key} {_plain(value)}" for key, value in counts.items() if key not in WHERE)
    return f"| {name} | {words} | {counts['took, s']} | {counts['load at the start']} | {counts['commit']} |"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, float):
        return f"{value:.3g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    (DOCS / "reliability.md").write_text(write_table(), encoding="utf-8")
