"""A request names its photographs and its folder, and a manifest is read as it was written."""

import json
import os
from dataclasses import replace

import pytest
from indices import asked, begun

from convscope.activations import index
from convscope.activations.index import create, find, listing, request, shard_size

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
        ("size", 34), ("fit", "pad"), ("files", "f"), ("count", 8), ("versions", {"keras": "4"}),
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
    assert shard_size(count) == size


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", None])
def test_a_damaged_manifest_is_refused(tmp_path, damage):
    path = begun(tmp_path, 3).folder / "manifest.json"
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"filters": 5', b'"filters": 6') if damage is None else damage)
    with pytest.raises(ValueError, match=r"manifest.json is .*Remove the folder; the next run"):
        find(tmp_path, asked(3)[0])
