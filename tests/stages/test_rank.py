"""The stage on the real network: through the command line once, else through its own door."""

import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import asked
import numpy as np
import pytest
from asked import environment
from omegaconf import OmegaConf
from PIL import Image
from wandb_reader import OfflineRun

from convscope.data import dataset
from convscope.stages import launch, rank
from convscope.tracking import multirun

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FAST = ("layer=block2_conv2", "images.size=48", "stage.permutations=500")
TOP = (
    "rank", "image", "wnid", "label", "activation", "row", "column", "top", "left", "bottom",
    "right", "mean",
)  # fmt: skip
GROUPS = ("wnid", "name", "classes", "images", "mean", "auroc", "low", "high", "p", "q")


def settings(folder, *words):
    return asked.settings(rank, *FAST, f"stage.index={folder}/index", *words)


def run(folder, *words):
    return asked.run(rank, folder / "run", *FAST, f"stage.index={folder}/index", *words)


def command(*words):
    return [sys.executable, str(ROOT / "run.py"), "stage=rank", *words]


def rows(folder, name):
    with (folder / "tables" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def maps(vgg16, layer, pixels):
    from convscope.models.network import tap

    return tap(vgg16, [layer], pre=True)(pixels)[layer].numpy()


def noise(seed, height, width):
    values = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with twenty pictures of odd sizes, of two classes."""
    home = tmp_path_factory.mktemp("pictures")
    for seed in range(20):
        folder = home / ("n02084071_dog" if seed % 2 else "n04524313_vehicle")
        folder.mkdir(exist_ok=True)
        noise(seed, 57 + 4 * seed, 133 - 3 * seed).save(folder / f"{seed}.png")
    return home


@pytest.fixture(scope="module")
def half(tmp_path_factory, photographs):
    """Every other photograph, in a folder of its own."""
    home = tmp_path_factory.mktemp("half")
    for path in photographs[::2]:
        (home / path.name).symlink_to(path)
    return tuple(home / path.name for path in photographs[::2])


@pytest.fixture(scope="module")
def whole(tmp_path_factory, half):
    """One filter on many photographs through the command line, with W&B offline."""
    home = tmp_path_factory.mktemp("whole")
    done = subprocess.run(
        command(
            "layer=block4_conv3", "filter=17", "images=folder", "images.size=64",
            f"images.root={half[0].parent}",
            "stage.optimum=250.5", "stage.hypothesis=It fires for silhouettes",
        ),
        cwd=home, env=environment(home), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = home.glob("outputs/rank/vgg16/block4_conv3-17/*/summary.json")
    return home, made.parent, done


def test_a_run_writes_the_files_of_its_contract(whole):
    home, folder, done = whole
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {f"tables/{name}.csv" for name in ("top_images", "classes", "groups")} <= names
    assert {f"images/{name}.png" for name in ("top", "quantiles", "distribution")} <= names
    assert {"summary.json", "run.log", "report.html", "hypothesis.json"} <= names
    assert tuple(rows(folder, "top_images")[0]) == TOP
    assert tuple(rows(folder, "groups")[0])[: len(GROUPS)] == GROUPS
    header = (folder / "tables" / "classes.csv").read_text().split("\n")[0].split(",")
    assert tuple(header[: len(GROUPS)]) == GROUPS
    assert len(list(home.glob("outputs/index/*/manifest.json"))) == 1
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "done"
    assert summary["rank/photographs"] == summary["rank/labelled"] == 103
    assert summary["images"]["count"] == 103
    assert summary["rank/optimum"] == 250.5
    assert summary["rank/optimum_quantile"] == 1
    assert summary["rank/hypothesis"] in done.stdout


def test_the_users_own_sentence_is_kept_with_its_hash_and_the_time(whole):
    import hashlib

    own = json.loads((whole[1] / "hypothesis.json").read_text())["own"]
    assert own["text"] == "It fires for silhouettes"
    assert own["sha256"] == hashlib.sha256(b"It fires for silhouettes").hexdigest()
    assert own["time"].startswith("20")
    assert "It fires for silhouettes" in (whole[1] / "report.html").read_text()


def test_the_ranking_is_that_of_a_plain_loop_over_the_photographs(whole, vgg16, half):
    from convscope.data import dataset, photograph

    views = np.stack([dataset.shown(photograph.load(path), 64)[0] for path in half])
    own = maps(vgg16, "block4_conv3", views)[..., 17]
    peaks = own.max(axis=(1, 2))
    places = [np.unravel_index(one.argmax(), one.shape) for one in own]
    order = np.argsort(-peaks, kind="stable")[:20]
    table = rows(whole[1], "top_images")
    # Where float16 cannot tell two photographs apart, the earlier one stands first.
    halves = peaks.astype(np.float16)
    expected = sorted(order, key=lambda at: (-halves[at], at))
    assert [row["image"] for row in table] == [half[at].name for at in expected]
    for row, at in zip(table, expected, strict=True):
        assert float(row["activation"]) == pytest.approx(float(peaks[at]), rel=6e-4)
        assert (int(row["row"]), int(row["column"])) == places[at]


def test_the_same_command_is_answered_without_the_network(whole, tmp_path):
    home, folder, _ = whole
    blocked = tmp_path / "tensorflow"
    blocked.mkdir()
    (blocked / "__init__.py").write_text("raise ImportError('TensorFlow is not needed here')")
    photographs = rows(folder, "top_images")
    root = json.loads((folder / "summary.json").read_text())
    assert root["rank/photographs"] == 103
    config = (folder / ".hydra" / "overrides.yaml").read_text()
    given = [line[2:].strip("'") for line in config.splitlines() if "images" in line]
    done = subprocess.run(
        command("layer=block4_conv3", "filter=17", *given, "tracker=files"),
        cwd=home, env={**environment(home), "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "answered from the index" in done.stdout
    again = max(home.glob("outputs/rank/vgg16/block4_conv3-17/*"))
    assert again != folder
    assert rows(again, "top_images") == photographs
    assert rows(again, "groups") == rows(folder, "groups")


def test_wandb_gets_the_tables_with_crops_the_pictures_and_the_index_by_reference(whole):
    home, folder, _ = whole
    logged = OfflineRun(folder)
    assert logged.job_type == "rank"
    assert logged.exit_code == 0
    table = logged.table("tables/top_images")
    assert table["columns"] == [*TOP, "crop", "whole"]
    assert len(table["data"]) == 20
    keys = {key for row in logged.history for key in row}
    assert {"tables/groups", "tables/classes", "report", "images/distribution"} <= keys
    (index,) = home.glob("outputs/index/*")
    places = logged.references[index.name]
    assert places["manifest.json"] == (index / "manifest.json").as_uri()
    best = float(rows(folder, "top_images")[0]["activation"])
    assert logged.summary["rank/activation"] == pytest.approx(best, rel=1e-5)


def test_boxes_cut_the_very_pixels_that_decide_the_activation(tmp_path, vgg16, pictures):
    from convscope.data import dataset, photograph

    folder = run(
        tmp_path, "filter=5", "images=folder", f"images.root={pictures}", "stage.top=4"
    )  # fmt: skip
    for row in rows(folder, "top_images"):
        before = photograph.load(pictures / row["image"])
        top, left, bottom, right = (int(row[name]) for name in ("top", "left", "bottom", "right"))
        place = int(row["row"]), int(row["column"])

        def activation(pixels, place=place):
            seen, _ = dataset.shown(Image.fromarray(pixels), 48)
            return maps(vgg16, "block2_conv2", seen[None])[0, *place, 5]

        own = np.asarray(before)
        first = activation(own)
        assert first == pytest.approx(float(row["activation"]), rel=6e-4)
        outside = 255 - own
        outside[top:bottom, left:right] = own[top:bottom, left:right]
        assert activation(outside) == first
        inside = own.copy()
        inside[top:bottom, left:right] = 255 - own[top:bottom, left:right]
        assert activation(inside) != first
        # A view pixel is up to three of these, and the outermost ones of a field count little.
        for edge in (
            np.s_[top : top + 6, left:right], np.s_[bottom - 6 : bottom, left:right],
            np.s_[top:bottom, left : left + 6], np.s_[top:bottom, right - 6 : right],
        ):  # fmt: skip
            changed = own.copy()
            changed[edge] = 255 * (changed[edge] < 128)
            assert activation(changed) != first


def test_several_positions_of_a_photograph_are_shown_if_asked_for(tmp_path, vgg16, pictures):
    from convscope.data import dataset, photograph

    words = ("filter=5", "images=folder", f"images.root={pictures}", "stage.top=6")
    folder = run(tmp_path, *words, "stage.per_image=3")
    found = []
    for path in dataset.folder(pictures):
        pixels, _ = dataset.shown(photograph.load(path), 48)
        own = maps(vgg16, "block2_conv2", pixels[None])[0, ..., 5]
        padded = np.pad(own, 1, constant_values=-np.inf)
        around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).max(axis=(2, 3))
        summits = sorted(own[own >= around], reverse=True)[:3]
        found += [(value, path.name) for value in summits]
    expected = sorted(found, reverse=True)[:6]
    table = rows(folder, "top_images")
    assert [Path(row["image"]).name for row in table] == [name for _, name in expected]
    np.testing.assert_allclose(
        [float(row["activation"]) for row in table], [value for value, _ in expected], rtol=1e-5
    )


def test_a_whole_layer_is_told_filter_by_filter(tmp_path, pictures):
    folder = run(
        tmp_path, "layer=block1_conv2", "filter=all", "images=folder", f"images.root={pictures}"
    )
    table = rows(folder, "units")
    assert [int(row["filter"]) for row in table] == list(range(64))
    one = run(
        tmp_path / "one", "layer=block1_conv2", "filter=9", "images=folder",
        f"images.root={pictures}",
    )  # fmt: skip
    summary = json.loads((one / "summary.json").read_text())
    assert float(table[9]["activation"]) == pytest.approx(summary["rank/activation"], rel=1e-6)
    assert float(table[9]["firing_rate"]) == pytest.approx(summary["rank/firing_rate"], rel=1e-6)
    assert float(table[9]["sparseness"]) == pytest.approx(summary["rank/sparseness"], rel=1e-6)
    page = (folder / "report.html").read_text()
    assert page.count('class="tile"') == 64
    assert (folder / "images" / "units.png").exists()


def test_photographs_without_labels_are_ranked_and_nothing_is_made_up_about_classes(tmp_path):
    loose = tmp_path / "loose"
    loose.mkdir()
    for path in dataset.samples():
        shutil.copy(path, loose)
    folder = run(tmp_path, "filter=5", "images=folder", f"images.root={loose}")
    assert len(rows(folder, "top_images")) == 17
    assert rows(folder, "classes") == rows(folder, "groups") == []
    told = json.loads((folder / "hypothesis.json").read_text())["generated"]
    assert "without labels" in told["text"]
    assert told["findings"] == []


def test_files_that_cannot_be_read_are_set_aside_and_listed(tmp_path, pictures):
    home = tmp_path / "mixed"
    home.mkdir()
    for path in pictures.rglob("1*.png"):
        (home / path.name).write_bytes(path.read_bytes())
    (home / "empty.jpg").touch()
    (home / "half\nway é.png").write_bytes((home / "10.png").read_bytes()[:500])
    (home / "gone.png").symlink_to(home / "nowhere")
    folder = run(tmp_path, "filter=5", "images=folder", f"images.root={home}")
    assert len(rows(folder, "top_images")) == 11
    aside = {row["image"]: row["reason"] for row in rows(folder, "skipped")}
    assert set(aside) == {"empty.jpg", "half\\nway é.png", "gone.png"}
    assert "empty" in aside["empty.jpg"]
    assert "no such file" in aside["gone.png"]
    assert json.loads((folder / "summary.json").read_text())["images"]["skipped"] == 3


def test_a_damaged_shard_is_made_again_and_an_unusable_index_is_named(tmp_path, pictures):
    words = (*FAST, f"stage.index={tmp_path}/index", "filter=5", "images=folder",
             f"images.root={pictures}")  # fmt: skip
    first = asked.run(rank, tmp_path / "1", *words)
    (shard,) = tmp_path.glob("index/*/shards/000000")
    whole = (shard / "peak.npy").read_bytes()
    (shard / "peak.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    second = asked.run(rank, tmp_path / "2", *words)
    told = (second / "run.log").read_text()
    assert "shard 0 is damaged (peak.npy is not what was written" in told
    assert "missing of 2 shards, computed now: 0" in told
    assert (shard / "peak.npy").read_bytes() == whole
    assert rows(second, "top_images") == rows(first, "top_images")
    shutil.rmtree(shard.parent)
    with pytest.raises(ValueError, match=r"^stage\.index=.* cannot be used: .* Remove what is"):
        asked.run(rank, tmp_path / "3", *words)


@pytest.mark.exhaustive
@pytest.mark.parametrize("launcher", ["parallel", "submitit_local"])
def test_jobs_share_the_pass_and_the_last_one_finds_the_answer(tmp_path, photographs, launcher):
    root = photographs[0].parent
    words = ("layer=block1_conv2", "images.size=32", "images=folder", f"images.root={root}",
             "tracker=files")  # fmt: skip
    shared = subprocess.run(
        command(*words, f"hydra/launcher={launcher}", "stage.shard=range(0,2)", "stage.shards=3",
                "-m"),
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert shared.returncode == 0, shared.stderr
    (index,) = tmp_path.glob("outputs/index/*")
    assert len(list((index / "shards").iterdir())) == 9
    written = {path: path.stat().st_mtime_ns for path in (index / "shards").iterdir()}
    done = subprocess.run(
        command(*words, "filter=3"), cwd=tmp_path, env=environment(tmp_path),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "missing of 13 shards, computed now: 2, 5, 8, 11" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in written} == written
    alone = run(tmp_path / "alone", *words[:-1], "filter=3")
    (made,) = tmp_path.glob("outputs/rank/vgg16/block1_conv2-3/*")
    assert rows(made, "top_images") == rows(alone, "top_images")
    (mine,) = (tmp_path / "alone" / "index").iterdir()
    for path in sorted((mine / "shards").rglob("*.npy")):
        assert path.read_bytes() == (index / path.relative_to(mine)).read_bytes()


def test_a_ray_cluster_starts_a_killed_job_again_and_ends_with_the_whole_index(
    tmp_path, photographs
):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is an extra: uv sync --extra ray")
    words = ("layer=block3_conv3", "images=folder", f"images.root={photographs[0].parent}",
             "images.size=96", "tracker=files")  # fmt: skip
    process = subprocess.Popen(
        command(*words, "hydra/launcher=cluster", "stage.shard=range(0,2)", "stage.shards=2",
                "-m"),
        cwd=tmp_path, env={**environment(tmp_path), "RAY_AUTH_MODE": "disabled"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while len(list(tmp_path.glob("outputs/index/*/shards/0*"))) < 3:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    subprocess.run(["pkill", "-9", "-o", "-f", "ray::_run_job"], check=True)
    told, _ = process.communicate()
    assert process.returncode == 0, told
    assert "2 jobs: 2 done." in told
    (index,) = tmp_path.glob("outputs/index/*")
    assert len(list((index / "shards").iterdir())) == 13
    (sweep,) = tmp_path.glob("outputs/sweeps/*")
    assert len([path for path in sweep.iterdir() if path.name.endswith("-2")]) == 1


def test_a_job_that_was_killed_and_started_again_gets_a_folder_of_its_own(tmp_path, monkeypatch):
    home = tmp_path / "sweep"
    multirun.note(home, asked=[], fixed={})
    for number, status in ((1, "interrupted"), (2, "done")):
        (home / str(number)).mkdir(parents=True)
        (home / str(number) / "run.log").touch()
        multirun.note(home, job=number, folder=str(number), swept={})
        if status == "done":
            multirun.note(home, job=number, status=status)
    for number, taken in ((1, "1-2"), (2, "2")):
        parts = OmegaConf.create(
            {"runtime": {"output_dir": str(home / str(number)), "cwd": str(tmp_path)},
             "sweep": {"dir": "sweep"}, "job": {"num": number}, "overrides": {"task": []},
             "mode": launch.RunMode.MULTIRUN}
        )  # fmt: skip
        monkeypatch.setattr(launch.HydraConfig, "get", lambda parts=parts: parts)
        launch.Job(OmegaConf.create()).begin()
        assert parts.runtime.output_dir == str(home / taken)
        assert (home / taken).is_dir()


@pytest.mark.exhaustive
def test_an_interrupted_run_says_how_to_go_on_and_does(tmp_path, photographs):
    words = ("layer=block3_conv1", "images.size=64", "images=folder", "filter=3",
             f"images.root={photographs[0].parent}", "images.batch=2", "tracker=files")  # fmt: skip
    process = subprocess.Popen(
        command(*words), cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("outputs/index/*/shards/000001")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate()
    assert process.returncode == 130
    assert "The same command goes on from there" in complaint
    done = subprocess.run(
        command(*words), cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "missing of 13 shards, computed now: " in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "filter is missing. Add filter=17, a list, a range like 0-31, or all."),
        (("filter=128",), "block2_conv2 of vgg16 has no filter 128. Its 128 filters are"),
        (("filter=3", "stage.shards=4"), "shards=4 needs the part that this job does"),
        (("filter=3", "stage.shard=4", "stage.shards=4"), "shard=4 is no part of 4."),
        (("filter=[3,4]", "stage.hypothesis=dogs"), "stage.hypothesis=dogs is about one filter; 2"),
        (("filter=3", "stage.per_image=2", "stage.score=mean"), "per_image=2 has no effect on"),
        (("filter=3", "stage.top=0"), "stage.top=0 is too small"),
        (("filter=3", "stage.top=1001"), "stage.top=1001 is too large. At most 1000."),
        (("filter=3", "stage.permutations=1000000"), "permutations=1000000 is too large."),
        (("filter=3", "seed=-1"), "seed=-1 is too small"),
        (("filter=3", "stage.index=/dev/null/index"), "/dev/null is a file. Give a folder."),
        (("filter=3", "images.size=5000"), "images.size=5000 is too large. At most 4096."),
        (("filter=3", "stage.optimum=nowhere"), "stage.optimum=nowhere holds no finished run of"),
        (("filter=3", "images=folder", "images.root=none"), "images.root=none does not exist"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_one_line(tmp_path, words, told):
    with pytest.raises((ValueError, FileNotFoundError), match=r"^[^\n]*$") as refusal:
        rank.check(settings(tmp_path, *words))
    assert told in str(refusal.value)
    assert not (tmp_path / "index").exists()


def test_a_sentence_of_no_known_encoding_is_refused(tmp_path):
    stage = settings(tmp_path, "filter=3").stage
    with pytest.raises(ValueError, match=r"hypothesis='caf.udce9' is no text in UTF-8"):
        replace(stage, hypothesis="caf\udce9")


def test_a_setting_of_another_stage_is_refused(shell, say):
    ended = say("stage=rank", "layer=block2_conv2", "filter=3", "ascent.steps=5")
    assert ended.code == 2
    assert ended.line == "ascent.steps=5 has no effect on stage=rank. Leave it out."
    assert shell.files() == []
