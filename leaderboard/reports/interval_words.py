"""The note below a board on its intervals: over what test crystals, and over which trainings."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board import NOISE, WIDER, Row
from leaderboard.scoring import Training

REPEATED: dict[Training, str] = {
    "seeds": ", with several seeds over training seeds too",
    "folds": ", with several folds over folds too",
}


def interval_note(rows: Sequence[Row], form: str) -> str:
    """Where intervals stand, and which noise they show."""
    where = "in brackets" if form == "markdown" else "below each value"
    one_by_one = list(dict.fromkeys(row.task.partition("/")[2] for row in rows if row.varying == "structures"))
    mixed = one_by_one and any(row.varying == "formulas" for row in rows)
    over = f"formulas ({', '.join(one_by_one)}: test structures)" if mixed else rows[0].varying
    trainings = {row.training for row in rows}
    also = [words for training, words in REPEATED.items() if training in trainings]
    return f"{where}: {NOISE} {over}{WIDER[rows[0].training] if len(trainings) == 1 else ''.join(also)}"
