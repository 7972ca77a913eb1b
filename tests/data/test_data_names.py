"""Names that fit a path."""

import pytest

from leaderboard._util import SAFE_NAME, safe_name


@pytest.mark.parametrize("name", ["mean", "forest+trees=3", "a" * 100])
def test_a_name_that_fits_is_kept(name: str):
    assert safe_name(name) == name


@pytest.mark.parametrize("name", ["a" * 101, "a/b", "../up", "", "-x", "ä", "\udcff"])
def test_a_name_that_does_not_fit_gets_a_digest(name: str):
    assert SAFE_NAME.fullmatch(safe_name(name))
    assert len(safe_name(name)) <= 50
    assert safe_name(name) != safe_name(name + "b")
