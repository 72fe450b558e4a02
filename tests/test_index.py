"""An index gives back what was written, says what is missing or damaged, and survives any end."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convscope import manifest, shard, whole
from convscope.field import Axis, Box, ReceptiveField
from convscope.index import ActivationIndex, create, find, ranges, strongest
from convscope.manifest import Manifest, Request, listing, request, shard_size

FIELD = ReceptiveField(Axis(9, 2, 4), Axis(13, 4, 6))
FILTERS, ROWS, COLUMNS = 5, 11, 17


def asked(count, **others):
    """A request for `count` photographs, and their listing."""
    files = "".join(f'["{number}.jpg",{number},7]\n' for number in range(count)).encode()
    digest = hashlib.sha256(files).hexdigest()
    values = {"model": "tiny", "weights": "0123", "layer": "conv", "size": 33, "fit": "crop"}
    return Request(**values | {"files": digest, "count": count, "versions": {}} | others), files


def begun(home, count, filters=FILTERS, rows=ROWS, columns=COLUMNS):
    how, files = asked(count)
    return create(
        home, how, files,
        filters=filters, rows=rows, columns=columns, field=FIELD, device="abacus",
    )  # fmt: skip


def values(layout, seed=0):
    """What photographs did, as `Draft.add` takes it, unit-major nowhere."""
    random = np.random.default_rng([seed, layout.number])
    shape = (layout.count, layout.filters)
    return {
        "peak": random.normal(0, 9, shape).astype(np.float32),
        "mean": random.normal(-1, 1, shape).astype(np.float32),
        "row": random.integers(0, layout.rows, shape),
        "column": random.integers(0, layout.columns, shape),
        "histogram": random.integers(0, 99, (layout.filters, 512)),
        "digests": [random.bytes(32) for _ in range(layout.count)],
        "sizes": [tuple(map(int, random.integers(1, 5000, 2))) for _ in range(layout.count)],
    }


def write(index, number, seed=0):
    draft = index.begin(number)
    first = draft.layout.first
    draft.add(range(first, first + draft.layout.count), **values(draft.layout, seed))
    return index.write(draft)


def filled(home, count, **shape):
    index = begun(home, count, **shape)
    for number in index.missing():
        write(index, number)
    return index


def joined(index, name):
    """What was put into all shards together."""
    return np.concatenate([values(index.layout(number))[name] for number in range(index.shards)])


def tree(folder):
    """Every file below a folder and its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# Requests and photographs


def test_a_listing_holds_names_sizes_and_times_of_change_and_stays_in_one_line_each(tmp_path):
    hostile = ["a.jpg", "b/c d.png", "new\nline.jpg", "ünï☃.jpg", os.fsdecode(b"\xff\xfe.jpg")]
    paths = [tmp_path / name for name in hostile]
    (tmp_path / "b").mkdir()
    for number, path in enumerate(paths):
        path.write_bytes(b"x" * number)
        os.utime(path, ns=(1, 10**18 + number))
    dangling = tmp_path / "gone.jpg"
    dangling.symlink_to(tmp_path / "nowhere")
    content = listing([*paths, dangling], tmp_path)
    assert content.count(b"\n") == 6
    assert [json.loads(line) for line in content.splitlines()] == [
        *([name, number, 10**18 + number] for number, name in enumerate(hostile)),
        ["gone.jpg", -1, 0],
    ]
    how = request(model="m", weights="w", layer="l", size=9, fit="pad", files=content)
    assert how.count == 6
    index = create(
        tmp_path / "home", how, content, filters=1, rows=1, columns=1, field=None, device=""
    )
    assert index.names() == [*hostile, "gone.jpg"]


def test_photographs_without_a_common_folder_are_listed_by_their_names_alone(tmp_path):
    assert listing([tmp_path / "x" / "a.jpg"], None) == b'["a.jpg",-1,0]\n'


