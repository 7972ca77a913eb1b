"""Which run is next, by model, need, memory; how long all of it takes."""

import dataclasses
from collections import defaultdict
from pathlib import Path

import pytest

from asugnn import capacity
from leaderboard.data import parse_task
from leaderboard.running.estimates import RunCost, Running, estimate_jobs, seconds_left, total_seconds
from leaderboard.running.plan import Job, plan_runs
from leaderboard.running.run_processes import choose_processes
from leaderboard.running.schedule import Schedule


def plan(names: str = "formation-energy zero-shot", models: str = "mean forest", seeds: int = 1) -> list[Job]:
    tasks = [parse_task(f"open-dft/{name}") for name in names.split()]
    return plan_runs(tasks, models.split(), "quick", [0], list(range(seeds)), {})


def work_off(schedule: Schedule, jobs: list[Job], processes: int) -> list[list[int]]:
    """The numbers of the jobs that run at the same time, in order, if the one that began first always ends first."""
    running: list[int] = []
    seen = []
    while True:
        while len(running) < processes:
            chosen = schedule.next_job(set(), {jobs[i].model for i in running})
            if chosen is None:
                break
            running.append(chosen[0])
        if not running:
            return seen
        seen.append(list(running))
        schedule.end(running.pop(0))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_job_once_and_none_before_the_one_whose_model_it_needs(processes: int):
    jobs = plan("zero-shot metal", "mean forest cgcnn", seeds=2)
    seen = work_off(Schedule(jobs, [RunCost(1.0, 10)] * len(jobs), lambda: 10_000), jobs, processes)
    first = {i: k for k, running in reversed(list(enumerate(seen))) for i in running}
    last = {i: k for k, running in enumerate(seen) for i in running}
    assert sorted(first) == list(range(len(jobs)))
    assert max(map(len, seen)) == processes
    numbers = {job.run: i for i, job in enumerate(jobs)}
    for i, job in enumerate(jobs):
        origin = numbers[job.for_task(job.run.task.training_task).run]
        assert origin == i or last[origin] < first[i]


def test_a_model_that_is_loaded_comes_first_then_the_one_with_most_work():
    jobs = plan("metal band-gap", "mean forest cgcnn")
    seconds = defaultdict(lambda: 1.0, {"cgcnn": 50.0})
    schedule = Schedule(jobs, [RunCost(seconds[job.model], 10) for job in jobs], lambda: 10_000)
    chosen = [
        schedule.next_job(idle, served)
        for idle, served in [({"mean"}, set()), (set(), {"mean"}), ({"mean"}, {"cgcnn"})]
    ]
    assert [jobs[c[0]].model for c in chosen if c] == ["mean", "cgcnn", "mean"]


@pytest.mark.parametrize(("available", "together"), [(None, 2), (10_000, 2), (700, 1), (1, 1)])
def test_runs_start_together_only_where_memory_allows(available: int | None, together: int):
    jobs = plan("metal band-gap", "mean")
    seen = work_off(Schedule(jobs, [RunCost(1.0, 400)] * 2, lambda: available), jobs, 2)
    assert max(map(len, seen)) == together


def test_what_ran_out_of_memory_is_repeated_alone():
    jobs = plan("metal band-gap bulk-modulus", "mean")
    schedule = Schedule(jobs, [RunCost(1.0, 400)] * 3, lambda: 10_000)
    assert [schedule.next_job(set(), set()), schedule.next_job(set(), set())] == [(0, False), (1, False)]
    schedule.repeat_alone(0)
    assert schedule.next_job(set(), set()) == (2, False)
    schedule.end(1)
    assert schedule.next_job(set(), set()) is None  # one is running
    schedule.end(2)
    assert schedule.next_job(set(), set()) == (0, False)
    assert schedule.tried_alone == {0}


def test_what_another_command_is_at_is_waited_for_last():
    jobs = plan("metal band-gap", "mean")
    schedule = Schedule(jobs, [RunCost(None, None)] * 2, lambda: None)
    assert schedule.next_job(set(), set()) == (0, False)
    schedule.put_off(0)
    assert schedule.next_job(set(), set()) == (1, False)
    schedule.end(1)
    assert schedule.next_job(set(), set()) == (0, True)


