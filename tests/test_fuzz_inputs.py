"""A few hundred mutated inputs of every kind; `nox -s fuzz -- 100000` tries more."""

from pathlib import Path

import pytest
from fuzz_inputs import fuzz


def test_mutated_inputs_are_read_or_refused(tmp_path: Path):
    outcomes, reports = fuzz(180, 1, (), tmp_path / "faults")
    assert not reports, "\n".join(reports)
    assert {outcome for _, outcome in outcomes} == {"read", "refused"}


@pytest.mark.slow
def test_more_mutated_inputs_are_read_or_refused(tmp_path: Path):
    _, reports = fuzz(5_000, 2, (), tmp_path / "faults")
    assert not reports, "\n".join(reports)