def test_a_file_that_may_not_be_read_counts_as_changed_once_it_may(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    readable = listing([path], tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert listing([path], tmp_path) == b'["a.jpg",-1,0]\n' != readable


def test_a_changed_file_changes_the_request(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")

    def key():
        files = listing([path], tmp_path)
        return request(model="m", weights="w", layer="l", size=9, fit="pad", files=files).key

    before = key()
    assert key() == before
    os.utime(path, ns=(0, 5))
    touched = key()
    path.write_bytes(b"abcd")
    os.utime(path, ns=(0, 5))
    assert len({before, touched, key()}) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "vgg"), ("weights", "0124"), ("layer", "conv2"), ("size", 34), ("fit", "pad"),
        ("files", "f"), ("count", 8), ("versions", {"keras": "4"}),
    ],
)  # fmt: skip
def test_another_request_has_another_folder(tmp_path, name, value):
    how, _ = asked(7)
    other = replace(how, **{name: value})
    assert other.folder(tmp_path) != how.folder(tmp_path)


def test_the_folder_is_named_by_network_layer_and_request(tmp_path):
    how, _ = asked(7, layer="a/b c")
    assert how.folder(tmp_path) == tmp_path / f"tiny-a_b_c-{how.key[:12]}"
    assert find(tmp_path, how) is None


def test_a_request_names_the_versions_that_decide_activations():
    how = request(model="m", weights="w", layer="l", size=9, fit="pad", files=b"")
    assert list(how.versions) == ["tensorflow", "keras", "pillow", "format"]
    assert how.versions["format"] == str(manifest.FORMAT)


@pytest.mark.parametrize(
    ("count", "size"),
    [(1, 16), (206, 16), (1024, 16), (1025, 32), (10_000, 160), (10**5, 1568), (1_281_167, 4096)],
)
def test_the_number_of_photographs_alone_decides_the_size_of_a_shard(count, size):
    assert shard_size(count) == size


# Beginning


def test_an_index_is_found_again_as_it_was_begun(tmp_path):
    index = begun(tmp_path, 37)
    how, _ = asked(37)
    assert find(tmp_path, how) == index
    assert begun(tmp_path, 37) == index
    assert index.manifest == Manifest(how, FILTERS, ROWS, COLUMNS, FIELD, "abacus")
    assert index.missing() == [0, 1, 2]
    assert [index.layout(number).count for number in range(3)] == [16, 16, 5]
    assert index.box(2, 1) == Box(0, -2, 9, 11)


def test_a_layer_without_a_receptive_field_sees_the_whole_square(tmp_path):
    how, files = asked(3)
    index = create(tmp_path, how, files, filters=2, rows=1, columns=1, field=None, device="")
    assert find(tmp_path, how).manifest.field is None
    assert index.box(0, 0) == Box(0, 0, 33, 33)


def test_jobs_that_begin_at_once_get_the_same_index(tmp_path):
    together, found = threading.Barrier(8), []

    def job():
        together.wait()
        found.append(begun(tmp_path, 20))

    jobs = [threading.Thread(target=job) for _ in range(8)]
    for thread in jobs:
        thread.start()
    for thread in jobs:
        thread.join()
    assert len(found) == 8 and len(set(map(repr, found))) == 1
    assert [path.name for path in tmp_path.iterdir()] == [found[0].folder.name]


def test_a_listing_of_other_photographs_is_refused(tmp_path):
    how, files = asked(3)
    with pytest.raises(ValueError, match="is not the one of the request"):
        create(tmp_path, how, files + b"x", filters=1, rows=1, columns=1, field=None, device="")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", None])
def test_a_damaged_manifest_is_refused(tmp_path, damage):
    path = begun(tmp_path, 3).folder / "manifest.json"
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"filters": 5', b'"filters": 6') if damage is None else damage)
    with pytest.raises(ValueError, match=r"manifest.json is .*Remove the folder; the next run"):
        find(tmp_path, asked(3)[0])


def test_a_folder_of_another_request_in_its_place_is_refused(tmp_path):
    index, other = begun(tmp_path, 3), asked(4)[0]
    index.folder.rename(other.folder(tmp_path))
    with pytest.raises(ValueError, match="holds the index of another request"):
        find(tmp_path, other)


def test_a_damaged_listing_is_refused(tmp_path):
    index = begun(tmp_path, 3)
    assert index.names() == ["0.jpg", "1.jpg", "2.jpg"]
    path = index.folder / "files.jsonl"
    path.write_bytes(path.read_bytes().replace(b"1.jpg", b"7.jpg"))
    with pytest.raises(ValueError, match=r"files.jsonl is not what was written. Remove"):
        index.names()


