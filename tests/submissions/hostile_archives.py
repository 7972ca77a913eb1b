# ruff: noqa: E501
"""Sixty archives that a stranger could hand in: none may be unpacked out of place, at length, or without an answer."""

from __future__ import annotations

import io
import itertools
import struct
import zipfile
from collections.abc import Iterator

ENTRY = "a/0/predictions.csv"
ABOUT = ("a/0/about.json", b'{"task": "open-dft/bulk-modulus", "fold": 0}')
ROWS = b"id,bulk-modulus\n" + b"".join(b"x%d,1.5\n" % i for i in range(5000))
NAMES = (
    "../a/0/predictions.csv", "/a/0/predictions.csv", "a/0/../../../b", "a\\0\\predictions.csv", "C:/a", "a/9/about.json",
    "a/0/model.py", "a/0/predictions.csv\n", "a" * 60_000, "a/0/about.json\u202e", "\x1b[31m/0/about.json", ".", "..", "a/0/predictions.csv/",
    "a/0/predictions.csv/x", "A/0/about.json", "a/0/about.json\0.py", "-a/0/about.json", "a//0/about.json", "a/0/./about.json",
    "e\u0301/0/about.json", "@everyone/0/about.json", "a/٠/about.json", "about.json", "a/fault.txt/x",
)  # fmt: skip
METHODS = {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}
LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def packed(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of some entries."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)
    return sink.getvalue()


def patched(content: bytes, mark: bytes, offset: int, value: bytes, last: bool = True) -> bytes:
    """The archive with some bytes of a header replaced."""
    out = bytearray(content)
    start = (out.rindex if last else out.index)(mark) + offset
    out[start : start + len(value)] = value
    return bytes(out)


def repeated(name: str, count: int) -> bytes:
    """An archive whose directory has one entry many times."""
    content = packed((name, b""), method=zipfile.ZIP_STORED)
    start, end = content.index(CENTRAL), content.rindex(END)
    directory = content[start:end] * count
    counts = struct.pack("<HHL", min(count, 0xFFFF), min(count, 0xFFFF), len(directory))
    return content[:start] + directory + content[end : end + 8] + counts + content[end + 16 :]


def kind(mode: int) -> zipfile.ZipInfo:
    """An entry that is a link, a pipe or a device."""
    info = zipfile.ZipInfo(ENTRY)
    info.external_attr = mode << 16
    return info


def hostile_archives() -> Iterator[tuple[str, bytes]]:
    """What is odd about each archive, and the archive."""
    good = packed((ENTRY, ROWS), ABOUT)
    yield from ((f"name {name[:30]!r}", packed((name, b"x"), ABOUT)) for name in NAMES)
    for word, mode in (
        ("link", 0o120777),
        ("pipe", 0o010644),
        ("device", 0o060644),
        ("socket", 0o140644),
        ("odd", 0o170000),
    ):
        yield word, packed((kind(mode), b"/etc/passwd"), ABOUT)
    yield "twice", good[: good.index(CENTRAL)] + packed(ABOUT, (ENTRY, b"1"), ("a/0/fault.txt", b"2"))
    yield "same names", packed(ABOUT, ("b" + ABOUT[0][1:], b"2")).replace(b"b/0/about", b"a/0/about")
    yield "bomb", packed((ENTRY, bytes(25_000_000)))
    yield (
        "small bombs",
        packed(*((f"{name}/{i}/predictions.csv", bytes(19_000_000)) for name, i in itertools.product("ab", range(3)))),
    )
    yield "bomb in about.json", packed(("a/0/about.json", bytes(2_000_000)))
    yield "bomb in fault.txt", packed(("a/fault.txt", b"x" * 1_000_000))
    yield "100k entries", repeated("a/0/predictions.csv", 100_000)
    yield "5k folders", repeated("a/", 5000)
    yield "states ten bytes", patched(packed((ENTRY, bytes(25_000_000))), CENTRAL, 24, struct.pack("<I", 10))
    yield "states 4 GB", patched(good, CENTRAL, 24, b"\xfe\xff\xff\xff", last=False)
    yield "states packed 4 GB", patched(good, CENTRAL, 20, b"\xfe\xff\xff\xff", last=False)
    yield "zip64 without its field", patched(good, CENTRAL, 24, b"\xff\xff\xff\xff", last=False)
    yield "zip64 offset", patched(good, CENTRAL, 42, b"\xff\xff\xff\xff", last=False)
    yield "offset beyond", patched(good, CENTRAL, 42, b"\x00\x00\xff\x00", last=False)
    yield "entries say 65535", patched(good, END, 8, b"\xff\xff\xff\xff")
    yield "directory beyond", patched(good, END, 16, b"\xff\xff\xff\x7f")
    yield "directory of 4 GB", patched(good, END, 12, b"\xff\xff\xff\xff")
    yield "encrypted", patched(good, CENTRAL, 8, b"\x01", last=False)
    yield "strongly encrypted", patched(good, CENTRAL, 8, b"\x41", last=False)
    yield "patch data", patched(patched(good, CENTRAL, 8, b"\x20", last=False), LOCAL, 6, b"\x20", last=False)
    yield "wrong CRC", patched(good, CENTRAL, 16, b"\x00\x00\x00\x00", last=False)
    yield "flipped in deflate", patched(good, LOCAL, 30 + len(ENTRY) + 5, b"\xff\xff\xff", last=False)
    yield "other local name", good.replace(ENTRY.encode(), b"a/0/predictions.cs_", 1)
    for method in (1, 6, 9, 93, 99, 0xFFFF):
        changed = patched(good, CENTRAL, 10, struct.pack("<H", method), last=False)
        yield f"method {method}", patched(changed, LOCAL, 8, struct.pack("<H", method), last=False)
    for word, method in METHODS.items():
        yield word, packed((ENTRY, ROWS), ABOUT, method=method)
        damaged = packed((ENTRY, ROWS), ABOUT, method=method)
        yield f"damaged {word}", patched(damaged, LOCAL, 30 + len(ENTRY) + 12, b"\xff" * 20, last=False)
        yield f"deflate that says {word}", patched(patched(good, CENTRAL, 10, struct.pack("<H", method), last=False),
                                                   LOCAL, 8, struct.pack("<H", method), last=False)  # fmt: skip
    yield "needs version 99", patched(good, CENTRAL, 6, b"\x63", last=False)
    yield from ((f"cut at {n}", good[:n]) for n in (0, 1, 4, 40, len(good) // 2, len(good) - 30, len(good) - 1))
    yield "appended to", good + bytes(70_000)
    yield "no archive", b"<html>not found</html>"
    yield "nested", packed((ENTRY, packed((ENTRY, bytes(10**6)))), ABOUT)
    yield "long comment", good[:-2] + struct.pack("<H", 60_000) + b"x" * 60_000
