"""An index gives back what was written, and says what it cannot tell and why."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from indices import (
    COLUMNS,
    FIELD,
    FILTERS,
    ROWS,
    asked,
    begun,
    filled,
    given,
    joined,
    values,
    write,
)

from convscope.activations import index
from convscope.activations.index import (
    Manifest,
    create,
    find,
    listing,
    ranges,
    request,
    strongest,
)
from convscope.activations.shard import Draft

# Beginning


def test_an_index_is_found_again_as_it_was_begun(tmp_path):
    index = begun(tmp_path, 37)
    how, _ = asked(37)
    assert find(tmp_path, how) == index
    assert begun(tmp_path, 37) == index
    assert index.manifest == Manifest(how, FILTERS, ROWS, COLUMNS, FIELD, "abacus")
    assert index.missing() == [0, 1, 2]
    assert [index.layout(number).count for number in range(3)] == [16, 16, 5]


def test_a_layer_without_a_receptive_field_has_none_in_its_manifest(tmp_path):
    how, files = asked(3)
    create(tmp_path, Manifest(how, 2, 1, 1, None, ""), files)
    assert find(tmp_path, how).manifest.field is None


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
        create(tmp_path, Manifest(how, 1, 1, 1, None, ""), files + b"x")
    assert list(tmp_path.iterdir()) == []


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
    assert [bytes(digest) for digest in index.digests()] == [
        digest for number in range(3) for digest in values(index.layout(number))["digests"]
    ]
    assert index.skipped() == {} and index.clipped() == 0


def test_photographs_set_aside_are_named_and_have_no_activation(tmp_path):
    index = begun(tmp_path, 21)
    write(index, 0)
    draft = Draft(index.layout(1))  # places 16 to 20
    part = values(draft.layout)
    part = {k: v if k == "histogram" else v[:3] for k, v in part.items()}
    draft.add([20, 16, 18], *given(draft.layout, **part))
    draft.skip(19, "an empty file")
    draft.skip(17, "no\nphotograph \udcff")
    assert draft.write(index.path(1))
    assert index.skipped() == {17: "no\nphotograph \udcff", 19: "an empty file"}
    column = index.column(2)
    assert np.flatnonzero(np.isnan(column)).tolist() == [17, 19]
    np.testing.assert_array_equal(column[[20, 16, 18]], part["peak"][:, 2].astype(np.float16))
    assert not set(strongest(column, 99)) & {17, 19}


def test_a_shard_of_which_nothing_can_be_read_is_whole(tmp_path):
    index = begun(tmp_path, 18)
    for number in range(2):
        draft = Draft(index.layout(number))
        for place in range(draft.layout.first, draft.layout.first + draft.layout.count):
            draft.skip(place, "broken")
        draft.write(index.path(number))
    assert len(index.skipped()) == 18 and index.missing() == []
    assert [problem for _, problem in index.repair()] == ["", ""]
    assert len(strongest(index.column(0), 5)) == 0


# Questions


def test_the_top_photographs_are_those_of_a_plain_sort(tmp_path):
    index = filled(tmp_path, 300)
    for filter, by in ((0, "peak"), (4, "mean"), (2, "peak")):
        column = joined(index, by)[:, filter].astype(np.float16).astype(np.float32)
        order = np.argsort(-column, kind="stable")
        for count in (1, 7, 90, 300, 500):
            found = strongest(index.column(filter, by), count)
            np.testing.assert_array_equal(found, order[:count])
            places = [joined(index, axis)[found, filter] for axis in ("row", "column")]
            np.testing.assert_array_equal(index.where(filter, found), places)


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


def test_questions_to_an_incomplete_index_name_the_missing_shards(tmp_path):
    index = begun(tmp_path, 16 * 9)
    for number in (0, 4, 5, 7):
        write(index, number)
    for ask in (
        lambda: index.where(0, [20]),
        lambda: index.column(0, "mean"),
        index.histogram,
        index.skipped,
    ):
        with pytest.raises(ValueError, match="not complete: 5 of its 9 shards are missing, 1-3, 6"):
            ask()
    assert ranges([]) == "" and ranges([4]) == "4" and ranges([1, 2, 4, 6, 7]) == "1-2, 4, 6-7"


@pytest.mark.parametrize("filter", [-1, 5])
def test_a_filter_that_the_layer_lacks_is_refused(tmp_path, filter):
    with pytest.raises(ValueError, match=f"conv has no filter {filter}. Its filters are 0 to 4"):
        filled(tmp_path, 3).column(filter)


def test_an_index_answers_without_tensorflow_or_the_decoder(tmp_path):
    filled(tmp_path, 3)
    code = (
        "import sys; from pathlib import Path;"
        "from convscope.activations.index import ActivationIndex, Manifest;"
        f"folder = next(Path({str(tmp_path)!r}).iterdir());"
        "print(ActivationIndex(folder, Manifest.read(folder)).column(1));"
        "print({'tensorflow', 'keras', 'PIL'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.splitlines()[1:] == ["set()"], ended.stderr


def test_a_question_notices_what_it_would_misread(tmp_path):
    index = filled(tmp_path, 20)
    path = index.path(1) / "peak.npy"
    content = path.read_bytes()
    for damaged in (content[:-1], content + b"x", b"\x93NUMPZ" + content[6:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"peak.npy is damaged: it is no array \(5, 4\)"):
            index.column(0)
    path.unlink()
    with pytest.raises(ValueError, match=r"Shard 1 of .* is damaged: peak.npy is missing"):
        index.column(0)
    (index.path(1) / "shard.json").write_text("{}")
    with pytest.raises(ValueError, match=r"Shard 1 of .* is damaged: shard.json is damaged"):
        index.skipped()


MADE = {
    "model": "m", "weights": "w", "preprocess": "tf", "layer": "l", "size": 9, "fit": "pad"
}  # fmt: skip


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
    how = request(**MADE, files=content)
    assert how.count == 6
    index = create(tmp_path / "home", Manifest(how, 1, 1, 1, None, ""), content)
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
        return request(**MADE, files=files).key

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
        ("model", "vgg"), ("weights", "0124"), ("preprocess", "tf"), ("layer", "conv2"),
        ("sides", (9, 34)), ("fit", "pad"), ("files", "f"), ("count", 8),
        ("versions", {"keras": "4"}),
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
    how = request(**MADE, files=b"")
    assert list(how.versions) == ["tensorflow", "keras", "pillow", "format"]
    assert how.versions["format"] == str(index.FORMAT)


@pytest.mark.parametrize(
    ("count", "size"),
    [(1, 16), (206, 16), (1024, 16), (1025, 32), (10_000, 160), (10**5, 1568), (1_281_167, 4096)],
)
def test_the_number_of_photographs_alone_decides_the_size_of_a_shard(count, size):
    how = replace(asked(1)[0], count=count)
    assert Manifest(how, 1, 1, 1, None, "").shard == size


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", None])
def test_a_damaged_manifest_is_refused(tmp_path, damage):
    path = begun(tmp_path, 3).folder / "manifest.json"
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"filters": 5', b'"filters": 6') if damage is None else damage)
    with pytest.raises(ValueError, match=r"manifest.json is .*Remove the folder; the next run"):
        find(tmp_path, asked(3)[0])
