"""Results reach the files and the terminal."""

import csv
import errno
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convscope.tracking import tracker as tracker_module
from convscope.tracking.tracker import Tracker


def summary(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return read


# Files


def test_an_image_is_saved_pixel_by_pixel(
    tmp_path: Path, opened: Callable[..., Any], picture: Callable[..., np.ndarray]
) -> None:
    with opened(tmp_path / "run") as tracker:
        path = tracker.image("unit-1", picture(1))
    assert path == tmp_path / "run" / "images" / "unit-1.png"
    assert np.array_equal(np.asarray(Image.open(path)), picture(1))


def test_an_image_keeps_the_texts_it_is_given(
    tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    text = {
        "Title": "block4_conv3:17",
        "convscope:weights": "sha256 4f5d",
        "convscope:recipe": "Größe 3 \N{MULTIPLICATION SIGN} 5, \N{GREEK SMALL LETTER PI}\nline 2",
    }
    path = Tracker(tmp_path).image("unit-1", picture(1), text=text)
    with Image.open(path) as image:
        assert image.text == text
        assert np.array_equal(np.asarray(image), picture(1))


@pytest.mark.parametrize("key", ["", "a" * 80, " a", "a  b", "Größe", "a\nb"])
def test_a_text_that_a_png_cannot_name_is_refused(
    key: str, tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    with pytest.raises(ValueError, match="cannot name a text in an image"):
        Tracker(tmp_path).image("unit-1", picture(1), text={key: "words"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 6])
def test_an_animation_repeats_and_rests_on_its_last_frame(
    count: int, tmp_path: Path, ascent: Callable[[int], np.ndarray]
) -> None:
    frames = ascent(count)
    path = Tracker(tmp_path).animation("unit-1", frames, 80)
    assert path == tmp_path / "images" / "unit-1.webp"
    with Image.open(path) as moving:
        assert moving.size == (32, 24)
        assert getattr(moving, "n_frames", 1) == count
        times = []
        for number in range(count):
            moving.seek(number)
            moving.load()
            times.append(moving.info.get("duration"))
            near = np.abs(np.asarray(moving.convert("RGB"), float) - frames[number])
            assert near.mean() < 12
        if count > 1:
            assert moving.info["loop"] == 0
            assert times == [80] * (count - 1) + [1500]


@pytest.mark.parametrize(
    ("frames", "milliseconds", "message"),
    [
        (np.zeros((5, 7, 3), np.uint8), 80, r"frames of shape \(5, 7, 3\), 80 ms"),
        (np.zeros((0, 5, 7, 3), np.uint8), 80, r"frames of shape \(0, 5, 7, 3\)"),
        (np.zeros((2, 5, 7, 3), np.uint8), 0, "0 ms each"),
        (np.zeros((2, 5, 7, 3), np.float32), 80, "'x' is float32 of shape"),
    ],
)
def test_what_is_no_animation_is_refused(
    frames: np.ndarray, milliseconds: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        Tracker(tmp_path).animation("x", frames, milliseconds)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 7, 3), np.float32),
        np.zeros((5, 7), np.uint8),
        np.zeros((5, 7, 4), np.uint8),
        np.zeros((0, 7, 3), np.uint8),
    ],
)
def test_an_image_of_another_type_or_shape_is_refused(
    image: np.ndarray, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    with (
        pytest.raises(ValueError, match=r"Image 'x' is \w+ of shape .* must be uint8 of shape"),
        opened(tmp_path) as tracker,
    ):
        tracker.image("x", image)
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", ".hidden", "a b", "\N{LATIN SMALL LETTER A}\n"]
)
def test_a_name_that_is_no_plain_file_name_is_refused(
    name: str, tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    tracker = Tracker(tmp_path)
    with pytest.raises(ValueError, match="cannot name a file"):
        tracker.image(name, picture(1))
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_plain_csv_with_empty_cells_for_what_is_no_number(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["a,b", 1, np.float32(0.1), True],
        [None, np.int64(2), math.nan, np.bool_(False)],
        ["ü", -3, math.inf, None],
    ]
    path = Tracker(tmp_path).table("kernels", ["source", "filter", "l2", "in_ten"], rows)
    assert path.read_bytes() == (
        'source,filter,l2,in_ten\n"a,b",1,0.1,true\n,2,,false\nü,-3,,\n'.encode()
    )
    assert next(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))["source"] == "a,b"


def test_a_table_with_a_short_row_or_a_short_picture_column_is_refused(
    tmp_path: Path, picture: Callable[..., np.ndarray]
) -> None:
    tracker = Tracker(tmp_path)
    with pytest.raises(ValueError, match=r"Row 1 of table 't' has 1 cells\. The header has 2"):
        tracker.table("t", ["a", "b"], [[1, 2], [3]])
    with pytest.raises(ValueError, match=r"column 'p' of table 't' has 1 pictures.* 2 rows"):
        tracker.table("t", ["a"], [[1], [2]], {"p": [picture(1)]})
    assert list(tmp_path.iterdir()) == []


