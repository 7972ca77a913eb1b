"""Which runs share a job on a cluster: short ones together, and a zero-shot run with the run whose model it needs."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.running.cluster_words import ClusterWords
from leaderboard.running.estimates import RunCost
from leaderboard.running.plan import Job

SHORT, LONG = 60.0, 600.0  # seconds: what a job should take at least, for it starts in some, and what suffices


def bundle_jobs(
    jobs: Sequence[Job], chosen: Sequence[int], estimates: Sequence[RunCost], words: ClusterWords
) -> list[list[int]]:
    """The numbers of the runs of each cluster job; `chosen` are the runs to be done.

    A job gets so many that it takes a minute at least and ten at most, unless one run takes longer, and as many as it
    can do side by side. A run of unknown length counts as a long one.
    """
    groups = _with_origins(jobs, chosen)
    seconds = [sum(LONG if (s := estimates[i].seconds) is None else s for i in group) for group in groups]
    wide = words.side_by_side
    enough = min(LONG, max(SHORT, sum(seconds) / (words.at_once * wide))) * wide
    bundles: list[list[int]] = []
    members, filled = 0, 0.0
    for group, taken in zip(groups, seconds, strict=True):
        fits = members < words.runs if words.runs else (members < wide or filled + taken <= enough)
        if not bundles or not fits:
            bundles.append([])
            members, filled = 0, 0.0
        bundles[-1] += group
        members, filled = members + 1, filled + taken
    width = max(1, -(-len(bundles) // words.most))
    return [[i for bundle in bundles[k : k + width] for i in bundle] for k in range(0, len(bundles), width)]


def _with_origins(jobs: Sequence[Job], chosen: Sequence[int]) -> list[list[int]]:
    """The chosen runs, each zero-shot one after the chosen run whose model it needs."""
    numbers = {jobs[i].run: i for i in chosen}
    groups: dict[int, list[int]] = {}
    for i in chosen:
        job = jobs[i]
        origin = i if job.weights else numbers.get(job.for_task(job.run.task.training_task).run, i)
        if origin == i:
            groups.setdefault(i, []).insert(0, i)
        else:
            groups.setdefault(origin, []).append(i)
    return list(groups.values())
