"""Write docs/baselines.md from the stored runs: `nox -s docs`, with BENCH_DATA for the labels of mp-2018."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asugnn.crystal import Floats
from leaderboard.board import MetricValue, Row, load_ground_truth, rank_rows
from leaderboard.data import parse_task, suite_tasks
from leaderboard.records import PRETRAINED, list_runs
from leaderboard.reports import format_interval, format_number

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "leaderboard" / "runs"
UNITS = {"formation-energy": "eV/atom", "band-gap": "eV", "bulk-modulus": "log10 GPa", "metal": "ROC-AUC"}
TARGETS = tuple(UNITS)

# What publications report: model, target, value, number of training crystals, source; and why our value differs.
XG, CHEN, CO, CD = (
    "Xie & Grossman 2018",
    "Chen et al. 2019",
    "Chen & Ong 2022, retrained by matgl",
    "Choudhary & DeCost 2021",
)
NON_METALS = {("cgcnn", "band-gap"), ("megnet", "band-gap")}  # published over these alone
PUBLISHED = (
    (
        "cgcnn",
        "formation-energy",
        0.039,
        "28,046",
        XG,
        "18 % fewer crystals and a twelfth of the epochs",
    ),
    (
        "cgcnn",
        "band-gap",
        0.388,
        "16,458",
        XG,
        "trained here on metals, too, with a gap of 0",
    ),
    ("cgcnn", "bulk-modulus", 0.054, "2,041", XG, "more crystals here, including later years of the database"),
    ("cgcnn", "metal", 0.95, "28,046", XG, "the paper gives two digits"),
    (
        "megnet",
        "formation-energy",
        0.028,
        "60,000",
        CHEN,
        "two fifths of the crystals",
    ),
    ("megnet", "band-gap", 0.330, "-", CHEN, "trained here on metals, too, with a gap of 0"),
    (
        "megnet",
        "bulk-modulus",
        0.050,
        "4,664",
        CHEN,
        "short training; more crystals, including later years",
    ),
    ("m3gnet", "formation-energy", 0.019, "62,315", CO, "a third of the crystals, short training"),
    ("m3gnet", "bulk-modulus", None, "-", CO, "published on Matbench alone"),
    ("alignn", "formation-energy", 0.022, "60,000", CD, "two fifths of the crystals, of 300 epochs the first two"),
    ("alignn", "band-gap", 0.218, "60,000", CD, "two fifths of the crystals, of 300 epochs the first"),
    (
        "alignn",
        "bulk-modulus",
        0.051,
        "4,664",
        "Matformer's table",
        "short training",
    ),
    ("alignn", "metal", None, "-", CD, "published on [Matbench](boards.md) alone"),
    (
        "cogn",
        "formation-energy",
        0.017,
        "106,000",
        "Ruff et al. 2024, on Matbench",
        "a fifth of the crystals, other labels",
    ),
    (
        "asugnn",
        "formation-energy",
        0.020,
        "80 % of 111,120",
        "Cao, Anderson & Davis 2025",
        "other data, from 2024; a quarter of the published width, few of 200 epochs",
    ),
)

STATED = {  # errors on training and on test crystals, from the files that matgl publishes beside the weights
    ("m3gnet", "mp-2018/formation-energy"): "0.007, 0.019",
    ("megnet", "mp-2018/formation-energy"): "0.010, 0.028",
}

HEAD = """# Baselines compared with their publications

Written by `docs/write_baselines.py` from the runs in `leaderboard/runs`: every value is computed anew from predictions,
labels and split. Tasks: those of `mp-2018`, split `random`, fold 0: 20 % test, 10 % validation and 70 %
training crystals. In brackets: 95 % confidence interval over test formulas (for zero-shot tasks, over test structures)
and, in rows with several seeds, over seeds.

## Trained here

Preset `hours`: the network at its published size (ASUGNN at a quarter of its width) with a one-cycle learning rate, on
one CPU thread. "Not converged" means that the last 10 % of epochs still improved the validation score by more than 1 %.
Published gaps of CGCNN and MEGNet are over non-metals: beside the error over all crystals is that over the non-metals
among them, and the difference is of this one.

    bench run mp-2018 --model all --preset hours --data-dir FOLDER --allow-leaks

Rows with a `+` in their name were trained with the named fields changed (`--set`). `loss` and `weight_decay` were
chosen on validation crystals, fewer `epochs` or `updates` save time ([trials](trials.md)).

"""
PUBLISHED_WEIGHTS = """
## Published weights

Nothing is trained here. These weights were trained on the Materials Project of the same years, and most of them on
most of our test crystals: the table shows that our code runs them correctly, and is not a ranking. `stated` is the mean
error that the authors of the weights state for their training and for their test crystals. Here
the median error is as large as the first. The mean is larger, because a few crystals have large errors; the likely
reason is that structures of `mp-2018` were relaxed until 2020, after the weights and labels were made. CGCNN's weights
for the bulk modulus were trained on 2,041 crystals, a quarter of those with a label here. A potential skips a crystal
if, for one of its elements, the training set has no crystal of the pure element: formation energies are relative to
these.

    bench run mp-2018 --pretrained all --data-dir FOLDER
    bench run open-dft --pretrained all

"""
NOTES = """
Corrections that published weights need with current packages, found by comparison with their authors' values:

- CGCNN was trained with exactly twelve neighbours per atom. Using the whole shell of the twelfth changes the energy by
  0.9 eV/atom, and choosing twelve by their order in a file makes the energy depend on the cell. Here all atoms of that
  shell share the weight of the remaining places; for nine crystals in ten this equals the published sum to 1e-6.
- CGCNN's weights for `band-gap` were trained without metals: their error is large over all crystals, and as published
  over non-metals.
