import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asugnn import Crystal, InputError, cache, input_shards
from asugnn.cache import RefusedCrystalsError, _memory, cached_inputs
from asugnn.reading import reading

# One atom and two in turn, so that arrays differ in length.
CRYSTALS = [
    Crystal(np.eye(3) * (3 + i / 10), [[0] * 3, [0.5] * 3][: 1 + i % 2], [11, 17][: 1 + i % 2]) for i in range(7)
]


class Featuriser:
    """Ragged, scalar and integer arrays, and a count of what was computed."""

    def __init__(self, factor: float = 1.0):
        self.calls: list[str] = []
        self.factor = factor

    def __call__(self, crystal):
        self.calls.append(crystal.key)
        return {
            "distances": np.full((len(crystal), 3), crystal.volume * self.factor, np.float32),
            "numbers": crystal.numbers,
            "volume": np.array(crystal.volume),
            "none": np.zeros((0, 2)),
        }


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache of each test's own, on disk and in memory."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()


def forget():
    """What the end of the process would do."""
    _memory.clear()


def equal(a, b) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a)


def shards(home: Path) -> list[Path]:
    return sorted(home.rglob("*.safetensors"))


@pytest.mark.parametrize("size", [1, 3, 2000])
def test_inputs_are_computed_once_and_come_back_equal(size, monkeypatch, home):
    monkeypatch.setattr(cache, "SHARD", size)
    first = Featuriser()
    expected = [Featuriser()(c) for c in CRYSTALS]
    for crystals in (CRYSTALS, CRYSTALS[::-1], CRYSTALS[2:4] * 2):
        for again in (False, True):
            if again:
                forget()
            found = cached_inputs(crystals, first, "f-1", {"cutoff": 5.0})
            assert all(equal(a, expected[CRYSTALS.index(c)]) for a, c in zip(found, crystals, strict=True))
    assert sorted(first.calls) == sorted(c.key for c in CRYSTALS)
    assert len(shards(home)) == -(-len(CRYSTALS) // size)


def test_the_key_is_the_content_of_the_crystal():
    one = Featuriser()
    cached_inputs(CRYSTALS[:1], one, "f-1", {})
    same = CRYSTALS[0]
    cached_inputs([Crystal(same.lattice, same.frac_coords, same.numbers)], one, "f-1", {})
    assert len(one.calls) == 1
    cached_inputs([Crystal(same.lattice * 1.0001, same.frac_coords, same.numbers)], one, "f-1", {})
    assert len(one.calls) == 2


@pytest.mark.parametrize("other", [("f-2", {"a": 1}), ("g-1", {"a": 1}), ("f-1", {"a": 2}), ("f-1", {"a": 1, "b": 0})])
def test_another_featuriser_version_or_setting_is_another_cache(other):
    """Two that take turns never see each other's inputs, neither in memory nor on disk."""
    one, two = Featuriser(), Featuriser(2)
    for _ in range(2):
        ours = cached_inputs(CRYSTALS, one, "f-1", {"a": 1})
        theirs = cached_inputs(CRYSTALS, two, *other)
        assert all((2 * a["distances"] == b["distances"]).all() for a, b in zip(ours, theirs, strict=True))
    assert len(one.calls) == len(two.calls) == len(CRYSTALS)


def test_the_order_of_settings_does_not_matter():
    one = Featuriser()
    cached_inputs(CRYSTALS, one, "f-1", {"a": 1, "b": 2})
    cached_inputs(CRYSTALS, one, "f-1", {"b": 2, "a": 1})
    assert len(one.calls) == len(CRYSTALS)


def test_only_what_is_new_is_computed(home):
    one = Featuriser()
    cached_inputs(CRYSTALS[:4], one, "f-1", {})
    forget()
    cached_inputs(CRYSTALS, one, "f-1", {})
    assert one.calls == [c.key for c in CRYSTALS]
    assert len(shards(home)) == 2


def truncated(path: Path):
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path: Path):
    path.write_bytes(b"")


def garbled(path: Path):
    path.write_bytes(b"\xff" * 500)


def foreign(path: Path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, path)


def rewritten(path: Path, change):
    """With other metadata."""
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    with safe_open(path, framework="numpy") as shard:
        metadata = shard.metadata()
    save_file(load_file(path), path, metadata=change(metadata))


