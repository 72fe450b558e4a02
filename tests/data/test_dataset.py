"""Photographs on their way: found in folders, decoded ahead in order, the unreadable set aside."""

import hashlib
import importlib.util
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import NOISE, UNKNOWN, read, saved

from convscope.data import dataset
from convscope.data.dataset import (
    SAMPLES,
    batches,
    fingerprint,
    fingerprint_of,
    folder,
    samples,
    stream,
)
from convscope.text import spelled


def test_batches_keep_the_order_and_set_the_broken_aside(tmp_path):
    paths = []
    for index in range(5):
        pixels = np.full((4 + index, 6, 3), 10 * index, np.uint8)
        paths.append(saved(tmp_path / f"{index}.png", pixels))
    paths[1].write_text("no image")
    paths[3].write_bytes(b"")
    found = list(batches(paths, 3, 2))
    assert [batch.paths for batch in found] == [(paths[0],), (paths[2],), (paths[4],)]
    assert [batch.places for batch in found] == [(0,), (2,), (4,)]
    assert [batch.skipped for batch in found] == [
        ((paths[1], UNKNOWN),),
        ((paths[3], "an empty file"),),
        (),
    ]
    for batch, index in zip(found, (0, 2, 4), strict=True):
        assert batch.pixels.shape == (1, 3, 3, 3) and batch.pixels.dtype == np.float32
        np.testing.assert_allclose(batch.pixels, 10 * index / 255)
        assert batch.views[0].size == (4 + index, 6)


def test_a_batch_of_broken_files_is_empty(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    (batch,) = batches([tmp_path / "a.jpg"], 7, 4)
    assert batch.pixels.shape == (0, 7, 7, 3) and batch.paths == batch.views == ()


def test_a_folder_is_read_in_the_order_of_its_names_with_what_lies_within(tmp_path):
    names = ["b.PNG", "a10.jpg", "a9.jpeg", "sub/c.webp", "sub/deep/d.TIFF", "A.gif", "z.bmp"]
    for name in [*names, "notes.txt", "sub/data.npz", "jpg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert folder(tmp_path) == tuple(
        tmp_path / name
        for name in (
            "A.gif", "a10.jpg", "a9.jpeg", "b.PNG", "sub/c.webp", "sub/deep/d.TIFF", "z.bmp",
        )
    )  # fmt: skip


def test_a_single_photograph_is_a_set_of_one(tmp_path):
    assert folder(saved(tmp_path / "cat.jpg", NOISE)) == (tmp_path / "cat.jpg",)


def test_a_folder_that_does_not_exist_or_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        folder(tmp_path / "none")
    assert str(caught.value) == (
        f"images.root={tmp_path / 'none'} does not exist. Give a folder of photographs."
    )
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError, match=r"pipe is neither a folder nor a file\. Give a f"):
        folder(tmp_path / "pipe")


