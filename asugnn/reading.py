"""Turn failures to read a file into one sentence for the user."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asugnn.errors import InputError
from asugnn.limits import (
    CSV_BYTES,
    JSON_BYTES,
    JSON_DEPTH,
    RECORD_NUMBER,
    STRUCTURE_FILE_BYTES,
    TOML_BYTES,
    LimitError,
    check_limit,
)

# An unsigned decimal number as a pattern, which takes time in proportion to the length of a word, also where it fails.
DECIMAL = r"(?:\d+(?:\.\d*)?|\.\d+)"


@contextmanager
def reading(path: Path, what: str, hint: str = "") -> Iterator[None]:
    """Turn whatever fails while `path` is read into an `InputError`: "PATH cannot be read as WHAT: reason; hint".

    A parser may trip over anything in a damaged or foreign file, so every exception counts but lack of memory. An
    `InputError` passes through, because it already is a sentence for the user; that of a limit gets the path.
    """
    try:
        yield
    except LimitError as error:
        raise InputError(f"{path}: {error}") from error
    except (InputError, MemoryError):
        raise
    except BaseException as error:
        # A panic of polars is no Exception, though it is a fault of the file like any other.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        end = f"; {hint}" if hint else ""
        raise InputError(f"{path} cannot be read as {what}: {reason(error)}{end}") from error


def reason(error: BaseException) -> str:
    """Return the message of an exception in one line: a missing key by its name, a failed system call in words."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, KeyError):
        return f"there is no {text}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, AttributeError | TypeError | StopIteration | IndexError):
        return "it has another form than such a file"  # the message is for programmers: `bench --debug` shows it
    return text or type(error).__name__


def read_json(path: Path, what: str, hint: str = "") -> dict[str, Any]:
    """Read the object in a JSON file; raises `InputError` where it is missing, damaged, or holds no object."""
    with reading(path, what, hint):
        content = parse_json(read_bounded_text(path, JSON_BYTES))
        if not isinstance(content, dict):
            raise ValueError(f"it holds {type(content).__name__}, not an object with names")
    return content


def parse_json(text: str | bytes, doubles: bool = True) -> Any:
    """Parse JSON; raises `ValueError` where it is damaged, or nested too deeply.

    Of a name that an object has twice the last one counts; without `doubles` that is refused as well.
    """
    try:
        content = json.loads(text, object_pairs_hook=None if doubles else _unique)
    except RecursionError:
        raise ValueError(f"it is nested too deeply: at most {JSON_DEPTH} levels are read") from None
    if is_nested_deeper(content, JSON_DEPTH):
        raise ValueError(f"it is nested too deeply: at most {JSON_DEPTH} levels are read")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"'{double[:60]}' stands more than once in one object")
    return content


def is_nested_deeper(content: Any, levels: int) -> bool:
    """Whether what JSON holds has more than so many levels of objects and lists in one another."""
    level = [content]
    for _ in range(levels + 1):
        level = [item for item in level if isinstance(item, (dict, list))]
        if not level:
            return False
        level = [x for item in level for x in (item.values() if isinstance(item, dict) else item)]
    return True


def excerpt(value: Any) -> str:
    """The beginning of a value of JSON, for a sentence."""
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    if isinstance(value, int) and abs(value) > RECORD_NUMBER:
        return "a huge number"
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, to be called within `reading`."""
    import tomllib

    return tomllib.loads(read_bounded_text(path, TOML_BYTES))


def read_csv_rows(path: Path) -> list[list[str]]:
    """Read the cells of a CSV file by line, without blank lines; to be called within `reading`."""
    check_file_size(path, CSV_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [line for line in csv.reader(file) if any(line)]


def read_bounded_text(path: Path, limit: int) -> str:
    """Read a text file in UTF-8 of at most `limit` bytes, to be called within `reading`."""
    return read_bounded_bytes(path, limit).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def read_structure_text(path: Path) -> str:
    """Read the text of a structure file, unpacked if its name ends in .gz, to be called within `reading`.

    A byte-order mark is dropped, and bytes that are not UTF-8 are replaced: names of authors come in any encoding.
    """
    content = _unpack(path) if path.suffix.lower() == ".gz" else read_bounded_bytes(path, STRUCTURE_FILE_BYTES)
    if content.startswith(b"%PDF"):
        raise InputError("it is a PDF: for a crystal from an article, use the CIF in its supplement or in a database")
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    return content.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")


def _unpack(path: Path) -> bytes:
    """Unpack a gzip file of at most `STRUCTURE_FILE_BYTES`, packed or not."""
    check_file_size(path, STRUCTURE_FILE_BYTES)
    try:
        with gzip.open(path) as file:
            content = file.read(STRUCTURE_FILE_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError("it is no gzip file, or a damaged one: copy it again, or unpack it") from error
    if len(content) > STRUCTURE_FILE_BYTES:
        raise LimitError(f"it unpacks to more than {STRUCTURE_FILE_BYTES:,} bytes, and at most that many are read")
    return content


def read_bounded_bytes(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes, to be called within `reading`."""
    check_file_size(path, limit)
    return path.read_bytes()


def check_file_size(path: Path, limit: int) -> None:
    """Raise `InputError` where a file has more than `limit` bytes, or is no file, such as a device without an end.

    To be called within `reading`, before the file is opened: to open a pipe waits for whoever writes into it.
    """
    if not path.is_file():
        path.stat()  # raises where there is nothing
        raise InputError(f"{path} is not a regular file")
    check_limit(path.stat().st_size, limit, "bytes")