def test_arrays_documents_and_pages_come_back_as_they_were(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    kernel = np.arange(30, dtype=np.float32).reshape(2, 3, 5)
    with np.load(tracker.array("kernels", kernel=kernel, bias=np.array(0.5, np.float32))) as loaded:
        assert np.array_equal(loaded["kernel"], kernel)
        assert loaded["bias"] == np.float32(0.5)
    content = {"edges": [np.float32(0.1), math.nan, math.inf], "a": (np.int32(1), Path("x"))}
    path = tracker.document("circuit", content | {"m": np.ones((1, 2), np.float32)})
    assert json.loads(path.read_text()) == {
        "edges": [0.1, None, None],
        "a": [1, "x"],
        "m": [[1.0, 1.0]],
    }
    assert path.read_text().startswith('{\n  "edges"')
    assert tracker.page("report", "<p>ü</p>").read_text(encoding="utf-8") == "<p>ü</p>"
    assert [path.name for path in tracker.written] == ["kernels.npz", "circuit.json", "report.html"]


def test_metrics_are_one_json_object_a_line_and_there_at_once(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    tracker.log({"ascent/score": float(np.float32(0.5)), "ascent/loss": math.nan}, step=3)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 3, "ascent/score": 0.5, "ascent/loss": None}
    ]


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker(tmp_path)
    path = tracker.page("report", "first")

    def fails(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(OSError, match=r"^The disk of .* is full\. Free some space"):
        tracker.page("report", "second")
    assert path.read_text() == "first"
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_a_full_disk_does_not_hide_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Any]
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RuntimeError, match="the reason"), opened(tmp_path):
        monkeypatch.setattr(Path, "write_bytes", full)
        raise RuntimeError("the reason")


def test_the_summary_holds_results_status_versions_and_seconds(
    tmp_path: Path, opened: Callable[..., Any]
) -> None:
    with opened(tmp_path) as tracker:
        tracker.summarize({"circuit/activation": np.float32(2.5), "alive": True})
        tracker.summarize({"circuit/activation": 3.5, "images": {"count": np.int64(12)}})
        for _ in range(2):
            with tracker.timer("load"):
                time.sleep(0.02)
    read = summary(tmp_path)
    assert read["circuit/activation"] == 3.5
    assert read["alive"] is True
    assert read["images"] == {"count": 12}
    assert read["status"] == "done"
    assert {"convscope", "python", "numpy"} <= read["versions"].keys()
    assert 0.04 <= read["seconds"]["load"] <= read["seconds"]["total"]
    assert next(iter(read["seconds"])) == "total"


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError, "failed"), (KeyboardInterrupt, "interrupted")]
)
def test_the_summary_is_written_however_the_run_ends(
    error: type[BaseException], status: str, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    with pytest.raises(error), opened(tmp_path) as tracker:
        tracker.summarize({"circuit/activation": 1})
        raise error("stop")
    assert summary(tmp_path)["status"] == status
    assert summary(tmp_path)["circuit/activation"] == 1


@pytest.mark.parametrize("old", ["summary.json", "metrics.jsonl"])
def test_a_folder_that_holds_a_run_is_refused_and_left_alone(
    old: str, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    (tmp_path / old).write_text("old")
    with pytest.raises(FileExistsError, match=r"already holds a run\. Give another folder"):
        opened(tmp_path).__enter__()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(old, "old")]


# Terminal


def test_what_is_said_is_on_the_terminal_and_in_the_log(
    in_folder: Path, capsys: pytest.CaptureFixture[str], opened: Callable[..., Any]
) -> None:
    long = "[bold]a path " + "x" * 300
    with opened(in_folder / "run") as tracker:
        tracker.say(long)
        tracker.page("report", "x")
    report, folder = f"Report  run{os.sep}report.html", "Folder  run"
    assert capsys.readouterr().out.splitlines() == [long, report, folder]
    assert (in_folder / "run" / "run.log").read_text().splitlines() == [long, report, folder]


def test_progress_without_a_terminal_is_a_line_now_and_then_and_one_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker(tmp_path)
    now = 0.0
    monkeypatch.setattr(tracker_module.time, "perf_counter", lambda: now)
    with tracker.progress("ascent", 3) as update:
        update(1, "score 0.5")
        now = 500.0
        update(2, "score 1.5")
        update(3, "score 2.5")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ascent 2/3  score 1.5  4 minutes left"
    assert lines[1:] == ["ascent 3/3  score 2.5  500.0 s"]
    assert (tmp_path / "run.log").read_text().splitlines() == lines


def test_progress_that_breaks_off_does_not_say_it_came_to_an_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), Tracker(tmp_path).progress("ascent", 3) as update:
        update(1)
        raise KeyboardInterrupt
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 minutes"), (7100, "118 minutes"), (9000, "2 hours")],
)
def test_the_time_left_is_told_as_exactly_as_it_is_known(seconds: float, words: str) -> None:
    assert tracker_module._duration(seconds) == words


@pytest.mark.parametrize(
    "settings", ['FilesTracker("files")', 'WandbTracker("wandb", "p", "disabled", None, ())']
)
def test_a_tracker_of_files_never_imports_wandb(settings: str, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from convscope.settings import FilesTracker, WandbTracker
from convscope.tracking.tracker import track
names = {{"stage": "s", "name": "n", "group": None, "tags": []}}
with track(Path("run"), {settings}, config={{}}, **names) as tracker:
    tracker.log({{"a": 1.0}}, step=0)
    tracker.summarize({{"b": 2}})
print({{"wandb", "matplotlib", "tensorflow"}} & set(sys.modules))
"""
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == ["Folder  run", "set()"]
    assert not (tmp_path / "run" / "wandb").exists()