# What was written comes back


def test_every_value_comes_back_as_float16_and_every_position_exactly(tmp_path):
    index = filled(tmp_path, 37)
    assert index.missing() == [] and index.shards == 3
    for filter in range(FILTERS):
        for name in ("peak", "mean"):
            found = index.column(filter, name)
            assert found.dtype == np.float16
            np.testing.assert_array_equal(found, joined(index, name)[:, filter].astype(np.float16))
        for name in ("row", "column"):
            found = index.column(filter, name)
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, joined(index, name)[:, filter])
    np.testing.assert_array_equal(index.sizes(), joined(index, "sizes"))
    assert [bytes(digest) for digest in index.digests()] == [
        digest for number in range(3) for digest in values(index.layout(number))["digests"]
    ]
    assert index.skipped() == {} and index.clipped() == 0


def test_the_files_are_what_numpy_reads(tmp_path):
    index = filled(tmp_path, 20)
    folder = index.path(1)
    for name, (shape, dtype) in index.layout(1).arrays.items():
        found = np.load(folder / f"{name}.npy")
        assert (found.shape, found.dtype) == (shape, dtype)
    np.testing.assert_array_equal(np.load(folder / "peak.npy")[3], index.column(3)[16:])


def test_large_maps_have_their_positions_in_sixteen_bits(tmp_path):
    index = begun(tmp_path, 1, filters=2, rows=3, columns=300)
    draft = index.begin(0)
    given = values(draft.layout) | {"column": np.array([[299, 256]])}
    draft.add([0], **given)
    index.write(draft)
    assert index.column(0, "column") == 299 and index.column(1, "column") == 256
    assert begun(tmp_path, 2, rows=256, columns=256).layout(0).arrays["row"][1] == np.uint8
    assert begun(tmp_path, 3, rows=257, columns=3).layout(0).arrays["row"][1] == np.uint16


def test_what_float16_cannot_hold_is_clipped_and_counted(tmp_path):
    index = begun(tmp_path, 2, filters=2)
    draft = index.begin(0)
    peak = np.array([[1e9, 65504.0], [-7e4, 65505.0]], np.float32)
    draft.add([0, 1], **values(draft.layout) | {"peak": peak, "mean": -peak / 1e4})
    index.write(draft)
    assert index.clipped() == 4  # three peaks and a mean
    np.testing.assert_array_equal(index.column(0), [65504, -65504])
    np.testing.assert_array_equal(index.column(1), [65504, 65504])
    assert index.column(0, "mean")[0] == -65504


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["peak", "mean"])
def test_what_is_no_finite_number_is_refused(tmp_path, name, bad):
    draft = begun(tmp_path, 3).begin(0)
    given = values(draft.layout)
    given[name][1, 2] = bad
    with pytest.raises(ValueError, match="photographs 0 to 2 there are activations that are no"):
        draft.add(range(3), **given)


def test_photographs_set_aside_are_named_and_have_no_activation(tmp_path):
    index = begun(tmp_path, 21)
    write(index, 0)
    draft = index.begin(1)  # places 16 to 20
    part = values(draft.layout)
    part = {k: v if k == "histogram" else v[:3] for k, v in part.items()}
    draft.add([20, 16, 18], **part)
    draft.skip(19, "an empty file")
    draft.skip(17, "no\nphotograph \udcff")
    assert index.write(draft)
    assert index.skipped() == {17: "no\nphotograph \udcff", 19: "an empty file"}
    column = index.column(2)
    assert np.flatnonzero(np.isnan(column)).tolist() == [17, 19]
    np.testing.assert_array_equal(column[[20, 16, 18]], part["peak"][:, 2].astype(np.float16))
    assert np.flatnonzero((index.sizes() == 0).all(1)).tolist() == [17, 19]
    assert not set(index.top(2, 99).places) & {17, 19}


def test_a_shard_of_which_nothing_can_be_read_is_whole(tmp_path):
    index = begun(tmp_path, 18)
    for number in range(2):
        draft = index.begin(number)
        for place in range(draft.layout.first, draft.layout.first + draft.layout.count):
            draft.skip(place, "broken")
        index.write(draft)
    assert len(index.skipped()) == 18 and index.missing() == []
    assert [problem for _, problem in index.verify()] == ["", ""]
    assert len(index.top(0, 5).places) == 0
    assert np.isnan(index.quantile_of(0, 1.0)) and np.isnan(index.firing_rate()).all()


