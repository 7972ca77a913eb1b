"""`bench run`: train models, predict their test sets, rank them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from asugnn.errors import InputError
from leaderboard.cli.options import (
    ABLATION,
    SUITE,
    DataDir,
    Device,
    Preset,
    TaskNames,
    chosen_tasks,
    parse_jobs,
    parse_list,
    parse_numbers,
    print_words,
    progress_bars,
    was_typed,
)
from leaderboard.cli.report import print_board
from leaderboard.cli.run_cluster import run_on_cluster
from leaderboard.cli.run_display import LONG, LiveLine, RunsText, plan_sentence, plan_table, run_reporter

if TYPE_CHECKING:
    from leaderboard.data import Task
    from leaderboard.running import Job, Outcome, RunCost

SLOW_BFLOAT16 = (
    "warning: this processor has no instructions for bfloat16, and is several times slower with it than with float32: "
    "leave --precision out"
)


def run(
    ctx: typer.Context,
    suite: Annotated[
        str,
        typer.Argument(
            help="Suite of tasks: a data set, paper, matbench or jarvis; or ablation, for variants of ASUGNN."
        ),
    ] = SUITE,
    task: TaskNames = "",
    model: Annotated[
        str,
        typer.Option("--model", help="Models or FILE.py:CLASS, separated by commas; all: all but pretrained ones."),
    ] = "all",
    preset: Preset = "quick",
    fold: Annotated[
        str,
        typer.Option("--fold", help="Folds of the split, separated by commas, or all.",
                     show_default="0, or all for an official split"),
    ] = "",
    seed: Annotated[str, typer.Option("--seed", help="Seeds, separated by commas.")] = "0",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a hyper-parameter: MODEL.FIELD=VALUE (repeatable).", show_default=False),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            "--pretrained", help="Evaluate published weights instead of training: a name, all, or a folder.",
            show_default=False,
        ),
    ] = "",
    device: Device = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option("--precision", help="Precision of matrix multiplication during training."),
    ] = "float32",
    runs: Annotated[
        Path | None, typer.Option("--runs", "--out", help="Folder of the runs.", show_default="runs")
    ] = None,
    jobs: Annotated[
        str,
        typer.Option("--jobs", help="Number of runs at a time, one thread each; auto: as cores and memory allow."),
    ] = "auto",
    ranks: Annotated[
        int,
        typer.Option("--ranks", min=1, help="Number of processes that train a model together, each on a GPU or core."),
    ] = 1,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds without progress after which a run fails; 0: no limit.")
    ] = 3600.0,
    on: Annotated[
        Literal["local", "slurm", "local-cluster"],
        typer.Option(
            "--on",
            metavar="PLACE",
            help="local: in this command; slurm: as Slurm jobs; local-cluster: as background jobs on this machine.",
        ),
    ] = "local",
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm",
            help="Resources of a job: KEY=VALUE pairs, separated by commas; docs/cluster.md lists the keys.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs, with time and memory; run none.")] = False,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Allow test structures that also occur in training.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Repeat finished runs and replace them.")] = False,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Train models, predict their test sets, and rank them.

    Finished runs are skipped, interrupted ones resumed.

    Example:

    bench run --model mean,forest,cgcnn --seed 0,1,2
    """
    from leaderboard._util import current_workspace, use_workspace
    from leaderboard.records import OWN_RUNS
    from leaderboard.running import (
        NodeSettings,
        choose_device,
        chosen_models,
        estimate_jobs,
        parse_cluster_words,
        parse_overrides,
        plan_pretrained,
        plan_runs,
    )

    words = {"--set": set_, ABLATION: suite == ABLATION, "--seed": was_typed(ctx, "seed"), "--allow-leaks": allow_leaks}
    if weights and any(words.values()):
        word = next(word for word, given in words.items() if given)
        raise typer.BadParameter(f"{word} is for training, and --pretrained does not train: leave one of them out")
    if slurm and on == "local":
        raise typer.BadParameter("--slurm is for jobs of a cluster: add --on slurm, or --on local-cluster")
    resources = parse_cluster_words(slurm or [], on != "slurm", ranks)
    tasks = _trainable(chosen_tasks(suite, task))
    if model == "all" and suite == ABLATION:
        model = "asugnn"
    models, skipped = chosen_models(parse_list(model), preset, weights)
    for sentence in skipped:
        print_words(f"skipped: {sentence}", err=True)
    jobs_wanted = parse_jobs(jobs)
    folds = None if fold == "all" else parse_numbers("--fold", fold) if fold else []
    seeds, overrides = parse_numbers("--seed", seed), parse_overrides(set_ or [], models)
    with (
        progress_bars("split"),
        use_workspace(device=choose_device(device) if on == "local" else "cpu", precision=precision, ranks=ranks),
    ):
        if weights:
            planned = plan_pretrained(tasks, models, weights, folds, again)
        else:
            planned = plan_runs(tasks, models, preset, folds, seeds, overrides, allow_leaks, suite == ABLATION, again)
        if precision == "bfloat16" and on != "slurm":
            _warn_of_bfloat16([] if weights else planned, choose_device(device))
        out = (runs or OWN_RUNS).absolute()
        estimates = estimate_jobs(planned, out)
        if on == "local":
            counts = _run_here(planned, out, estimates, jobs_wanted, timeout, dry_run)
        else:
            data = current_workspace().data
            settings = NodeSettings(
                on, out, Path.cwd(), data and data.absolute(), device, precision, jobs_wanted, timeout, resources
            )
            counts = run_on_cluster(planned, estimates, settings, dry_run)
    if dry_run:
        return
    if counts["done"] + counts["kept"]:
        print_board(runs, tasks, "table", preset)
    if counts["failed"]:
        kept = "; the others are kept" if counts["failed"] < len(planned) else ""
        raise InputError(f"{counts['failed']} of {len(planned)} runs failed: see above{kept}")


