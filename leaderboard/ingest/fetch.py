"""`bench data fetch`: data sets that are downloaded as they are, with a module for each source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from asugnn.errors import InputError, did_you_mean
from leaderboard._util import lock_folder
from leaderboard.data import JARVIS, MATBENCH, Source, data_folder, find_source, read_description
from leaderboard.ingest.hmdataset import make_hm
from leaderboard.ingest.jarvis import make_jarvis
from leaderboard.ingest.matbench import make_matbench
from leaderboard.ingest.nomad2018 import make_nomad2018
from leaderboard.ingest.published_files import check_folder

Make = Callable[[Path, Path | None, bool], None]  # into a folder; files that the user has; whether labels are enough


def fetch_dataset(name: str, given: Path | None = None, labels_only: bool = False) -> tuple[Source, int]:
    """Download a data set, unless it is available; returns it and the number of excluded rows. Raises `InputError`.

    What the folder `given` holds is taken from there. With `labels_only`, the labels and the split of a public board
    are enough.
    """
    if name not in FETCHED:
        raise InputError(f"there is no data set '{name}' to fetch{did_you_mean(name, FETCHED)}")
    check_folder(given)
    if given and name not in {*MATBENCH, *JARVIS}:
        raise InputError(f"--from does not apply to {name}, which is downloaded")
    home = data_folder() / name
    if not _is_complete(home, labels_only):
        with lock_folder(home, wait=True):
            if not _is_complete(home, labels_only):
                FETCHED[name](home, given, labels_only)
    return find_source(name), read_description(home)["excluded"]


def _is_complete(home: Path, labels_only: bool) -> bool:
    """Whether a data set is there, with crystals if it has any and they are asked for."""
    if not (described := read_description(home)):
        return False
    return labels_only or described.get("crystals", True) or find_source(home.name).compositions


FETCHED: Mapping[str, Make] = {
    "hm": lambda home, _, __: make_hm(home),
    "nomad2018": lambda home, _, __: make_nomad2018(home),
    **{name: partial(make_matbench, name) for name in MATBENCH},
    **{name: partial(make_jarvis, name) for name in JARVIS},
}
