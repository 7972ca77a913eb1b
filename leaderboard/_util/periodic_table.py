"""Where elements stand in the periodic table."""

from __future__ import annotations

NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)  # the last element of each period


def group_and_row(z: int) -> tuple[int, int]:
    """Group (1 to 18) and row of an element; lanthanides and actinides stand in two rows below, 8 and 9.

    Raises `ValueError` for what is no atomic number of a known element.
    """
    if not 1 <= z <= NOBLE[-1]:
        raise ValueError(f"{z} is not the atomic number of a known element")
    for first, below in ((57, 8), (89, 9)):
        if first <= z < first + 15:
            return 3 + z - first, below
    period = next(i for i, noble in enumerate(NOBLE) if z <= noble)
    left = z - NOBLE[period - 1]
    return (left if left <= min(period, 2) else 18 - (NOBLE[period] - z)), period
