"""Fill in the table of docs/asugnn.md on ASUGNN's variants: `nox -s docs`, with BENCH_DATA."""

from __future__ import annotations

from write_results import HERE, fill_page

from asugnn.model_registry import ablation_variants
from leaderboard.board import rank_rows
from leaderboard.data import parse_task
from leaderboard.records import row_name
from leaderboard.reports import format_count, format_interval, format_number
from leaderboard.reports.paper import paper_values

RUNS = HERE.parent / "benchmarks" / "results" / "ablation"  # apart, so that variants do not crowd the boards
TASK = "mp-2018/bulk-modulus"
HEAD = (
    "| first | second | width | pattern | the paper, eV/atom | here, log10 GPa | parameters | against the first |",
    "|---|---|---:|---|---:|---:|---:|---|",
)


def page() -> str:
    """docs/asugnn.md with the variants of the paper's Table 1 as they came out here, beside the paper's values."""
    rows = {row.model: row for row in rank_rows(RUNS, [parse_task(TASK)], "quick")[0]}
    orders, widths, (masked,) = (block["rows"] for block in paper_values()["table-1"])
    base, lines = rows["asugnn"], list(HEAD)
    for variant in ablation_variants("asugnn", "quick"):
        row = rows[row_name("asugnn", variant)]
        first, second, width = (row.settings[name] for name in ("first", "second", "width"))
        quoted = next(o["mae"] for o in orders if (o["first"], o["second"]) == (first, second))
        if width != base.settings["width"]:
            quoted = next(w["mae"] for w in widths if w["width"] * base.settings["width"] == 512 * width)
        if not row.settings["xrd"]:
            quoted = masked["mae"]
        value = row.metrics["mae"]
        better = (value.value or 0) < (base.metrics["mae"].value or 0)
        cells = (
            first.upper(),
            "-" if second == "none" else second.upper(),
            str(width),
            "yes" if row.settings["xrd"] else "masked",
            quoted,
            f"{format_number(value.value)} ({format_interval(value)})",
            format_count(row.parameters),
            "" if row is base else "not told apart" if row.title in base.tied_with else "better" if better else "worse",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return fill_page(HERE / "asugnn.md", "ablation", lines)


if __name__ == "__main__":
    (HERE / "asugnn.md").write_text(page(), encoding="utf-8")
