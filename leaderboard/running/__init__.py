"""From a task and a model to a run: planning, training, predicting. Scoring starts elsewhere.

plan.py  estimates.py    which runs a command asks for, and what they take
run_processes.py  schedule.py  run_slot.py  pulse.py    runs in processes of their own: their order, their watch
runner.py  team.py  endings.py    train and predict one run, perhaps by several processes; how it ends
shared_answer.py         how a child tells its outcome
predict_files.py  crystal_files.py  pretrained.py  model_contract.py    crystals in files; weights; `bench check`
send_runs.py  follow_runs.py  node_work.py    runs as jobs of a cluster, with cluster_words.py  bundles.py
                         unfinished.py  job_arrays.py  cluster_queue.py
model_code.py  machine.py    the digest of a model's code; where a run took place
"""

from leaderboard.running.cluster_words import parse_cluster_words
from leaderboard.running.crystal_files import read_crystal_files
from leaderboard.running.endings import Outcome, Report
from leaderboard.running.estimates import RunCost, Running, estimate_jobs, seconds_left, total_seconds
from leaderboard.running.follow_runs import follow_runs
from leaderboard.running.machine import bfloat16_is_slow, checkout_commit, choose_device, processor_name
from leaderboard.running.model_contract import check_model, failed_findings
from leaderboard.running.node_work import NodeSettings
from leaderboard.running.plan import Job, chosen_models, parse_overrides, plan_pretrained, plan_runs
from leaderboard.running.predict_files import embed_files, load_predictor, load_run_model, predict_files
from leaderboard.running.run_processes import choose_processes, run_jobs
from leaderboard.running.send_runs import Sent, send_runs
from leaderboard.running.unfinished import list_unfinished

__all__ = [
    "Job",
    "NodeSettings",
    "Outcome",
    "Report",
    "RunCost",
    "Running",
    "Sent",
    "bfloat16_is_slow",
    "check_model",
    "checkout_commit",
    "choose_device",
    "choose_processes",
    "chosen_models",
    "embed_files",
    "estimate_jobs",
    "failed_findings",
    "follow_runs",
    "list_unfinished",
    "load_predictor",
    "load_run_model",
    "parse_cluster_words",
    "parse_overrides",
    "plan_pretrained",
    "plan_runs",
    "predict_files",
    "processor_name",
    "read_crystal_files",
    "run_jobs",
    "seconds_left",
    "send_runs",
    "total_seconds",
]
