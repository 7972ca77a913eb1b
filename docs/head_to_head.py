"""Models trained here beside predictions of the JARVIS-Leaderboard, on crystals that both hold out: for docs/boards.md.

Both `jarvis_megnet` and `mp-2018` have crystals of the Materials Project, with its ids and its labels of 2018, but the
two lists of labels are of different days, and some energies were computed again in between. So a crystal counts where
its two labels agree, and each model is scored by the label of the list that it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asugnn.crystal import Floats
from leaderboard.board import load_ground_truth
from leaderboard.data import Task, load_dataset, parse_task
from leaderboard.records import StoredRun, list_runs
from leaderboard.reports import format_count, format_interval, format_number
from leaderboard.scoring import Estimate, PredictedFold, estimate_metrics, rank_models
from leaderboard.splitting import fold_leakage, fold_sides, read_split

TARGETS = ("formation-energy", "band-gap")
AGREEMENT = 0.01  # eV/atom or eV, of the two labels of a crystal
RUNS = Path(__file__).resolve().parent.parent / "leaderboard" / "runs"

HEAD = """## Models trained here, beside published predictions

Both `jarvis_megnet` and `mp-2018` have crystals of the Materials Project with labels of 2018; the structures of
`mp-2018` were relaxed from 2018 to 2020. Each table below compares models on the crystals that are in the test sets of
both, without duplicates of training and validation crystals of `mp-2018`. Only `chgnet-svr` may have seen them, in the
weights that it builds on, and is not ranked. Duplicates among the other training crystals of the published models were
not looked for.

The two lists of labels date from different days, and some crystals were computed again in between. A crystal counts
where its two labels agree within 0.01 eV/atom or eV, and each model is scored by the label of the list that it was
trained on. Crystals that were never computed again may be easier than others; they are the same for all models.

The published models were trained on 60,000 crystals, and longer. So the tables compare trained networks that one could
use, not methods: of two networks with few epochs the one that learns faster is ahead. They do not tell how much of a
difference is due to the number of training crystals, since no network was trained on both numbers. Trees come nearest,
as they need no long training: compare `boosted` with matminer_xgboost, and `forest` with matminer_rf, which have other
features.
"""
RULES = {  # by split of mp-2018: how its training crystals relate to theirs, and what is said of its models
    "jarvis": (
        "same split",
        """The models trained here have the split of `jarvis_megnet`, on those of its crystals that `mp-2018` has:
28,439 of 60,000 training crystals, 2,353 for validation, 2,021 for test. Settings are those of preset `hours`, with the
changes that a name states; networks have fewer epochs than in the [results](results.md).

    bench run --task mp-2018/{target}@jarvis --model boosted --preset hours --data-dir FOLDER --allow-leaks""",
    ),
    "random": (
        "another split",
        "The models trained here are those of the [results](results.md): preset `hours`, fold 0 of `random`.",
    ),
}


@dataclass(frozen=True)
class Side:
    """Test crystals of one list: ids, labels, reduced formulas, and the predictions (n,) of each model."""

    task: Task
    ids: Sequence[str]
    labels: Floats  # (n,)
    formulas: Sequence[str]
    predictions: dict[str, Floats]
    pretrained: frozenset[str]  # models trained here on weights that may have seen test crystals
    trained_on: int  # crystals
    training: dict[str, str]  # epochs and time of each model that was trained here

    def select(self, rows: Sequence[int]) -> Side:
        """The side with these rows alone."""
        return replace(
            self,
            ids=[self.ids[i] for i in rows],
            labels=self.labels[list(rows)],
            formulas=[self.formulas[i] for i in rows],
            predictions={name: values[list(rows)] for name, values in self.predictions.items()},
        )


def read_side(task: Task, root: Path) -> Side:
    """The runs of fold 0, seed 0 below `root` that were trained with preset `hours`, or published."""
    truth = load_ground_truth(task, 0)
    found, notes = list_runs(root)
    if notes:
        raise SystemExit("\n".join(notes))
    of_task = [s for s in found if s.run.task == task and (s.run.preset == "hours" or s.record.published)]
    runs = {stored.run.model: stored for stored in of_task if stored.run.fold == stored.run.seed == 0}
    data = load_dataset(task.source)
    sides = fold_sides(read_split(data, task.rule), data, task.target, 0)
    return Side(
        task,
        truth.ids,
        truth.y,
        truth.groups,
        {name: stored.read_predictions(truth.ids) for name, stored in runs.items()},
        frozenset(name for name, stored in runs.items() if stored.record.weights),
        len(sides.train),
        {name: _training(stored) for name, stored in runs.items() if not stored.record.published},
    )


def _training(stored: StoredRun) -> str:
    """How long a model was trained."""
    epochs, seconds = len(stored.read_history().get("val", ())), stored.record.seconds.train or 0.0
    time = time_words(seconds)
    return f"{epochs} epoch{'s' * (epochs > 1)}, {time}" if epochs else time


def time_words(seconds: float) -> str:
    """Seconds as seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def compare(ours: Side, theirs: Side) -> list[str]:
    """The table of one target, as Markdown."""
    position = {name: i for i, name in enumerate(theirs.ids)}
    shared = [i for i, name in enumerate(ours.ids) if name in position]
    agree = [i for i in shared if abs(ours.labels[i] - theirs.labels[position[ours.ids[i]]]) <= AGREEMENT]
    theirs = theirs.select([position[ours.ids[i]] for i in agree])
    ours = ours.select(agree)
    estimates: dict[str, tuple[Estimate, int, str]] = {}
    for side, suffix in ((ours, ""), (theirs, ", published")):
        for name, values in side.predictions.items():
            fold = PredictedFold(side.labels, values, ours.formulas)
            mae = estimate_metrics("regression", [fold])["mae"]
            estimates[name + suffix] = mae, side.trained_on, side.training.get(name, "-")
    ranks = rank_models({title: e for title, (e, *_) in estimates.items() if title not in ours.pretrained}, False)
    unit = ours.task.target.unit
    lines = [
        f"{len(agree)} of the {len(shared)} shared test crystals, in {len(set(ours.formulas))} formulas; "
        "95 % confidence interval over test formulas.",
        "",
        f"| rank | model | trained on | training | MAE, {unit} |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for title in sorted(estimates, key=lambda title: (title not in ranks, estimates[title][0].value)):
        estimate, crystals, training = estimates[title]
        rank = ranks.get(title)
        place = "-" if rank is None else f"{rank.low}" if rank.low == rank.high else f"{rank.low}-{rank.high}"
        value = f"{format_number(estimate.value)} ({format_interval(estimate)})"
        lines.append(f"| {place} | {title} | {format_count(crystals)} | {training} | {value} |")
    return lines


def read_ours() -> dict[tuple[str, str], Side]:
    """Our models by target and split, on test crystals that are no duplicates of training or validation ones."""
    sides = {}
    for target in TARGETS:
        for rule in RULES:
            task = parse_task(f"mp-2018/{target}@{rule}")
            side, twins = read_side(task, RUNS), fold_leakage(task, 0, load_dataset(task.source)).shared
            sides[target, rule] = side.select([i for i, name in enumerate(side.ids) if name not in twins])
    return sides


def heading(target: str, rule: str) -> str:
    """The heading of one table."""
    return f"### {target.replace('-', ' ').capitalize()}, {RULES[rule][0]}"


def section(ours: dict[tuple[str, str], Side], published: Path) -> list[str]:
    """The section as Markdown, from our models and the runs entered from the published predictions."""
    lines = [HEAD]
    for (target, rule), side in ours.items():
        lines += [heading(target, rule), "", RULES[rule][1].format(target=target), ""]
        lines += [*compare(side, read_side(parse_task(f"jarvis_megnet/{target}"), published)), ""]
    return lines