- Since version 3 matgl sums the messages of a bond at its first atom; older weights need the second. With the two atoms
  of a bond exchanged in the first layer, the current network computes what these weights were trained for.
- Before matgl 0.8.4, three-body messages of M3GNet went to the other of the two bonds.
- A crystal in which no atom has a neighbour within the cut-off (93 of `mp-2018` for MEGNet, such as caesium; none for
  CGCNN) is outside the domain of published weights of CGCNN, MEGNet and M3GNet, whose training had no such graphs: it
  is skipped and counted. Models trained here, these three and ALIGNN, bind an atom without a neighbour to its nearest
  shell instead, so that they support every crystal.
- `MEGNet-MP-2019.4.1-BandGap-mfi` is not offered: loaded the same way it predicts 0.3 eV for MgO, and we have not found
  how its training differed.
- The universal potential of M3GNet reproduces the lattice constants that its authors list (Si, Fe, Ag, GaAs, NaCl, KCl,
  MgO, TiC, CsCl) to 0.05 %. Formation energies are those of the given structures, without relaxation.
- CHGNet was trained on energies with the Materials Project's corrections for anions, and those of `open-dft` have none:
  it gives too low formation energies there, most of all for oxides.
"""


def main() -> None:
    """Write docs/baselines.md."""
    (ROOT / "docs" / "baselines.md").write_text(page(), encoding="utf-8")


def page() -> str:
    """The page as Markdown."""
    rows, notes = rank_rows(RUNS, list(suite_tasks("mp-2018")), "hours")
    if notes:
        raise SystemExit("\n".join(notes))
    trained = {(r.model, r.task.partition("/")[2]): r for r in rows if not r.pretrained_on}
    lines = ["| model | target | published | here | trained | difference | why |", "|---|---|---|---:|---:|---:|---|"]
    for model, target, value, crystals, source, why in PUBLISHED:
        measured = [r for (name, task), r in trained.items() if name.partition("+")[0] == model and task == target]
        counted = f"; {crystals} crystals" if crystals != "-" else ""
        published = "-" if value is None else f"{value:.{_digits(target)}f} ({source}{counted})"
        for row in measured or [None]:
            lines.append(_line(row.model if row else model, target, value, published, row, why))
    lines += [
        "",
        "Beside them, on the same crystals:",
        "",
        "| model | " + " | ".join(TARGETS) + " |",
        "|---|---:|---:|---:|---:|",
    ]
    for model in ("mean", "forest", "boosted"):
        lines.append(f"| {model} | " + " | ".join(_value(trained.get((model, t))) for t in TARGETS) + " |")
    leaks = {r.task.partition("/")[2]: f"{r.leaks} of {r.n:,}" for r in rows if r.leaks}
    if leaks:
        counts = ", ".join(f"{target} {count}" for target, count in leaks.items())
        lines += ["", f"Test structures that also appear in training or validation: {counts};"]
        lines.append("[how much that changes](../splits/README.md).")
    pretrained = [r for r in rows if r.preset == PRETRAINED]
    pretrained += [r for r in rank_rows(RUNS, list(suite_tasks("open-dft")), "quick")[0] if r.preset == PRETRAINED]
    heads = ("weights of", "task", "here", "median error", "stated", "test crystals", "skipped", "trained on")
    table = [f"| {' | '.join(heads)} |", "|---|---|---:|---:|---:|---:|---:|---|"]
    for row in pretrained:
        stated, median = STATED.get((row.model, row.task), "-"), "-"
        if row.kind == "regression":
            median = format_number(float(np.median(_errors(row)[1])))
        cells = (row.model, row.task, _value(row), median, stated, f"{row.n:,}", str(row.outside), row.pretrained_on)
        table.append("| " + " | ".join(map(str, cells)) + " |")
    return HEAD + "\n".join(lines) + "\n" + PUBLISHED_WEIGHTS + "\n".join(table) + "\n" + NOTES


def _line(model: str, target: str, value: float | None, published: str, row: Row | None, why: str) -> str:
    head = f"| {model} | {target} ({UNITS[target]}) | {published}"
    if row is None:
        return f"{head} | - | - | - | {why} |"
    metric = _primary(row).value
    assert metric is not None
    assert row.seconds_train is not None
    here = _value(row)
    if (row.model.partition("+")[0], target) in NON_METALS:
        y, errors = _errors(row)
        metric = float(errors[y > 0].mean())
        here += f"; non-metals {format_number(metric)}"
    difference = "-" if value is None else f"{metric - value:+.{_digits(target)}f}"
    epochs = f"{row.epochs} epoch{'s' * (row.epochs != 1)}{'' if row.flat else ', not converged'}"
    spent = f"{row.trained:,} crystals, {epochs}, {row.seconds_train / 60:,.0f} min"
    return f"{head} | {here} | {spent} | {difference} | {why} |"


def _digits(target: str) -> int:
    """How many decimals publications give."""
    return 2 if target == "metal" else 3


def _errors(row: Row) -> tuple[Floats, Floats]:
    """Labels and absolute errors (n,) of the test crystals that the one run of a row predicts."""
    (run,) = [run for run in list_runs(RUNS)[0] if run.row == row.key]
    truth, predicted = load_ground_truth(run.run.task, run.run.fold).read_run(run)
    return truth.y, np.abs(predicted - truth.y)


def _primary(row: Row) -> MetricValue:
    """The metric by which the row's task is ranked."""
    return row.metrics[parse_task(row.task).target.metrics[0].name]


def _value(row: Row | None) -> str:
    if row is None:
        return "-"
    value = _primary(row)
    interval = "" if value.low is None else f" ({format_interval(value)})"
    return f"{format_number(value.value)}{interval}"


if __name__ == "__main__":
    main()
