"""Results reach W&B's offline file through the real client, whatever happens to it."""

import base64
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from wandb_reader import OfflineRun

from convscope.settings import WandbTracker
from convscope.tracking import wandb
from convscope.tracking.wandb import has_exit_record

OFFLINE = WandbTracker("wandb", "convscope-test", "offline", None, ("own",))


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


def test_a_folder_is_named_to_wandb_by_reference_and_not_copied(
    in_folder: Path, home: Path, opened: Callable[..., Any]
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
    in_folder: Path,
    home: Path,
    no_network: None,
    capsys: pytest.CaptureFixture[str],
    opened: Callable[..., Any],
    picture: Callable[..., np.ndarray],
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
    tmp_path: Path,
    home: Path,
    no_network: None,
    opened: Callable[..., Any],
    picture: Callable[..., np.ndarray],
    ascent: Callable[[int], np.ndarray],
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
    tmp_path: Path, home: Path, opened: Callable[..., Any], picture: Callable[..., np.ndarray]
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
    opened: Callable[..., Any],
) -> None:
    with pytest.raises(error), opened(tmp_path / "run", OFFLINE) as tracker:
        tracker.log({"a": 1.0}, step=0)
        raise error("stop")
    assert OfflineRun(tmp_path / "run").exit_code == code
    assert capfd.readouterr() == ("", "")


def test_two_runs_in_one_process_share_nothing(
    tmp_path: Path, home: Path, opened: Callable[..., Any], picture: Callable[..., np.ndarray]
) -> None:
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
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: Callable[..., Any],
    picture: Callable[..., np.ndarray],
) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "mine"))
    with opened(tmp_path / "run", OFFLINE) as tracker:
        tracker.table("kernels", ["a"], [[1]], {"tile": [picture(1)]})
    staged = OfflineRun(tmp_path / "run").artifact_files[0].values()
    assert all(path.is_relative_to(tmp_path / "mine") for path in staged)


def test_an_offline_run_can_be_uploaded_by_the_command_that_is_shown(
    in_folder: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    opened: Callable[..., Any],
    picture: Callable[..., np.ndarray],
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
    opened: Callable[..., Any],
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


def test_the_exit_record_is_found_behind_many_blocks(
    tmp_path: Path, home: Path, opened: Callable[..., Any]
) -> None:
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
    in_folder: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    opened: Callable[..., Any],
    picture: Callable[..., np.ndarray],
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


def test_without_a_key_an_online_run_does_not_start(
    tmp_path: Path, home: Path, opened: Callable[..., Any]
) -> None:
    online = WandbTracker("wandb", "p", "online", None, ())
    with pytest.raises(ConnectionError, match=r"^W&B did not start: No API key .*tracker=files\.$"):
        opened(tmp_path / "run", online).__enter__()
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_tag_that_wandb_does_not_take_is_told_in_one_line(
    tmp_path: Path, home: Path, opened: Callable[..., Any]
) -> None:
    empty = WandbTracker("wandb", "p", "offline", None, ("",))
    with pytest.raises(ConnectionError, match=r"^W&B did not start: .*Tag at index 1 is empty"):
        opened(tmp_path / "run", empty).__enter__()
