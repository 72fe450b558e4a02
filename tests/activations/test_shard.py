"""A shard gives back what was added, tells any damage, and is there whole or not at all."""

import json

import numpy as np
import pytest
from indices import begun, filled, flipped, given, tree, values, write

from convscope.activations import shard
from convscope.activations.shard import Draft, complaint
from convscope.tracking import files


def test_the_files_are_what_numpy_reads(tmp_path):
    index = filled(tmp_path, 20)
    folder = index.path(1)
    for name, (shape, dtype) in index.layout(1).arrays.items():
        found = np.load(folder / f"{name}.npy")
        assert (found.shape, found.dtype) == (shape, dtype)
    np.testing.assert_array_equal(np.load(folder / "peak.npy")[3], index.column(3)[16:])


def test_large_maps_have_their_positions_in_sixteen_bits(tmp_path):
    index = begun(tmp_path, 1, filters=2, rows=3, columns=300)
    draft = Draft(index.layout(0))
    draft.add([0], *given(draft.layout, column=np.array([[299, 256]])))
    draft.write(index.path(0))
    assert index.column(0, "column") == 299 and index.column(1, "column") == 256
    assert begun(tmp_path, 2, rows=256, columns=256).layout(0).arrays["row"][1] == np.uint8
    assert begun(tmp_path, 3, rows=257, columns=3).layout(0).arrays["row"][1] == np.uint16


def test_what_float16_cannot_hold_is_clipped_and_counted(tmp_path):
    index = begun(tmp_path, 2, filters=2)
    draft = Draft(index.layout(0))
    peak = np.array([[1e9, 65504.0], [-7e4, 65505.0]], np.float32)
    draft.add([0, 1], *given(draft.layout, peak=peak, mean=-peak / 1e4))
    draft.write(index.path(0))
    assert index.clipped() == 4  # three peaks and a mean
    np.testing.assert_array_equal(index.column(0), [65504, -65504])
    np.testing.assert_array_equal(index.column(1), [65504, 65504])
    assert index.column(0, "mean")[0] == -65504


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["peak", "mean"])
def test_what_is_no_finite_number_is_refused(tmp_path, name, bad):
    draft = Draft(begun(tmp_path, 3).layout(0))
    damaged = values(draft.layout)[name]
    damaged[1, 2] = bad
    with pytest.raises(ValueError, match="photographs 0 to 2 there are activations that are no"):
        draft.add(range(3), *given(draft.layout, **{name: damaged}))


def test_a_shard_that_lacks_photographs_is_not_written(tmp_path):
    index = begun(tmp_path, 30)
    draft = Draft(index.layout(1))
    draft.skip(16, "broken")
    draft.skip(18, "broken")
    with pytest.raises(
        ValueError, match="Shard 1 lacks 12 of 14 photographs, the first of them 17"
    ):
        draft.write(index.path(1))
    assert index.missing() == [0, 1] and list(index.path(1).parent.iterdir()) == []


@pytest.mark.parametrize("name", ["peak", "row", "column", "mean", "histogram", "digest", "size"])
@pytest.mark.parametrize("place", [7, 30, 150, -1])
def test_a_flipped_bit_anywhere_in_an_array_is_found(tmp_path, name, place):
    index = filled(tmp_path, 37)
    flipped(index.path(1) / f"{name}.npy", place)
    found = dict(index.repair())
    assert found[0] == found[2] == ""
    assert found[1].startswith(f"{name}.npy is not what was written")


def test_a_flipped_bit_in_the_record_of_a_shard_is_found(tmp_path):
    index = filled(tmp_path, 20)
    path = index.path(1) / "shard.json"
    text = path.read_bytes()
    for place in range(0, len(text), 13):
        path.write_bytes(text)
        flipped(path, place)
        try:
            same = json.loads(path.read_bytes()) == json.loads(text)  # a blank between two words
        except ValueError:
            same = False
        assert same or complaint(path.parent, index.layout(1)).startswith("shard.json is "), place


def test_truncated_missing_and_misplaced_shards_are_named(tmp_path):
    index = filled(tmp_path, 16 * 7)
    path = index.path(0) / "mean.npy"
    path.write_bytes(path.read_bytes()[:-3])
    (index.path(1) / "row.npy").unlink()
    (index.path(2) / "shard.json").unlink()
    index.path(5).rename(tmp_path / "aside")
    index.path(4).rename(index.path(5))
    (tmp_path / "aside").rename(index.path(4))
    assert dict(index.repair()) == {
        0: "mean.npy is not what was written: its SHA-256 is another",
        1: "row.npy is missing",
        2: "shard.json is missing",
        4: "shard.json is of shard 5, photographs from 80 on",
        5: "shard.json is of shard 4, photographs from 64 on",
        3: "",
        6: "",
    }
    assert index.missing() == [0, 1, 2, 4, 5]


def test_a_damaged_shard_is_removed_and_written_anew_and_an_intact_one_stays(tmp_path):
    index = filled(tmp_path, 37)
    before = tree(index.folder)
    flipped(index.path(1) / "digest.npy", -9)
    assert [bool(problem) for _, problem in index.repair()] == [False, True, False]
    assert index.missing() == [1]
    shard.discard(index.path(1))
    write(index, 1)
    assert tree(index.folder) == before


def test_of_two_writers_of_a_shard_the_first_stays(tmp_path):
    index = begun(tmp_path, 20)
    assert write(index, 1, seed=1)
    before, inode = tree(index.path(1)), (index.path(1) / "peak.npy").stat().st_ino
    assert not write(index, 1, seed=2)
    assert tree(index.path(1)) == before
    assert (index.path(1) / "peak.npy").stat().st_ino == inode
    assert [path.name for path in index.path(1).parent.iterdir()] == ["000001"]


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    index = begun(tmp_path, 20)
    saved = []

    def full(path, content):
        if saved.append(path) or len(saved) > 3:
            raise OSError(28, "No space left on device")
        files.flush(path.parent)

    monkeypatch.setattr(shard, "save", full)
    with pytest.raises(OSError, match="No space"):
        write(index, 0)
    assert list(index.path(0).parent.iterdir()) == []
