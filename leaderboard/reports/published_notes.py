"""What a board says of predictions that a public board stores: whose they are, and which of its scores are others."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board import Row
from leaderboard.scoring import metrics_for


def published_notes(rows: Sequence[Row], detailed: bool) -> list[str]:
    """Where entries of a public board are from, and where its stated scores differ; if detailed, also their authors."""
    entries = [(row, row.published) for row in rows if row.published]
    boards = dict.fromkeys((entry.board, entry.commit) for _, entry in entries)
    lines = [
        f"published: predictions that {board} stores{f', commit {commit[:12]}' if commit else ''}; one seed each"
        for board, commit in boards
    ]
    classes: dict[str, list[str]] = {}
    for row, entry in entries:
        if entry.classes:
            classes.setdefault(row.task, []).append(row.model)
        lines += [
            f"{row.task}, {row.model}: stated {title} {stated}; recomputed {ours}"
            for title, stated, ours in stated_differences(row)
        ]
    lines += [
        f"{task}: {', '.join(models)} stored classes instead of probabilities: ROC-AUC is not shown"
        for task, models in classes.items()
    ]
    if detailed:
        who = {row.model: " ".join(f"{entry.authors}; {entry.reference}".split()) for row, entry in entries}
        lines += [f"{model}: {about.strip('; ')}" for model, about in who.items()]
    return lines


def stated_differences(row: Row) -> list[tuple[str, str, str]]:
    """The metrics that a public board states otherwise than they are: title, stated and recomputed, to four digits."""
    if not row.published:
        return []
    ours = {metric.name: (metric.title, row.metrics[metric.name].value) for metric in metrics_for(row.kind)}
    pairs = [(*ours[name], stated) for name, stated in row.published.stated.items() if name in ours]
    texts = [(title, f"{stated:#.4g}", f"{value:#.4g}") for title, value, stated in pairs if value is not None]
    return [(title, stated, value) for title, stated, value in texts if stated != value]
