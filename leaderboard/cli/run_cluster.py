"""`bench run --on slurm` and `--on local-cluster`: what was sent, what the jobs do, and how to leave them."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from leaderboard.cli.options import print_words
from leaderboard.cli.run_display import LiveLine, duration_text, plan_table, run_reporter

if TYPE_CHECKING:
    from leaderboard.running import Job, NodeSettings, Outcome, RunCost, Sent


def run_on_cluster(
    jobs: Sequence[Job], estimates: Sequence[RunCost], settings: NodeSettings, dry_run: bool
) -> Mapping[Outcome, int]:
    """Send what is not done and not sent, and follow all until they have ended; how many ended how.

    With `dry_run`, print the runs with time and memory, and what would be sent.
    """
    from leaderboard.running import follow_runs, send_runs

    sent = send_runs(jobs, estimates, settings, dry_run)
    sentence = sent_sentence(sent, estimates, settings)
    if dry_run:
        print_words("\n".join([*plan_table(jobs, estimates, sorted(sent.arrays), sent.faults), sentence]))
        return {}
    report, console = run_reporter(len(jobs))
    width = len(str(len(jobs)))
    began = time.monotonic()

    def watch(ended: int, states: Mapping[str, int], trouble: str) -> None:
        if states:
            words = trouble or ", ".join(f"{n} {state}" for state, n in states.items())
            since = duration_text(time.monotonic() - began)
            line.show(f"[{ended:{width}}/{len(jobs)}] after {since}: {words}")

    try:
        if sent.arrays:
            print_words(sentence, err=True)
        with LiveLine(console) as line:
            return follow_runs(jobs, settings.out, sent, report, watch)
    except KeyboardInterrupt:
        print_words(
            f"\nThe jobs keep running. Repeat the command to follow them; {cancel_words(sent)} ends them.", err=True
        )
        raise


def sent_sentence(sent: Sent, estimates: Sequence[RunCost], settings: NodeSettings) -> str:
    """What was, or is to be, sent; and what was before."""
    from leaderboard.running import total_seconds

    new = [i for i, array in sent.arrays.items() if array is sent.new]
    old = len(sent.arrays) - len(new)
    words = []
    if sent.new:
        jobs, at_once = len(sent.new.tasks), min(len(sent.new.tasks), settings.words.at_once)
        number = f", job {sent.new.ids[0]}" if sent.new.ids else ""
        where = f"Slurm{number}" if settings.cluster == "slurm" else "this machine"
        words.append(f"{_runs(len(new))} in {jobs} {'job' if jobs == 1 else 'jobs'} on {where}")
        seconds = [s for i in new if (s := estimates[i].seconds) is not None]
        if at_once < jobs or seconds:
            words.append(f"{at_once} at a time" if at_once == jobs else f"at most {at_once} at a time")
        if seconds:
            shared = at_once * settings.words.side_by_side
            words.append(f"about {duration_text(total_seconds(seconds, shared))} once they start")
        if unknown := len(new) - len(seconds):
            words.append(f"{unknown} of {'them' if seconds else 'which'} of unknown length")
    if old:
        words.append(f"{_runs(old)} sent before")
    if sent.finished:
        words.append(f"{_runs(len(sent.finished))} finished before")
    return ", ".join(words)


def cancel_words(sent: Sent) -> str:
    """The command that ends the jobs."""
    arrays = {array.name: array for array in sent.arrays.values()}.values()
    slurm = [array for array in arrays if array.cluster == "slurm"]
    names = [f"--name={array.name}" for array in slurm if not array.ids]  # sent by a command that was killed then
    jobs = " ".join(i for array in slurm for i in array.ids)
    processes = " ".join(i for array in arrays if array not in slurm for i in array.ids)
    commands = [f"`scancel {words}`" for words in [*names, jobs] if words]
    return " and ".join([*commands, *([f"`kill -{signal.SIGTERM.value} {processes}`"] if processes else [])])


def _runs(n: int) -> str:
    return f"{n} {'run' if n == 1 else 'runs'}"
