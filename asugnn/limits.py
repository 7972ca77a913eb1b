"""Limits of everything that is read, so that no file and no server can use up time or memory.

A file may come from a stranger. What exceeds a limit is refused in a sentence that states the limit. The limits are far
above what the field's data needs; SECURITY.md lists them.
"""

from __future__ import annotations

from asugnn.errors import InputError

ATOMS = 10_000  # of a crystal; in a CIF, sites times symmetry operations
REFLECTIONS = 5_000_000  # of a crystal, of its powder pattern
PAIRS = 50_000_000  # of an atom and a neighbour, of a crystal
STRUCTURES = 1_000_000  # of a file
STRUCTURE_FILE_BYTES = 500_000_000  # of a CIF, POSCAR, extended XYZ or JSON file, unpacked
CIF_BLOCK_BYTES = 10_000_000  # of one data block
CIF_OPERATIONS = 1_000  # symmetry operations that a block lists, times its centring translations
XYZ_COLUMNS = 1_000  # of the properties of atoms
DATABASE_BYTES = 5_000_000_000  # of an SQLite file
DATABASE_STEPS = 100_000_000  # instructions of SQLite for one file
JSON_BYTES = 200_000_000
JSON_DEPTH = 100  # objects and lists in one another
TOML_BYTES = 1_000_000
CSV_BYTES = 500_000_000
CSV_LINE_CHARACTERS = 10_000  # of a line of a table in CSV
CSV_FAULTS = 100_000  # or blank lines, after which reading a table in CSV stops
PARQUET_BYTES = 2_000_000_000
PARQUET_UNPACKED_BYTES = 4_000_000_000
PARQUET_VALUES = 50_000_000  # entries of all columns together, those of lists counted one by one
PARQUET_COLUMNS = 1_000
ID_BYTES = 1_000  # of the id of a crystal
ARCHIVE_BYTES = 200_000_000  # of all unpacked files of a downloaded archive
ARCHIVE_FILES = 100_000
DOCUMENT_BYTES = 50_000_000  # of a line of a packed file of documents, of an item of JSON that is read one by one
STREAM_BYTES = 20_000_000_000  # of JSON that is read item by item, unpacked
DOWNLOAD_BYTES = 50_000_000_000  # of a download whose size was not announced
ANSWER_BYTES = 200_000_000  # of an answer that is kept in memory
RECORD_DEPTH = 20  # objects and lists in one another, in a field of a record
RECORD_CHARACTERS = 10_000  # of a text in a record
RECORD_NUMBER = 2**53  # whole numbers of a record
RECORD_SECONDS = 10**12  # times of a record
HISTORY_BYTES = 4_000_000  # of the history of a training
RUN_FILE_BYTES = 20_000_000_000  # of any other file of a run


class LimitError(InputError):
    """A file exceeds a limit: the message does not name the file, which `reading` puts before it."""


def check_limit(amount: int, limit: int, what: str) -> None:
    """Raise `LimitError` if `amount` exceeds `limit`; `what` names the unit, such as "atoms"."""
    if amount > limit:
        raise LimitError(f"it has {amount:,} {what}, and at most {limit:,} are read")