def test_a_shard_that_lacks_photographs_is_not_written(tmp_path):
    index = begun(tmp_path, 30)
    draft = index.begin(1)
    draft.skip(16, "broken")
    draft.skip(18, "broken")
    with pytest.raises(
        ValueError, match="Shard 1 lacks 12 of 14 photographs, the first of them 17"
    ):
        index.write(draft)
    assert index.missing() == [0, 1] and list(index.path(1).parent.iterdir()) == []


# Questions


def test_the_top_photographs_are_those_of_a_plain_sort(tmp_path):
    index = filled(tmp_path, 1100)
    for filter, by in ((0, "peak"), (4, "mean"), (2, "peak")):
        column = joined(index, by)[:, filter].astype(np.float16).astype(np.float32)
        order = np.argsort(-column, kind="stable")
        for count in (1, 7, 300, 1100, 2000):
            found = index.top(filter, count, by)
            np.testing.assert_array_equal(found.places, order[:count])
            np.testing.assert_array_equal(found.values, column[order[:count]])
            rows = joined(index, "row")[order[:count], filter]
            columns = joined(index, "column")[order[:count], filter]
            np.testing.assert_array_equal(found.rows, rows)
            np.testing.assert_array_equal(found.columns, columns)
    assert len(index.top(0, 0).places) == 0


def test_the_tops_of_all_filters_are_those_of_each(tmp_path):
    index = filled(tmp_path, 50)
    found = list(index.tops(9, "mean"))
    assert [filter for filter, _ in found] == list(range(FILTERS))
    for filter, ranking in found:
        alone = index.top(filter, 9, "mean")
        for name in ("places", "values", "rows", "columns"):
            np.testing.assert_array_equal(getattr(ranking, name), getattr(alone, name))


def test_blocks_of_filters_hold_no_more_than_the_memory_and_miss_none(tmp_path):
    index = filled(tmp_path, 50)
    for memory, lengths in ((1, [1] * 5), (2 * 50 * 2, [2, 2, 1]), (10**6, [5])):
        blocks = list(index.blocks("mean", memory))
        assert [len(values) for _, values in blocks] == lengths
        assert [start for start, _ in blocks] == list(np.cumsum([0, *lengths])[:-1])
        np.testing.assert_array_equal(
            np.concatenate([values for _, values in blocks]),
            [index.column(filter, "mean") for filter in range(FILTERS)],
        )


def test_of_equal_values_the_earlier_photograph_comes_first_and_none_is_nan():
    values = np.array([2, np.nan, 3, 2, -np.inf, 3, 2, np.nan, -5], np.float16)
    assert strongest(values, 4).tolist() == [2, 5, 0, 3]
    assert strongest(values, 99).tolist() == [2, 5, 0, 3, 6, 8]
    assert strongest(values, 0).tolist() == [] == strongest(values[:0], 3).tolist()
    assert strongest(np.full(5, np.nan, np.float16), 2).tolist() == []
    assert strongest(np.full(997, 1, np.float16), 5).tolist() == [0, 1, 2, 3, 4]
    many = np.random.default_rng(1).integers(0, 40, 4001).astype(np.float16)
    many[::7] = np.nan
    order = np.argsort(-np.where(np.isnan(many), -np.inf, many), kind="stable")
    for count in (1, 5, 100, 900):
        np.testing.assert_array_equal(strongest(many, count), order[:count])


def test_histograms_are_summed_over_shards(tmp_path):
    index = filled(tmp_path, 37)
    total = sum(values(index.layout(number))["histogram"] for number in range(3))
    np.testing.assert_array_equal(index.histogram(), total)
    np.testing.assert_array_equal(index.histogram([3, 1, 3]), total[[3, 1, 3]])
    fired = total[:, :256].sum(1) / total.sum(1)
    np.testing.assert_array_equal(index.firing_rate(), fired)


