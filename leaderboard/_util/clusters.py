"""Clusters of things that are joined in pairs."""

from __future__ import annotations

from collections.abc import Iterable


def join_pairs(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """The first member of the cluster of each of `count` things, which are joined in chains by pairs of their places.

    The smaller root wins, and paths are halved on the way (Tarjan and van Leeuwen, J. ACM 31, 245 (1984)).
    """
    root = list(range(count))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for one, other in pairs:
        low, high = sorted((find(one), find(other)))
        root[high] = low
    return [find(i) for i in range(count)]
