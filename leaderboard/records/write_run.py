"""Write the folder of a run: its record is valid before anything that stood there is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from asugnn.atomic_write import atomic_write, write_text
from leaderboard.records.run_files import file_digest, file_digests
from leaderboard.records.run_record import FORMAT, RunRecord, record_text

NO_DIGEST = "0" * 64
WRITTEN_HERE = {"format", "files", "sha256"}  # fields of run.json that no caller gives


def replace_run(
    folder: Path,
    fields: Mapping[str, Any],
    write: Callable[[Path], None],
    announce: Callable[[], object] = lambda: None,
) -> None:
    """Put predictions that were not made here, and their record, in the place of the run that a folder holds.

    `fields` are as in `write_record`. `write` makes the file of predictions at the path that it is given, and
    `announce` is called when they and the record are known to be valid, before the folder is touched. Raises
    `InputError` where they are not: the run that was there is then as it was. If the process is killed later, the
    folder holds no run, and never a record of other predictions.
    """
    with atomic_write(folder / "predictions.csv") as temporary:
        write(temporary)
        files = {**file_digests(folder), "predictions.csv": file_digest(temporary)}
        text = _checked_text(folder, fields, files)
        announce()
        (folder / "run.json").unlink(missing_ok=True)
    write_text(folder / "run.json", text)


def write_record(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write run.json, which makes the run complete, with the digests of all files beside it.

    `fields` are those of `RunRecord` but for format, files and sha256; raises `InputError` for one that is wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "run.json", _checked_text(folder, fields, file_digests(folder)))


def check_record(folder: Path, fields: Mapping[str, Any]) -> None:
    """Raise `InputError` if one of the `fields` that are known before a run starts could not be written."""
    _checked_text(folder, {"predictions_sha256": NO_DIGEST, **fields}, {})


def _checked_text(folder: Path, fields: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """run.json; raises `InputError` that names the first field that is wrong."""
    plain = {name: value for name, value in fields.items() if name not in WRITTEN_HERE}
    if "predictions.csv" in files:
        plain["predictions_sha256"] = files["predictions.csv"]
    raw = {"format": FORMAT, **plain, "files": files}
    RunRecord.parse(raw, str(folder / "run.json"))
    return record_text(raw)
