"""mp-2024-1: the Materials Project of January 2024, from its public bucket or its API.

The database version of 2023-11-01 lies in a public bucket. Its documentation (docs.materialsproject.org, "AWS Open
Data") gives 18.4 thousand objects and 6.1 GB for all collections of that version, each in
`collections/<date>/<collection>/nelements=<n>/symmetry_number=<n>.jsonl.gz`: a JSON document a line. Collection
`summary` has what `SummaryDoc` of the package emmet-core declares; of that `material_id`, `deprecated`, `structure`
(pymatgen's JSON), `symmetry.number`, `formation_energy_per_atom`, `band_gap` and `bulk_modulus.voigt` (`k_voigt` in
older documents) are read. What there is is listed before any of these names is relied on.

The API, for which one needs a key, serves the newest database alone; that is a data set of another name.

Plain HTTPS rather than boto3 and mp-api: one downloader that resumes serves both, no account's keys are looked for, and
of the API no more than a page is in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import threading
import urllib.parse
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asugnn.atomic_write import atomic_write, file_sha256
from asugnn.download import download_bytes, download_file
from asugnn.errors import InputError
from leaderboard._util import SAFE_NAME, lock_folder, show_progress, start_worker
from leaderboard.data import Source, data_folder, find_source, read_description
from leaderboard.ingest.screening import LABELS, merge_parts, screen_document, write_part
from leaderboard.ingest.write import NewDataset, write_dataset

NAME = "mp-2024-1"
BUCKET = "materialsproject-build"
VERSION = "2023-11-01"
FIELDS = (
    "material_id", "deprecated", "structure", "symmetry", "formation_energy_per_atom", "band_gap", "bulk_modulus",
)  # fmt: skip
PAGE = 1000  # documents of the API at once, the most that it gives
DOWNLOADS = 8  # at once
HINT = "what has come is kept, and the same command goes on"


@dataclass(frozen=True)
class Origin:
    """A file of documents to come; `name` tells it and its version from all others."""

    name: str
    url: str
    size: int  # bytes; of a page of the API, documents
    headers: tuple[tuple[str, str], ...] = ()


def build_dataset(api: bool = False) -> tuple[Source, dict[str, int]]:
    """Make the data set, unless it is there, and return it with the counts of its screening; raises `InputError`.

    What an earlier call has done is kept. With `api`, the database comes from there, by the key in MP_API_KEY; if it
    is of another version, the data set is named after that.
    """
    version = _api_version() if api else VERSION
    name = NAME if version == VERSION else f"mp-{version}"
    home = data_folder() / name
    work = home / "parts"
    if not (home / "dataset.json").is_file():
        with lock_folder(work, wait=True):
            if not (home / "dataset.json").is_file():
                _make(name, version, api, home, work)
    shutil.rmtree(work, ignore_errors=True)
    return find_source(name), read_description(home)["screening"]


def _make(name: str, version: str, api: bool, home: Path, work: Path) -> None:
    origins = _pages(version) if api else _files()
    found = merge_parts(_parts(origins, work, version))
    if api and found.counts["id-twice"]:
        raise InputError(
            f"{_endpoint()} gave some materials twice, so it left out others: remove {work}, and run again"
        )
    about = {
        "title": f"Materials Project, database version {version}, screened as the paper of ASUGNN says",
        "source": f"{_endpoint() if api else _bucket()}, {len(origins):,} files of summary documents",
        "version": version,
        "licence": "CC-BY-4.0",
        "citation": "Jain et al., APL Mater. 1, 011002 (2013)",
        "origin_sha256": found.origin,
        "screening": found.counts,
    }
    write_dataset(
        NewDataset(
            name=name,
            rows=found.rows,
            columns=(*LABELS, "space_group"),
            targets=TARGETS,
            about=about,
            command="bench data build",
            excluded=found.excluded,
            pairs=found.pairs,
        )
    )


TARGETS = (
    {"name": "formation-energy", "column": "formation_energy", "unit": "eV/atom", "kind": "regression",
     "meaning": "Materials Project"},
    {"name": "band-gap", "column": "band_gap", "unit": "eV", "kind": "regression",
     "meaning": "Materials Project, PBE, metals included as 0"},
    {"name": "bulk-modulus", "column": "bulk_modulus_voigt", "unit": "log10 GPa", "kind": "regression",
     "meaning": "Voigt average", "label": "log10"},
    {"name": "metal", "column": "band_gap", "unit": "", "kind": "binary", "positive": "metal",
     "meaning": "gap of exactly 0 as stored", "label": "zero"},
)  # fmt: skip


# The bucket -----------------------------------------------------------------------------------------------------------


def _bucket() -> str:
    """The bucket's address; AWS_ENDPOINT_URL_S3 names another server, as for all clients of S3."""
    other = os.environ.get("AWS_ENDPOINT_URL_S3")
    return f"{other.rstrip('/')}/{BUCKET}" if other else f"https://{BUCKET}.s3.amazonaws.com"


