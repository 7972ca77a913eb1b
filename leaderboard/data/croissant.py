"""Croissant metadata of a data set: JSON-LD by which search engines and loaders of other projects understand it.

Croissant Format Specification 1.0, MLCommons (2024): docs.mlcommons.org/croissant/docs/croissant-spec.html. Nothing
here reads it back: dataset.json and the splits say what the bench does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from asugnn.atomic_write import file_sha256

CROISSANT_FILE = "croissant.json"
ENCODINGS = {".parquet": "application/x-parquet", ".csv": "text/csv", ".extxyz": "chemical/x-xyz"}
SPDX = {"MIT", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "Apache-2.0"}  # licences that have an address

# The context that the specification asks for, word by word.
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True)
class CroissantField:
    """A column of a table; `repeated` for a list in each row."""

    column: str
    type: Literal["Text", "Float", "Integer", "Boolean"]
    description: str  # with the unit
    repeated: bool = False


@dataclass(frozen=True)
class CroissantTable:
    """A file: its path in the folder of the data set, and where it is a table its columns, first that of the ids."""

    path: str
    description: str
    fields: Sequence[CroissantField]


CRYSTAL_FIELDS = (
    CroissantField("material_id", "Text", "id of the crystal"),
    CroissantField("formula", "Text", "reduced formula"),
    CroissantField("lattice", "Float", "lattice vectors: 9 numbers, 3 x 3 rows, in angstrom", repeated=True),
    CroissantField("frac_coords", "Float", "fractional coordinates: 3 numbers for each atom", repeated=True),
    CroissantField("atomic_numbers", "Integer", "atomic number of each atom", repeated=True),
)


def croissant_text(home: Path, about: Mapping[str, str], tables: Sequence[CroissantTable]) -> str:
    """The text of `CROISSANT_FILE` of a data set in the folder `home`, where the files of the tables lie.

    `about` has name and title, and as far as they are known licence, citation, source, version and date (ISO 8601).
    """
    stated = about.get("version", "")
    version = f"{stated}.0.0" if stated.isdecimal() else "1.0.0"  # the specification asks for three numbers
    origin = " ".join(filter(None, (about.get("source"), stated and f"version {stated}")))
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about["name"],
        "description": ". Source: ".join(filter(None, (about.get("title"), origin))),
        "license": _licence(about.get("licence", "")),
        "citeAs": about.get("citation", ""),
        "datePublished": about.get("date", ""),
        "version": version,
        "distribution": [_file_object(home / table.path, table) for table in tables],
        "recordSet": [_record_set(table) for table in tables if table.fields],
    }
    return json.dumps({key: value for key, value in described.items() if value}, indent=1) + "\n"


def dataset_tables(
    columns: Sequence[str], targets: Sequence[Mapping[str, str]], rules: Sequence[str]
) -> list[CroissantTable]:
    """The tables of a data set that was made here: its crystals, and the splits of some rules.

    `columns` are those beside the crystals; `targets` are as dataset.json describes them.
    """
    labels = []
    for column in columns:
        described = [_describe_label(target) for target in targets if target["column"] == column]
        labels.append(CroissantField(column, "Float", "; ".join(described) or "no label of a task"))
    splits = [
        CroissantTable(
            f"splits/{rule}.csv",
            f"split {rule}: the part of each crystal; {rule}.toml says which parts train, validate and test in a fold",
            (
                CroissantField("id", "Text", "id of the crystal"),
                CroissantField("part", "Text", "name of the part"),
            ),
        )
        for rule in rules
    ]
    return [
        CroissantTable("data.parquet", "crystals with labels, null where unknown", [*CRYSTAL_FIELDS, *labels]),
        *splits,
    ]


def _describe_label(target: Mapping[str, str]) -> str:
    meaning, label = target.get("meaning", ""), target.get("label", "value")
    unit = f"in {target['unit']}" if target["kind"] == "regression" else "binary: 1 or 0"
    if label == "zero":
        unit = "binary: whether the value is 0"
    elif label == "log10":
        unit = f"the target is its decadic logarithm, {unit}"
    return f"label of the target {target['name']}, {unit}" + (f": {meaning}" if meaning else "")


def _licence(text: str) -> str:
    return f"https://spdx.org/licenses/{text}.html" if text in SPDX else text


def _file_object(file: Path, table: CroissantTable) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": table.path,
        "name": table.path,
        "description": table.description,
        "contentUrl": table.path,
        "contentSize": f"{file.stat().st_size} B",
        "encodingFormat": ENCODINGS[file.suffix],
        "sha256": file_sha256(file),
    }


def _record_set(table: CroissantTable) -> dict[str, Any]:
    name = PurePosixPath(table.path).with_suffix("").as_posix()
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{field.column}",
            "name": field.column,
            "description": field.description,
            "dataType": f"sc:{field.type}",
            **({"repeated": True} if field.repeated else {}),
            "source": {"fileObject": {"@id": table.path}, "extract": {"column": field.column}},
        }
        for field in table.fields
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": table.description,
        "key": {"@id": f"{name}/{table.fields[0].column}"},
        "field": fields,
    }