def test_estimates_are_those_of_stored_runs_scaled_by_size(tmp_path: Path):
    """Those of the package, of which formation energy has the most crystals; nothing is known of a new model."""
    jobs = plan("formation-energy zero-shot metal", "cgcnn")
    energy, zero_shot, metal = (estimate_jobs(jobs, tmp_path)[i] for i in range(3))
    assert energy.seconds is not None
    assert metal.seconds is not None
    assert zero_shot.seconds is not None
    assert zero_shot.seconds < metal.seconds < energy.seconds < 600
    assert energy.memory is not None
    assert 300 < energy.memory < 1000
    (tmp_path / "new.py").write_text("class New: pass\n")
    assert estimate_jobs(plan("metal", f"{tmp_path / 'new.py'}:New"), tmp_path) == [RunCost(None, None)]


def test_estimates_follow_the_epochs_that_are_set(tmp_path: Path):
    (job,) = plan("formation-energy", "cgcnn")
    ten, thirty, single = (
        estimate_jobs([dataclasses.replace(job, overrides=overrides)], tmp_path)[0]
        for overrides in ({"epochs": "10", "updates": "0"}, {"epochs": "30", "updates": "0"}, {"updates": "1"})
    )
    assert ten.seconds is not None
    assert thirty.seconds is not None
    assert single.seconds is not None
    assert thirty.seconds - 1.5 == pytest.approx(3 * (ten.seconds - 1.5), rel=0.05)  # but for the time of predicting
    assert single.seconds - 1.5 == pytest.approx((ten.seconds - 1.5) / 10, rel=0.5)
    assert ten.memory == thirty.memory == single.memory
    (endless,) = estimate_jobs([dataclasses.replace(job, overrides={"epochs": f"1{320 * '0'}"})], tmp_path)
    assert endless.seconds is not None


def test_time_left():
    estimates = [RunCost(10.0, 1)] * 4
    assert seconds_left(estimates, {}, [], 1) == 40
    assert seconds_left(estimates, {}, [], 2) == 20
    assert seconds_left(estimates, {0: 20.0}, [], 1) == 60  # this machine is half as fast
    assert seconds_left(estimates, {0: 20.0, 1: None}, [], 1) == 40  # one was finished before
    assert seconds_left(estimates, {0: 10.0}, [Running(1, 6.0, (3, 4), seconds_left=2.0)], 1) == 22  # by its steps
    assert seconds_left(estimates, {0: 10.0}, [Running(1, 6.0, (0, 0))], 1) == 24  # by the clock
    assert seconds_left(estimates, {0: 10.0}, [Running(1, 6.0, (99, 100), True)], 1) == 24  # it is still preparing
    assert seconds_left([RunCost(None, None)] * 2, {}, [], 1) is None
    assert seconds_left([RunCost(None, None)] * 2, {0: 7.0}, [], 1) == 7
    assert total_seconds([3, 1, 1, 1], 2) == 3


def test_threads_do_not_depend_on_the_number_of_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for cores in (1, 2, 64):
        monkeypatch.setattr("leaderboard.running.run_processes.usable_cores", lambda n=cores: n)
        assert choose_processes("auto", "cpu", 40) == (min(cores, 40), 1)
        assert choose_processes("auto", "cuda", 40) == (1, cores)  # they compute inputs alone
        assert choose_processes(1, "cpu", 40) == (1, 1)
        assert choose_processes(4, "cpu", 40) == (4, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert choose_processes("auto", "cpu", 40) == (16, 4)


@pytest.mark.parametrize("version", [1, 2])
def test_limits_of_control_groups_count(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As a batch system or a container sets them, on the group or on one above it."""
    monkeypatch.setattr(capacity, "CGROUPS", tmp_path)
    free, cores = capacity.available_memory(), capacity.usable_cores()
    assert free is not None
    own = Path("/proc/self/cgroup").read_text().splitlines()
    if version == 2:
        memory = cpu = tmp_path
        files = {"memory.max": 100 * 2**20, "memory.current": 40 * 2**20, "cpu.max": "100000 100000"}
        if not any(line.startswith("0::") for line in own):
            pytest.skip("this machine has no control groups of version 2")
    else:
        memory, cpu = tmp_path / "memory", tmp_path / "cpu"
        files = {"memory.limit_in_bytes": 100 * 2**20, "memory.usage_in_bytes": 40 * 2**20}
        files |= {"cpu.cfs_quota_us": 100_000, "cpu.cfs_period_us": 100_000}
        if not any(line.split(":")[1] == "memory" for line in own):
            pytest.skip("this machine has no control groups of version 1")
    for name, value in files.items():
        folder = memory if name.startswith("memory") else cpu
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"{value}\n")
    (memory / "memory.stat").write_text("inactive_file 10485760\ntotal_inactive_file 10485760\n")
    assert capacity.available_memory() == 70
    assert capacity.usable_cores() == 1 <= cores