def test_folders_of_results_hold_no_photographs_unless_one_is_asked_for_by_name(tmp_path):
    for name in ("a.png", "outputs/rank/1/images/top.png", "outputs/sweeps/2/sweep.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "outputs/rank/1/.hydra").mkdir()
    (tmp_path / "outputs/sweeps/2/jobs.jsonl").touch()
    assert folder(tmp_path) == (tmp_path / "a.png",)
    one = tmp_path / "outputs" / "rank" / "1"
    assert folder(one) == (one / "images" / "top.png",)


def test_links_to_folders_are_followed_once_and_never_in_circles(tmp_path):
    for name in ("real/z/a.jpg", "elsewhere/b.jpg", "elsewhere/deep/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root = tmp_path / "real"
    (root / "up").symlink_to(root)
    (root / "z" / "up").symlink_to(tmp_path)
    (root / "a").symlink_to(root / "z")  # comes first, but is a link
    (root / "m").symlink_to(tmp_path / "elsewhere")
    (root / "n").symlink_to(tmp_path / "elsewhere")  # m was first
    (root / "one.jpg").symlink_to(root / "z" / "a.jpg")
    (root / "gone.jpg").symlink_to(root / "nowhere")
    found = [path.relative_to(root).as_posix() for path in folder(root)]
    assert found == ["gone.jpg", "m/b.jpg", "m/deep/c.jpg", "one.jpg", "z/a.jpg"]


def test_what_only_looks_like_a_photograph_is_listed_too(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    saved(tmp_path / "x.jpg" / "inside.png", NOISE)
    os.mkfifo(tmp_path / "y.PNG")
    found = [path.relative_to(tmp_path).as_posix() for path in folder(tmp_path)]
    assert found == ["x.jpg", "x.jpg/inside.png", "y.PNG"]


def test_a_folder_that_may_not_be_opened_is_listed_in_its_place(tmp_path, monkeypatch):
    saved(tmp_path / "a.png", NOISE)
    (tmp_path / "shut").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name in ("shut", refused):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    refused = ""
    monkeypatch.setattr(os, "scandir", refuse)  # permissions do not stop a superuser
    assert folder(tmp_path) == (tmp_path / "a.png", tmp_path / "shut")
    refused = tmp_path.name
    with pytest.raises(FileNotFoundError, match=r"may not be opened\. Ask its owner"):
        folder(tmp_path)


def test_a_folder_without_images_is_refused_with_the_endings_that_count(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError) as caught:
        folder(tmp_path)
    assert str(caught.value) == (
        f"images.root={tmp_path} holds no image. Photographs end in .bmp, .gif, .jpeg, .jpg, "
        ".png, .tif, .tiff, .webp."
    )


def test_the_samples_are_the_photographs_of_scikit_image_colours_first():
    paths = samples()
    assert [path.name for path in paths] == list(SAMPLES) and len(set(SAMPLES)) == 17
    colourful = [bool(np.ptp(read(path), axis=2).any()) for path in paths]
    assert colourful == [True] * 8 + [False] * 9


@pytest.mark.parametrize("installed", [False, True])
def test_missing_samples_are_refused_with_the_way_out(monkeypatch, tmp_path, installed):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "coins.png").touch()
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)]) if installed else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(FileNotFoundError) as caught:
        samples()
    assert str(caught.value) == (
        f"images=samples needs scikit-image with its 17 photographs; {int(installed)} are "
        "installed. Run 'uv sync', or give a folder of your own with images=folder "
        "images.root=PATH."
    )


def test_the_fingerprint_changes_with_content_name_and_order_and_with_nothing_else(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a").write_bytes(b"1")
        (tmp_path / place / "b").write_bytes(b"2")
    one = [tmp_path / "here" / name for name in "ab"]
    first = fingerprint(one)
    assert len(first) == 64 and first == fingerprint(one)
    assert first == fingerprint([tmp_path / "there" / name for name in "ab"])
    others = {first, fingerprint(one[::-1]), fingerprint(one[:1]), fingerprint([])}
    (tmp_path / "here" / "b").write_bytes(b"3")
    others.add(fingerprint(one))
    (tmp_path / "here" / "b").rename(tmp_path / "here" / "c")
    others.add(fingerprint([one[0], tmp_path / "here" / "c"]))
    others.add(fingerprint([one[0], tmp_path / "here" / "gone"]))
    assert len(others) == 7


def test_a_fingerprint_is_the_same_from_what_a_batch_knows(tmp_path):
    paths = [
        saved(tmp_path / f"{name}.png", NOISE + np.uint8(index))
        for index, name in enumerate("ab\udcff")
    ]
    (batch,) = batches(paths, 3, 5)
    assert batch.digests == tuple(hashlib.sha256(path.read_bytes()).digest() for path in paths)
    assert fingerprint_of([path.name for path in paths], batch.digests) == fingerprint(paths)
    gone = tmp_path / "gone"
    assert fingerprint_of(["gone"], [None]) == fingerprint([gone])
    os.mkfifo(gone)
    assert fingerprint_of(["gone"], [None]) == fingerprint([gone])
    with pytest.raises(ValueError, match="shorter"):
        fingerprint_of(["a", "b"], [None])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b.jpg", "a b.jpg"),
        ("Ünïcode 猫\u3000🐈\u200d⬛.jpg", "Ünïcode 猫\u3000🐈\u200d⬛.jpg"),
        ("two\nlines\r\t.jpg", r"two\nlines\r\t.jpg"),
        ("\x1b[31m\x7f\u2028", r"\x1b[31m\x7f\u2028"),
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\xe9.jpg"),
        (r"back\slash", r"back\\slash"),
    ],
)
def test_a_name_is_spelled_on_one_line_that_utf8_can_hold(name, expected):
    assert spelled(name) == spelled(Path(name)) == expected
    spelled(name).encode()
    assert len(spelled(name).splitlines()) == 1


