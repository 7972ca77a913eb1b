"""Words for numbers, intervals and the notes below a board, the same in every format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from leaderboard._util import markdown_text, one_line
from leaderboard.board import FEWEST, ErrorBreakdown, MetricValue, Overview, OverviewLine, Row, TaskRank
from leaderboard.data import Task
from leaderboard.records import PRETRAINED
from leaderboard.reports.interval_words import has_interval, metrics_without_intervals, tasks_without_intervals
from leaderboard.reports.published_notes import published_notes
from leaderboard.reports.settings_notes import settings_notes
from leaderboard.scoring import MIN_GROUPS, TOO_FAR, Estimate, Training
from leaderboard.shipped import Prediction
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
LARGE = 1e6  # from here on, numbers have an exponent instead of a row of digits
LISTED = 12  # names of classes in a note
BEST, CHEAP = "★", "◆"  # marks of numbers
BEST_NOTE = f"{BEST}: the best, or not significantly worse than the best"
TRAINING_NOTES: dict[Training, str] = {
    "once": (
        "one training run per model: ranks and intervals compare these trained networks, not the methods; they do not "
        "contain the noise of training, and another seed can change the order (bench run --seed 0,1,2)"
    ),
    "seeds": "several seeds: ranks and intervals contain the noise of training",
    "folds": (
        "one training run per fold: models are told apart only where they differ both over the test set and over folds"
    ),
}
SUMMED = "seconds of one training run, mean over a model's runs, summed over the tasks that it has here"
ONE_RUN = "seconds of one run, mean over a model's runs"
FEW_GROUPS = 200  # below, an interval is itself uncertain
ROUGH = f"fewer than {FEW_GROUPS} test groups: intervals are approximate"


def plain_words(text: str, form: str = "table") -> str:
    """Words, perhaps a stranger's, in one line that is harmless on a terminal, or in Markdown where `form` says so."""
    return markdown_text(text) if form == "markdown" else one_line(text)


def order_by_place(rows: Sequence[Row], tasks: Sequence[Task]) -> list[str]:
    """Titles of models: those on most tasks first, by their mean place over these; pretrained ones come last."""
    places: dict[str, list[int]] = {}
    pretrained = {row.title for row in rows if row.pretrained_on}
    for task in tasks:
        for i, row in enumerate(r for r in rows if r.task == task.name):
            places.setdefault(row.title, []).append(i)
    return sorted(places, key=lambda m: (m in pretrained, -len(places[m]), sum(places[m]) / len(places[m])))


def preset_warning(rows: Sequence[Row], preset: str) -> str:
    """The warning about a preset if any of these rows was trained under it; else an empty text."""
    return PRESET_WARNINGS.get(preset, "") if any(row.preset == preset for row in rows) else ""


def best_models(rows: Iterable[Row]) -> set[str]:
    """Titles of the models of one task that are marked: not significantly worse than the best, while others are."""
    ranked = [row for row in rows if row.rank is not None]
    best = {row.title for row in ranked if row.rank == 1}
    return best if len(best) < len(ranked) else set()


def shows_r2(task: Task) -> bool:
    """Whether a board of several tasks shows R2 too: of a task that is never trained on, where it may be negative."""
    return bool(task.target.model_of) and task.target.kind == "regression"


def mark_best(text: str, best: bool) -> str:
    """A number with the mark of the best models, which a pipe and a colour-blind reader see too."""
    return f"{text} {BEST}" if best else text


def comparison_notes(rows: Sequence[Row]) -> list[str]:
    """What the mark means, on which tasks no two models can be told apart, and whether ranks contain training noise."""
    by_task: dict[str, list[Row]] = {}
    for row in rows:
        if row.rank is not None:
            by_task.setdefault(row.task, []).append(row)
    compared = {task: of_task for task, of_task in by_task.items() if len(of_task) > 1}
    undecided: dict[str, list[str]] = {}  # tasks, by the reason
    for task, of_task in compared.items():
        if not best_models(of_task):
            row = of_task[0]
            reason = f"no two models can be told apart on these {row.n:,} test crystals"
            if row.groups < MIN_GROUPS:
                reason = f"models are not compared, because the test crystals are of fewer than {MIN_GROUPS} groups"
            undecided.setdefault(reason, []).append(task)
    lines = [BEST_NOTE] if any(best_models(of_task) for of_task in compared.values()) else []
    lines += [f"{', '.join(tasks)}: {reason}" for reason, tasks in undecided.items()]
    trainings = {row.training for of_task in by_task.values() for row in of_task}
    notes = {training: note for training, note in TRAINING_NOTES.items() if training in trainings}
    if {"once", "seeds"} <= notes.keys():
        once = _trained_once(by_task)
        notes["once"] = f"one training run: {once}; no interval and no rank contains their noise of training"
    return [*lines, *notes.values()]