def _warn_of_bfloat16(planned: Sequence[Job], device: str) -> None:
    """Warn where networks would train with a precision that this machine's processor has no instructions for."""
    from asugnn.model_registry import find_model, is_file_model
    from leaderboard.running import bfloat16_is_slow

    # A file is not executed here: whatever it does, the other models are trained.
    installed = (find_model(job.model) for job in planned if not is_file_model(job.model))
    networks = any("torch" in getattr(model, "requires", ("torch",)) for model in installed)
    if networks and device == "cpu" and bfloat16_is_slow():
        print_words(SLOW_BFLOAT16, err=True)


def _trainable(tasks: list[Task]) -> list[Task]:
    """The tasks that have crystals to train on; raises `InputError` where there are none."""
    compositions = [t.name for t in tasks if t.source.compositions]
    if compositions:
        print_words(
            f"skipped: {', '.join(compositions)}: compositions without crystals can be scored, not trained on",
            err=True,
        )
    if len(compositions) == len(tasks):
        raise InputError("no task is left that has crystals to train on: score predictions with `bench score`")
    return [t for t in tasks if not t.source.compositions]


def _run_here(
    planned: Sequence[Job],
    out: Path,
    estimates: Sequence[RunCost],
    jobs: int | Literal["auto"],
    timeout: float,
    dry_run: bool,
) -> Mapping[Outcome, int]:
    """Do the jobs, with a line for each that has ended and one about those that run; how many ended how."""
    from leaderboard._util import current_workspace
    from leaderboard.running import choose_processes, list_unfinished, run_jobs, total_seconds

    workspace = current_workspace()
    processes, threads = choose_processes(jobs, workspace.device, len(planned), workspace.ranks)
    if dry_run or total_seconds([e.seconds or 0 for e in estimates], processes) > LONG:  # it takes a process to look
        left, faults = list_unfinished(planned, out)
        sentence = plan_sentence(left, estimates, processes, threads)
        if dry_run:
            print_words("\n".join([*plan_table(planned, estimates, left, faults), sentence]))
            return {}
        if total_seconds([estimates[i].seconds or 0 for i in left], processes) > LONG:
            print_words(sentence, err=True)
    report, console = run_reporter(len(planned))
    text = RunsText(planned, estimates, processes).text
    with LiveLine(console) as line:
        return run_jobs(
            planned,
            out,
            report,
            processes,
            threads=threads,
            timeout=timeout,
            estimates=estimates,
            watch=lambda running, ended: line.show(text(running, ended) if running else ""),
        )