def many(tmp_path: Path, count: int) -> list[Path]:
    """Photographs whose grey says which they are."""
    return [
        saved(tmp_path / f"{index:03}.png", np.full((5, 4 + index % 3, 3), index, np.uint8))
        for index in range(count)
    ]


@pytest.mark.parametrize("threads", [None, 1, 3, 32])
def test_a_stream_gives_a_batch_for_each_part_in_order(tmp_path, threads):
    paths = many(tmp_path, 40)
    paths[7].write_bytes(b"")
    paths[39].unlink()
    parts = [paths[:1], paths[1:8], [], paths[8:20], paths[20:39], paths[39:]]
    found = list(stream(parts, 3, "squash", threads))
    assert [len(batch.places) for batch in found] == [1, 6, 0, 12, 19, 0]
    assert found[1].places == (0, 1, 2, 3, 4, 5)
    assert found[1].skipped == ((paths[7], "an empty file"),)
    assert found[5].skipped == ((paths[39], "no such file"),)
    greys = [pixel for batch in found for pixel in batch.pixels[:, 1, 1, 1]]
    kept = [index for index in range(39) if index != 7]
    np.testing.assert_array_equal(greys, np.float32(kept) / np.float32(255))
    assert [path for batch in found for path in batch.paths] == [paths[index] for index in kept]
    assert all(batch.pixels.dtype == np.float32 for batch in found)


def decoding() -> list[threading.Thread]:
    """The threads that decode."""
    return [one for one in threading.enumerate() if one.name.startswith("photographs")]


def test_the_threads_end_with_the_stream_however_it_ends(tmp_path):
    paths = many(tmp_path, 30)
    parts = [paths[start : start + 3] for start in range(0, 30, 3)]
    list(stream(parts, 3))
    assert not decoding()
    begun = stream(parts, 3, threads=2)
    next(begun)
    assert decoding()
    begun.close()
    assert not decoding()
    begun = batches(paths, 3, 3)
    next(begun)
    del begun
    assert not decoding()
    with pytest.raises(KeyboardInterrupt):
        for _ in stream(parts, 3):
            raise KeyboardInterrupt
    assert not decoding()

    def failing():
        yield parts[0]
        raise OSError("the list of files is gone")

    with pytest.raises(OSError, match="is gone"):
        list(stream(failing(), 3))
    assert not decoding()


@pytest.mark.parametrize(("length", "threads", "ahead"), [(8, 2, 2), (1, 2, 4), (2, 8, 8)])
def test_what_is_decoded_ahead_is_bounded(tmp_path, length, threads, ahead):
    paths, asked = many(tmp_path, 60), 0

    def parts():
        nonlocal asked
        for start in range(0, 60, length):
            asked += 1
            yield paths[start : start + length]

    for turn, _ in enumerate(stream(parts(), 3, threads=threads)):
        assert asked <= turn + 1 + ahead
    assert asked == -(-60 // length)


def test_photographs_are_decoded_while_the_consumer_is_busy(tmp_path, monkeypatch):
    paths, done, load_one = many(tmp_path, 9), [], dataset.read
    monkeypatch.setattr(dataset, "read", lambda path: done.append(path) or load_one(path))
    begun = stream([paths[:3], paths[3:6], paths[6:]], 3, threads=2)
    next(begun)
    end = time.monotonic() + 30
    while len(done) < 9 and time.monotonic() < end:
        time.sleep(0.01)
    assert sorted(done) == paths
    assert [len(batch.paths) for batch in begun] == [3, 3]


def test_remarks_on_metadata_from_a_thread_cost_no_photograph(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x0f\x01\x02\0\xff\0\0\0\xff\xff\0\0"
    paths = [saved(tmp_path / f"{index}.jpg", NOISE, exif=exif) for index in range(9)]
    (batch,) = stream([paths], 3)
    assert len(batch.paths) == 9