def list_bucket(prefix: str, folders: bool = False) -> list[dict[str, str]]:
    """The objects below a prefix, each by the names of S3's answer (Key, Size, ETag); or the folders (Prefix)."""
    found: list[dict[str, str]] = []
    query = {"list-type": "2", "prefix": prefix} | ({"delimiter": "/"} if folders else {})
    wanted = "CommonPrefixes" if folders else "Contents"
    while True:
        content = download_bytes(f"{_bucket()}/?{urllib.parse.urlencode(query)}", hint=HINT)
        try:
            entries = [(_bare(e.tag), e) for e in ET.fromstring(content)]
        except ET.ParseError as error:
            raise InputError(f"{_bucket()} does not answer as a bucket does: {error}") from error
        found += [{_bare(f.tag): f.text or "" for f in entry} for name, entry in entries if name == wanted]
        more = [entry.text or "" for name, entry in entries if name == "NextContinuationToken"]
        if not more:
            return found
        query["continuation-token"] = more[0]


def _bare(tag: str) -> str:
    return tag.rpartition("}")[2]


def _files() -> list[Origin]:
    """The files of the version; raises `InputError` that says what there is instead."""
    prefix = f"collections/{VERSION}/summary/"
    origins = []
    for entry in list_bucket(prefix):
        key = entry["Key"].removeprefix(prefix)
        flat = key.replace("/", "+")
        if not key.endswith(".jsonl.gz") or flat.startswith("manifest"):
            continue
        if not SAFE_NAME.fullmatch(flat):
            raise InputError(f"{_bucket()} lists '{entry['Key']}', which cannot be the name of a file here")
        tag = hashlib.sha256(entry["ETag"].encode()).hexdigest()[:12]
        url = f"{_bucket()}/{urllib.parse.quote(entry['Key'])}"
        origins.append(Origin(f"{flat.removesuffix('.jsonl.gz')}.{tag}", url, int(entry["Size"])))
    if not origins:
        there = [
            f["Prefix"] for at in (f"collections/{VERSION}/", "collections/") for f in list_bucket(at, folders=True)
        ]
        raise InputError(
            f"{_bucket()} has no {prefix}...jsonl.gz any more; there is: {', '.join(there) or 'nothing'}. "
            "The newest database comes with --api"
        )
    return origins


# The API --------------------------------------------------------------------------------------------------------------


def _endpoint() -> str:
    """The API's address; MP_API_ENDPOINT names another, as for the project's own client."""
    return os.environ.get("MP_API_ENDPOINT", "https://api.materialsproject.org").rstrip("/")


def _api_version() -> str:
    """The version of the database that the API serves, as a date."""
    try:
        return _date(json.loads(download_bytes(f"{_endpoint()}/heartbeat", hint=HINT))["db_version"])
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise InputError(f"{_endpoint()}/heartbeat does not say the version of the database") from error


def _date(version: str) -> str:
    """2023.11.1, as the API writes it, as 2023-11-01."""
    return "-".join(word.zfill(2) for word in re.split(r"\W", version, flags=re.ASCII))


