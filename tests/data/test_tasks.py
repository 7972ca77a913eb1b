"""Names of tasks and suites."""

import pytest

from asugnn import InputError
from leaderboard.data.tasks import parse_task, suite_tasks


def test_names_are_read_as_they_are_written():
    for task in suite_tasks("open-dft"):
        assert parse_task(task.name) == task
        assert parse_task(f"{task.name}@random") == task
    assert parse_task("mp-2018/band-gap@formula").name == "mp-2018/band-gap@formula"


def test_zero_shot_is_predicted_by_the_models_of_formation_energy():
    assert parse_task("open-dft/zero-shot").trained == parse_task("open-dft/formation-energy")
    assert parse_task("open-dft/metal").trained == parse_task("open-dft/metal")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("open-dft/bandgap", "there is no task 'open-dft/bandgap'; did you mean 'open-dft/band-gap'"),
        ("formation-energy", "did you mean 'open-dft/formation-energy'|did you mean 'mp-2018/formation-energy'"),
        ("", "there is no task ''"),
    ],
)
def test_unknown_task(name: str, sentence: str):
    with pytest.raises(InputError, match=sentence):
        parse_task(name)


def test_unknown_suite():
    with pytest.raises(InputError, match="there is no suite 'mp-2024'; did you mean 'mp-2024-1'"):
        suite_tasks("mp-2024")
    with pytest.raises(InputError, match="is a task, not a suite: write --task open-dft/metal"):
        suite_tasks("open-dft/metal")
