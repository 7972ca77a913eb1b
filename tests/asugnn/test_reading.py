import json

import pytest

from asugnn import InputError
from asugnn.reading import read_json, reading


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("kind"), "FILE cannot be read as a model: there is no 'kind'; run again"),
        (ValueError("first line\nsecond line"), "FILE cannot be read as a model: first line; run again"),
        (PermissionError(13, "Permission denied"), "FILE cannot be read as a model: Permission denied; run again"),
        (
            RecursionError("maximum recursion depth"),
            "FILE cannot be read as a model: it is nested too deeply; run again",
        ),
        (AssertionError(), "FILE cannot be read as a model: AssertionError; run again"),
        (InputError("a sentence already"), "a sentence already"),
    ],
)
def test_a_failure_to_read_is_one_sentence(tmp_path, error, words):
    path = tmp_path / "file"
    with pytest.raises(InputError) as caught, reading(path, "a model", "run again"):
        raise error
    assert str(caught.value) == words.replace("FILE", str(path))


def test_too_little_memory_is_no_fault_of_the_file(tmp_path):
    with pytest.raises(MemoryError), reading(tmp_path / "file", "a model"):
        raise MemoryError


@pytest.mark.parametrize("text", ["[1]", "{", "", "[" * 100_000])
def test_json_that_is_no_object(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json cannot be read as a record: "):
        read_json(tmp_path / "a.json", "a record")
    (tmp_path / "a.json").write_text(json.dumps({"a": 1}))
    assert read_json(tmp_path / "a.json", "a record") == {"a": 1}