def with_a_key_too_many(path: Path):
    """A key of a crystal whose arrays are not there."""

    def add(metadata):
        about = json.loads(metadata["about"])
        about["keys"].append(next(c.key for c in CRYSTALS if c.key not in about["keys"]))
        return metadata | {"about": json.dumps(about)}

    rewritten(path, add)


def of_an_older_version(path: Path):
    """Without what this version states."""
    rewritten(path, lambda metadata: {"sha256": metadata["sha256"], "keys": "a b c"})


def with_one_bit_flipped(path: Path):
    """The lowest bit of a number, which stays a number."""
    volume = np.array(CRYSTALS[open_shard_index(path)].volume).tobytes()
    content = bytearray(path.read_bytes())
    content[content.index(volume)] ^= 1
    path.write_bytes(content)


def open_shard_index(path: Path) -> int:
    """The position of the first crystal of a file."""
    keys = input_shards.open_shard(path).keys
    return next(i for i, c in enumerate(CRYSTALS) if c.key == keys[0])


DAMAGES = [truncated, emptied, garbled, foreign, with_a_key_too_many, of_an_older_version, with_one_bit_flipped]


def test_a_flipped_bit_never_changes_inputs(home, caplog):
    """Anywhere in a file: in its header, its keys, its arrays."""
    expected = cached_inputs(CRYSTALS, Featuriser(), "f-1", {})
    content = shards(home)[0].read_bytes()
    rng = np.random.default_rng(0)
    for bit in [*range(0, 8 * len(content), 61), *rng.integers(0, 8 * len(content), 100).tolist()]:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        for old in shards(home):
            old.unlink()
        (next(home.iterdir()) / f"{bit}.safetensors").write_bytes(changed)
        forget()
        assert all(map(equal, cached_inputs(CRYSTALS, Featuriser(), "f-1", {}), expected)), bit
    assert "was damaged or of an earlier version: they were computed again" in caplog.text


def test_a_shard_of_another_featuriser_is_not_read(home):
    cached_inputs(CRYSTALS, Featuriser(2), "f-1", {"factor": 2})
    (shard,) = shards(home)
    expected = cached_inputs(CRYSTALS, Featuriser(), "f-1", {})
    (folder,) = (f for f in home.iterdir() if f != shard.parent)
    (own,) = folder.iterdir()
    own.write_bytes(shard.read_bytes())
    forget()
    assert all(map(equal, cached_inputs(CRYSTALS, Featuriser(), "f-1", {}), expected))


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_removed_and_computed_again(damage, which, monkeypatch, home):
    monkeypatch.setattr(cache, "SHARD", 3)
    expected = cached_inputs(CRYSTALS, Featuriser(), "f-1", {})
    damage(damaged := shards(home)[which])
    forget()
    again = Featuriser()
    assert all(map(equal, cached_inputs(CRYSTALS, again, "f-1", {}), expected))
    assert 1 <= len(again.calls) <= 3
    assert not damaged.exists()  # else every later run would read it in vain
    assert len(shards(home)) == 3
    forget()
    assert all(map(equal, cached_inputs(CRYSTALS, (late := Featuriser()), "f-1", {}), expected))
    assert not late.calls


def test_a_shard_that_cannot_be_opened_for_now_stays(monkeypatch, home):
    cached_inputs(CRYSTALS, Featuriser(), "f-1", {})
    (shard,) = shards(home)
    forget()

    def fail(path):
        with reading(path, "cached inputs"):
            raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(cache, "open_shard", fail)
        cached_inputs(CRYSTALS, Featuriser(), "f-1", {})
    assert shard.exists()


def test_a_damaged_shard_that_cannot_be_removed_is_passed_over(monkeypatch, home):
    cached_inputs(CRYSTALS, Featuriser(), "f-1", {})
    garbled(shards(home)[0])
    forget()
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
    again = Featuriser()
    cached_inputs(CRYSTALS, again, "f-1", {})
    assert len(again.calls) == len(CRYSTALS)


