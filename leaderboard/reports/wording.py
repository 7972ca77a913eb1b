"""Words for numbers, intervals and the notes below a board, the same in every format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leaderboard._util import markdown_text, one_line
from leaderboard.board import FEWEST, ErrorBreakdown, MetricValue, Overview, OverviewLine, Row, TaskRank
from leaderboard.data import Task
from leaderboard.splitting import LEAKAGE_PHRASE

PRESET_WARNINGS = {
    "quick": "quick preset: trained for minutes; do not cite",
    "hours": "hours preset: published networks, trained for hours where their authors took days; say so if you cite",
}
OFFSET = (
    "offset: mean of label minus prediction over a system; adding it to the predictions removes a difference of "
    "reference states"
)
PRETRAINED_NOTE = "Pretrained rows are not ranked: their training data may include the test set"
PLURALS = {"range of the label": "ranges of the label"}
LISTED = 12  # names of classes in a note
FEW_GROUPS = 200  # below, an interval is itself uncertain
ROUGH = f"fewer than {FEW_GROUPS} test groups: intervals are approximate"


def plain_words(text: str, form: str = "table") -> str:
    """Words, perhaps a stranger's, in one line that is harmless on a terminal, or in Markdown where `form` says so."""
    return markdown_text(text) if form == "markdown" else one_line(text)


def order_by_place(rows: Sequence[Row], tasks: Sequence[Task]) -> list[str]:
    """Titles of models by their mean place over the tasks; pretrained ones come last."""
    places: dict[str, list[int]] = {}
    pretrained = {row.title for row in rows if row.pretrained_on}
    for task in tasks:
        for i, row in enumerate(r for r in rows if r.task == task.name):
            places.setdefault(row.title, []).append(i)
    return sorted(places, key=lambda m: (m in pretrained, -len(places[m]), sum(places[m]) / len(places[m])))


def preset_warning(rows: Sequence[Row], preset: str) -> str:
    """The warning about a preset if any of these rows was trained under it; else an empty text."""
    return PRESET_WARNINGS.get(preset, "") if any(row.preset == preset for row in rows) else ""


def board_notes(rows: Sequence[Row], preset: str, form: str, detailed: bool) -> list[str]:
    """The notes below a board: preset, intervals, bold print, leaks, pretrained rows; if detailed, times and data."""

    def clean(text: str) -> str:
        return plain_words(text, form)

    lines = [warning] if (warning := preset_warning(rows, preset)) else []
    where = {"markdown": "in brackets", "html": "beside each value"}.get(form, "below each value")
    lines.append(f"{where}: {rows[0].noise}; bold: not significantly worse than the best")
    if any(r.spread for r in rows):
        lines.append("±: standard deviation over folds and seeds")
    if any(r.groups < FEW_GROUPS for r in rows):
        lines.append(ROUGH)
    lines += map(clean, _submission_notes(rows))
    if detailed and (devices := sorted({r.device for r in rows if r.device})):
        lines.append(clean(f"times measured on {', '.join(devices)}"))
    if detailed and any(r.front for r in rows):
        lines.append("bold training time: no other model is both better and faster to train")
    if detailed and any(r.flat is False for r in rows):
        lines.append("*: not converged: the last 10 % of epochs still improved the validation score by more than 1 %")
    pretrained = _pretrained_notes(rows) + (_data_notes(rows) if detailed else [])
    return [*lines, *map(clean, _leak_notes(rows)), *map(clean, pretrained)]


def scope_prefix(rows: Iterable[Row]) -> str:
    """What stands before the name of a metric whose rows a host's solution scores: "public " or "private "."""
    scopes = {row.scope for row in rows}
    return f"{scopes.pop()} " if len(scopes) == 1 and scopes != {""} else ""


def omitted_classes(breakdown: ErrorBreakdown, what: str) -> str:
    """Which classes a breakdown of errors leaves out, and how many test crystals are in them; empty for none."""
    if not breakdown.small:
        return ""
    kind = {"element": "element", "space-group": "space group", "size": "size", "label": "range of the label"}[what]
    names = ", ".join(breakdown.small[:LISTED]) + (", ..." if len(breakdown.small) > LISTED else "")
    classes = f"{len(breakdown.small)} {kind if len(breakdown.small) == 1 else PLURALS.get(kind, f'{kind}s')}"
    inside = f"{breakdown.in_small:,} of {breakdown.n:,} crystals have them"
    return f"{classes} with fewer than {FEWEST} test crystals ({inside}): {names}"


def _submission_notes(rows: Sequence[Row]) -> list[str]:
    """Which file of each name counts, and how many were handed in under it, over the tasks of these rows."""
    tries: dict[str, int] = {}
    for row in rows:
        if row.tries:
            tries[row.model] = tries.get(row.model, 0) + row.tries
    if not tries:
        return []
    kept = " or ".join(sorted({row.keep for row in rows if row.tries}))
    counts = ", ".join(f"{name} {n}" for name, n in tries.items())
    return [f"submissions: the {kept} file of each name counts; tries: {counts}"]


