"""From a task and a model to a run: planning, training, predicting. Scoring starts elsewhere.

plan.py            which runs a command asks for
estimates.py       how long runs take, and how much memory they need
run_processes.py   the runs of a command, each in a process of its own
schedule.py  run_slot.py  pulse.py  capacity.py
                   their order; a process and its runs; their progress; cores and memory
runner.py          train and predict one run
model_code.py      the digest of a model's code
predict_files.py   predictions for crystals in files
pretrained.py      models with published weights
model_contract.py  `bench check`
machine.py         device, memory, versions: what a run records of where it ran
"""

from leaderboard.running.estimates import Estimate, Running, estimate_jobs, seconds_left, total_seconds
from leaderboard.running.machine import checkout_commit, choose_device, processor_name
from leaderboard.running.model_contract import check_model, failed_findings
from leaderboard.running.plan import Job, chosen_models, parse_overrides, plan_pretrained, plan_runs
from leaderboard.running.predict_files import embed_files, load_predictor, load_run_model, predict_files
from leaderboard.running.run_processes import choose_processes, run_jobs
from leaderboard.running.runner import Outcome

__all__ = [
    "Estimate",
    "Job",
    "Outcome",
    "Running",
    "check_model",
    "checkout_commit",
    "choose_device",
    "choose_processes",
    "chosen_models",
    "embed_files",
    "estimate_jobs",
    "failed_findings",
    "load_predictor",
    "load_run_model",
    "parse_overrides",
    "plan_pretrained",
    "plan_runs",
    "predict_files",
    "processor_name",
    "run_jobs",
    "seconds_left",
    "total_seconds",
]
