"""mp-2024-1: the Materials Project of January 2024, from its public bucket or its API.

Database version 2023-11-01 is in a public bucket. Its documentation (docs.materialsproject.org, "AWS Open Data") gives
18.4 thousand objects and 6.1 GB for all collections of that version. The files are named
`collections/<date>/<collection>/nelements=<n>/symmetry_number=<n>.jsonl.gz` and hold one JSON document per line.
Documents of the collection `summary` are declared by `SummaryDoc` of the package emmet-core; read here are
`material_id`, `deprecated`, `structure` (pymatgen's JSON), `symmetry.number`, `formation_energy_per_atom`, `band_gap`
and `bulk_modulus.voigt` (`k_voigt` in older documents). The bucket is listed first, and none of these names is assumed.

The API needs a key and serves the newest database only, which becomes a data set of another name.

Both are read over plain HTTPS rather than with boto3 and mp-api: one downloader that resumes serves both, no
credentials of an account are searched for, and only one page of the API is in memory.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import shutil
import threading
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asugnn.atomic_write import atomic_write
from asugnn.capacity import usable_cores
from asugnn.download import download_bytes, download_file
from asugnn.errors import InputError
from asugnn.reading import parse_json, reason
from asugnn.symmetry import SYMPREC
from leaderboard._util import SAFE_NAME, make_once, show_progress, start_worker
from leaderboard.data import Source, data_folder, find_source, read_description
from leaderboard.ingest.screening import LABELS, merge_parts, screen_file
from leaderboard.ingest.write import NewDataset, write_dataset

NAME = "mp-2024-1"
BUCKET = "materialsproject-build"
VERSION = "2023-11-01"
FIELDS = (
    "material_id", "deprecated", "structure", "symmetry", "formation_energy_per_atom", "band_gap", "bulk_modulus",
)  # fmt: skip
PAGE = 1000  # documents in a page of the API, the most that it gives
DOWNLOADS = 8  # at once
HINT = "finished downloads are kept: repeat the command to resume"


@dataclass(frozen=True)
class Origin:
    """A file of documents to download."""

    name: str  # different for every file and every version of it
    url: str
    size: int  # in bytes; for a page of the API, in documents
    headers: tuple[tuple[str, str], ...] = ()


def build_dataset(api: bool = False, symprec: float = SYMPREC) -> tuple[Source, dict[str, int]]:
    """Build the data set, unless it is built already, and return it with the counts of its screening.

    Resumes where an earlier call stopped. With `api`, the documents come from the API, with the key in MP_API_KEY; if
    it serves another version, the data set is named after that version. Screened with another tolerance `symprec` of
    spglib, in angstrom, it is another data set and named after that too. Raises `InputError`.
    """
    version = _api_version() if api else VERSION
    name = NAME if version == VERSION else f"mp-{version}"
    if symprec != SYMPREC:
        name += f"-symprec-{symprec:g}"
    home = data_folder() / name
    work = home / "parts"
    make_once(home / "dataset.json", work, lambda: _download_and_write(name, version, api, work, symprec))
    shutil.rmtree(work, ignore_errors=True)
    return find_source(name), read_description(home)["screening"]


def _download_and_write(name: str, version: str, api: bool, work: Path, symprec: float) -> None:
    origins = _pages(version) if api else _files()
    screened = merge_parts(_download_parts(origins, work, version, symprec))
    if api and screened.counts["id-twice"]:
        raise InputError(
            f"{_endpoint()} gave some materials twice, so others are missing: remove {work}, and repeat the command"
        )
    description = {
        "title": f"Materials Project, database version {version}, screened as the paper of ASUGNN says",
        "symprec": symprec,
        "source": f"{_endpoint() if api else _bucket()}, {len(origins):,} files of summary documents",
        "version": version,
        "licence": "CC-BY-4.0",
        "citation": "Jain et al., APL Mater. 1, 011002 (2013)",
        "origin_sha256": screened.origin,
        "screening": screened.counts,
    }
    write_dataset(
        NewDataset(
            name=name,
            rows=screened.rows,
            columns=(*LABELS, "space_group"),
            targets=TARGETS,
            about=description,
            command="bench data build",
            excluded=screened.excluded,
            pairs=screened.pairs,
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
    """The address of the bucket; AWS_ENDPOINT_URL_S3 names another server, as for all clients of S3."""
    other = os.environ.get("AWS_ENDPOINT_URL_S3")
    return f"{other.rstrip('/')}/{BUCKET}" if other else f"https://{BUCKET}.s3.amazonaws.com"


def list_bucket(prefix: str, folders: bool = False) -> list[dict[str, str]]:
    """The objects below a prefix, each with Key, Size and ETag; with `folders`, those below it, each with Prefix.

    Raises `InputError`.
    """
    listed: list[dict[str, str]] = []
    query = {"list-type": "2", "prefix": prefix} | ({"delimiter": "/"} if folders else {})
    wanted = "CommonPrefixes" if folders else "Contents"
    while True:
        content = download_bytes(f"{_bucket()}/?{urllib.parse.urlencode(query)}", hint=HINT)
        try:
            entries = [(_without_namespace(e.tag), e) for e in ET.fromstring(content)]
        except ET.ParseError as error:
            raise InputError(f"{_bucket()} does not answer as a bucket does: {error}") from error
        listed += [
            {_without_namespace(f.tag): f.text or "" for f in entry} for name, entry in entries if name == wanted
        ]
        more = [entry.text or "" for name, entry in entries if name == "NextContinuationToken"]
        if not more:
            return listed
        query["continuation-token"] = more[0]


def _without_namespace(tag: str) -> str:
    return tag.rpartition("}")[2]


def _files() -> list[Origin]:
    """The files of the version; where there are none, raises `InputError` that lists what the bucket has."""
    prefix = f"collections/{VERSION}/summary/"
    origins = []
    for entry in list_bucket(prefix):
        key = entry["Key"].removeprefix(prefix)
        flat = key.replace("/", "+")
        if not key.endswith(".jsonl.gz") or flat.startswith("manifest"):
            continue
        if not SAFE_NAME.fullmatch(flat):
            raise InputError(f"{_bucket()} lists '{entry['Key']}', which is not a safe name of a file")
        tag = hashlib.sha256(entry["ETag"].encode()).hexdigest()[:12]
        url = f"{_bucket()}/{urllib.parse.quote(entry['Key'])}"
        origins.append(Origin(f"{flat.removesuffix('.jsonl.gz')}.{tag}", url, int(entry["Size"])))
    if not origins:
        there = [
            f["Prefix"] for path in (f"collections/{VERSION}/", "collections/") for f in list_bucket(path, folders=True)
        ]
        raise InputError(
            f"{_bucket()} no longer has {prefix}...jsonl.gz; there is: {', '.join(there) or 'nothing'}. "
            "The newest database is available with --api"
        )
    return origins


# The API --------------------------------------------------------------------------------------------------------------


def _endpoint() -> str:
    """The address of the API; MP_API_ENDPOINT names another, as for the project's own client."""
    return os.environ.get("MP_API_ENDPOINT", "https://api.materialsproject.org").rstrip("/")


