"""Which ids train, validate and test: reading published splits, making new ones, and what they leak.

split.py            read and verify a split; the sides of a fold
make.py             write a split; never used while running
official.py         the splits of public boards, as published
split_rules.py      the rules by which parts are assigned
structure_match.py  which crystals of a data set are the same structure
leakage.py          test structures that also occur in training or validation
"""

from leaderboard.splitting.leakage import (
    DUPLICATES_FILE,
    LEAKAGE_PHRASE,
    DuplicatePairs,
    compare_dataset,
    fold_leakage,
    known_duplicates,
    shared_between_sides,
    store_comparison,
)
from leaderboard.splitting.make import FoldParts, part_of_group, split_table, write_split, write_zero_shot_split
from leaderboard.splitting.official import JARVIS_FOLD, jarvis_parts, matbench_fold_parts, matbench_parts
from leaderboard.splitting.split import (
    PARTS,
    SIDE_NAMES,
    Sides,
    Split,
    find_empty_sides,
    fold_sides,
    list_rules,
    read_split,
    split_size,
)
from leaderboard.splitting.split_rules import (
    RULES,
    ExtrapolationBounds,
    bounded_split,
    choose_bounds,
    cluster_duplicates,
    element_split,
    folds_in_turn,
    make_splits,
    name_structure_type,
    ten_parts,
)
from leaderboard.splitting.structure_match import ComparedPair, compare_structures

__all__ = [
    "DUPLICATES_FILE",
    "JARVIS_FOLD",
    "LEAKAGE_PHRASE",
    "PARTS",
    "RULES",
    "SIDE_NAMES",
    "ComparedPair",
    "DuplicatePairs",
    "ExtrapolationBounds",
    "FoldParts",
    "Sides",
    "Split",
    "bounded_split",
    "choose_bounds",
    "cluster_duplicates",
    "compare_dataset",
    "compare_structures",
    "element_split",
    "find_empty_sides",
    "fold_leakage",
    "fold_sides",
    "folds_in_turn",
    "jarvis_parts",
    "known_duplicates",
    "list_rules",
    "make_splits",
    "matbench_fold_parts",
    "matbench_parts",
    "name_structure_type",
    "part_of_group",
    "read_split",
    "shared_between_sides",
    "split_size",
    "split_table",
    "store_comparison",
    "ten_parts",
    "write_split",
    "write_zero_shot_split",
]
