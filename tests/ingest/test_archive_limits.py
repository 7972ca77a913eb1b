"""A packed file of a few kilobytes does not fill the memory."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from asugnn import InputError
from leaderboard.ingest.nomad2018 import _read_archive
from leaderboard.ingest.screening import _documents


def archive_of(path: Path, sizes: list[int]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for i, size in enumerate(sizes):
            info = tarfile.TarInfo(f"x/{i}")
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
    return path


def test_an_archive_of_zeros_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("leaderboard.ingest.nomad2018.ARCHIVE_BYTES", 1_000_000)
    assert len(_read_archive(archive_of(tmp_path / "a.tar.gz", [400_000, 400_000]))) == 2
    with pytest.raises(InputError, match="it has 1,000,001 unpacked bytes, and at most 1,000,000 are read"):
        _read_archive(archive_of(tmp_path / "b.tar.gz", [400_000] * 3))
    with gzip.open(tmp_path / "d.tar.gz", "wb") as file:  # a name of ten megabytes, which tarfile reads at once
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 10_000_000
        file.write(info.tobuf() + bytes(10_000_000))
    with pytest.raises(InputError, match="it has 1,000,001 unpacked bytes, and at most 1,000,000 are read"):
        _read_archive(tmp_path / "d.tar.gz")
    monkeypatch.setattr("leaderboard.ingest.nomad2018.ARCHIVE_FILES", 5)
    with pytest.raises(InputError, match="it has 6 files, and at most 5 are read"):
        _read_archive(archive_of(tmp_path / "c.tar.gz", [1] * 9))


def test_a_document_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("leaderboard.ingest.screening.DOCUMENT_BYTES", 1000)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' + b" " * 1_000_000))
    with pytest.raises(InputError, match="it has 1,001 bytes in line 2 when it is unpacked, and at most"):
        list(_documents(tmp_path / "a.jsonl.gz"))
