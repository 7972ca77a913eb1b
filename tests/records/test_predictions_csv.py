import csv
import errno
import io
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asugnn import InputError
from asugnn.limits import CSV_FAULTS, CSV_LINE_CHARACTERS
from leaderboard.records import predictions_csv
from leaderboard.records.prediction_columns import ColumnNames
from leaderboard.records.predictions_csv import SubmissionError, read_predictions, write_predictions
from leaderboard.records.predictions_frame import read_frame
from leaderboard.records.predictions_mapping import order_predictions

IDS = ("0012", "mp-1", "mp-2", "NaCl,a")


@pytest.fixture(scope="module", autouse=True, params=[predictions_csv.MANY, 0], ids=["few", "many"])
def _many(request):
    """As a file of few rows, and of many, which is read as a data frame."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions_csv, "MANY", request.param)
        yield


GOOD = {"0012": "0.25", "mp-1": "-1.5e-3", "mp-2": "3", "NaCl,a": "0.1"}


def text(rows=None, header="id,gap", **changed) -> str:
    """A right file, but for some values; a value of None leaves its row out."""
    rows = {**GOOD, **changed} if rows is None else rows
    lines = [
        f'"{name}",{value}' if "," in name else f"{name},{value}" for name, value in rows.items() if value is not None
    ]
    return "\n".join([header, *lines]) + "\n"


def faults(tmp_path: Path, content: str | bytes, kind="regression", ids=IDS) -> list[str]:
    path = tmp_path / "predictions.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SubmissionError) as caught:
        read_predictions(path, ids, "gap", kind)
    message = str(caught.value)
    assert isinstance(caught.value, InputError)
    assert str(path) in message
    assert all(fault in message for fault in caught.value.faults)
    return caught.value.faults


R = text()
HOSTILE = {
    # name: (file, what the faults must say, one pattern for each)
    "empty": ("", ["it is empty: the first line must be 'id,gap'"]),
    "blank": ("\n\n  \n", ["it is empty"]),
    "only a byte order mark": (b"\xef\xbb\xbf", ["it is empty"]),
    "header only": ("id,gap\n", ["it has a header and no rows"]),
    "header and blank lines": ("id,gap\n\n,\n", ["it has a header and no rows"]),
    "header and a line that is no text": (b"id,gap\n\xe9\n", ["line 2: it is not UTF-8", *["has no row"] * 4]),
    "exchanged contents": ("id,gap\n1,mp-1\n2,mp-2\n", ["the ids are in the second column: exchange the columns"]),
    "exchanged names": ("gap,id\nmp-1,1\nmp-2,2\n", ["the ids are in the first column, 'gap': exchange the names"]),
    "one exchanged row": (text(**{"mp-1": None}) + "1,mp-1\n", ["id '1' is not in", "is not a number", "no row"]),
    "ids in both columns": ("id,gap\n0012,mp-1\n", ["line 2: 'mp-1' is not", *["has no row"] * 3]),
    "JSON": ('{"mp-1": 1}', ["this looks like JSON, not CSV: write it as CSV"]),
    "JSON of rows": ('\ufeff[\n {"id": "mp-1"}]', ["this looks like JSON, not CSV: write it as CSV"]),
    "brackets in a header": ("[id],gap\nmp-1,1\n", ["line 1: the header is '[id],gap'"]),
    "no header": (R.removeprefix("id,gap\n"), ["the header is '0012,0.25'; the first line must be 'id,gap'; it"]),
    "misspelt header": (text(header="id,gpa"), ["'gpa' should be 'gap'"]),
    "wide header": (text(header="id,wide"), ["'id,wide'; the first line must be 'id,gap'"]),
    "capital header": (text(header="ID,Gap"), ["'ID' should be 'id'; 'Gap' should be 'gap'"]),
    "another target": (text(header="id,formation-energy"), ["the first line must be 'id,gap'"]),
    "one column": ("gap\n1\n2\n", ["the header is 'gap'"]),
    "extra column": ("id,gap,error\nmp-1,1,2\n", ["more columns than two ('error')"]),
    "index column": (",id,gap\n0,mp-1,1\n", ["more columns than two ('')"]),
    "same column twice": ("id,gap,gap\nmp-1,1,2\n", ["line 1: column 'gap' comes twice"]),
    "id twice": ("id,gap,id\nmp-1,1,2\n", ["line 1: column 'id' comes twice"]),
    "stray quote in the header": ('id,"gap\nmp-1,1\n', ["line 1: the header has a stray quote"]),
    "semicolons": ("id;gap\nmp-1;0,5\n", ["separated by semicolons: separate them by commas, and"]),
    "tabs": ("id\tgap\nmp-1\t0.5\n", ["separated by tabs"]),
    "missing": (text(**{"mp-1": None}), ["id 'mp-1' has no row"]),
    "unknown": (R + "mp-3,1\n", ["line 6: id 'mp-3' is not in this task"]),
    "leading zeros lost": (text(**{"0012": None}) + "12,1\n", ["'12' is not in this task; did you mean '0012'", "no"]),
    "capitals": (text(**{"mp-1": None}) + "MP-1,1\n", ["did you mean 'mp-1'?", "no row"]),
    "duplicate": (R + "mp-1,1\n", ["line 6: id 'mp-1' again, first on line 3"]),
    "duplicate, same value": (R + "mp-2,3\n", ["line 6: id 'mp-2' again, first on line 4"]),
    "empty id": (R + ",1\n", ["line 6: the id is empty"]),
    "empty value": (text(**{"mp-1": ""}), ["line 3: the value is empty"]),
    "empty quotes": (text(**{"mp-1": '""'}), ["line 3: the value is empty"]),
    "word": (text(**{"mp-1": "high"}), ["line 3: 'high' is not a number"]),
    "spreadsheet error": (text(**{"mp-1": "#DIV/0!"}), ["line 3: '#DIV/0!' is not a number"]),
    "nan": (text(**{"mp-1": "nan"}), ["line 3: 'nan' is not a finite number"]),
    "NA": (text(**{"mp-1": "NA"}), ["line 3: 'NA' is not a number"]),
    "infinite": (text(**{"mp-1": "-inf"}), ["line 3: '-inf' is not a finite number"]),
    "overflow": (text(**{"mp-1": "1e999"}), ["line 3: '1e999' is too large"]),
    "underscore": (text(**{"mp-1": "1_0"}), ["line 3: '1_0' is not a number"]),
    "hexadecimal": (text(**{"mp-1": "0x10"}), ["line 3: '0x10' is not a number"]),
    "full-width digits": (text(**{"mp-1": "\uff11\uff12"}), ["line 3: '\uff11\uff12' is not a number"]),
    "percent": (text(**{"mp-1": "12%"}), ["line 3: '12%' is not a number"]),
    "thousands": (text(**{"mp-1": '"1,234.5"'}), ["line 3: '1,234.5' is not a number"]),
    "decimal comma": (text(**{"mp-1": '"0,5"'}), ["line 3: '0,5' is not a number: write a decimal point, not a comma"]),
    "bare decimal comma": (text(**{"mp-1": "0,5"}), ["line 3: 3 cells instead of 2 (is there a decimal comma?"]),
    "short row": (text(**{"mp-1": None}) + "mp-1\n", ["line 5: 1 cell instead of 2"]),
    "long row": (text(**{"mp-1": "1,2,3"}), ["line 3: 4 cells instead of 2"]),
    "open quote": (text(**{"mp-1": '"1'}), ["line 3: a quote (\") is not closed", "'mp-1' has no row"]),
    "quote inside": (text(**{"mp-1": '1"2'}), ["line 3: a quote", "no row"]),
    "text after quote": (text(**{"mp-1": '"1"2'}), ["line 3: a quote", "no row"]),
    "NUL": (text(**{"mp-1": "1\0"}), ["line 3: a NUL byte", "no row"]),
    "NUL in the header": ("id,gap\0\nmp-1,1\n", ["line 1: a NUL byte; save the file as 'CSV UTF-8'"]),
    "UTF-16": (R.encode("utf-16"), ["it is UTF-16 text: save it as 'CSV UTF-8'"]),
    "UTF-16 without mark": (R.encode("utf-16-le"), ["line 1: a NUL byte; save the file as 'CSV UTF-8'"]),
    "Latin-1": (R.encode() + "é,1\n".encode("latin-1"), ["line 6: it is not UTF-8; save the file as 'CSV UTF-8'"]),
    "Latin-1 header": ("id,gäp\n".encode("latin-1"), ["line 1: it is not UTF-8"]),
    "workbook": (b"PK\x03\x04" + bytes(100), ["it is a workbook or a zip archive"]),
    "compressed": (b"\x1f\x8b\x08" + bytes(100), ["it is compressed: unpack it first"]),
    "Parquet": (b"PAR1" + bytes(100), ["it is a Parquet file"]),
    "huge cell": (R + "x" * (CSV_LINE_CHARACTERS + 1) + ",1\n", ["line 6: more than 10,000 characters"]),
    "one endless line": ("id,gap " * 200_000, ["line 1: more than 10,000 characters"]),
    "web page": ("<!DOCTYPE html>\n<html>\n", ["this looks like a web page or XML, not CSV"]),
    "two at once": (text(**{"mp-1": "x", "mp-2": "inf"}) + "z,1\n", ["line 3: 'x'", "line 4: 'inf'", "line 6: id 'z'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_fault_is_named(tmp_path, name):
    content, expected = HOSTILE[name]
    found = faults(tmp_path, content)
    assert len(found) == len(expected), found
    for fault, words in zip(found, expected, strict=True):
        assert words in fault


@pytest.mark.parametrize("value", ["-0.1", "1.0000001", "2", "-1e-9"])
def test_a_probability_lies_within_0_and_1(tmp_path, value):
    content = text({**dict.fromkeys(GOOD, "0.5"), "mp-1": value})
    assert faults(tmp_path, content, "binary") == [f"line 3: {value} is not a probability: it must lie within 0 and 1"]


def test_both_ends_are_probabilities(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text(text(dict(zip(GOOD, ("0", "1", "1.0", "-0.0"), strict=True))))
    assert read_predictions(path, IDS, "gap", "binary").tolist() == [0, 1, 1, 0]


def test_a_file_that_is_none(tmp_path):
    for path, words in ((tmp_path, "it is a folder, not a file"), (tmp_path / "no.csv", "there is no such file")):
        with pytest.raises(SubmissionError, match=words):
            read_predictions(path, IDS, "gap", "regression")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "predictions.csv"
    path.write_text(R)
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(SubmissionError, match="cannot be read: Permission denied"):
        read_predictions(path, IDS, "gap", "regression")


def test_many_faults_are_counted(tmp_path):
    rows = {f"x{i}": "1" for i in range(1239)}
    found = faults(tmp_path, text({**GOOD, "mp-1": None, "mp-2": "?", **rows}))
    assert found[:2] == [
        "line 3: '?' is not a number",
        "line 5: id 'x0' is not in this task",
    ]
    assert found[6:] == ["and 1,234 more unknown ids", "id 'mp-1' has no row"]


@pytest.mark.slow
def test_a_file_of_the_wrong_task_is_refused_quickly(tmp_path):
    """Three million rows too many, and an expected million missing."""
    content = "id,gap\n" + "".join(f"row-{i},1\n" for i in range(3_000_000))
    start = time.perf_counter()
    found = faults(tmp_path, content, ids=[str(i) for i in range(1_000_000)])
    assert time.perf_counter() - start < 20
    assert found[-1].startswith(f"reading stopped before line {CSV_FAULTS + 3:,}")


def test_the_file_is_read_in_the_order_of_the_ids(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text(R)
    assert read_predictions(path, IDS, "gap", "regression").tolist() == [0.25, -1.5e-3, 3, 0.1]
    assert read_predictions(path, IDS[::-1], "gap", "regression").tolist() == [0.1, 3, -1.5e-3, 0.25]


numbers = st.floats(allow_nan=False, allow_infinity=False)
# Ids as in data sets: visible text without line breaks and without spaces around it.
visible = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
tables = st.dictionaries(visible, numbers, min_size=1, max_size=12)


@given(tables)
def test_what_is_written_is_read_bit_for_bit(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("round") / "predictions.csv"
    values = np.array(list(table.values()))
    write_predictions(path, list(table), "gap", values)
    assert read_predictions(path, list(table), "gap", "regression").tobytes() == values.tobytes()
    with path.open(newline="", encoding="utf-8") as file:  # and by the standard library
        rows = list(csv.reader(file))
    assert rows == [["id", "gap"], *([name, repr(value)] for name, value in table.items())]


@pytest.mark.parametrize("kind", ["regression", "binary"])
@given(values=st.lists(st.text("0123456789.+-eE_ n", max_size=6), min_size=1, max_size=3))
def test_the_short_way_through_a_plain_file_finds_what_the_long_way_finds(tmp_path_factory, kind, values):
    ids = [f"crystal {i}" for i in range(len(values))]
    text = "id,gap\n" + "".join(f"{name},{value}\n" for name, value in zip(ids, values, strict=True))
    found = []
    for blank in ("", "\n"):  # a blank line, and the file is no longer plain
        path = tmp_path_factory.mktemp("plain") / "predictions.csv"
        path.write_text(text + blank, encoding="utf-8")
        try:
            found.append(read_predictions(path, ids, "gap", kind).tobytes())
        except SubmissionError as error:
            found.append(str(error).replace(str(path), "the file"))
    assert found[0] == found[1]


@given(tables, st.data())
def test_what_spreadsheets_do_changes_nothing(tmp_path_factory, table, data):
    """Order of rows and columns, quotes, spaces, line ends, byte order mark and blank lines, all at once."""
    draw = data.draw
    rows = [[name, repr(value)] for name, value in draw(st.permutations(list(table.items())))]
    rows.insert(0, ["id", "gap"])
    if draw(st.booleans()):
        rows = [row[::-1] for row in rows]
    ends = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    out = io.StringIO()
    for row in rows:
        line = io.StringIO()
        csv.writer(line, quoting=quoting, lineterminator="").writerow(row)
        out.write(
            draw(st.sampled_from(["", " ", "\t", "\u00a0"])) + line.getvalue() + draw(st.sampled_from(["", " "])) + ends
        )
    out.write(draw(st.sampled_from(["", ends, ends * 3, f" {ends}", f",{ends},{ends}", '""'])))
    mark = draw(st.sampled_from(["", "\ufeff"]))
    path = tmp_path_factory.mktemp("sheet") / "predictions.csv"
    path.write_bytes((mark + out.getvalue()).encode())
    assert (
        read_predictions(path, list(table), "gap", "regression").tobytes() == np.array(list(table.values())).tobytes()
    )


@given(st.binary(max_size=300))
def test_no_bytes_are_a_crash(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("junk") / "predictions.csv"
    path.write_bytes(b"id,gap\n" + junk)
    with pytest.raises(SubmissionError):
        read_predictions(path, ["an id that nobody guesses"], "gap", "binary")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_no_number_is_not_written(tmp_path, value):
    path = tmp_path / "predictions.csv"
    with pytest.raises(InputError, match="the prediction for 'mp-2' is"):
        write_predictions(path, ["mp-1", "mp-2"], "gap", np.array([1.0, value]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [" a", "a\n", "a\rb"])
def test_an_id_that_no_file_can_hold_is_not_written(tmp_path, name):
    with pytest.raises(InputError, match="cannot be written"):
        write_predictions(tmp_path / "predictions.csv", [name], "gap", np.array([1.0]))


@given(st.lists(st.floats(-1e9, 1e9) | st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.randoms())
def test_many_rows_in_any_order_are_read_as_python_reads_numbers(tmp_path_factory, values, random):
    texts = {
        f"crystal {i}": random.choice([repr, "{:.6f}".format, "{:+.16e}".format])(value)
        for i, value in enumerate(values)
    }
    path = tmp_path_factory.mktemp("many") / "predictions.csv"
    rows = random.sample(sorted(texts.items()), len(texts))
    path.write_text("gap,id\n" + "".join(f"{text},{name}\n" for name, text in rows))
    read = read_frame(path, list(texts), ColumnNames("id", "gap"), "regression")
    assert read is not None
    assert read.tobytes() == np.array([float(text) for text in texts.values()]).tobytes()


def test_a_mapping_that_makes_up_values_hides_no_missing_id():
    values = defaultdict(float, {"a": 1.0, "x": 2.0})
    with pytest.raises(SubmissionError, match="id 'b' has no value"):
        order_predictions(values, ["a", "b"], "regression", "values")
    assert dict(values) == {"a": 1.0, "x": 2.0}
