"""A Parquet file is measured before it is decoded."""

import io
from pathlib import Path

import polars as pl
import pytest

from asugnn import InputError
from leaderboard.data import PACKAGE, read_layout
from leaderboard.data.parquet_bounds import check_parquet

ROW = {
    "material_id": ["a"],
    "lattice": [[4.0, 0, 0, 0, 4, 0, 0, 0, 4]],
    "frac_coords": [[0.0, 0, 0]],
    "atomic_numbers": [[11]],
}


def packed(table: pl.DataFrame, compression: str = "zstd") -> bytes:
    out = io.BytesIO()
    table.write_parquet(out, compression=compression)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "lz4", "uncompressed"])
def test_what_polars_writes_is_within_the_limits(compression: str):
    flags = pl.Series([True, None, False])
    table = pl.DataFrame({"a": ["x", "y", None], "b": [[1, 2], [], None], "c": flags, "d": [{"e": 1.5}] * 3})
    check_parquet(packed(table, compression))
    check_parquet(packed(table.clear(), compression))
    check_parquet((PACKAGE / "_data/open-dft/open_dft.parquet").read_bytes())


def test_a_small_file_that_stands_for_a_large_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = packed(pl.DataFrame({"a": pl.repeat(1.0, 3_000_000, eager=True)}))
    assert len(content) < 100_000
    monkeypatch.setattr("leaderboard.data.parquet_bounds.PARQUET_VALUES", 2_000_000)
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match="it has 3,000,000 rows, and at most 2,000,000 are read"):
        read_layout(tmp_path / "a.parquet", "")
    lists = packed(pl.DataFrame({"a": [[0.0] * 1_500_000, [0.0] * 1_500_000]}))
    with pytest.raises(InputError, match=r"it has 3,000,\d+ values, and at most 2,000,000 are read"):
        check_parquet(lists)
    monkeypatch.setattr("leaderboard.data.parquet_bounds.PARQUET_UNPACKED_BYTES", 900_000)
    with pytest.raises(InputError, match=r"unpacked bytes, and at most 900,000 are read"):
        check_parquet(packed(pl.DataFrame({"a": ["x" * 1_000_000]})))


def test_a_file_that_is_cut_is_refused():
    content = packed(pl.DataFrame({"a": [1.0, 2.0]}), "uncompressed")
    check_parquet(content)
    for cut in (content[:-1], content[4:], b"PAR1" + content[-8:], content[:40] + content[-200:]):
        with pytest.raises((ValueError, LookupError)):
            check_parquet(cut)


def test_a_panic_of_polars_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is no Exception in Python, and went through every reader."""

    def panic(*_: object) -> None:
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")

    (tmp_path / "a.parquet").write_bytes(packed(pl.DataFrame(ROW)))
    assert len(read_layout(tmp_path / "a.parquet", "")) == 1
    monkeypatch.setattr(pl, "read_parquet", panic)
    with pytest.raises(InputError, match=r"a\.parquet cannot be read as Parquet: called"):
        read_layout(tmp_path / "a.parquet", "")


def test_a_panic_of_polars_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    content = packed(pl.DataFrame({**ROW, "y": [1.0]}), "uncompressed")
    refused = []
    for i in range(4, 60):
        damaged = bytearray(content)
        damaged[i] ^= 1
        (tmp_path / "a.parquet").write_bytes(damaged)
        try:
            read_layout(tmp_path / "a.parquet", "")
        except InputError as error:
            refused.append(str(error))
    assert any("JoinError::Panic" in sentence for sentence in refused), refused
    assert capfd.readouterr().err == ""


def test_a_long_id_is_refused(tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(packed(pl.DataFrame({**ROW, "material_id": ["x" * 1001]})))
    with pytest.raises(InputError, match="it has 1,001 bytes in one material_id, and at most 1,000 are read"):
        read_layout(tmp_path / "a.parquet", "")


def test_a_long_list_is_refused(tmp_path: Path):
    long = pl.DataFrame({**ROW, "frac_coords": [[0.0] * 30_001]})
    (tmp_path / "a.parquet").write_bytes(packed(long))
    with pytest.raises(InputError, match="it has 30,001 values in one frac_coords, and at most 30,000 are read"):
        read_layout(tmp_path / "a.parquet", "")
