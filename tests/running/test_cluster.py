"""Runs as jobs: what is asked for, which runs share a job, what was sent before; and jobs on this machine."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asugnn.capacity import usable_cores, visible_gpus
from asugnn.errors import InputError
from leaderboard.cli.run_cluster import cancel_words
from leaderboard.data import parse_task
from leaderboard.records import list_runs
from leaderboard.running.bundles import LONG, SHORT, bundle_jobs
from leaderboard.running.cluster_queue import TaskState, UnknownQueueError, read_queue
from leaderboard.running.cluster_words import NAMES, NUMBERS, SBATCH, ClusterWords, parse_cluster_words
from leaderboard.running.estimates import RunCost
from leaderboard.running.job_arrays import forget_array, new_array, read_arrays, with_ids, write_array
from leaderboard.running.plan import plan_runs
from leaderboard.running.send_runs import Sent, slurm_parameters

PAGE = (Path(__file__).resolve().parents[2] / "docs/cluster.md").read_text(encoding="utf-8")

BENCH = [sys.executable, "-m", "leaderboard.cli"]
JOBS = plan_runs([parse_task(f"open-dft/{name}") for name in ("metal", "zero-shot")], ["mean"], "quick", [0],
                 list(range(40)), {})  # fmt: skip
WORDS = parse_cluster_words([], local=False)


def bench(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BENCH, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize(("gres", "gpus"), [("gpu:a100:1", 1), ("gpu:2", 2), ("gpu", 1), ("tmp:9,gpu:v100:4", 4)])
def test_gpus_of_gres_count_as_those_of_a_node(gres: str, gpus: int):
    """Sixteen runs were sent to one GPU, one for each core."""
    assert parse_cluster_words([f"gres={gres}", "cpus_per_task=16"], False).side_by_side == gpus
    assert parse_cluster_words(["gres=license:1", "cpus_per_task=16"], False).side_by_side == 16


def test_words_become_parameters_of_submitit():
    words = parse_cluster_words(
        ["partition=gpu,exclude=n1,n2", "gpus-per-node=4,cpus_per_task=2,hold=yes,array_parallelism=7"], False
    )
    assert (words.minutes, words.at_once, words.side_by_side) == (240, 7, 4)
    assert slurm_parameters(words, "bench-1") == {
        "name": "bench-1",
        "timeout_min": 240,
        "gpus_per_node": 4,
        "cpus_per_task": 2,
        "slurm_partition": "gpu",
        "slurm_exclude": "n1,n2",
        "slurm_signal_delay_s": 90,
        "slurm_array_parallelism": 7,
        "slurm_srun_args": ["--cpus-per-task=2"],
        "slurm_additional_parameters": {"requeue": True, "hold": True},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("partion=gpu", "--slurm does not know 'partion'; did you mean 'partition'?"),
        ("partition", "--slurm takes KEY=VALUE,KEY=VALUE, such as partition=gpu,timeout_min=240, not 'partition'"),
        ("=gpu", "--slurm takes KEY=VALUE"),
        ("partition=", "--slurm takes KEY=VALUE"),
        ("timeout_min=4h", "--slurm timeout_min takes a whole number from 1, not '4h'"),
        ("timeout_min=0", "--slurm timeout_min takes a whole number from 1, not '0'"),
        ("timeout_min=1", "--slurm timeout_min=1 ends a job before its signal"),
        ("mem_gb=1,mem-gb=2", "--slurm states mem_gb twice"),
        ("nodes=2", "--slurm does not know 'nodes'"),
    ],
)
def test_a_wrong_word_is_a_sentence(text: str, sentence: str):
    with pytest.raises(InputError, match=re.escape(sentence)):
        parse_cluster_words([text], local=False)


def test_words_of_slurm_are_none_of_this_machine():
    with pytest.raises(InputError, match="--slurm, with --on local-cluster, does not know 'partition'"):
        parse_cluster_words(["partition=gpu"], local=True)


@settings(max_examples=30)
@given(
    st.lists(st.one_of(st.none(), st.floats(0.1, 5000)), min_size=len(JOBS), max_size=len(JOBS)),
    st.sets(st.integers(0, len(JOBS) - 1)),
    st.integers(1, 300),
    st.integers(1, 8),
    st.integers(1, 50),
    st.integers(0, 5),
)
def test_each_run_is_in_one_job_after_the_run_whose_model_it_needs(seconds, chosen, at_once, cores, most, runs):
    estimates = [RunCost(s, None) for s in seconds]
    words = ClusterWords({"timeout_min": 240, "cpus_per_task": cores}, at_once, most, runs)
    bundles = bundle_jobs(JOBS, sorted(chosen), estimates, words)
    assert sorted(i for bundle in bundles for i in bundle) == sorted(chosen)
    assert len(bundles) <= most
    assert all(bundles)
    numbers = {job.run: i for i, job in enumerate(JOBS)}
    for bundle in bundles:
        for i in bundle:
            origin = numbers[JOBS[i].for_task(JOBS[i].run.task.training_task).run]
            if origin in chosen:
                assert origin in bundle[: bundle.index(i) + 1]


def test_short_runs_share_a_job_and_long_ones_have_their_own():
    metal = [i for i, job in enumerate(JOBS) if job.run.task.target.name == "metal"]

    def sizes(seconds: float | None, words: ClusterWords = WORDS) -> set[int]:
        return {len(b) for b in bundle_jobs(JOBS, metal, [RunCost(seconds, None)] * len(JOBS), words)}

    assert sizes(2.0) == {SHORT // 2, 40 - SHORT // 2}, "a minute each"
    assert sizes(100.0, replace(WORDS, at_once=2)) == {LONG // 100, 40 % (LONG // 100)}, "ten minutes each"
    assert sizes(1000.0) == sizes(None) == {1}
    assert sizes(1000.0, replace(WORDS, parameters={"cpus_per_task": 8})) == {8}, "eight cores are not left idle"
    assert sizes(1000.0, replace(WORDS, runs=4)) == {4}


def test_what_was_sent_is_read_again_and_forgotten(tmp_path: Path):
    array = new_array("slurm", [["a/b@c/quick/mean/0-0", "a/b@c/quick/mean/0-1"], ["a/b@c/quick/mean/0-2"]], {})
    write_array(tmp_path, array)
    assert read_arrays(tmp_path) == [array]
    assert array.log(tmp_path, 1) == array.folder(tmp_path), "the command was killed as it sent them"
    assert cancel_words(Sent({0: array}, {0: 0}, [], {}, None)) == f"`scancel --name={array.name}`"
    sent = with_ids(array, ["17"])
    write_array(tmp_path, sent)
    assert read_arrays(tmp_path) == [sent]
    assert sent.log(tmp_path, 1).name == "17_1_0_log.err"
    assert cancel_words(Sent({0: sent}, {0: 0}, [], {}, None)) == "`scancel 17`"
    local = with_ids(new_array("local-cluster", [["a/b@c/quick/mean/0-0"]], {}), ["4711"])
    both = Sent({0: sent, 1: local}, {0: 0, 1: 0}, [], {}, None)
    assert cancel_words(both) == "`scancel 17` and `kill -15 4711`"
    damaged = {**asdict(local), "ids": ["12a"]}
    (tmp_path / ".cluster" / f"{local.name}.json").write_text(json.dumps(damaged))
    with pytest.raises(InputError, match="cannot be read as a record of cluster jobs"):
        read_arrays(tmp_path)
    (tmp_path / ".cluster" / f"{local.name}.json").unlink()
    (tmp_path / f".cluster/{array.name}.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as a record of cluster jobs"):
        read_arrays(tmp_path)
    (tmp_path / f".cluster/{array.name}.json").write_text(json.dumps({**asdict(array), "name": "../../elsewhere"}))
    with pytest.raises(InputError, match="its name is that of another one"):
        read_arrays(tmp_path)
    forget_array(tmp_path, array)
    assert read_arrays(tmp_path) == []


def test_the_queue_of_this_machine_is_its_processes():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "submitit"])
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    array = with_ids(new_array("local-cluster", [["x"], ["y"]], {}), [str(child.pid), str(other.pid)])
    try:
        time.sleep(0.2)
        assert read_queue([array]) == {(array.name, 0): TaskState("RUNNING")}, "the other has a number of old"
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert read_queue([array]) == {}, "one that nobody waited for is dead all the same"
        with pytest.raises(UnknownQueueError, match="on elsewhere: repeat the command there"):
            read_queue([replace(array, host="elsewhere")])
    finally:
        for process in (child, other):
            process.kill()
            process.wait()


def test_states_of_slurm_are_ends_or_not():
    assert all(TaskState(name).alive for name in ("PENDING", "RUNNING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD"))
    assert not any(TaskState(name).alive for name in ("COMPLETED", "TIMEOUT", "NODE_FAIL", "CANCELLED", "GONE"))


def test_cores_and_cards_are_those_that_were_granted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7")
    assert usable_cores() == 1
    assert visible_gpus() == ["2", "GPU-7"]
    for stated, seen in (("-1", []), ("NoDevFiles", []), ("0,-1,1", ["0"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", stated)
        assert visible_gpus() == seen


@pytest.mark.slow
def test_jobs_on_this_machine_outlive_the_command(tmp_path: Path):
    """They are in no session of the terminal; the same words follow them, and a third time all is finished."""
    words = ("run", "--task", "open-dft/bulk-modulus,open-dft/metal", "--model", "mean", "--on", "local-cluster")
    first = subprocess.Popen([*BENCH, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert first.stderr is not None
    assert first.stderr.readline().startswith("2 runs in 1 job on this machine")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    second = bench(tmp_path, *words)
    assert second.returncode == 0, second.stderr
    assert len(list_runs(tmp_path / "runs")[0]) == 2
    assert "in 1 job" not in second.stderr, "nothing was sent twice"
    for array in read_arrays(tmp_path / "runs"):
        while read_queue([array]):
            time.sleep(0.1)
    third = bench(tmp_path, *words)
    assert third.stderr.count("finished before") == 2
    assert [*(tmp_path / "runs/.cluster").glob("bench-*")] == [], "it is forgotten"


def test_without_slurm_the_plan_is_shown_and_nothing_is_sent(tmp_path: Path):
    words = ("run", "--model", "mean", "--on", "slurm", "--slurm", "runs_per_job=2")
    nowhere = {"PATH": str(tmp_path)}
    planned = bench(tmp_path, *words, "--dry-run", **nowhere)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.splitlines()[-1].startswith("5 runs in 2 jobs on Slurm, 2 at a time, about ")
    done = bench(tmp_path, *words, **nowhere)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: --on slurm: there is no sbatch here: type the command on a login node")
    assert not (tmp_path / "runs").exists()


def test_the_page_lists_all_words():
    table = PAGE.partition("`--slurm` takes these words")[2].partition("sbatch reads")[0]
    listed = [
        word for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for word in re.findall(r"`([^`]+)`", row)
    ]
    assert {word.partition("=")[0] for word in listed} == NUMBERS | NAMES | SBATCH
    for word in listed:
        value = "" if "=" in word else "=8" if word in NUMBERS else "=x"
        parse_cluster_words([word + value], local=False)


def test_words_without_a_cluster_are_wrong_usage(tmp_path: Path):
    done = bench(tmp_path, "run", "--model", "mean", "--slurm", "partition=gpu")
    assert done.returncode == 2
    assert "--slurm is for jobs of a cluster" in done.stderr