def _data_notes(rows: Sequence[Row]) -> list[str]:
    """Source, version, date, licence and citation of each data set."""
    datasets = {row.data["name"]: row.data for row in rows if row.data}
    prefixes = {"source": "", "version": "version ", "date": "", "licence": "", "citation": ""}
    return [
        f"{name}: {'; '.join(f'{prefix}{data[key]}' for key, prefix in prefixes.items() if key in data)}"
        for name, data in datasets.items()
    ]


def _leak_notes(rows: Sequence[Row]) -> list[str]:
    """How many test structures each task leaks, where runs were allowed to (--allow-leaks)."""
    counts: dict[tuple[int, int], list[str]] = {}
    for task, row in {row.task: row for row in rows if row.leaks}.items():
        counts.setdefault((row.leaks or 0, row.n), []).append(task)
    return [f"{', '.join(tasks)}: {k:,} of {n:,} {LEAKAGE_PHRASE}" for (k, n), tasks in counts.items()]


def _pretrained_notes(rows: Sequence[Row]) -> list[str]:
    """What published weights were trained on, which test crystals they do not support, and why they have no rank."""
    targets_of: dict[tuple[str, str], list[str]] = {}  # by title and training data
    for row in rows:
        if row.pretrained_on:
            target = row.task.partition("/")[2]
            skipped = f", {count_unsupported(row.outside)}" if row.outside else ""
            targets_of.setdefault((row.title, row.pretrained_on), []).append(target + skipped)
    lines = [f"{title} on {data} ({'; '.join(targets)})" for (title, data), targets in targets_of.items()]
    return [*lines, PRETRAINED_NOTE] if lines else []


def count_unsupported(n: int) -> str:
    """The note on test crystals that a model does not support."""
    return f"{n:,} unsupported test {'crystal' if n == 1 else 'crystals'} skipped"


def format_rank(row: Row) -> str:
    """The rank of a row, or the range of ranks that it may have."""
    if row.rank is None:
        return "-"
    return f"{row.rank}" if row.rank == row.rank_high else f"{row.rank}-{row.rank_high}"


def format_task_rank(rank: TaskRank) -> tuple[str, str]:
    """The rank of a model on a task by its metric, and its ends; the second is empty where they are the same."""
    ends = f"{rank.low}" if rank.low == rank.high else f"{rank.low}–{rank.high}"
    value = f"{rank.value:g}"
    return value, "" if ends == value else ends


def format_mean_rank(line: OverviewLine) -> tuple[str, str]:
    """The mean rank of a model, and its ends; the second is empty where they are the same."""
    value, ends = f"{line.mean_rank:.1f}", (f"{line.low:.1f}", f"{line.high:.1f}")
    return value, "" if set(ends) == {value} else "–".join(ends)


def shorten_tasks(tasks: Sequence[str]) -> dict[str, str]:
    """The name of each task in a heading: without the data set, where all are of one, and without a shared split."""
    parts = {name: name.partition("/") for name in tasks}
    rules = {name.partition("@")[2] for name in tasks}
    short = {name: target if len({data for data, _, _ in parts.values()}) == 1 else name
             for name, (_, _, target) in parts.items()}  # fmt: skip
    return {name: text.partition("@")[0] if len(rules) == 1 else text for name, text in short.items()}


def overview_notes(found: Overview, form: str) -> list[str]:
    """The notes below an overview: what its numbers mean, and which models and tasks are not in it."""
    lines = []
    if found.models:
        where = {"markdown": "in brackets", "html": "beside each rank"}.get(form, "below each rank")
        lines.append(
            f"mean rank: over {len(found.tasks)} tasks, among these {len(found.models)} models; {where}: what the "
            "significance tests of the tasks leave open; on other tasks models may rank otherwise"
        )
        lines.append("best in: tasks on which a model is not significantly worse than the best")
    elif len(found.tasks) > 1:
        lines.append(f"no overall ranking: no model is ranked on all of {', '.join(found.tasks)}")
    by_tasks: dict[tuple[str, ...], list[str]] = {}
    for title, tasks in found.missing.items():
        by_tasks.setdefault(tasks, []).append(title)
    lines += [f"not in the overall ranking: {', '.join(titles)}; no rank on {', '.join(tasks)}"
              for tasks, titles in by_tasks.items()]  # fmt: skip
    if found.skipped and found.tasks:
        lines.append(f"not in the overall ranking: {', '.join(found.skipped)}, with fewer than two ranked models")
    return [plain_words(line, form) for line in lines]


def format_count(count: int | None) -> str:
    """A count in about three digits: 149k."""
    if count is None:
        return "-"
    return f"{count}" if count < 1000 else f"{count / 1e3:.0f}k" if count < 1e6 else f"{count / 1e6:.1f}M"


def format_number(value: float | None) -> str:
    """A value with three decimals; a dash for None."""
    return "-" if value is None else f"{value:.3f}"


def format_interval(value: MetricValue) -> str:
    """The ends of an interval; a dash if it is undefined."""
    if value.low is None:
        return "-"
    between = " to " if value.low < 0 else "–"
    return f"{format_number(value.low)}{between}{format_number(value.high)}"
