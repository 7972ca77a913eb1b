"""What a run or a submission leaves on disk, and how it is read back.

run_folder.py       where the folder of a run is, and what lies in it; run_files.py: its files, by digest
write_run.py        how it is written, once its record is known to be valid
run_record.py       run.json, typed
predictions_csv.py  predictions as CSV, written by runs, read from anybody; predictions_mapping.py: in Python;
                    predictions_frame.py: a faultless file of many rows; prediction_columns.py: its two columns;
                    prediction_faults.py: what may be wrong with them
comparable_runs.py  which rows can be ranked together, by folds and seeds
host_solution.py    the solution that a competition's host keeps
submission_log.py   the log of submissions, each line chained to the one before
"""

from leaderboard.records.comparable_runs import comparable_runs
from leaderboard.records.host_solution import (
    COMPETITION_FILE,
    NO_RULES,
    CompetitionRules,
    Keep,
    competition_rules,
    find_solution,
    take_rules,
)
from leaderboard.records.prediction_columns import ColumnNames
from leaderboard.records.prediction_faults import SubmissionError
from leaderboard.records.predictions_csv import (
    predictions_text,
    read_predictions,
    write_predictions,
)
from leaderboard.records.predictions_mapping import order_predictions
from leaderboard.records.run_files import compare_digests, file_digest, file_digests
from leaderboard.records.run_folder import (
    OWN_RUNS,
    PACKAGED_RUNS,
    PRETRAINED,
    PUBLISHED,
    SUBMITTED,
    UNPRESET,
    Convergence,
    Run,
    StoredRun,
    base_name,
    default_runs_folder,
    find_run,
    keep_failure,
    list_failures,
    list_runs,
    open_run,
    packaged_note,
    read_history,
    row_name,
    row_title,
    run_folders,
)
from leaderboard.records.run_record import PublishedReference, record_text
from leaderboard.records.submission_log import SubmissionLog
from leaderboard.records.write_run import check_record, replace_run, write_record

__all__ = [
    "COMPETITION_FILE",
    "NO_RULES",
    "OWN_RUNS",
    "PACKAGED_RUNS",
    "PRETRAINED",
    "PUBLISHED",
    "SUBMITTED",
    "UNPRESET",
    "ColumnNames",
    "CompetitionRules",
    "Convergence",
    "Keep",
    "PublishedReference",
    "Run",
    "StoredRun",
    "SubmissionError",
    "SubmissionLog",
    "base_name",
    "check_record",
    "comparable_runs",
    "compare_digests",
    "competition_rules",
    "default_runs_folder",
    "file_digest",
    "file_digests",
    "find_run",
    "find_solution",
    "keep_failure",
    "list_failures",
    "list_runs",
    "open_run",
    "order_predictions",
    "packaged_note",
    "predictions_text",
    "read_history",
    "read_predictions",
    "record_text",
    "replace_run",
    "row_name",
    "row_title",
    "run_folders",
    "take_rules",
    "write_predictions",
    "write_record",
]
