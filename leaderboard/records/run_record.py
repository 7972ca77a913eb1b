"""run.json, typed: what a run was made from, what it took, and the digests of its files.

The file is one JSON object. Its fields, in the order in which they are written:

    format               1 to 4; since 2 there are `files` and `sha256`, since 3 `code`, since 4 `published`
    task                 dataset/target[@split]
    model                name of the row: the model, with the settings that were set by hand
    entry                name of the model's entry point, or FILE.py:CLASS
    source               module:Class that was run
    code                 of the model: package and version, or file, and sha256
    preset               named hyper-parameters; `pretrained`, `submitted` or `published` for rows not trained here
    settings             hyper-parameters by name
    weights              published weights, of the run or inside its model: name, sha256 by file, trained_on
    fold, seed           whole numbers
    precision            of matrix products in training
    split                rule, version, sha256
    data                 name, sha256
    counts               crystals that train, validate, test
    seconds              train (where something was trained), predict
    leaks                test structures that also occur in training or validation
    outside              unsupported test crystals: id to reason
    model_of             sha256 of the predictions of the run whose model a zero-shot run took
    resumed              whether training was interrupted and resumed
    peak_memory_mb, peak_device_memory_mb, device (kind, name, threads), parameters
    predictions_sha256   of predictions.csv
    columns              names of the two columns of a submission, if not id and target
    log                  line and sha256 of a submission in the log
    published            predictions that a public board stores: board, entry, sha256 of its file, commit, authors,
                         reference, stated (scores by metric, as the board has them), classes (true where it stores
                         classes instead of probabilities)
    versions             Python and packages
    commit               of the checkout, `+` where tracked files differed
    finished             UTC, ISO 8601
    warnings             what was said of the run while it worked, such as that its batches were divided
    files                sha256 by path of every other file of the run
    sha256               of this record without this field, as compact JSON
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asugnn.errors import InputError
from asugnn.reading import read_json, reading
from leaderboard._util import Fields

FORMAT = 4  # since 3, run.json holds the digest of the model's code, since 4 what a public board says of its entry
READABLE = (1, 2, 3, 4)
RESTORE = "restore it, or repeat the run with --again"
CODE_FIELDS = ("sha256", "file", "package", "version")


@dataclass(frozen=True)
class SplitReference:
    """The split that a run used, by the digest of its file."""

    rule: str
    version: int
    sha256: str


@dataclass(frozen=True)
class DataReference:
    """The data set that a run used, by the digest of its content."""

    name: str
    sha256: str


@dataclass(frozen=True)
class SideCounts:
    """How many crystals train, validate and test."""

    train: int = 0
    validate: int = 0
    test: int = 0


@dataclass(frozen=True)
class Seconds:
    """Wall time of training and of predicting the test set; None for what was not done."""

    train: float | None = None
    predict: float | None = None


@dataclass(frozen=True)
class Device:
    """On what a run took place."""

    kind: str
    name: str
    threads: int | None = None


@dataclass(frozen=True)
class WeightsReference:
    """Published weights: their name, the digests of their files, and what they were trained on."""

    name: str
    trained_on: str
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CodeReference:
    """The code of a model: a file, or a package with its version, and the sha256 of what was run."""

    sha256: str
    file: str = ""
    package: str = ""
    version: str = ""


@dataclass(frozen=True)
class LogReference:
    """The line of the log of submissions that a record belongs to."""

    line: int
    sha256: str


@dataclass(frozen=True)
class PublishedReference:
    """An entry of a public board: where it is, whose it is, and the scores that the board states."""

    board: str
    entry: str
    sha256: str  # of the file that holds its predictions
    commit: str = ""  # of the board's repository; empty where it is not known
    authors: str = ""
    reference: str = ""
    stated: Mapping[str, float] = field(default_factory=dict)  # by metric
    classes: bool = False  # whether classes are stored instead of probabilities


@dataclass(frozen=True)
class RunRecord:
    """run.json; see the module for what each field means. `raw` is the object as it was read."""

    format: int
    task: str
    model: str
    preset: str
    fold: int
    seed: int
    split: SplitReference
    data: DataReference
    predictions_sha256: str
    entry: str = ""
    source: str = ""
    code: CodeReference | None = None  # not recorded before format 3
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: WeightsReference | None = None
    precision: str = "float32"
    counts: SideCounts = field(default_factory=SideCounts)
    seconds: Seconds = field(default_factory=Seconds)
    leaks: int | None = None
    outside: Mapping[str, str] = field(default_factory=dict)
    model_of: str | None = None
    resumed: bool | None = None
    peak_memory_mb: int | None = None
    peak_device_memory_mb: int | None = None
    device: Device | None = None
    parameters: int | None = None
    columns: tuple[str, str] | None = None
    log: LogReference | None = None
    published: PublishedReference | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    finished: str = ""
    warnings: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, file: Path) -> RunRecord:
        """The record in a file.

        Raises `InputError` that names the file and the first field that is wrong, or says that the file was changed.
        """
        if not file.exists() and not file.is_symlink():
            raise InputError(f"{file.parent} is not a finished run: it has no run.json")
        raw = read_json(file, "the record of a run")
        record = cls.parse(raw, str(file))
        if record.format > 1 or record.sha256:
            with reading(file, "the record of a run"):
                intact = record.sha256 == _content_sha256(raw)
            if not intact:
                raise InputError(f"{file} was changed: its sha256 is not that of its content; {RESTORE}")
        return record

    @classmethod
    def parse(cls, raw: Mapping[str, Any], where: str) -> RunRecord:
        """The record in an object of JSON; raises `InputError` that names `where` and the first field that is wrong."""
        top = Fields(raw, where, "the record of a run")
        version = top.whole("format")
        if version not in READABLE:
            raise InputError(f"{where} has format {version}, this version reads {READABLE}")
        top.check_depth()
        split, data = top.table("split"), top.table("data")
        counts, seconds = top.table("counts", {}), top.table("seconds", {})
        weights, device, log, code = (top.optional_table(name) for name in ("weights", "device", "log", "code"))
        published = top.optional_table("published")
        return cls(
            format=version,
            task=top.text("task"),
            model=top.text("model"),
            preset=top.text("preset"),
            fold=top.whole("fold"),
            seed=top.whole("seed"),
            split=SplitReference(split.text("rule"), split.whole("version"), split.text("sha256")),
            data=DataReference(data.text("name"), data.text("sha256")),
            predictions_sha256=top.text("predictions_sha256"),
            entry=top.text("entry", ""),
            source=top.text("source", ""),
            code=None if code is None else CodeReference(**{n: code.text(n, "") for n in CODE_FIELDS}),
            settings=top.table("settings", {}).raw,
            weights=None
            if weights is None
            else WeightsReference(weights.text("name"), weights.text("trained_on"), weights.texts("sha256")),
            precision=top.text("precision", "float32"),
            counts=SideCounts(*(counts.whole(side, 0) for side in ("train", "validate", "test"))),
            seconds=Seconds(seconds.number("train"), seconds.number("predict")),
            leaks=top.optional_whole("leaks"),
            outside=top.texts("outside"),
            model_of=top.text("model_of", "") or None,
            resumed=top.optional_bool("resumed"),
            peak_memory_mb=top.optional_whole("peak_memory_mb"),
            peak_device_memory_mb=top.optional_whole("peak_device_memory_mb"),
            device=None
            if device is None
            else Device(device.text("kind"), device.text("name"), device.optional_whole("threads")),
            parameters=top.optional_whole("parameters"),
            columns=top.pair("columns"),
            log=None if log is None else LogReference(log.whole("line"), log.text("sha256")),
            published=None if published is None else _read_published(published),
            versions=top.texts("versions"),
            commit=top.text("commit", "") or None,
            finished=top.text("finished", ""),
            warnings=top.lines("warnings"),
            files=top.texts("files") if version > 1 else {},
            sha256=top.text("sha256", ""),
            raw=raw,
        )


def _read_published(fields: Fields) -> PublishedReference:
    texts = {name: fields.text(name, "") for name in ("commit", "authors", "reference")}
    classes = bool(fields.optional_bool("classes"))
    return PublishedReference(
        fields.text("board"), fields.text("entry"), fields.text("sha256"), **texts, stated=fields.numbers("stated"),
        classes=classes,
    )  # fmt: skip


def record_text(raw: Mapping[str, Any]) -> str:
    """run.json as it is written: its last field is the sha256 of what it says without that field."""
    plain = {k: v for k, v in raw.items() if k != "sha256"}
    return json.dumps({**plain, "sha256": _content_sha256(raw)}, indent=1) + "\n"


def _content_sha256(raw: Mapping[str, Any]) -> str:
    """sha256 of a record without its field of that name."""
    return hashlib.sha256(json.dumps({k: v for k, v in raw.items() if k != "sha256"}).encode()).hexdigest()
