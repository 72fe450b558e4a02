"""Results reach the files and, through the real client, W&B's offline file."""

import base64
import csv
import errno
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from wandb_reader import OfflineRun

from convscope.settings import FilesTracker, TrackerSettings, WandbTracker
from convscope.tracking import tracker as tracker_module
from convscope.tracking import wandb
from convscope.tracking.tracker import Tracker, track
from convscope.tracking.wandb import has_exit_record

FILES = FilesTracker("files")
OFFLINE = WandbTracker("wandb", "convscope-test", "offline", None, ("own",))


def opened(folder: Path, settings: TrackerSettings = FILES, **changed: Any) -> Any:
    given: dict[str, Any] = {
        "config": {"layer": "block4_conv3", "stage": {"inputs": 10}},
        "stage": "circuit",
        "name": "circuit block4_conv3:17",
        "group": "sweep-1",
        "tags": ["vgg16"],
    }
    return track(folder, settings, **(given | changed))


def picture(seed: int, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def summary(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return read


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and none of the user's W&B variables."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "XDG_"))]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B talks to its own process through a local socket; every other address is refused."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"connection to {address}")
        connect(self, address)

    def no_names(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in (None, "127.0.0.1", "::1", "localhost", b"127.0.0.1"):
            raise AssertionError(f"look-up of {host}")
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket.socket, "connect", local_only)
    monkeypatch.setattr(socket, "getaddrinfo", no_names)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


# Files


def test_an_image_is_saved_pixel_by_pixel(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as tracker:
        path = tracker.image("unit-1", picture(1))
    assert path == tmp_path / "run" / "images" / "unit-1.png"
    assert np.array_equal(np.asarray(Image.open(path)), picture(1))


def test_an_image_keeps_the_texts_it_is_given(tmp_path: Path) -> None:
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
def test_a_text_that_a_png_cannot_name_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot name a text in an image"):
        Tracker(tmp_path).image("unit-1", picture(1), text={key: "words"})
    assert list(tmp_path.iterdir()) == []


def ascent(count: int) -> np.ndarray:
    """Return frames that go from grey to a picture."""
    last = picture(1, 3, 4).repeat(8, axis=0).repeat(8, axis=1)
    parts = np.linspace(0, 1, count)[:, None, None, None]
    return np.rint(128 + (last - 128.0) * parts).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 6])
def test_an_animation_repeats_and_rests_on_its_last_frame(count: int, tmp_path: Path) -> None:
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
def test_an_image_of_another_type_or_shape_is_refused(image: np.ndarray, tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"Image 'x' is \w+ of shape .* must be uint8 of shape"),
        opened(tmp_path) as tracker,
    ):
        tracker.image("x", image)
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", ".hidden", "a b", "\N{LATIN SMALL LETTER A}\n"]
)
def test_a_name_that_is_no_plain_file_name_is_refused(name: str, tmp_path: Path) -> None:
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


def test_a_table_with_a_short_row_or_a_short_picture_column_is_refused(tmp_path: Path) -> None:
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RuntimeError, match="the reason"), opened(tmp_path):
        monkeypatch.setattr(Path, "write_bytes", full)
        raise RuntimeError("the reason")


def test_the_summary_holds_results_status_versions_and_seconds(tmp_path: Path) -> None:
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
    error: type[BaseException], status: str, tmp_path: Path
) -> None:
    with pytest.raises(error), opened(tmp_path) as tracker:
        tracker.summarize({"circuit/activation": 1})
        raise error("stop")
    assert summary(tmp_path)["status"] == status
    assert summary(tmp_path)["circuit/activation"] == 1


@pytest.mark.parametrize("old", ["summary.json", "metrics.jsonl"])
def test_a_folder_that_holds_a_run_is_refused_and_left_alone(old: str, tmp_path: Path) -> None:
    (tmp_path / old).write_text("old")
    with pytest.raises(FileExistsError, match=r"already holds a run\. Give another folder"):
        opened(tmp_path).__enter__()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(old, "old")]


# Terminal