def test_a_folder_that_cannot_be_written_costs_nothing(home):
    home.write_text("a file where the folder should be")
    one = Featuriser()
    assert len(cached_inputs(CRYSTALS, one, "f-1", {})) == len(CRYSTALS)
    cached_inputs(CRYSTALS, one, "f-1", {})
    assert len(one.calls) == len(CRYSTALS)  # still kept in memory


def test_a_full_disk_costs_nothing(monkeypatch, home):
    from safetensors import SafetensorError

    def full(arrays, path, metadata):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    assert len(cached_inputs(CRYSTALS, Featuriser(), "f-1", {})) == len(CRYSTALS)
    assert not [p for p in home.rglob("*") if p.is_file()]


def test_a_crystal_out_of_the_domain_is_said_and_what_was_done_is_kept(monkeypatch):
    monkeypatch.setattr(cache, "SHARD", 2)

    class Picky(Featuriser):
        refused = 0

        def __call__(self, crystal):
            if crystal is CRYSTALS[5]:
                self.refused += 1
                raise InputError("no neighbours")
            return super().__call__(crystal)

    one = Picky()
    for crystals in (CRYSTALS, CRYSTALS[::-1]):
        with pytest.raises(RefusedCrystalsError, match="no neighbours") as caught:
            cached_inputs(crystals, one, "f-1", {})
        assert caught.value.reasons == {crystals.index(CRYSTALS[5]): "no neighbours"}
    others = [c for c in CRYSTALS if c is not CRYSTALS[5]]
    forget()  # the others are on disk
    cached_inputs(others, one, "f-1", {})
    assert one.calls == [c.key for c in others]
    assert one.refused == 1


def test_one_featuriser_is_kept_in_memory():
    for name in ("f-1", "g-1", "h-1"):
        cached_inputs(CRYSTALS, Featuriser(), name, {})
    assert len(_memory) == 1


def test_a_shard_appears_whole(home):
    cached_inputs(CRYSTALS, Featuriser(), "f-1", {})
    (shard,) = shards(home)
    assert [p.name for p in shard.parent.iterdir()] == [shard.name]  # no temporary file is left


def test_processes_that_fill_it_at_once_agree(home):
    code = (
        "import numpy as np; from asugnn import Crystal, cache; cache.SHARD = 5\n"
        "crystals = [Crystal(np.eye(3) * (3 + i / 100), [[0, 0, 0]], [11]) for i in range(200)]\n"
        "found = cache.cached_inputs(crystals, lambda c: {'v': np.full(3, c.volume)}, 'f-1', {})\n"
        "assert all((f['v'] == c.volume).all() for f, c in zip(found, crystals))\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], env=os.environ.copy()) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    crystals = [Crystal(np.eye(3) * (3 + i / 100), [[0, 0, 0]], [11]) for i in range(200)]
    late = Featuriser()
    found = cached_inputs(crystals, late, "f-1", {})
    assert not late.calls
    assert all((f["v"] == c.volume).all() for f, c in zip(found, crystals, strict=True))


def test_inputs_damaged_after_they_were_looked_up_are_computed_again(home, caplog, monkeypatch):
    """A run of days reads them all the time; what is undamaged in the same file is kept."""
    monkeypatch.setattr(cache, "KEPT_BYTES", 0)
    expected = [Featuriser()(c) for c in CRYSTALS]
    cached_inputs(CRYSTALS, Featuriser(), "f-1", {})
    forget()
    again = Featuriser()
    found = cached_inputs(CRYSTALS, again, "f-1", {})
    assert not again.calls
    with_one_bit_flipped(shards(home)[0])
    assert all(map(equal, found, expected))
    assert again.calls == [CRYSTALS[0].key]
    assert "was damaged" in caplog.text
    for shard in shards(home):  # as another process may do
        shard.unlink()
    assert all(map(equal, found[2:5], expected[2:5]))
    assert len(found) == len(CRYSTALS)
    forget()
    cached_inputs(CRYSTALS, (late := Featuriser()), "f-1", {})
    assert not late.calls


def test_refused_crystals_are_remembered_on_disk():
    def refuse(crystal):
        raise InputError(f"no {crystal.formula}")

    for featurise in (refuse, Featuriser()):
        with pytest.raises(RefusedCrystalsError, match="no Na"):
            cached_inputs(CRYSTALS[:1], featurise, "f-1", {})
        forget()
