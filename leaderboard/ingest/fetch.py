"""`bench data fetch`: data sets that are downloaded as they are, with a module for each source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from asugnn.errors import InputError, did_you_mean
from leaderboard._util import lock_folder
from leaderboard.data import (
    JARVIS,
    MATBENCH,
    SUITES,
    Source,
    data_file,
    data_folder,
    find_source,
    how_to_get,
    list_sources,
    read_description,
)
from leaderboard.ingest.hmdataset import make_hm
from leaderboard.ingest.jarvis import make_jarvis
from leaderboard.ingest.matbench import make_matbench
from leaderboard.ingest.nomad2018 import make_nomad2018
from leaderboard.ingest.published_files import check_folder

Make = Callable[[Path, Path | None, bool], None]  # into a folder; files that the user has; whether labels are enough


def fetch_dataset(name: str, given: Path | None = None, labels_only: bool = False) -> Source:
    """Download a data set, unless it is available. Raises `InputError`.

    What the folder `given` holds is taken from there. With `labels_only`, the labels and the split of a public board
    are enough.
    """
    if name not in FETCHED:
        raise InputError(_not_fetched(name))
    check_folder(given)
    if given and name not in {*MATBENCH, *JARVIS}:
        raise InputError(f"--from does not apply to {name}, which is downloaded")
    home = data_folder() / name
    if not _is_complete(home, labels_only):
        with lock_folder(home, wait=True):
            if not _is_complete(home, labels_only):
                FETCHED[name](home, given, labels_only)
    return find_source(name)


def _not_fetched(name: str) -> str:
    """Why a data set cannot be fetched, and what to do instead."""
    if name in SUITES:
        return f"'{name}' is a suite of several data sets: fetch one at a time, such as {SUITES[name][0]}"
    source = next((source for source in list_sources() if source.name == name), None)
    if source is None:
        known = [*FETCHED, *(source.name for source in list_sources())]
        return f"there is no data set '{name}' to fetch{did_you_mean(name, known, command='bench data list')}"
    if data_file(source):
        return f"data set {name} is there: nothing has to be fetched"
    return f"data set {name} cannot be fetched: {how_to_get(source)}"


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