def test_a_quantile_is_exact_at_edges_and_no_further_off_than_its_bin(tmp_path):
    index = begun(tmp_path, 1, filters=1)
    draft = index.begin(0)
    seen = np.random.default_rng(3).normal(1, 40, 5000).astype(np.float32)
    number = seen.astype(np.float16).view(np.uint16) >> 7
    histogram = np.bincount(number, minlength=512)[None]
    draft.add([0], **values(draft.layout) | {"histogram": histogram})
    index.write(draft)
    assert index.quantile_of(0, 0.0) == (seen < 0).mean()
    assert index.quantile_of(0, 1e6) == 1 and index.quantile_of(0, -1e6) == 0
    for value in (-60.0, -3.3, 0.1, 5.0, 77.7):
        bin = (np.float16(value).view(np.uint16) >> 7) == number
        assert abs(index.quantile_of(0, value) - (seen < value).mean()) <= bin.mean()
        assert abs(index.quantile_of(0, value) - (seen < value).mean()) < 0.01


def test_questions_to_an_incomplete_index_name_the_missing_shards(tmp_path):
    index = begun(tmp_path, 16 * 9)
    for number in (0, 4, 5, 7):
        write(index, number)
    for ask in (
        lambda: index.top(0, 3),
        lambda: index.column(0, "mean"),
        index.histogram,
        index.skipped,
        index.sizes,
    ):
        with pytest.raises(ValueError, match="not complete: 5 of its 9 shards are missing, 1-3, 6"):
            ask()
    assert ranges([]) == "" and ranges([4]) == "4" and ranges([1, 2, 4, 6, 7]) == "1-2, 4, 6-7"


@pytest.mark.parametrize("filter", [-1, 5])
def test_a_filter_that_the_layer_lacks_is_refused(tmp_path, filter):
    with pytest.raises(ValueError, match=f"conv has no filter {filter}. Its filters are 0 to 4"):
        filled(tmp_path, 3).top(filter, 1)


