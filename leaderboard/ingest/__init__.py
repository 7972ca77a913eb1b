"""Make data sets from local files, from downloads and from the Materials Project.

local_files.py        `bench data import`: Parquet, CIF folders (cif_folder.py), ASE databases, extended XYZ
labelled_rows.py      rows to import, and those that cannot be used
fetch.py              `bench data fetch`, with a file a source: hmdataset.py, nomad2018.py, matbench.py, jarvis.py
published_files.py    files of other people's repositories, from a folder or downloaded
json_stream.py        large JSON files, item by item
compositions.py       compositions as text, in lowest terms
board_checkout.py     the entries of a public board at a commit of its repository
write_public.py       write the data set of a public board
materials_project.py  `bench data build`, with screening.py, the paper's exclusion criteria
write.py              write table, splits and dataset.json, for all of them; parquet.py, a table as bytes
"""

from leaderboard.ingest.board_checkout import commit_of, fetch_board
from leaderboard.ingest.fetch import fetch_dataset
from leaderboard.ingest.labelled_rows import parse_target
from leaderboard.ingest.local_files import import_dataset
from leaderboard.ingest.materials_project import build_dataset
from leaderboard.ingest.published_files import check_folder
from leaderboard.ingest.screening import screening_report

__all__ = [
    "build_dataset",
    "check_folder",
    "commit_of",
    "fetch_board",
    "fetch_dataset",
    "import_dataset",
    "parse_target",
    "screening_report",
]
