"""The metric of a competition in Kaggle's form: copied by `bench export --host`, which fills in the two names below.

It needs only numpy and pandas, and returns the value of `bench score` to the last digit: like `bench score`, it sums
rows one by one in the order of the solution.
"""

import numpy as np
import pandas as pd

TARGET = "target"
METRIC = "mae"


class ParticipantVisibleError(Exception):
    """A fault of a submission; Kaggle shows the message to the participant."""


def score(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """Return the metric over the rows of the solution; raise `ParticipantVisibleError` for an invalid submission."""
    for column in (row_id_column_name, TARGET):
        if column not in submission.columns:
            raise ParticipantVisibleError(f"the submission has no column '{column}'")
    ids, wanted = (frame[row_id_column_name].astype(str) for frame in (submission, solution))
    if ids.duplicated().any():
        raise ParticipantVisibleError(f"id '{ids[ids.duplicated()].iloc[0]}' occurs more than once")
    if len(missing := wanted[~wanted.isin(set(ids))]):
        raise ParticipantVisibleError(f"{len(missing)} ids have no row, such as '{missing.iloc[0]}'")
    values = pd.to_numeric(submission[TARGET], errors="coerce").to_numpy(dtype=np.float64)
    p = pd.Series(values, index=ids.to_numpy()).loc[wanted.to_numpy()].to_numpy()
    bad = ~np.isfinite(p)
    if METRIC in ("roc_auc", "accuracy", "f1"):
        bad |= (p < 0) | (p > 1)
    if bad.any():
        kind = "a finite number" if not np.isfinite(p).all() else "a probability, within 0 and 1"
        raise ParticipantVisibleError(f"the value for id '{wanted.to_numpy()[bad][0]}' is not {kind}")
    y = solution[TARGET].to_numpy(dtype=np.float64)
    n, predicted, true = len(y), p >= 0.5, y == 1
    centred = y - y.mean()
    formulas = {
        "mae": lambda: _sum(abs(y - p)) / n,
        "rmse": lambda: np.sqrt(_sum((y - p) ** 2) / n),
        "rmsle": lambda: np.sqrt(_sum((np.log1p(p) - np.log1p(y)) ** 2) / n),
        "r2": lambda: 1 - _sum((y - p) ** 2) / (_sum(centred**2) - _sum(centred) ** 2 / n),
        "roc_auc": lambda: _area(p[~true], p[true]),
        "accuracy": lambda: _sum(predicted == true) / n,
        "f1": lambda: 2 * _sum(predicted & true) / (_sum(predicted & true) + _sum(predicted | true)),
    }
    return float(formulas[METRIC]())  # type: ignore[no-untyped-call]


def _sum(values: np.ndarray) -> np.float64:
    """Sum one after the other, as `bench score` does."""
    return np.float64(np.bincount(np.zeros(len(values), dtype=np.int64), values.astype(np.float64))[0])


def _area(zeros: np.ndarray, ones: np.ndarray) -> float:
    """Area under the ROC curve: the share of pairs of both classes in which class 1 scores higher, ties as half."""
    zeros = np.sort(zeros)
    won = np.searchsorted(zeros, ones, side="left") + np.searchsorted(zeros, ones, side="right")
    return float(won.sum()) / (2 * len(zeros) * len(ones))
