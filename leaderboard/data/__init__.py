"""Crystals with labels: data sets, their targets, and the tasks that are made of them.

targets.py         a label: its unit, kind and metrics, and how it is read from a table
known_sources.py   the data sets that this project knows by name
public_boards.py   those of Matbench and the JARVIS-Leaderboard, with digests
registry.py        which data sets there are, and where their files are
dataset.py         a data set in memory, read from one Parquet layout; formulas.py: its reduced formulas
parquet_bounds.py  what a Parquet file holds, measured before it is decoded
tasks.py           `dataset/target[@split]`, and suites of tasks
csv_table.py       tables in CSV, read with the same rules and sentences
exclusions.py      the rows that were left out when a data set was made
croissant.py       a data set described for other programs, in JSON-LD
"""

from leaderboard.data.croissant import (
    CROISSANT_FILE,
    CRYSTAL_FIELDS,
    CroissantField,
    CroissantTable,
    croissant_text,
    dataset_tables,
)
from leaderboard.data.csv_table import (
    TRUTH,
    Fault,
    Lines,
    TableError,
    csv_cell,
    id_fault,
    join_quoted_lines,
    parse_number,
    parse_value,
    read_header,
    read_lines,
    read_rows,
    short_text,
)
from leaderboard.data.dataset import LAYOUT, Dataset, crystal_from_row, load_dataset, read_layout
from leaderboard.data.exclusions import EXCLUSIONS_FILE, read_exclusions
from leaderboard.data.public_boards import (
    BOARDS,
    JARVIS,
    JARVIS_COMMIT,
    MATBENCH,
    MATBENCH_COMMIT,
    OFFICIAL,
    JarvisDataset,
)
from leaderboard.data.registry import (
    PACKAGE,
    crystals_hint,
    damaged_sources,
    data_file,
    data_folder,
    description_sha256,
    find_source,
    how_to_get,
    list_sources,
    read_description,
    source_provenance,
)
from leaderboard.data.targets import Source, Target
from leaderboard.data.tasks import SUITES, Task, parse_task, suite_tasks

__all__ = [
    "BOARDS",
    "CROISSANT_FILE",
    "CRYSTAL_FIELDS",
    "EXCLUSIONS_FILE",
    "JARVIS",
    "JARVIS_COMMIT",
    "LAYOUT",
    "MATBENCH",
    "MATBENCH_COMMIT",
    "OFFICIAL",
    "PACKAGE",
    "SUITES",
    "TRUTH",
    "CroissantField",
    "CroissantTable",
    "Dataset",
    "Fault",
    "JarvisDataset",
    "Lines",
    "Source",
    "TableError",
    "Target",
    "Task",
    "croissant_text",
    "crystal_from_row",
    "crystals_hint",
    "csv_cell",
    "damaged_sources",
    "data_file",
    "data_folder",
    "dataset_tables",
    "description_sha256",
    "find_source",
    "how_to_get",
    "id_fault",
    "join_quoted_lines",
    "list_sources",
    "load_dataset",
    "parse_number",
    "parse_task",
    "parse_value",
    "read_description",
    "read_exclusions",
    "read_header",
    "read_layout",
    "read_lines",
    "read_rows",
    "short_text",
    "source_provenance",
    "suite_tasks",
]
