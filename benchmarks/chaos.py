"""Do to `bench run` what happens on clusters, and count what comes of it: kills, signals, full disks, hangs and more.

    python benchmarks/chaos.py [KILLS]       all of it, stored in benchmarks/results/chaos.json; 100 kills unless told
    python benchmarks/chaos.py KILLS NAME    the scenarios whose name begins with this, added to what is stored

A scenario gives counts, and fails where a promise of docs/reliability.md is broken. One that needs what this machine
does not have is skipped, aloud. Ctrl-C ends it and stores what was counted so far. It takes an hour on two
cores.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from chaos_kills import clock_back, damaged, kills, signals
from chaos_limits import full_disk, kernel_memory, odd_models, read_only, without_flock
from chaos_slurm import slurm_nodes, slurm_planned, slurm_two_nodes, slurm_without_flock
from chaos_tools import SO_FAR, SkippedError
from chaos_work import ten_thousand, together, two_processes

from leaderboard.running import checkout_commit, processor_name

SCENARIOS = (
    kills, signals, damaged, clock_back, together, odd_models, kernel_memory, full_disk, read_only, without_flock,
    two_processes, ten_thousand, slurm_nodes, slurm_planned, slurm_two_nodes, slurm_without_flock,
)  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "chaos.json"


def main(count: int = 100, only: str = "") -> None:
    """Run the scenarios, print their counts, store them; exits with 1 if one failed."""
    os.environ["OMP_NUM_THREADS"] = "1"
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    failed = False
    for scenario in (s for s in SCENARIOS if s.__name__.startswith(only)):
        name, began, load = scenario.__name__.replace("_", " "), time.monotonic(), os.getloadavg()[0]
        SO_FAR.clear()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
            os.environ["BENCH_CACHE"] = f"{root}/cache"
            try:
                counts = scenario(Path(root), count)
            except SkippedError as error:
                print(f"{name}: SKIPPED: {error}", flush=True)
                results[name] = {"skipped": str(error)}
                RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
                continue
            except KeyboardInterrupt:
                counts = {**SO_FAR, "interrupted": "yes"}
            except Exception:
                traceback.print_exc()
                print(f"{name}: FAILED", flush=True)
                failed = True
                results.pop(name, None)
                continue
        print(f"{name}: {', '.join(f'{k} {v}' for k, v in counts.items())}", flush=True)
        results[name] = {
            **counts,
            "took, s": round(time.monotonic() - began),
            "load at the start": round(load, 1),
            "commit": checkout_commit(),
            "finished": datetime.now(UTC).isoformat("T", "seconds"),
            "processor": f"{processor_name()}, {os.cpu_count()} cores",
        }
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        if "interrupted" in counts:
            break
    sys.exit(failed)


if __name__ == "__main__":
    main(*(int(word) if i == 0 else word for i, word in enumerate(sys.argv[1:])))  # type: ignore[arg-type]