def _api_version() -> str:
    """The version of the database that the API serves, as a date."""
    url = f"{_endpoint()}/heartbeat"
    content = download_bytes(url, hint=HINT)
    try:
        return _date(parse_json(content)["db_version"])
    except Exception as error:  # a server may answer anything
        raise InputError(f"{url} does not state the version of the database: {reason(error)}") from error


def _date(version: str) -> str:
    """2023.11.1, as the API writes it, as 2023-11-01."""
    return "-".join(word.zfill(2) for word in re.split(r"\W", version, flags=re.ASCII))


def _pages(version: str) -> list[Origin]:
    """The pages of all materials of a version; raises `InputError` without a key."""
    key = os.environ.get("MP_API_KEY", "")
    if not key.isalnum():
        raise InputError(
            "--api needs a key: get one at next-gen.materialsproject.org/api, and set MP_API_KEY to it; "
            "without --api no key is needed"
        )

    def page(limit: int, skip: int, name: str = "") -> Origin:
        query = {"_fields": ",".join(FIELDS), "deprecated": "false", "_limit": limit, "_skip": skip}
        url = f"{_endpoint()}/materials/summary/?{urllib.parse.urlencode(query)}"
        return Origin(name, url, limit, (("X-API-KEY", key),))

    total = int(_page(page(1, 0), version)[1]["meta"]["total_doc"])
    starts = range(0, total, PAGE)
    return [page(min(PAGE, total - start), start, f"page-{start:07}-of-{total}") for start in starts]


def _page(origin: Origin, version: str) -> tuple[bytes, Any]:
    """A page of the API, as bytes and parsed; raises `InputError` if version or number of documents differ."""
    content = download_bytes(origin.url, dict(origin.headers), HINT)
    try:
        page = parse_json(content)
        served, count = _date(page["meta"].get("db_version", version)), len(page["data"])
    except Exception as error:  # a server may answer anything
        raise InputError(f"{origin.url} does not answer as the API does: {reason(error)}") from error
    if served != version:
        raise InputError(f"{_endpoint()} serves version {served} now, and {version} before: repeat the command")
    if count != origin.size:
        raise InputError(f"{origin.url} gave {count:,} documents, not {origin.size:,}; {HINT}")
    return content, page


# Files to parts -------------------------------------------------------------------------------------------------------


def _download_parts(origins: Sequence[Origin], work: Path, version: str, symprec: float) -> list[Path]:
    """Download the missing files, several at once, and screen them in other processes, as spglib holds the GIL."""
    stop = threading.Event()

    def check_stop(_: int) -> None:
        if stop.is_set():
            raise InputError("stopped")

    def download_and_screen(origin: Origin) -> None:
        raw = work / origin.name
        if origin.headers:
            check_stop(0)
            with atomic_write(raw) as temporary:
                temporary.write_bytes(_page(origin, version)[0])
        else:
            download_file(origin.url, raw, size=origin.size, hint=HINT, advance=check_stop)
        try:
            pool.submit(screen_file, raw, work / f"{origin.name}.parquet", symprec).result()
        except BrokenExecutor as error:
            raise InputError(f"a process was killed, perhaps because memory ran out; {HINT}") from error

    parts = [work / f"{origin.name}.parquet" for origin in origins]
    missing = [origin for origin, part in zip(origins, parts, strict=True) if not part.is_file()]
    processes = min(usable_cores(), len(missing)) or 1
    with (
        show_progress("files", len(origins)) as bar,
        ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), start_worker) as pool,
        ThreadPoolExecutor(DOWNLOADS) as threads,
    ):
        bar.advance(len(origins) - len(missing))
        jobs = [threads.submit(download_and_screen, origin) for origin in missing]
        try:
            for job in as_completed(jobs):
                job.result()
                bar.advance()
        except BaseException:
            stop.set()
            threads.shutdown(cancel_futures=True)
            raise
    return parts