def test_an_index_answers_without_tensorflow_or_the_decoder(tmp_path):
    filled(tmp_path, 3)
    code = (
        "import sys; from convscope.manifest import Manifest; from pathlib import Path;"
        "from convscope.index import ActivationIndex;"
        f"folder = next(Path({str(tmp_path)!r}).iterdir());"
        "print(ActivationIndex(folder, Manifest.read(folder)).top(1, 1).places);"
        "print({'tensorflow', 'keras', 'PIL'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.splitlines()[1:] == ["set()"], ended.stderr


# Damage


def flipped(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0b100
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["peak", "row", "column", "mean", "histogram", "digest", "size"])
@pytest.mark.parametrize("place", [7, 30, 150, -1])
def test_a_flipped_bit_anywhere_in_an_array_is_found(tmp_path, name, place):
    index = filled(tmp_path, 37)
    flipped(index.path(1) / f"{name}.npy", place)
    found = dict(index.verify())
    assert found[0] == found[2] == ""
    assert found[1].startswith(f"{name}.npy is n")


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
        assert same or dict(index.verify())[1].startswith("shard.json is "), place


def test_truncated_missing_misplaced_and_misshapen_shards_are_named(tmp_path):
    index = filled(tmp_path, 16 * 7)
    path = index.path(0) / "mean.npy"
    path.write_bytes(path.read_bytes()[:-3])
    (index.path(1) / "row.npy").unlink()
    (index.path(2) / "shard.json").unlink()
    content = (index.path(3) / "peak.npy").read_bytes()
    head = shard.header((5, 16), np.dtype(np.float16))
    other = shard.header((16, 5), np.dtype(np.float16))
    (index.path(3) / "peak.npy").write_bytes(other + content[len(head) :])
    index.path(5).rename(tmp_path / "aside")
    index.path(4).rename(index.path(5))
    (tmp_path / "aside").rename(index.path(4))
    assert dict(index.verify()) == {
        0: "mean.npy has 285 bytes instead of 288",
        1: "row.npy is missing",
        2: "shard.json is missing",
        3: "peak.npy is no array (5, 16) of float16",
        4: "shard.json is of shard 5, photographs from 80 on",
        5: "shard.json is of shard 4, photographs from 64 on",
        6: "",
    }


def test_a_question_notices_what_it_would_misread(tmp_path):
    index = filled(tmp_path, 20)
    path = index.path(1) / "peak.npy"
    content = path.read_bytes()
    for damaged in (content[:-1], content + b"x", b"\x93NUMPZ" + content[6:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"peak.npy is damaged: it is no array \(5, 4\)"):
            index.top(0, 2)
    path.unlink()
    with pytest.raises(ValueError, match=r"Shard 1 of .* is damaged: peak.npy is missing"):
        index.top(0, 2)
    (index.path(1) / "shard.json").write_text("{}")
    with pytest.raises(ValueError, match=r"Shard 1 of .* is damaged: shard.json is damaged"):
        index.skipped()


def test_a_damaged_shard_is_discarded_and_written_anew_and_an_intact_one_stays(tmp_path):
    index = filled(tmp_path, 37)
    before = tree(index.folder)
    flipped(index.path(1) / "digest.npy", -9)
    assert [index.discard(number) for number in range(3)] == [False, True, False]
    assert index.missing() == [1]
    assert index.discard(1) is False
    write(index, 1)
    assert tree(index.folder) == before


# Writers


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
        whole.flush(path.parent)

    monkeypatch.setattr(shard, "save", full)
    with pytest.raises(OSError, match="No space"):
        write(index, 0)
    assert list(index.path(0).parent.iterdir()) == []


def test_what_killed_writers_left_is_cleared_and_what_living_ones_write_is_not(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    index = begun(tmp_path, 20)
    shards = index.path(0).parent
    with whole.scratch(tmp_path, "x") as path:
        here = path.name.split(".")[2]
    names = {
        "dead": f".000000.{here}.{gone.pid}.0123abcd",
        "alive": f".000000.{here}.{os.getpid()}.0123abcd",
        "elsewhere": f".000000.x{here}.{gone.pid}.0123abcd",
        "long ago": f".000000.x{here}.{gone.pid}.0123abce",
        "another's": ".nfs0001",
    }
    for name in names.values():
        (shards / name).mkdir()
        (shards / name / "peak.npy").write_bytes(b"x")
    os.utime(shards / names["long ago"], (0, 0))
    (tmp_path / f".tiny-conv-00.{here}.{gone.pid}.0123abcd").mkdir()
    assert begun(tmp_path, 20).missing() == [0, 1]
    left = {path.name for path in shards.iterdir()}
    assert left == {names["alive"], names["elsewhere"], names["another's"]}
    assert [path.name for path in tmp_path.iterdir()] == [index.folder.name]


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_index import begun, write
index = begun(Path(sys.argv[2]), 16 * 60, filters=200)
print("ready", flush=True)
for number in index.missing():
    if not index.has(number):
        write(index, number)
"""


def writer(home):
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def marks(index):
    """Which files stand in the shards, and when they were written."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for number in range(index.shards)
        if index.has(number)
        for path in (index.path(number), *index.path(number).iterdir())
    }


def test_an_index_whose_writers_were_killed_is_the_undisturbed_one_bit_for_bit(tmp_path):
    undisturbed = filled(tmp_path / "whole", 16 * 60, filters=200)
    index = begun(tmp_path / "killed", 16 * 60, filters=200)
    moments, seen, within = random.Random(4), {}, 0
    for _ in range(20):
        process = writer(tmp_path / "killed")
        more = len(index.missing()) - moments.randrange(2)
        while len(index.missing()) > more:
            time.sleep(0.0005)
        time.sleep(moments.uniform(0, 0.015))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        now = marks(index)
        assert now | seen == now  # nothing that was finished is gone or written again
        seen = now
        within += any(path.name.startswith(".") for path in index.path(0).parent.iterdir())
    assert 0 < len(index.missing()) < 60
    assert within > 0  # some died in the middle of a shard
    process = writer(tmp_path / "killed")
    process.communicate()
    assert process.returncode == 0 and index.missing() == []
    assert marks(index) | seen == marks(index)
    assert tree(index.folder) == tree(undisturbed.folder)


def test_two_writers_at_once_make_the_same_index(tmp_path):
    both = [writer(tmp_path / "both") for _ in range(2)]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    undisturbed = filled(tmp_path / "whole", 16 * 60, filters=200)
    index = find(tmp_path / "both", undisturbed.manifest.request)
    assert isinstance(index, ActivationIndex)
    assert tree(index.folder) == tree(undisturbed.folder)
