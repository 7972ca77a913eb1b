"""The overview of a suite: of the packaged runs, of boards made up here, and what must hold of any board."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from leaderboard.board.board import rank_rows
from leaderboard.board.overview import Overview, TaskRank, overview
from leaderboard.board.rows import Row
from leaderboard.cli import app
from leaderboard.data import PACKAGE, Task, suite_tasks
from leaderboard.reports import overview_notes, render_board, render_overview
from leaderboard.scoring import Estimate, rank_models

TASKS = suite_tasks("open-dft")
UNRESOLVED = 2.0  # values that differ by less are not told apart on the boards made up here
Values = Mapping[str, float]  # by model


@cache
def packaged_rows() -> tuple[Row, ...]:
    return tuple(rank_rows(PACKAGE / "runs", list(TASKS), "quick")[0])


def ranked_rows(task: Task, values: Values) -> list[Row]:
    """Rows of a board on which values that differ by less than `UNRESOLVED` are tied."""
    metric, template = task.target.metrics[0], packaged_rows()[0]
    rows = []
    for model, value in values.items():
        apart = {m: v for m, v in values.items() if abs(v - value) >= UNRESOLVED}
        better = sum(metric.is_better(v, value) for v in apart.values())
        rows.append(
            replace(
                template, model=model, task=task.name, rank=1 + better, rank_high=len(values) - len(apart) + better,
                metrics={metric.name: replace(template.metrics["mae"], value=value)},
                tied_with=tuple(m for m in values if m != model and m not in apart),
            )
        )  # fmt: skip
    return rows


def made_up(*boards: Values) -> Overview:
    tasks = TASKS[: len(boards)]
    return overview(
        [row for task, values in zip(tasks, boards, strict=True) for row in ranked_rows(task, values)], tasks
    )


def test_of_the_packaged_runs_every_part_is_that_of_the_board():
    rows = packaged_rows()
    found = overview(rows, TASKS)
    assert found.tasks == tuple(task.name for task in TASKS)
    assert not found.missing
    assert not found.skipped
    by_cell = {(row.title, row.task): row for row in rows}
    assert {line.model for line in found.models} == {row.title for row in rows if row.rank is not None}
    for line in found.models:
        assert line.best_in == sum(by_cell[line.model, task].rank == 1 for task in found.tasks)
        assert line.mean_rank == pytest.approx(np.mean([rank.value for rank in line.ranks.values()]))
        for task, rank in line.ranks.items():
            row = by_cell[line.model, task]
            assert (rank.low, rank.high) == (row.rank, row.rank_high)  # all ranked models are compared
    assert all(a.mean_rank <= b.mean_rank for a, b in pairwise(found.models))


def test_a_board_by_hand():
    found = made_up({"a": 1.0, "b": 2.0, "c": 9.0}, {"a": 5.0, "b": 1.0, "c": 5.0})
    a, b, c = (next(line for line in found.models if line.model == name) for name in "abc")
    assert [line.model for line in found.models] == ["b", "a", "c"]
    assert (b.mean_rank, b.low, b.high, b.best_in) == (1.5, 1.0, 1.5, 2)  # 2nd (1-2), 1st
    assert (a.mean_rank, a.low, a.high, a.best_in) == (1.75, 1.5, 2.5, 1)  # 1st (1-2), 2nd and 3rd shared (2-3)
    assert (c.mean_rank, c.low, c.high, c.best_in) == (2.75, 2.5, 3.0, 0)


def test_only_models_ranked_on_the_same_tasks_are_compared_and_the_others_are_named():
    found = made_up({"a": 1.0, "b": 4.0, "best": 0.0 - 5}, {"a": 1.0, "b": 4.0}, {"a": 3.0})
    assert [line.model for line in found.models] == ["a", "b"]
    assert found.missing == {"best": (TASKS[1].name,)}
    assert found.skipped == (TASKS[2].name,)
    assert [line.ranks[TASKS[0].name].low for line in found.models] == [1, 2]  # among those that are compared
    assert [line.best_in for line in found.models] == [1, 0]  # of the whole board: "best" is better
    notes = overview_notes(found, "table")
    assert f"not in the overall ranking: best; no rank on {TASKS[1].name}" in notes
    assert f"not in the overall ranking: {TASKS[2].name}, with fewer than two ranked models" in notes


def test_where_nobody_has_all_tasks_that_is_said_and_no_number_is_given():
    found = made_up({"a": 1.0, "b": 2.0}, {"c": 1.0, "d": 2.0})
    assert found.models == ()
    text = render_overview(found, "table")
    assert f"no overall ranking: no model is ranked on all of {TASKS[0].name}, {TASKS[1].name}" in text
    assert "a, b; no rank on" in text
    assert made_up({"a": 1.0, "b": 2.0}).models == ()  # one task is its own board
    assert render_overview(made_up({"a": 1.0, "b": 2.0}), "table") == ""


boards = st.integers(2, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 6).map(float), min_size=n, max_size=n), min_size=2, max_size=len(TASKS)
    )
).map(lambda many: [dict(zip("abcde", values, strict=False)) for values in many])  # fmt: skip


@given(boards, st.randoms(use_true_random=False))
def test_the_order_and_the_names_of_the_models_do_not_matter(many: list[Values], random):
    found = {line.model: line for line in made_up(*many).models}
    names = list(many[0])
    random.shuffle(names)
    renamed = dict(zip(many[0], names, strict=True))
    shuffled = []
    for values in many:
        items = [(renamed[m], v) for m, v in values.items()]
        random.shuffle(items)
        shuffled.append(dict(items))
    again = {line.model: line for line in made_up(*shuffled).models}
    assert {m: replace(again[renamed[m]], model=m) for m in found} == found


@given(boards)
def test_ranks_lie_within_their_ends_and_share_out_the_places(many: list[Values]):
    found, n = made_up(*many), len(many[0])
    for task in found.tasks:
        assert sum(line.ranks[task].value for line in found.models) == n * (n + 1) / 2
    for line in found.models:
        for rank in [*line.ranks.values()]:
            assert 1 <= rank.low <= rank.value <= rank.high <= n
        assert line.low <= line.mean_rank <= line.high
        assert line.best_in == sum(rank.low == 1 for rank in line.ranks.values())  # all of the board are compared


@given(boards)
def test_equal_models_share_their_ranks(many: list[Values]):
    found = {line.model: line for line in made_up(*({**values, "copy": values["a"]} for values in many)).models}
    assert replace(found["copy"], model="a") == found["a"]


@given(boards, st.integers(0, 3), st.integers(1, 6))
def test_a_better_value_never_makes_a_rank_worse(many: list[Values], i: int, gain: int):
    i %= len(many)
    sign = 1 if TASKS[i].target.metrics[0].higher_is_better else -1
    improved = [dict(values) for values in many]
    improved[i]["a"] += sign * gain
    before, after = ({line.model: line for line in made_up(*b).models} for b in (many, improved))
    assert after["a"].mean_rank <= before["a"].mean_rank
    assert after["a"].low <= before["a"].low
    assert after["a"].high <= before["a"].high
    assert after["a"].best_in >= before["a"].best_in
    for other in set(before) - {"a"}:
        assert after[other].mean_rank >= before[other].mean_rank


def test_the_ends_hold_the_true_mean_rank():
    """Suites of four tasks, 100 groups, five models whose true errors differ by up to two standard errors."""
    random, inside, suites = np.random.default_rng(1), 0, 200
    names, tasks = list("abcde"), [t for t in TASKS if not t.target.metrics[0].higher_is_better]
    template = packaged_rows()[0]
    for _ in range(suites):
        rows, places = [], {name: [] for name in names}
        for task in tasks:
            true = random.permutation(np.linspace(1, 1.4, len(names)))
            errors = true[:, None] * random.exponential(size=(len(names), 100))
            estimates = {
                name: Estimate(
                    e.mean(),
                    None,
                    None,
                    100,
                    runs=(e.mean(),),
                    folds=(0,),
                    influence=(e - e.mean()) / 100,
                    population="same",
                )
                for name, e in zip(names, errors, strict=True)
            }
            ranks = rank_models(estimates, higher_is_better=False)
            for name, place in zip(names, true.argsort().argsort() + 1, strict=True):
                places[name].append(place)
                value = replace(template.metrics["mae"], value=estimates[name].value)
                rows.append(replace(template, model=name, task=task.name, rank=ranks[name].low,
                                    rank_high=ranks[name].high, tied_with=ranks[name].tied_with,
                                    metrics={"mae": value}))  # fmt: skip
        found = overview(rows, tasks)
        inside += all(line.low <= np.mean(places[line.model]) <= line.high for line in found.models)
    assert inside >= 0.95 * suites


def bench(*words: str) -> str:
    done = CliRunner().invoke(app, ["leaderboard", *words, "--runs", str(PACKAGE / "runs")])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_format_has_the_means_and_their_parts():
    found = overview(packaged_rows(), TASKS)
    plain = json.loads(bench("--overall", "--format", "json"))
    assert [(m["model"], m["mean_rank"], m["low"], m["high"]) for m in plain["models"]] == [
        (m.model, m.mean_rank, m.low, m.high) for m in found.models
    ]
    assert all(set(m["ranks"]) == set(found.tasks) for m in plain["models"])
    header, *lines = csv.reader(io.StringIO(bench("--overall", "--format", "csv")))
    assert [dict(zip(header, line, strict=True))["mean_rank"] for line in lines] == [
        str(m.mean_rank) for m in found.models
    ]
    for form in ("table", "markdown"):
        alone = bench("--overall", "--format", form)
        assert alone.splitlines()[-3].endswith("do not cite")
        assert f"{found.models[0].mean_rank:.1f}" in alone
        board = render_board(packaged_rows(), TASKS, "quick", form, detailed=False)
        assert render_overview(found, form) in board
        assert "over all tasks" not in render_board(packaged_rows(), TASKS[:1], "quick", form, detailed=True)
    one_task = CliRunner().invoke(app, ["leaderboard", "--overall", "--task", "open-dft/metal"])
    assert "needs at least two tasks" in str(one_task.exception)
    json.loads(bench("--overall", "--task", "open-dft/metal", "--format", "json"))


def test_many_tasks_fit_80_columns(monkeypatch: pytest.MonkeyPatch):
    """The ranks on thirteen tasks, as many as Matbench has, stand in three tables."""
    template = overview(packaged_rows(), TASKS)
    names = [f"matbench_log_{i}/phonon-peak" for i in range(13)]
    models = tuple(
        replace(m, model=f"alignn_by_{m.model}", best_in=13, ranks=dict.fromkeys(names, TaskRank(11.5, 10, 12)))
        for m in template.models
    )
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("leaderboard.reports.overview_table.draw_terminal", narrow_terminal)
    text = render_overview(Overview(tuple(names), models), "table")
    tables = text.partition("mean rank: over")[0]
    assert max(map(len, tables.splitlines())) <= 80
    assert tables.count("alignn_by_forest") == 3
    assert "…" not in tables
    assert tables.count("11.5") == 13 * len(models)  # none is folded
    assert render_overview(Overview(tuple(names), models), "markdown").count("alignn_by_forest") == 1


def narrow_terminal(table) -> str:
    from leaderboard.reports.table_drawing import draw_terminal

    return draw_terminal(table, 80)