def _trained_once(by_task: Mapping[str, Sequence[Row]]) -> str:
    """The models with one training run, with the tasks of those that have several on another task."""
    trained: dict[str, dict[str, Training]] = {}
    for task, of_task in by_task.items():
        for row in of_task:
            trained.setdefault(row.title, {})[task] = row.training
    short, names = shorten_tasks(list(by_task)), []
    for title, trainings in sorted(trained.items()):
        once = [short[task] for task, training in trainings.items() if training == "once"]
        if once:
            names.append(title if len(once) == len(trainings) else f"{title} ({', '.join(once)})")
    return ", ".join(names)


def has_diverged(row: Row) -> bool:
    """Whether the errors of a row are beyond comparison."""
    return row.ranking_value.reason == TOO_FAR


def _diverged_notes(rows: Sequence[Row]) -> list[str]:
    """Which rows have no rank because of their errors."""
    tasks: dict[str, list[str]] = {}
    for row in filter(has_diverged, rows):
        tasks.setdefault(row.title, []).append(row.task)
    return [f"{title} on {', '.join(names)}: {TOO_FAR}" for title, names in tasks.items()]


def board_notes(rows: Sequence[Row], form: str, detailed: bool) -> list[str]:
    """The notes below a board, but for the warning about its preset and the note on its intervals.

    They are about: marks, ties, training noise; spread, metrics without an interval, few groups; submissions; times;
    leaks and published weights. If detailed also: devices, the Pareto front, convergence, and the data set.
    """
    lines = comparison_notes(rows) + _diverged_notes(rows) + settings_notes(rows, form)
    if any(r.spread for r in rows):
        lines.append("±: standard deviation over folds and seeds")
    lines += metrics_without_intervals(rows) if detailed else tasks_without_intervals(rows)
    if any(r.groups < FEW_GROUPS and has_interval(r) for r in rows):
        lines.append(ROUGH)
    lines += _submission_notes(rows) + published_notes(rows, detailed)
    if any(r.seconds_train is not None for r in rows):
        train, predict = ("training", "prediction") if form == "html" else ("train", "predict")  # as columns are called
        lines.append(f"{train}, {predict}: {ONE_RUN}" if detailed else f"{train}: {SUMMED}")
    if detailed and (devices := sorted({r.device for r in rows if r.device})):
        lines.append(f"times measured on {', '.join(devices)}")
    if detailed and any(r.front for r in rows):
        lines.append(f"{CHEAP} training time: no other model is both better and faster to train")
    if detailed and any(r.flat is False for r in rows):
        lines.append("*: not converged: the last 10 % of epochs still improved the validation score by more than 1 %")
    lines += _leak_notes(rows) + _pretrained_notes(rows) + (_data_notes(rows) if detailed else [])
    return [plain_words(line, form) for line in lines]


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
    limits = sorted({row.limit for row in rows if row.tries and row.limit})
    limit = f", of up to {' or '.join(map(str, limits))} a task" if limits else ""
    deadlines = sorted({row.deadline for row in rows if row.tries and row.deadline})
    until = f"; deadline {' or '.join(map(format_moment, deadlines))}" if deadlines else ""
    counts = ", ".join(f"{name} {n}" for name, n in tries.items())
    return [f"submissions: the {kept} file of each name counts{limit}{until}; tries: {counts}"]


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
            title = row.title if row.preset == PRETRAINED else f"{row.title}, pretrained in part,"
            targets_of.setdefault((title, row.pretrained_on), []).append(target + skipped)
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
        where = "in brackets" if form == "markdown" else "below each rank"
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


def format_moment(text: str) -> str:
    """A moment in UTC for people: 31 January 2027, 17:00 UTC."""
    moment = datetime.fromisoformat(text)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def format_count(count: int | None) -> str:
    """A count in about three digits: 149k."""
    if count is None:
        return "-"
    return f"{count}" if count < 1000 else f"{count / 1e3:.0f}k" if count < 1e6 else f"{count / 1e6:.1f}M"


def decimals_for(rows: Iterable[Row], metric: str) -> int:
    """The decimals of a column: three, but as many as show the narrowest interval, and no more where that is wide."""
    values = [row.metrics[metric] for row in rows if metric in row.metrics]
    widths = [v.high - v.low for v in values if v.low is not None and v.high is not None]
    narrowest = min(widths, default=1.0)
    return 4 if narrowest < 0.002 else 3 if narrowest < 2 else 2 if narrowest < 20 else 1


def format_number(value: float | None, digits: int = 3) -> str:
    """A value with some decimals, and no minus before a zero; a large one with an exponent, a dash for None."""
    if value is None:
        return "-"
    return f"{value:.3g}" if abs(value) >= LARGE else f"{round(value, digits) + 0.0:.{digits}f}"


def format_interval(value: MetricValue | Estimate | Prediction, digits: int = 3, factor: int = 1) -> str:
    """The ends of an interval, times a factor; a dash if it is undefined."""
    if value.low is None or value.high is None:
        return "-"
    between = " to " if value.low < 0 else "–"
    return between.join(format_number(end * factor, digits) for end in (value.low, value.high))
