"""Write docs/results.md, docs/learning-curves.svg and the table of docs/trials.md: `nox -s docs`, with BENCH_DATA."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from itertools import accumulate
from pathlib import Path

import matplotlib as mpl
import numpy as np
from head_to_head import time_words
from pymatgen.core import Composition

from leaderboard.board import Row, load_ground_truth, rank_rows
from leaderboard.data import Task, load_dataset, parse_task
from leaderboard.records import PRETRAINED, StoredRun, list_runs
from leaderboard.reports import (
    best_models,
    format_count,
    format_interval,
    format_number,
    format_rank,
)
from leaderboard.shipped import SHIPPED_MODELS, read_card, shipped_targets

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
RUNS = HERE.parent / "leaderboard" / "runs"
TREES = ("forest", "boosted")  # see composition and symmetry, and train for seconds
DOMINANT = 10  # percent of the error that one formula makes
REVERSED = -0.5  # rank correlation of a model that orders structures the wrong way round
TARGETS = ("formation-energy", "band-gap", "bulk-modulus", "metal")
RULES = {
    "random": "Test crystals are drawn at random: most have relatives in training.",
    "formula": "No formula of a test crystal is in training.",
    "prototype": "No structure type (space group and orbits) of a test crystal is in training; two similar crystals "
    "have different types if a slight distortion lowers the symmetry of one of them.",
    "element": "All test crystals contain iron, and no training crystal does (fold 0 of five elements): in a network "
    "that learns a vector for each element, such as MEGNet, that of iron stays untrained. Other elements may give "
    "another order.",
}
HEAD = """# Results on real crystals

Written by `docs/write_results.py` from the runs in `leaderboard/runs`, which `bench verify` recomputes: crystals of
the Materials Project (`mp-2018`), fold 0 of each split. Labels are of PBE, with U and the corrections of the Materials
Project of 2018: formation energy, band gap (0 for a metal), bulk modulus (Voigt-Reuss-Hill, of later years too), metal
or not. Preset `hours`: networks of the published sizes (ASUGNN at a quarter of its width), trained for at most about
two hours on one CPU core.

- In brackets: 95 % confidence interval over test formulas and, in rows with several seeds, over seeds. Rank: from 1 +
  the number of models that are significantly better to the number of models minus those that are significantly worse.
  So models with overlapping ranks may be equally good.
