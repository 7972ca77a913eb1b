"""Make data sets from local files, from downloads and from the Materials Project.

local_files.py        `bench data import`: Parquet, CIF folders (cif_folder.py), ASE databases, extended XYZ
labelled_rows.py      rows to import, and those that cannot be used
fetch.py              `bench data fetch`, with a file for each source: hmdataset.py, nomad2018.py
materials_project.py  `bench data build`, with screening.py, the paper's exclusion criteria
write.py              write table, splits and dataset.json, for all of them
"""

from leaderboard.ingest.fetch import fetch_dataset
from leaderboard.ingest.labelled_rows import parse_target
from leaderboard.ingest.local_files import import_dataset
from leaderboard.ingest.materials_project import build_dataset
from leaderboard.ingest.screening import screening_report

__all__ = ["build_dataset", "fetch_dataset", "import_dataset", "parse_target", "screening_report"]
