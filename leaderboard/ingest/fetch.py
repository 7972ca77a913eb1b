"""`bench data fetch`: data sets that are downloaded as they are, with a module for each source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from leaderboard._util import make_once
from leaderboard.data import Source, data_folder, find_source, read_description
from leaderboard.ingest.hmdataset import make_hm
from leaderboard.ingest.nomad2018 import make_nomad2018


def fetch_dataset(name: str) -> tuple[Source, int]:
    """Download a data set, unless it is available; returns it and the number of excluded rows. Raises `InputError`."""
    home = data_folder() / name
    make_once(home / "dataset.json", home, lambda: FETCHED[name](home))
    return find_source(name), read_description(home)["excluded"]


FETCHED: Mapping[str, Callable[[Path], None]] = {"hm": make_hm, "nomad2018": make_nomad2018}