- One training run per model, unless a number of seeds is stated: ranks compare these trained networks, not the methods.
  On a small data set, up to 16 % of tables called two trainings different that
  [differed by their seeds alone](statistics.md#the-noise-of-training). `*`: in at least one run, the last tenth of the
  epochs still improved the validation score by more than 1 %, or there was only one epoch; longer training may help.
- The models were not tuned equally. Settings were tried for coGN, CGCNN, MEGNet, ASUGNN, `boosted` and
  `chgnet-svr` ([trials](trials.md)), on validation crystals of the split `random`; no test label of that split was used
  to choose any. The other splits reuse these settings, and some of their test crystals are among those validation
  crystals. To save time, networks were trained with fewer epochs for the formation energy on the other splits, and
  MEGNet, coGN and ALIGNN for the gap and metal. For numbers, coGN and the variants with `loss=l1` minimise absolute
  errors and all other networks squared ones; for metal all minimise the cross-entropy.
- Minutes are those of the machine that was at hand, an Intel or an AMD processor, some beside other work: for one
  setting they differ by up to a factor of four.
- Stored runs are not repeated when the code improves: the three seeds of `cogn` on the bulk modulus are from before
  gradients were clipped, and the row `asugnn` of the formation energy is from when all parameters had weight decay.
- `boosted` sees no position of an atom: it has composition, charge balance, symmetry and volume. It is best where these
  decide, as between metals and non-metals, and trains in seconds to minutes ([its features](../baselines/boosted.py)).

The commands that train them, except `chgnet-svr` (`--model chgnet-svr`):

    bench run mp-2018 --model all --preset hours --data-dir FOLDER --allow-leaks
    bench run --task mp-2018/bulk-modulus@formula --model all --preset hours --data-dir FOLDER --allow-leaks

and the same with `@prototype`, `@element` and `mp-2018/formation-energy@formula`. `bench leaderboard mp-2018 --preset
hours --best` has one row per model, with a mean rank over the four targets. FOLDER holds `mp_subset.parquet`, which is
not published: [what is in it](data.md).
A row with three seeds was made with `--seed 0,1,2`, a variant such as `cgcnn+loss=l1` with `--set cgcnn.loss=l1`, and
a row marked † with `--precision bfloat16`, which is faster only where the processor has instructions for bfloat16.
Without them coGN takes about six hours for the 48 epochs of its preset on 23,000 crystals: for the gap and metal, which
were trained on such a processor, it has 16 and 8 epochs.

These models beside published ones of the JARVIS-Leaderboard, on the same crystals:
[public boards](boards.md#models-trained-here-beside-published-predictions).

![Validation score against training time, one panel for each target](learning-curves.svg)
"""


def page() -> str:
    """The page as Markdown."""
    half = {run.row for run in list_runs(RUNS)[0] if run.record.precision == "bfloat16"}
    parts = [HEAD]
    for target in TARGETS:
        for rule, meaning in RULES.items():
            task = parse_task(f"mp-2018/{target}" + ("" if rule == "random" else f"@{rule}"))
            rows, notes = rank_rows(RUNS, [task], "hours")
            if notes:
                raise SystemExit("\n".join(notes))
            if trained := [row for row in rows if not row.pretrained_on]:
                heading = f"{task.target.name.replace('-', ' ')}" + ("" if rule == "random" else f", split by {rule}")
                parts += [f"\n## {heading[0].upper()}{heading[1:]}\n", f"{meaning} {_counts(trained[0])}\n"]
                frozen = [row for row in rows if row.pretrained_on and row.preset != PRETRAINED]
                parts += [
                    _table([*trained, *frozen], task, half),
                    "",
                    _conclude(trained, task) + _dominated(trained, task),
                ]
                parts += [_tell_frozen(frozen)] if frozen else []
    return "\n".join([*parts, *_zero_shot()]) + "\n"


ZERO_SHOT = """
## Zero-shot: distorted iron

Models of `mp-2018/formation-energy` predict 2,292 structures of iron, strained, cracked and with surfaces
([`fe-gap22`](data.md#fe-gap22)): energies up to 8.5 eV/atom above the lowest bcc iron, half of them above 0.85. None
of the models trained here has seen a structure far from equilibrium. For the columns `offset removed` the mean error
was subtracted from the predictions first; then `mean`, which predicts one number for all structures, has R2 = 0. `rank
correlation` is Spearman's: 1 where the structures are in the order of their energies, -1 where they are in reverse. The
structures are series of strains and no independent draws, so there are no intervals and no ranks.

    bench run --task fe-gap22/zero-shot --model all --preset hours --data-dir FOLDER --allow-leaks
    bench run --task fe-gap22/zero-shot --pretrained all --data-dir FOLDER

| model | MAE (eV/atom) | R2 | MAE, offset removed | R2, offset removed | rank correlation |
|---|---:|---:|---:|---:|---:|"""
SEEN = """
`chgnet-potential` is a universal potential, trained on energies, forces and stresses along relaxations, and therefore
on structures out of equilibrium: it alone predicts the order of their energies correctly. With their offset removed,
models of relaxed crystals are worse or hardly better than one number: their R2 is {lowest} to {highest}. {reversed}
{order} these structures the wrong way round. The published M3GNet potential was not run here. On the smaller
distortions of Ag and Fe-C in `open-dft`, both potentials are best, too, with an R2 of 0.95; the next is the
published M3GNet of relaxed crystals with 0.76: [quick board](quick-board.md)."""


def _zero_shot() -> list[str]:
    """The errors of models of mp-2018 on fe-gap22, and those of published weights."""
    from scipy.stats import spearmanr

    task = parse_task("fe-gap22/zero-shot")
    truth = load_ground_truth(task, 0)
    runs = {run.row: run for run in list_runs(RUNS)[0] if run.run.task == task}
    lines, relaxed, reverse = [ZERO_SHOT], [], []
    for row in rank_rows(RUNS, [task], "hours")[0]:
        system = row.systems["Fe"]
        values = [scores[name].value for scores in (system.metrics, system.after_offset) for name in ("mae", "r2")]
        predicted = runs[row.key].read_predictions(truth.ids)
        order = spearmanr(truth.y, predicted).statistic if np.ptp(predicted) else None
        lines.append(f"| {row.title} | {' | '.join(map(format_number, [*values, order]))} |")
        if order is not None and row.model != "chgnet-potential":
            relaxed.append(values[3] or 0.0)
            reverse += [row] if order < REVERSED else []
    lowest, highest = format_number(min(relaxed)), format_number(max(relaxed))
    order = "order" if len(reverse) > 1 else "orders"
    return [*lines, SEEN.format(lowest=lowest, highest=highest, reversed=_join(reverse), order=order)]


def _counts(row: Row) -> str:
    leaks = f"; {row.leaks} of them also appear in training or validation" if row.leaks else ""
    return f"{row.trained:,} training crystals; {row.n:,} test crystals in {row.groups:,} formulas{leaks}."


def _table(rows: Sequence[Row], task: Task, half: Collection[tuple[str, str, str]]) -> str:
    metric = task.target.metrics[0]
    unit = f" ({task.target.unit})" if metric.has_unit else ""
    lines = [
        f"| rank | model | {metric.title}{unit} | epochs | parameters | training |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        value = row.metrics[metric.name]
        seeds = f", {len(row.runs)} seeds" if len(row.runs) > 1 else ""
        interval = "" if value.low is None else f" ({format_interval(value)})"
        epochs = "-" if row.epochs is None else f"{row.epochs}{'' if row.flat else ' *'}"
        cells = (
            format_rank(row),
            f"{row.title}{seeds}",
            f"{format_number(value.value)}{interval}",
            epochs,
            format_count(row.parameters),
            _minutes(row) + (" †" if row.key in half and row.epochs else ""),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _tell_frozen(rows: Sequence[Row]) -> str:
    """What the weights know on which rows build."""
    one = len(rows) == 1
    return (
        f"\n{_join(rows)} {'builds' if one else 'build'} on weights that were trained on {rows[0].pretrained_on}:\n"
        f"{'it' if one else 'they'} may have seen test crystals, and {'is' if one else 'are'} not ranked."
    )


def _minutes(row: Row) -> str:
    return "-" if row.seconds_train is None else time_words(row.seconds_train)


def _conclude(rows: Sequence[Row], task: Task) -> str:
    """What may be concluded from the ranks and costs, in sentences."""
    first, metric = rows[0], task.target.metrics[0]
    tied = [row for row in rows[1:] if row.rank == 1]  # not significantly worse than the first
    words = [f"`{first.model}` has the {'highest' if metric.higher_is_better else 'lowest'} {metric.title}"]
    if tied:
        words.append(f"; {_join(tied)} {'is' if len(tied) == 1 else 'are'} not significantly different.")
    else:
        words.append(", and is significantly better than every other model here.")
    unfinished = [row for row in rows if row.flat is False]
    if unfinished:
        verb = "was" if len(unfinished) == 1 else "were"
        words.append(f" {_join(unfinished)} {verb} still improving when training ended.")
    trees = next((row for row in rows if row.model in TREES), None)  # the better of them
    if trees:
        behind = [row for row in rows[rows.index(trees) + 1 :] if row.rank and trees.title not in row.tied_with]
        if worse := [row for row in behind if row.model not in ("mean", *TREES)]:
            verb = "is" if len(worse) == 1 else "are"
            words.append(f" {_join(worse)} {verb} worse than `{trees.model}`, which trains for {_minutes(trees)}.")
    return "".join(words)


def _dominated(rows: Sequence[Row], task: Task) -> str:
    """Which formula makes most of the error of a row whose interval is wider than its value; empty for none."""
    metric, sentences = task.target.metrics[0].name, []
    for row in rows:
        value = row.metrics[metric]
        if value.value is None or value.low is None or value.high is None or value.high - value.low < value.value:
            continue
        (run,) = [run for run in list_runs(RUNS)[0] if run.row == row.key]
        truth = load_ground_truth(task, run.run.fold)
        formulas, of_formula = np.unique(load_dataset(task.source).groups(truth.ids), return_inverse=True)
        errors = np.bincount(of_formula, abs(run.read_predictions(truth.ids) - truth.y))
        worst = int(np.argmax(errors))
        share, count = round(100 * errors[worst] / errors.sum()), int(np.sum(of_formula == worst))
        if share >= DOMINANT:
            name = Composition(formulas[worst]).reduced_formula
            sentences.append(f" The {count} crystals of {name} cause {share} % of the error of `{row.title}`.")
    return "".join(sentences)


def _join(rows: Sequence[Row]) -> str:
    names = [f"`{row.model}`" for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def draw(path: Path) -> None:
    """Draw validation scores against time; a variant has the colour of its model, dashed."""
    plt.rcParams.update({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "curves", "axes.linewidth": 0.6})
    figure, axes = plt.subplots(2, 2, figsize=(7.0, 5.0), layout="constrained")
    stored = [run for run in list_runs(RUNS)[0] if run.run.preset == "hours" and run.run.seed == 0]
    names = sorted({run.run.model.split("+")[0] for run in stored if _curve(run)})
    for axis, target in zip(axes.flat, TARGETS, strict=True):
        task = parse_task(f"mp-2018/{target}")
        for run in stored:
            if run.run.task == task and (curve := _curve(run)):
                base, _, variant = run.run.model.partition("+")
                axis.plot(*curve, color=f"C{names.index(base)}", linestyle="--" if variant else "-", linewidth=1)
        unit = f"MAE, {task.target.unit}" if task.target.unit else "cross-entropy"
        axis.set(title=target.replace("-", " "), xlabel="minutes of one core", xscale="log", yscale="log", ylabel=unit)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:.0e}"[0] in "2346" else "")
        axis.spines[["top", "right"]].set_visible(False)
    handles = [plt.Line2D([], [], color=f"C{i}", label=name) for i, name in enumerate(names)]
    handles.append(plt.Line2D([], [], color="grey", linestyle="--", label="other settings"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=200)
    plt.close(figure)


def _curve(run: StoredRun) -> tuple[list[float], list[float]] | None:
    """Minutes and validation score at the end of each epoch."""
    history = run.read_history()
    if not history.get("val") or not history.get("seconds"):
        return None
    return [s / 60 for s in accumulate(history["seconds"])], history["val"]


def fill_page(file: Path, name: str, lines: Sequence[str]) -> str:
    """The text of a page with these lines between its mark of this name and the next end."""
    before, mark, rest = file.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    return before + mark + "\n" + "\n".join(lines) + "\n\n" + rest[rest.index("<!-- end -->") :]


def readme() -> str:
    """README with its table of results between its marks: three targets, models by their place where they have one.

    Of several settings of a model, those count for a target whose score on validation crystals is the best, as on
    `bench leaderboard mp-2018 --preset hours --best`.
    """
    tasks = [parse_task(f"mp-2018/{target}") for target in ("formation-energy", "bulk-modulus", "metal")]
    heads = [f"{t.target.name.replace('-', ' ')} {t.target.metrics[0].title} {t.target.unit}".strip() for t in tasks]
    lines = [f"| model | {' | '.join(heads)} |", "|---|---:|---:|---:|"]
    places: dict[str, list[float]] = {}
    cells: dict[tuple[str, str], str] = {}
    for task in tasks:
        ranked = rank_rows(RUNS, [task], "hours", one_per_model=True)[0]
        rows = [row for row in ranked if not row.pretrained_on]
        best = best_models(rows)
        for place, row in enumerate(rows):
            value = row.metrics[task.target.metrics[0].name]
            places.setdefault(row.name, []).append(place / len(rows))
            interval = f" ({format_interval(value)})" if value.low is not None else ""
            cells[row.name, task.name] = f"{format_number(value.value)}{' ★' if row.title in best else ''}{interval}"
    for name in sorted(
        (name for name in places if name != "mean"), key=lambda name: sum(places[name]) / len(places[name])
    ):
        lines.append(f"| {' | '.join([name, *(cells.get((name, task.name), '-') for task in tasks)])} |")
    return fill_page(HERE.parent / "README.md", "results", lines)


def trials_page() -> str:
    """docs/trials.md with the log of trials between its marks."""
    with (HERE.parent / "benchmarks" / "results" / "trials.csv").open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]
    return fill_page(HERE / "trials.md", "trials", lines)


def predict_page() -> str:
    """docs/predict.md with a table of the models that come with the package, from their cards, between its marks."""
    lines = [
        "| property | model | trained on | error on test crystals | in their 90 % interval | median width |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for target in shipped_targets():
        card = read_card(SHIPPED_MODELS / target)
        measured, unit = card.measured, card.unit
        error, width = f"{measured.get('mae', 0):.3f} {unit}", f"{measured['width']:.2g} {unit.removeprefix('log10 ')}"
        if card.classes:
            error, width = f"ROC-AUC {measured['roc_auc']:.3f}", f"{measured['width']:.2f} classes on average"
        held = f"{100 * measured['coverage']:.1f} % of {measured['inside']:,.0f}"
        cells = (target.replace("-", " "), f"`{card.row}`", f"{card.crystals:,} crystals", error, held, width)
        lines.append(f"| {' | '.join(cells)} |")
    return fill_page(HERE / "predict.md", "models", lines)


def main() -> None:
    """Write docs/results.md, the figure, and the tables of docs/trials.md, docs/predict.md and README."""
    (HERE / "results.md").write_text(page(), encoding="utf-8")
    (HERE / "trials.md").write_text(trials_page(), encoding="utf-8")
    (HERE / "predict.md").write_text(predict_page(), encoding="utf-8")
    (HERE.parent / "README.md").write_text(readme(), encoding="utf-8")
    draw(HERE / "learning-curves.svg")


if __name__ == "__main__":
    main()
