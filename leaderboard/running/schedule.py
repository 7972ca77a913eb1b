"""Which run is next: one of a model that is loaded, none before the run whose model it needs, none without memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

from leaderboard.running.estimates import RunCost
from leaderboard.running.plan import Job

SPARE = 0.9  # of the memory that is available: the share that several runs may be expected to take
UNKNOWN_MEMORY = 1500  # megabytes of a run of which nothing is known


class Schedule:
    """The jobs of a command that are not done yet, by number."""

    def __init__(self, jobs: Sequence[Job], estimates: Sequence[RunCost], memory: Callable[[], int | None]) -> None:
        self.jobs, self.estimates, self._memory = jobs, estimates, memory
        self._followers: dict[int, list[int]] = {}
        self._ready: dict[str, deque[int]] = {}  # by model
        self._busy: deque[int] = deque()  # another command is at them
        self._alone: deque[int] = deque()  # their memory ran out beside others
        self.tried_alone: set[int] = set()
        self._running: set[int] = set()
        self._budget: int | None = None  # megabytes that were available when nothing ran
        numbers = {job.run: i for i, job in enumerate(jobs)}
        for i, job in enumerate(jobs):
            origin = None if job.weights else numbers.get(job.for_task(job.run.task.training_task).run)
            if origin is None or origin == i:
                self._ready.setdefault(job.model, deque()).append(i)
            else:
                self._followers.setdefault(origin, []).append(i)

    def next_job(self, idle_models: Collection[str], served: Collection[str]) -> tuple[int, bool] | None:
        """The next job to start, and whether it waits for another command that is at it; None: not now.

        `idle_models` are those of idle processes, `served` those of processes that run something.
        """
        if not self._running:
            self._budget = self._memory()
            queue = next((q for q in (*self._ready.values(), self._alone, self._busy) if q), None)
            if queue is None:
                return None
            waits = queue is self._busy
            if queue is self._alone:
                self.tried_alone.add(queue[0])
            elif not waits:
                queue = self._ready[self._next_model(idle_models, served)]
            return self._start(queue), waits
        if any(self._ready.values()) and not self._running & self.tried_alone:
            queue = self._ready[self._next_model(idle_models, served)]
            if self._fits(queue[0]):
                return self._start(queue), False
        return None

    def put_off(self, i: int) -> None:
        """Another command is at a job: take it up again when nothing else is left."""
        self._running.discard(i)
        self._busy.append(i)

    def repeat_alone(self, i: int) -> None:
        """The memory of a job ran out: take it up again when nothing else runs."""
        self._running.discard(i)
        self._alone.append(i)

    def drop(self, i: int) -> None:
        """A job that was not started cannot be."""
        self._ready[self.jobs[i].model].remove(i)

    def end(self, i: int) -> None:
        """A job has ended: those that need its model are ready."""
        self._running.discard(i)
        for k in self._followers.pop(i, []):
            self._ready.setdefault(self.jobs[k].model, deque()).append(k)

    def _start(self, queue: deque[int]) -> int:
        i = queue.popleft()
        self._running.add(i)
        return i

    def _next_model(self, idle_models: Collection[str], served: Collection[str]) -> str:
        """A model that is loaded, else the one with most work that no process serves, else the one with most work."""
        models = [model for model, queue in self._ready.items() if queue]
        work = {m: sum(self.estimates[i].seconds or 1.0 for i in self._ready[m]) for m in models}
        return max(models, key=lambda m: (m in idle_models, m not in served, work[m]))

    def _fits(self, i: int) -> bool:
        """Whether there is memory for one more, by what was there before and what is there now."""
        now = self._memory()
        if now is None or self._budget is None:
            return True
        needed = self._needed(i)
        return needed <= SPARE * now and needed + sum(map(self._needed, self._running)) <= SPARE * self._budget

    def _needed(self, i: int) -> int:
        return self.estimates[i].memory or UNKNOWN_MEMORY
