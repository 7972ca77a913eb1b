"""What somebody sees who has handed in a file: score, rank, ties, what is left to do, on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leaderboard._util import one_line, wrap_lines
from leaderboard.board import MetricValue, Row
from leaderboard.data import Task
from leaderboard.records import CompetitionRules
from leaderboard.reports.wording import format_interval, format_moment, format_number, format_rank, has_diverged

LISTED = 6  # names of models in a line


def render_entry(scored: dict[str, Any], task: Task) -> str:
    """Render what `bench submit` says of a file: its score, and what became of the one before."""
    metric = task.target.metrics[0]
    value = MetricValue(**scored["metrics"][metric.name])
    title = f"{scored['scope']} {metric.title}" if scored.get("scope") else metric.title
    unit = one_line(task.target.unit) if metric.has_unit else ""
    score = f"{title} {format_number(value.value)} {unit}".strip()
    before = f"{title} {format_number(scored['before'])}"
    ends = {
        "first": "",
        "better": f"; it replaces your earlier file, {before}",
        "worse": f"; it replaces your better or equal file, {before}: the last file counts",
        "stays": f"; your earlier file stays on the board, {before}: the best file counts",
    }
    if scored["outcome"] == "identical":
        return f"{scored['name']} on {task.name}: identical to your earlier file: nothing changed; {score}"
    tries = f"; submission {scored['tries']} under this name" if scored["tries"] > 1 else ""
    interval = "" if value.low is None else f" (95 % confidence interval {format_interval(value)})"
    entered = f"{scored['name']} on {task.name}: {score}{interval}{tries}{ends[scored['outcome']]}"
    return wrap_lines("\n".join([entered, *scored["hints"]]))


def render_place(row: Row | None, rows: Sequence[Row], scored: dict[str, Any], command: str) -> str:
    """Render the place of a file on the board of its task, what is left of the rules, and the next step.

    `row` is its row among `rows`, None where it has none; `scored` is what `enter_submission` returned, and `command`
    shows the board.
    """
    lines = _place_lines(row, rows)
    rules: CompetitionRules = scored["rules"]
    left = "" if rules.limit is None else f"; {max(0, rules.limit - scored['tries'])} of {rules.limit} files left"
    lines.append(describe_rules(rules).rstrip(".") + left)
    lines += ["", f"next: {command}", "shows the whole board; hand in again under the same name to improve"]
    return "\n".join(wrap_lines(line) if line else "" for line in lines)


def _place_lines(row: Row | None, rows: Sequence[Row]) -> list[str]:
    """The rank of a row, and the rows that are better, tied and worse."""
    if row is None or row.rank is None:
        reason = row.ranking_value.reason if row and (row.ranking_value.value is None or has_diverged(row)) else ""
        return [f"no rank: {reason.partition(':')[0] or 'the other rows of this board are of other folds or seeds'}"]
    ranked = [other for other in rows if other.rank is not None and other is not row]
    place = rows.index(row)
    others = [other for other in ranked if other.title not in row.tied_with]
    groups = {
        "significantly better": [other.title for other in others if rows.index(other) < place],
        "not significantly different": list(row.tied_with),
        "significantly worse": [other.title for other in others if rows.index(other) > place],
    }
    scope = f" on the {row.scope} rows" if row.scope else ""
    return [
        f"rank {format_rank(row)} of {len(ranked) + 1}{scope}",
        *(f"{what}: {_name_some(titles)}" for what, titles in groups.items() if titles),
    ]


def _name_some(titles: Sequence[str]) -> str:
    more = len(titles) - LISTED
    between = "; " if any("," in title for title in titles) else ", "  # "cgcnn, pretrained" is one name
    return one_line(between.join(titles[:LISTED]) + (f" and {more} more" if more > 0 else ""))


def describe_rules(rules: CompetitionRules) -> str:
    """The rules for handing in, in a sentence."""
    limit = "" if rules.limit is None else f", of up to {rules.limit}"
    until = f" Deadline: {format_moment(rules.deadline)}." if rules.deadline else ""
    return f"The {rules.keep} file of each name counts{limit}.{until}"
