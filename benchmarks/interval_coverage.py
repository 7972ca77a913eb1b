"""How often 95 % confidence intervals hold the true value, on real errors of models.

    python benchmarks/interval_coverage.py [--boards FOLDER] [--draws 1000] [--groups 20,30,40,150,600]

The errors of a model on all its test crystals are taken for the truth. From them test sets of a few groups (reduced
formulas) are drawn, with replacement, and each is scored as `bench score` does: a share of the intervals holds the
score over all crystals. Errors: the stored runs of mp-2018 (BENCH_DATA names the folder of its labels), and with
--boards the published predictions of Matbench, in the layout of its repository. For RMSE and R2, which have no
interval, the program tries the one that the others have. Writes benchmarks/results/coverage.json, and the lowest
coverage of each line as the table coverage.md beside it.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import gcd
from pathlib import Path

import numpy as np

from asugnn.crystal import Floats, Ints
from leaderboard.board import load_ground_truth
from leaderboard.data import PACKAGE
from leaderboard.records import list_runs
from leaderboard.scoring import (
    Estimate,
    Metric,
    PredictedFold,
    estimate_metrics,
    group_variance,
    metrics_for,
    student_interval,
)

RESULTS = Path(__file__).resolve().parent / "results"
BOARDS = {
    "matbench_mp_e_form": "formation energy",
    "matbench_log_kvrh": "bulk modulus",
    "matbench_mp_gap": "band gap",
    "matbench_mp_is_metal": "metal",
}
FEWEST = 500  # groups of a population that is worth drawing from


@dataclass(frozen=True)
class Population:
    """All test crystals of one model: labels and predictions (n,), the group of each row (n,)."""

    target: str
    model: str
    y: Floats
    p: Floats
    group: Ints

    @cached_property
    def rows_of_groups(self) -> list[Ints]:
        """The rows of each group."""
        return np.split(np.argsort(self.group, kind="stable"), np.cumsum(np.bincount(self.group))[:-1])

    def draw(self, groups: int, rng: np.random.Generator) -> PredictedFold:
        """A test set of some groups, drawn with replacement: one that is drawn twice counts as two."""
        rows = [self.rows_of_groups[i] for i in rng.integers(0, len(self.rows_of_groups), groups)]
        names = [f"{k}" for k, of_group in enumerate(rows) for _ in of_group]
        every = np.concatenate(rows)
        return PredictedFold(self.y[every], self.p[every], names)


def stored_populations() -> Iterator[Population]:
    """The stored runs of mp-2018, whose labels are in the folder that BENCH_DATA names."""
    for stored in list_runs(PACKAGE / "runs")[0]:
        if stored.run.task.source.name == "mp-2018" and stored.run.model != "mean":
            truth, p = load_ground_truth(stored.run.task, stored.run.fold).read_run(stored)
            task = stored.run.task
            target = task.target.name.replace("-", " ")
            target += "" if task.rule == task.source.default_rule else f" by {task.rule}"
            group = np.unique(truth.groups, return_inverse=True)[1]
            yield Population(target, f"{stored.run.model} ({stored.run.preset})", truth.y, p, group)


def board_populations(boards: Path) -> Iterator[Population]:
    """The entries of Matbench that predict every crystal of a task; all folds together."""
    for task, target in BOARDS.items():
        table = json.loads(bz2.decompress((boards / "scripts" / "artifacts" / f"{task}.json.bz2").read_bytes()))
        column = next(name for name in table if name not in {"mbid", "composition", "spg_num", "crys_sys"})
        row = {name: i for i, name in enumerate(table["mbid"].values())}
        y = np.array([float(v) for v in table[column].values()])
        formulas = [reduced_formula(text) for text in table["composition"].values()]
        group = np.unique(formulas, return_inverse=True)[1]
        for file in sorted(boards.glob("benchmarks/*/results.json.gz")):
            tasks = json.loads(gzip.decompress(file.read_bytes()))["tasks"]
            p = np.full(len(y), np.nan)
            for fold in tasks.get(task, {"results": {}})["results"].values():
                for name, value in fold["data"].items():
                    p[row[name]] = float(value)
            if np.isfinite(p).all():
                yield Population(target, file.parent.name.removeprefix("matbench_v0.1_"), y, p, group)


def reduced_formula(text: str) -> str:
    """The reduced formula of a composition such as `Fe2 O4`, by element."""
    counts: Counter[str] = Counter()
    for element, n in re.findall(r"([A-Z][a-z]?)([\d.]*)", text):
        counts[element] += round(float(n or 1))
    divisor = reduce(gcd, counts.values())
    return "".join(f"{element}{n // divisor}" for element, n in sorted(counts.items()))


def measure(population: Population, sizes: Sequence[int], draws: int) -> Iterator[dict[str, object]]:
    """One entry for each metric and number of groups: how many intervals there are, and how many hold the truth."""
    kind = "binary" if population.target == "metal" else "regression"
    ranked_by = "rmsle" if kind == "regression" and min(population.y.min(), population.p.min()) > -1 else ""
    metrics = metrics_for(kind, ranked_by)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for size in sizes:
        ends: dict[str, list[tuple[float, float]]] = {metric.name: [] for metric in metrics}
        for _ in range(draws):
            drawn = estimate_metrics(kind, [population.draw(size, rng)], ranked_by)  # type: ignore[arg-type]
            for metric in metrics:
                if found := shown_interval(metric, drawn[metric.name]):
                    ends[metric.name].append(found)
        for metric in metrics:
            true = metric(population.y, population.p)
            yield {
                "target": population.target,
                "model": population.model,
                "metric": metric.title,
                "printed": metric.scale is not None,
                "groups": size,
                "intervals": len(ends[metric.name]) / draws,
                "coverage": float(np.mean([low <= true <= high for low, high in ends[metric.name]] or [np.nan])),
                "below": float(np.mean([high < true for _, high in ends[metric.name]] or [np.nan])),
                "width": float(np.median([high - low for low, high in ends[metric.name]] or [np.nan])) / abs(true),
            }


def shown_interval(metric: Metric, estimate: Estimate) -> tuple[float, float] | None:
    """The interval of an estimate; of RMSE and R2, that which they would have on the logarithm of RMSE and 1 - R2."""
    if metric.scale is not None:
        return None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)
    if estimate.value is None:
        return None
    variance = group_variance(estimate.influence, "log")
    if metric.name != "r2":
        return student_interval(estimate.value, variance, "log")
    ends = student_interval(1 - estimate.value, variance, "log")
    return (1 - ends[1], 1 - ends[0]) if ends else None


def write_summary(entries: Sequence[dict[str, object]], sizes: Sequence[int], draws: int) -> str:
    """The lowest coverage over the models of each target, metric and number of groups, as Markdown."""
    models = len({(e["target"], e["model"]) for e in entries})
    lines = [
        "# Coverage of 95 % confidence intervals",
        "",
        f"Written by `python benchmarks/interval_coverage.py`: {draws:,} test sets of each number of groups, drawn",
        f"from published and stored errors of {models} models. Each number is",
        "the lowest over the models; -: no interval.",
    ]
    for printed, title in ((True, "Printed"), (False, "Not printed: what the same interval would cover")):
        head = f"| target | metric | models | {' | '.join(f'{n} groups' for n in sizes)} |"
        lines += ["", f"## {title}", "", head, f"|---|---|---:|{'---:|' * len(sizes)}"]
        chosen = [e for e in entries if e["printed"] is printed]
        for target, metric in dict.fromkeys((e["target"], e["metric"]) for e in chosen):
            own = [e for e in chosen if (e["target"], e["metric"]) == (target, metric)]
            least = [min(e["coverage"] for e in own if e["groups"] == n) for n in sizes]  # type: ignore[type-var]
            cells = ["-" if np.isnan(v) else f"{v:.2f}" for v in least]  # type: ignore[call-overload]
            lines.append(f"| {target} | {metric} | {len({e['model'] for e in own})} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rounded(value: object) -> object:
    """Three decimals; None for nan, which JSON does not have."""
    return (None if np.isnan(value) else round(value, 3)) if isinstance(value, float) else value


def main() -> None:
    """Measure every population, print a line for each, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=Path, help="folder with `scripts/artifacts` and `benchmarks` of Matbench")
    parser.add_argument("--draws", type=int, default=1000, help="test sets of each number of groups")
    parser.add_argument("--groups", default="20,30,40,150,600", help="numbers of groups")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    chosen = parser.parse_args()
    sizes = [int(n) for n in chosen.groups.split(",")]
    entries = []
    for population in [*stored_populations(), *(board_populations(chosen.boards) if chosen.boards else [])]:
        if population.group.max() >= FEWEST:
            for entry in measure(population, sizes, chosen.draws):
                print(json.dumps(entry), flush=True)
                entries.append(entry)
    lines = ",\n".join(json.dumps({k: _rounded(v) for k, v in e.items()}) for e in entries)
    (chosen.out / "coverage.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (chosen.out / "coverage.md").write_text(write_summary(entries, sizes, chosen.draws), encoding="utf-8")


if __name__ == "__main__":
    main()