def _pages(version: str) -> list[Origin]:
    """The pages of all materials; raises `InputError` without a key."""
    key = os.environ.get("MP_API_KEY", "")
    if not key.isalnum():
        raise InputError(
            "--api needs a key: get one at next-gen.materialsproject.org/api, and put it into MP_API_KEY; "
            "without --api none is needed"
        )

    def page(limit: int, skip: int, name: str = "") -> Origin:
        query = {"_fields": ",".join(FIELDS), "deprecated": "false", "_limit": limit, "_skip": skip}
        url = f"{_endpoint()}/materials/summary/?{urllib.parse.urlencode(query)}"
        return Origin(name, url, limit, (("X-API-KEY", key),))

    total = int(_page(page(1, 0), version)[1]["meta"]["total_doc"])
    starts = range(0, total, PAGE)
    return [page(min(PAGE, total - start), start, f"page-{start:07}-of-{total}") for start in starts]


def _page(of: Origin, version: str) -> tuple[bytes, Any]:
    """A page as it comes, and read; raises `InputError` if it is not what was asked for."""
    content = download_bytes(of.url, dict(of.headers), HINT)
    try:
        page = json.loads(content)
        served, count = _date(page["meta"].get("db_version", version)), len(page["data"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{of.url} does not answer as the API does: {error}") from error
    if served != version:
        raise InputError(f"{_endpoint()} serves version {served} now, and {version} before: run again")
    if count != of.size:
        raise InputError(f"{of.url} gave {count:,} documents, not {of.size:,}; {HINT}")
    return content, page


# Files to parts -------------------------------------------------------------------------------------------------------


def _parts(origins: Sequence[Origin], work: Path, version: str) -> list[Path]:
    """Download what lacks, several at once, and screen each file in a process of its own: spglib holds the lock."""
    stop = threading.Event()

    def told(_: int) -> None:
        if stop.is_set():
            raise InputError("stopped")

    def get(origin: Origin) -> None:
        raw = work / origin.name
        if origin.headers:
            told(0)
            with atomic_write(raw) as temporary:
                temporary.write_bytes(_page(origin, version)[0])
        else:
            download_file(origin.url, raw, size=origin.size, hint=HINT, advance=told)
        try:
            pool.submit(_screen, raw, work / f"{origin.name}.parquet").result()
        except BrokenExecutor as error:
            raise InputError(f"a process was killed, perhaps for its memory; {HINT}") from error

    parts = [work / f"{origin.name}.parquet" for origin in origins]
    lacking = [origin for origin, part in zip(origins, parts, strict=True) if not part.is_file()]
    processes = min(os.cpu_count() or 1, len(lacking)) or 1
    with (
        show_progress("files", len(origins)) as bar,
        ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), start_worker) as pool,
        ThreadPoolExecutor(DOWNLOADS) as threads,
    ):
        bar.advance(len(origins) - len(lacking))
        jobs = [threads.submit(get, origin) for origin in lacking]
        try:
            for job in as_completed(jobs):
                job.result()
                bar.advance()
        except BaseException:
            stop.set()
            threads.shutdown(cancel_futures=True)
            raise
    return parts


def _screen(raw: Path, part: Path) -> None:
    """A file of documents to its part; raises `InputError`, and the file is gone, where it is damaged."""
    sha256 = file_sha256(raw)
    try:
        rows = [screen_document(*named) for named in _documents(raw)]
    except (OSError, EOFError, zlib.error) as error:
        raw.unlink()
        raise InputError(f"{raw} was damaged: {error}; it is gone, and the same command gets it again") from error
    write_part(part, rows, sha256)
    raw.unlink()


def _documents(raw: Path) -> Iterator[tuple[str, Any]]:
    """Each document of a file, with a name for where it stands; what is no JSON is a document that is none."""
    if raw.name.startswith("page-"):
        yield from ((f"{raw.name}:{i}", d) for i, d in enumerate(json.loads(raw.read_bytes())["data"], 1))
        return
    with gzip.open(raw) as file:
        for number, line in enumerate(file, 1):
            try:
                yield f"{raw.name}:{number}", json.loads(line)
            except ValueError as error:
                yield f"{raw.name}:{number}", str(error)
