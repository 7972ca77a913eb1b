"""Write docs/boards.md from the files of the public boards that BENCH_BOARDS names: `nox -s boards`.

Models trained here stand beside them; for their labels, BENCH_DATA must name the folder of `mp-2018`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import head_to_head

from leaderboard._util import use_workspace
from leaderboard.board import MetricValue, Row, load_ground_truth, rank_rows
from leaderboard.data import BOARDS, JARVIS_COMMIT, MATBENCH_COMMIT, Task, load_dataset, suite_tasks
from leaderboard.ingest import fetch_dataset
from leaderboard.public_boards import enter_published, matbench_scores
from leaderboard.records import list_runs
from leaderboard.reports import format_rank, stated_differences

ROOT = Path(__file__).resolve().parent.parent
CHECKOUTS = {  # by board: its folder in BENCH_BOARDS, its repository, the commit of the files there
    "matbench": ("matbench", "materialsproject/matbench", MATBENCH_COMMIT),
    "jarvis": ("jarvis_leaderboard", "usnistgov/jarvis_leaderboard", JARVIS_COMMIT),
}
TITLES = {"matbench": "Matbench v0.1", "jarvis": "JARVIS-Leaderboard"}

HEAD = """# Matbench and the JARVIS-Leaderboard, scored again

Written by `docs/write_boards.py` (`nox -s boards`) from the predictions that
[Matbench](https://github.com/materialsproject/matbench) and the
[JARVIS-Leaderboard](https://github.com/usnistgov/jarvis_leaderboard) store. Every number on this page is computed from
these predictions, or from those of models trained here, and the labels of the task, unless it is called stated. To have
the same tables on your machine, and a model of your own in them, and to write its predictions in the form that Matbench
takes:

    bench published matbench
    bench leaderboard matbench
    bench data fetch matbench_jdft2d
    bench run --task matbench_jdft2d/exfoliation-energy --model forest --allow-leaks
    bench export --to matbench --task matbench_jdft2d/exfoliation-energy --model forest --out entry

The download was tested with local copies of these services, not with the services themselves: [data](data.md).

**How to read them.** A value is the mean over the folds of the task; in brackets is its 95 % confidence interval, and
each table says what that contains. Ranks follow from paired tests, corrected for all pairs of a table: over test
formulas and, where a task has five folds, also over folds, whose training sets and networks differ. A model of rank
"2-4" is not significantly different from those that the last column names. Each entry has one training per fold:
**where a task has one fold, no interval contains the noise of training**, and another seed can change the order. Only
the entries whose [files](#files) are listed are here, {entries}; others are better
on some tasks, such as MODNet on `matbench_dielectric`.

"""


def main() -> None:
    """Write docs/boards.md."""
    if not (named := os.environ.get("BENCH_BOARDS")):
        raise SystemExit("BENCH_BOARDS must name the folder of the boards' files")
    (ROOT / "docs" / "boards.md").write_text(page(Path(named)), encoding="utf-8")


def page(boards: Path) -> str:
    """The page as Markdown."""
    parts, beside, files, counts = [], [], ["## Files", ""], []
    ours = head_to_head.read_ours()
    with tempfile.TemporaryDirectory() as scratch, use_workspace(data=Path(scratch) / "data"):
        for board, (folder, repository, commit) in CHECKOUTS.items():
            root = Path(scratch) / board
            for name in BOARDS[board]:
                fetch_dataset(name, boards / folder, labels_only=True)
            tasks = list(suite_tasks(board))
            _, notes = enter_published(board, boards / folder, commit, tasks, root)
            rows, more = rank_rows(root, tasks, "quick")
            if notes or more:
                raise SystemExit("\n".join([*notes, *more]))
            counts.append(f"{len({row.model for row in rows})} of {TITLES[board]}")
            parts += [f"## {TITLES[board]}", "", *_summary(board, rows, root), ""]
            for task in tasks:
                if of_task := [row for row in rows if row.task == task.name]:
                    parts += [*_task_table(task, of_task), ""]
            if board == "jarvis":
                beside = head_to_head.section(ours, root)
            files += _file_table(board, boards / folder, repository, commit)
    return HEAD.format(entries=" and ".join(counts)) + "\n".join([*parts, *beside, *files]) + "\n"


def _summary(board: str, rows: Sequence[Row], root: Path) -> list[str]:
    """What changed against the stated board, and why."""
    if board == "jarvis":
        twice = ", ".join(f"{n} in `{task}`" for task, n in {r.task: r.leaks for r in rows if r.leaks}.items())
        return [
            "- The files of this board hold predictions and no scores: they state nothing to compare with.",
            "- Its labels come without compositions. Without the crystals, as here, each crystal is a group of its own:"
            " intervals are too narrow if crystals of one formula have similar errors.",
            f"- Some ids are listed in training and in test: {twice}. They count as leaks.",
        ]
    exact = total = auc = auc_total = 0
    for stored in list_runs(root)[0]:
        entry, task = stored.record.published, stored.run.task
        assert entry
        truth, p = (found := load_ground_truth(task, stored.run.fold)), stored.read_predictions(found.ids)
        scores = matbench_scores(task, truth.y, p)
        if "mae" in entry.stated:
            total += 1
            exact += f"{scores['mae']:.4g}" == f"{entry.stated['mae']:.4g}"
        if "roc_auc" in entry.stated:
            auc_total += 1
            auc += abs(scores["balanced_accuracy"] - entry.stated["roc_auc"]) < 1e-9
    lines = [
        f"- **MAE**: {exact} of {total} stated values of single folds are reproduced to four digits.",
        f"- **ROC-AUC**: {auc} of {auc_total} stated values of single folds equal the balanced accuracy, since the"
        " board's code computes the area from classes (is the probability 0.5 or more?), not from probabilities."
        " Entries that stored classes have no ROC-AUC and no rank here; accuracy and F1 need classes alone.",
    ]
    for row in rows:
        lines += [
            f"- `{row.task}`, {row.model}: stated {title} {stated}; recomputed {ours}."
            for title, stated, ours in stated_differences(row)
        ]
    for name in dict.fromkeys(row.task for row in rows):
        lines += _changed_leader(name, [row for row in rows if row.task == name])
    return lines


def _changed_leader(name: str, rows: Sequence[Row]) -> list[str]:
    """A line where the entry with the best stated value does not have our first place alone."""
    (task,) = [t for t in suite_tasks(name.partition("/")[0]) if t.name == name]
    metric = task.target.metrics[0]
    stated = {row.model: row.published.stated[metric.name] for row in rows if row.published}
    leader = (max if metric.higher_is_better else min)(stated, key=stated.__getitem__)
    first = [row.model for row in rows if row.rank == 1]
    head = f"- `{name}`: of these entries {leader} has the best stated {metric.title}"
    if first == [leader]:
        return []
    if leader in first:
        return [f"{head}; it is not significantly better than {_join([m for m in first if m != leader])}."]
    accuracy = {row.model: row.metrics["accuracy"] for row in rows}
    known = (
        f"{_join(first)} stored probabilities, and accuracy alone compares them: {leader} {_value(accuracy[leader])}, "
        + ", ".join(f"{model} {_value(accuracy[model])}" for model in first)
        if first
        else f"all others did so, too; the accuracy of {leader} is {_value(accuracy[leader])}"
    )
    return [f"{head}, {_digits(stated[leader])}, but stored classes, so that its ROC-AUC is not known; {known}."]


def _task_table(task: Task, rows: Sequence[Row]) -> list[str]:
    """All entries of one task."""
    metrics = task.target.metrics[:1] if task.target.kind == "regression" else task.target.metrics
    first = metrics[0]
    unit = f", {task.target.unit}" if task.target.unit not in ("", "1") else ""
    stated = any(row.published and row.published.stated for row in rows)
    n, groups, runs = rows[0].n, rows[0].groups, len(rows[0].runs)
    counted = f"{runs} {'fold' if runs == 1 else 'folds'}"
    grouped = f"{groups:,} formulas" if any(load_dataset(task.source).table["formula"]) else "no compositions"
    heads = ["rank", "model", *(f"{m.title}{unit if m.has_unit else ''}" for m in metrics), "± over folds"]
    heads += [*([f"stated {first.title}"] if stated else []), "not significantly different from"]
    lines = [
        f"### `{task.name}`",
        "",
        f"{task.target.meaning}; {n:,} test crystals in {counted}, {grouped}; {rows[0].noise}.",
        "",
        "| " + " | ".join(heads) + " |",
        "| --- | --- |" + " ---: |" * (len(heads) - 3) + " --- |",
    ]
    for row in sorted(
        rows, key=lambda r: (r.rank is None, -(r.metrics[metrics[-1].name].value or 0) * (r.rank is None))
    ):
        spread = row.spread[first.name] if row.spread else None
        entry = row.published
        assert entry
        tied = _join([title.removesuffix(", published") for title in row.tied_with]) if row.rank else ""
        if entry.classes and row.rank is None:
            tied = "stored classes instead of probabilities"
        cells = [format_rank(row), row.model, *(_value(row.metrics[m.name]) for m in metrics)]
        cells += ["-" if spread is None else _digits(spread)]
        cells += [_digits(entry.stated[first.name]) if first.name in entry.stated else "-"] if stated else []
        lines.append("| " + " | ".join([*cells, tied]) + " |")
    return lines


def _file_table(board: str, checkout: Path, repository: str, commit: str) -> list[str]:
    """The files that this page was computed from, with their digests."""
    if board == "matbench":
        patterns: Iterable[str] = ("scripts/artifacts/*.json.bz2", "benchmarks/*/results.json.gz")
    else:
        patterns = ("jarvis_leaderboard/benchmarks/AI/*/*.zip", "jarvis_leaderboard/contributions/*/*.csv.zip")
    lines = [f"[{repository}](https://github.com/{repository}/tree/{commit}), commit `{commit}`:", ""]
    lines += ["| file | sha256 |", "| --- | --- |"]
    for file in sorted(f for pattern in patterns for f in checkout.glob(pattern)):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"| `{file.relative_to(checkout)}` | `{digest}` |")
    return [*lines, ""]


def _value(value: MetricValue) -> str:
    if value.value is None:
        return "-"
    ends = "" if value.low is None or value.high is None else f" ({_digits(value.low)}–{_digits(value.high)})"
    return _digits(value.value) + ends


def _digits(value: float) -> str:
    """Four digits."""
    return f"{value:#.4g}".rstrip(".")


def _join(names: Sequence[str]) -> str:
    return ", ".join(names)


if __name__ == "__main__":
    main()