def test_what_is_said_is_on_the_terminal_and_in_the_log(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
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


# Weights & Biases


def test_a_folder_is_named_to_wandb_by_reference_and_not_copied(
    in_folder: Path, home: Path
) -> None:
    index = in_folder / "an index"
    index.mkdir()
    (index / "peak.npy").write_bytes(b"x" * 100)
    with opened(in_folder / "run", OFFLINE) as tracker:
        tracker.reference("index-vgg16", "index", index, {"count": 3})
    logged = OfflineRun(in_folder / "run")
    assert logged.references["index-vgg16"] == {"peak.npy": f"{index.as_uri()}/peak.npy"}
    assert not list((in_folder / "run").rglob("peak.npy"))


def test_an_offline_run_holds_everything_and_leaves_nothing_outside_its_folder(
    in_folder: Path, home: Path, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = in_folder / "runs of mine" / "1"
    tiles = [picture(seed, 3, 3) for seed in range(3)]
    rows = [["block4_conv2", 5, 0.25], ["block4_conv2", 7, None], [None, 9, math.nan]]
    before = dict(os.environ)
    with opened(folder, OFFLINE) as tracker:
        for step in (0, 16, 8):
            tracker.log({"ascent/score": np.float32(step / 10)}, step=step)
        for number in range(120):  # one list of more than 108 would be cut
            tracker.image(f"unit-{number}", picture(number))
        tracker.table("kernels", ["source", "filter", "l2"], rows, {"tile": tiles})
        tracker.page("report", "<head></head><p>hello</p>")
        tracker.summarize({"circuit/activation": np.float64(2.5), "images": {"count": 12}})
    run = OfflineRun(folder)

    assert run.exit_code == 0
    assert (run.project, run.group, run.job_type) == ("convscope-test", "sweep-1", "circuit")
    assert run.name == "circuit block4_conv3:17"
    assert sorted(run.tags) == ["own", "vgg16"]
    assert run.config["layer"] == "block4_conv3"
    assert run.config["stage"] == {"inputs": 10}

    curve = [(row["step"], row["ascent/score"]) for row in run.history if "ascent/score" in row]
    assert curve == [(0, 0.0), (16, pytest.approx(1.6)), (8, pytest.approx(0.8))]
    assert run.step_metrics["ascent/score"] == "step"

    saved = sorted((folder / "images").glob("*.png"))
    assert len(saved) == 120
    for path in saved:
        copy = run.files / run.logged(f"images/{path.stem}")["path"]
        assert copy.read_bytes() == path.read_bytes()

    table = run.table("tables/kernels")
    assert table["columns"] == ["source", "filter", "l2", "tile"]
    assert [row[:3] for row in table["data"]] == [*rows[:2], [None, 9, None]]
    staged = run.artifact_files[0]
    for row, tile in zip(table["data"], tiles, strict=True):
        assert np.array_equal(np.asarray(Image.open(staged[row[3]["path"]])), tile)
        assert staged[row[3]["path"]].is_relative_to(folder)

    page = run.files / run.logged("report")["path"]
    assert page.read_text() == "<head></head><p>hello</p>"
    assert run.summary["circuit/activation"] == 2.5
    assert run.summary["status"] == "done"
    assert run.summary["seconds/total"] > 0

    assert list(home.rglob("*")) == []
    assert {path.name for path in in_folder.iterdir()} == {"home", "runs of mine"}
    assert dict(os.environ) == before

    last = capsys.readouterr().out.splitlines()[-1]
    upload = f"wandb sync 'runs of mine/1/wandb/{run.path.parent.name}'"
    assert last == f"W&B     offline; this uploads it: {upload}"


def test_wandb_shows_animations_and_of_the_images_those_that_are_meant_for_it(
    tmp_path: Path, home: Path, no_network: None
) -> None:
    with opened(tmp_path / "run", OFFLINE) as tracker:
        shown = tracker.image("shown", picture(1), text={"Title": "one"})
        hidden = tracker.image("hidden", picture(2), shown=False)
        moving = tracker.animation("unit-1", ascent(6), 80)
    run = OfflineRun(tmp_path / "run")
    assert (run.files / run.logged("images/shown")["path"]).read_bytes() == shown.read_bytes()
    assert hidden.exists()
    assert not any("images/hidden" in row for row in run.history)
    page = run.files / run.logged("animations/unit-1")["path"]
    uri = re.findall(r'src="data:image/webp;base64,([^"]+)"', page.read_text())
    assert [base64.b64decode(data) for data in uri] == [moving.read_bytes()]
    assert not re.search(r"https?:|<link", page.read_text())


def test_a_table_in_wandb_holds_a_picture_for_each_filter_of_a_layer(
    tmp_path: Path, home: Path
) -> None:
    pictures = [picture(number) for number in range(512)]
    rows = [["block4_conv3", number] for number in range(512)]
    with opened(tmp_path / "run", OFFLINE) as tracker:
        tracker.table("optima", ["layer", "filter"], rows, {"image": pictures})
    run = OfflineRun(tmp_path / "run")
    data = run.table("tables/optima")["data"]
    assert [row[:2] for row in data] == rows
    files = run.artifact_files[0]
    for row, shown in zip(data, pictures, strict=True):
        with Image.open(files[row[2]["path"]]) as image:
            assert np.array_equal(np.asarray(image), shown)


@pytest.mark.parametrize(("error", "code"), [(RuntimeError, 1), (KeyboardInterrupt, 130)])
def test_wandb_records_how_the_run_ended_and_prints_no_traceback(
    error: type[BaseException],
    code: int,
    tmp_path: Path,
    home: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(error), opened(tmp_path / "run", OFFLINE) as tracker:
        tracker.log({"a": 1.0}, step=0)
        raise error("stop")
    assert OfflineRun(tmp_path / "run").exit_code == code
    assert capfd.readouterr() == ("", "")


def test_two_runs_in_one_process_share_nothing(tmp_path: Path, home: Path) -> None:
    with pytest.raises(RuntimeError), opened(tmp_path / "0", OFFLINE, config={"job": 0}):
        raise RuntimeError("stop")
    with opened(tmp_path / "1", OFFLINE, config={"job": 1}, group=None) as tracker:
        tracker.table("kernels", ["a"], [[1]], {"tile": [picture(1)]})
    first, second = OfflineRun(tmp_path / "0"), OfflineRun(tmp_path / "1")
    assert (first.config["job"], first.exit_code, first.group) == (0, 1, "sweep-1")
    assert (second.config["job"], second.exit_code, second.group) == (1, 0, "")
    assert first.history == []
    assert all(path.is_relative_to(tmp_path / "1") for path in second.artifact_files[0].values())
    assert list(home.rglob("*")) == []


def test_folders_of_wandb_that_the_user_has_chosen_are_kept(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "mine"))
    with opened(tmp_path / "run", OFFLINE) as tracker:
        tracker.table("kernels", ["a"], [[1]], {"tile": [picture(1)]})
    staged = OfflineRun(tmp_path / "run").artifact_files[0].values()
    assert all(path.is_relative_to(tmp_path / "mine") for path in staged)


def test_an_offline_run_can_be_uploaded_by_the_command_that_is_shown(
    in_folder: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(in_folder / "run", OFFLINE) as tracker:
        tracker.table("kernels", ["a"], [[1]], {"tile": [picture(1)]})
    command = capsys.readouterr().out.splitlines()[-1].partition("wandb sync ")[2]
    client = Path(sys.executable).with_name("wandb")
    told = subprocess.run(
        [client, "sync", "--dry-run", command], capture_output=True, text=True, check=True
    )
    assert OfflineRun(in_folder / "run").path.name in told.stdout + told.stderr
    assert all(path.exists() for path in OfflineRun(in_folder / "run").artifact_files[0].values())


def test_a_file_of_wandb_that_ends_in_the_middle_is_noticed(
    in_folder: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def cut(path: Path) -> bool:
        path.write_bytes(path.read_bytes()[:-20])
        return has_exit_record(path)

    monkeypatch.setattr(wandb, "has_exit_record", cut)
    with opened(in_folder / "run", OFFLINE):
        pass
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("is incomplete; is the disk full? The files are complete.")
    assert summary(in_folder / "run")["status"] == "done"


def test_the_exit_record_is_found_behind_many_blocks(tmp_path: Path, home: Path) -> None:
    with opened(tmp_path / "run", OFFLINE) as tracker:
        for step in range(400):
            tracker.log({"ascent/score": step / 7, "x" * 97: float(step)}, step=step)
    run = OfflineRun(tmp_path / "run")
    assert run.path.stat().st_size > 3 * 32768
    assert has_exit_record(run.path)
    assert len([row for row in run.history if "ascent/score" in row]) == 400
    short = tmp_path / "short.wandb"
    short.write_bytes(run.path.read_bytes()[:40000])
    assert not has_exit_record(short)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the process in /proc")
def test_the_run_goes_on_when_the_process_of_wandb_dies(
    in_folder: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(in_folder / "run", OFFLINE) as tracker:
        tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        for child in " ".join(task.read_text() for task in tasks).split():
            if b"wandb-core" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
        deadline = time.monotonic() + 20
        while not (in_folder / "run" / "run.log").exists() and time.monotonic() < deadline:
            tracker.image("some", picture(1))
            time.sleep(0.01)
        tracker.image("last", picture(3))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("W&B takes no more results (")
    assert lines[-1].startswith("W&B     did not finish (")
    assert summary(in_folder / "run")["status"] == "done"
    assert (in_folder / "run" / "images" / "last.png").exists()


def test_without_a_key_an_online_run_does_not_start(tmp_path: Path, home: Path) -> None:
    online = WandbTracker("wandb", "p", "online", None, ())
    with pytest.raises(ConnectionError, match=r"^W&B did not start: No API key .*tracker=files\.$"):
        opened(tmp_path / "run", online).__enter__()
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_tag_that_wandb_does_not_take_is_told_in_one_line(tmp_path: Path, home: Path) -> None:
    empty = WandbTracker("wandb", "p", "offline", None, ("",))
    with pytest.raises(ConnectionError, match=r"^W&B did not start: .*Tag at index 1 is empty"):
        opened(tmp_path / "run", empty).__enter__()


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
