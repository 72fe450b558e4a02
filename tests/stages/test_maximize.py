"""The stage on the real network: through the command line once, else through its own door."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asked
import numpy as np
import pytest
from asked import environment
from PIL import Image
from wandb_reader import OfflineRun

from convscope.models.zoo import packaged
from convscope.stages import maximize
from convscope.stages.resume import JOURNAL, read

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FAST = ("ascent.steps=12", "ascent.chunk=6", "ascent.size=24", "images.size=64", "images.batch=17")
COLUMNS = (
    "layer", "filter", "sample", "objective", "size", "steps", "activation_start", "activation",
    "activation_mean", "quantile", "alive", "seconds", "attempt", "sign", "score", "stopped",
)  # fmt: skip


def settings(*words):
    return asked.settings(maximize, *FAST, *words)


def run(folder, *words):
    return asked.run(maximize, folder, *FAST, *words)


def rows(folder):
    with (folder / "tables" / "optima.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(path):
    return np.asarray(Image.open(path))


def maps(vgg16, layer, images):
    from convscope.models.network import tap

    return tap(vgg16, [layer], pre=True)(np.asarray(images, np.float32) / 255)[layer].numpy()


def command(*words):
    return [sys.executable, str(ROOT / "run.py"), "stage=maximize", *FAST, *words]


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Three filters through the command line, with W&B offline."""
    home = tmp_path_factory.mktemp("several")
    done = subprocess.run(
        command("layer=block2_conv2", "filter=[5,40-41]"),
        cwd=home, env=environment(home), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = home.glob("outputs/maximize/vgg16/block2_conv2-5+2/*/summary.json")
    return made.parent, done


def test_a_run_writes_the_files_of_its_contract(several):
    folder, done = several
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    pictures = {f"images/block2_conv2-{number}-0.png" for number in (5, 40, 41)}
    top = {"summary.json", "metrics.jsonl", "run.log", "report.html", JOURNAL, "images/optima.png"}
    assert top | pictures | {"tables/optima.csv"} <= names
    table = rows(folder)
    assert tuple(table[0]) == COLUMNS
    assert [row["filter"] for row in table] == ["5", "40", "41"]
    assert done.stderr == ""
    assert done.stdout.splitlines()[-3].startswith("Report  outputs/maximize/vgg16/")


def test_what_is_reported_is_what_the_saved_picture_does(several, vgg16):
    folder, _ = several
    for row in rows(folder):
        image = pixels(folder / "images" / f"block2_conv2-{row['filter']}-0.png")
        own = maps(vgg16, "block2_conv2", image[None])[0, ..., int(row["filter"])]
        assert own.max() == pytest.approx(float(row["activation"]), rel=1e-4)
        assert own.mean() == pytest.approx(float(row["activation_mean"]), rel=1e-3, abs=1e-3)
        assert float(row["activation_mean"]) > float(row["activation_start"])


def test_the_quantile_is_the_share_of_positions_on_the_photographs_below(several, vgg16):
    from convscope.data import dataset

    folder, _ = several
    (batch,) = dataset.batches(dataset.samples(), 64, 17)
    seen = maps(vgg16, "block2_conv2", batch.pixels * 255)
    for row in rows(folder):
        below = seen[..., int(row["filter"])] < np.float32(row["activation"])
        assert float(row["quantile"]) == pytest.approx(below.mean(), abs=2 / below.size)


def test_a_picture_says_where_it_comes_from(several):
    folder, _ = several
    text = Image.open(folder / "images" / "block2_conv2-40-0.png").text
    (row,) = (row for row in rows(folder) if row["filter"] == "40")
    assert text["convscope:unit"] == "block2_conv2:40"
    assert float(text["convscope:activation"]) == pytest.approx(float(row["activation"]), rel=1e-5)
    assert packaged.PACKAGED["vgg16"].checkpoint.sha256 in text["convscope:weights"]
    assert json.loads(text["convscope:settings"])["ascent"]["steps"] == 12
    assert text["convscope:seed"] == "0"


def test_the_summary_holds_results_and_provenance(several):
    folder, _ = several
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "done"
    assert summary["filter"] == [5, "40-41"]
    assert summary["weights"]["sha256"] == packaged.PACKAGED["vgg16"].checkpoint.sha256
    assert summary["images"]["count"] == 17
    assert summary["maximize/images"] == 3
    assert (folder / summary["maximize/picture"]).is_file()
    peaks = [float(row["activation"]) for row in rows(folder)]
    assert summary["maximize/activation"] == pytest.approx(np.mean(peaks), rel=1e-5)
    assert {"total", "load", "ascend", "evidence", "report"} <= summary["seconds"].keys()


def test_weights_and_biases_gets_pictures_table_page_and_curves(several):
    folder, _ = several
    offline = OfflineRun(folder)
    assert offline.exit_code == 0
    assert offline.config["stage"]["objective"] == "channel"
    table = offline.table("tables/optima")
    assert table["columns"] == [*COLUMNS, "image"]
    assert len(table["data"]) == 3
    for name in ("block2_conv2-5-0", "optima"):
        media = offline.files / offline.logged(f"images/{name}")["path"]
        assert media.read_bytes() == (folder / "images" / f"{name}.png").read_bytes()
    assert (offline.files / offline.logged("report")["path"]).is_file()
    name = "ascent/block2_conv2-5-0"
    curve = [row[name] for row in offline.history if name in row]
    assert len(curve) == 12


def test_several_images_of_both_signs_stand_side_by_side(tmp_path):
    folder = run(
        tmp_path / "run", "layer=block2_conv1", "filter=7", "stage.samples=2", "stage.sign=both",
        "stage.animation=true",
    )  # fmt: skip
    table = rows(folder)
    assert [(row["sample"], row["sign"]) for row in table] == [
        ("0", "1"), ("1", "1"), ("0", "-1"), ("1", "-1"),
    ]  # fmt: skip
    for row in table[:2]:
        assert float(row["activation_mean"]) > float(row["activation_start"])
    for row in table[2:]:
        assert float(row["activation_mean"]) < float(row["activation_start"])
        assert float(row["quantile"]) < 0.5
    names = ("7-0", "7-1", "7-0-negative", "7-1-negative")
    pictures = [pixels(folder / "images" / f"block2_conv1-{name}.png") for name in names]
    assert all((one != other).mean() > 0.5 for one, other in itertools.pairwise(pictures))
    with Image.open(folder / "images" / "block2_conv1-7-1-negative.webp") as moving:
        assert moving.n_frames > 8  # equal ones are merged
        assert moving.size == (24, 24)


@pytest.mark.parametrize(
    "words",
    [
        ("stage.objective=neuron", "filter=3", "stage.position=[1,9]", "ascent.jitter=0",
         "ascent.scale=0", "ascent.rotate=0"),
        ("stage.objective=direction", "filter=3", "stage.direction={5:1,9:-0.5}"),
        ("stage.objective=layer",),
        ("ascent=pixel", "filter=3", "ascent.start=zero", "ascent.total_variation=0.1",
         "ascent.size=[24,33]", "ascent.jitter=2"),
        ("ascent=maco", "filter=[3,9]", "ascent.spectrum=photographs", "ascent.size=48",
         "ascent.view=24"),
        ("filter=3", "ascent.blur=1", "ascent.noise=0.1", "ascent.l1=1", "ascent.l2=1",
         "ascent.blur_decay=1"),
    ],
)  # fmt: skip
def test_every_way_to_climb_rises(tmp_path, words):
    folder = run(tmp_path / "run", "layer=block2_conv1", *words)
    for line in read(folder)[1]:
        assert np.isfinite(line["curve"]).all()
        assert np.mean(line["curve"][-3:]) > line["curve"][0]


def test_a_caricature_starts_from_noise_and_comes_near_its_image(tmp_path, vgg16):
    picture = np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)
    picture[:, 8:] = picture[:, 8:9]
    Image.fromarray(picture).save(tmp_path / "picture.png")
    folder = run(
        tmp_path / "run", "layer=block2_conv1", "stage.objective=caricature",
        f"stage.image={tmp_path}/picture.png", "ascent.steps=30",
    )  # fmt: skip
    made = pixels(folder / "images" / "block2_conv1-whole-0.png")
    start = np.full_like(made, 128)
    target, near, far = (
        maps(vgg16, "block2_conv1", image[None]).ravel() for image in (picture, made, start)
    )
    assert np.corrcoef(target, near)[0, 1] > np.corrcoef(target, far)[0, 1] + 0.1


def test_an_image_can_be_given_to_start_from(tmp_path):
    picture = np.zeros((40, 30, 3), np.uint8) + np.array([200, 120, 40], np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    folder = run(
        tmp_path / "run", "layer=block2_conv1", "filter=3", f"ascent.start={tmp_path}/picture.png",
        "ascent.steps=1", "ascent.learning_rate=1e-6",
    )  # fmt: skip
    made = pixels(folder / "images" / "block2_conv1-3-0.png").astype(int)
    assert np.abs(made - [200, 120, 40]).max() <= 2


def killed(home, *words, after):
    """Start a run, kill it as soon as so many images are in its journal, and return its folder."""
    process = subprocess.Popen(
        command(*words), cwd=home, env=environment(home), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 200
        while True:
            found = list(home.glob(f"outputs/maximize/*/*/*/{JOURNAL}"))
            if found and found[0].read_bytes().count(b"\n") > after:
                break
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return found[0].parent


@pytest.mark.exhaustive
def test_a_killed_run_of_a_whole_layer_goes_on_and_ends_as_if_undisturbed(tmp_path):
    words = (
        "layer=block1_conv2", "filter=all", "ascent.batch=8", "ascent.steps=40", "tracker=files",
    )  # fmt: skip
    whole = run(tmp_path / "whole", *words[:4])
    old = killed(tmp_path, *words, after=17)
    had = len(read(old)[1])
    assert 17 <= had < 64
    assert not (old / "summary.json").exists()
    done = subprocess.run(
        command(*words),
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (new,) = (path.parent for path in tmp_path.glob("outputs/maximize/*/*/*/summary.json"))
    assert new != old
    assert f"{had} of 64 images are taken over from" in done.stdout
    left = 64 - had // 8 * 8
    assert f"{left} images of 24 x 24" in done.stdout
    for number in range(64):
        name = f"images/block1_conv2-{number}-0.png"
        np.testing.assert_array_equal(pixels(new / name), pixels(whole / name))
    for mine, theirs in zip(rows(new), rows(whole), strict=True):
        assert {**mine, "seconds": ""} == {**theirs, "seconds": ""}
    for path in (old / "images").glob("*.png"):  # half a picture would not open
        assert pixels(path).shape == (24, 24, 3)


def test_a_run_to_go_on_with_must_have_been_asked_for_the_same(tmp_path):
    first = run(tmp_path / "first", "layer=block1_conv2", "filter=3")
    with pytest.raises(ValueError, match=r"ascent.steps is 12 there and 7 here. Give the same"):
        maximize.check(
            settings("layer=block1_conv2", "filter=3", "ascent.steps=7", f"stage.resume={first}")
        )
    maximize.check(settings("layer=block1_conv2", "filter=3", f"stage.resume={first}"))
    with pytest.raises(ValueError, match=r"holds no optima\.jsonl"):
        maximize.check(
            settings("layer=block1_conv2", "filter=3", f"stage.resume={tmp_path}/nowhere")
        )


def test_a_finished_run_is_not_taken_up_by_itself_but_by_its_name(tmp_path):
    words = ("layer=block1_conv2", "filter=[3,4]")
    first = run(tmp_path / "1", *words)
    again = run(tmp_path / "2", *words)
    named = run(tmp_path / "3", *words, f"stage.resume={first}")
    told = [(folder / "run.log").read_text() for folder in (again, named)]
    assert "taken over" not in told[0]
    assert "2 of 2 images are taken over" in told[1]
    assert "2 images of" not in told[1]
    assert pixels(again / "images/optima.png").shape == pixels(named / "images/optima.png").shape


@pytest.mark.parametrize("choice", ["all", "3", "0-31"])
def test_a_layer_that_is_not_there_is_refused_whatever_its_filters(choice):
    with pytest.raises(ValueError, match="has no layer 'block4_conv4'"):
        maximize.check(settings("layer=block4_conv4", f"filter={choice}"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("filter=512",), "has no filter 512. Its 512 filters are numbered 0 to 511"),
        (("filter=[3,600]",), "has no filter 600"),
        (("filter=500-520",), "has no filter 512"),
        (("filter=-1",), "has no filter -1"),
        (("filter=odd",), "filter='odd' names no filters"),
        (("filter=[]",), "names no filters"),
        ((), "filter is missing. Add filter=17, a list, a range like 0-31, or all"),
        (("filter=3", "stage.objective=layer"), "filter=3 has no effect on stage.objective=layer"),
        (("filter=3", "stage.objective=chanel"), "stage.objective='chanel' does not fit"),
        (("filter=3", "stage.objective=logit"), "needs a network with a classifier"),
        (("stage.objective=caricature",), "stage.image is missing. Add stage.image=PATH"),
        (("filter=3", "stage.image=a.png"), "stage.image has no effect on objective=channel"),
        (("filter=3", "stage.position=[1,2]"), "stage.position has no effect"),
        (("filter=3", "stage.objective=neuron", "stage.position=[1]"), "is no position"),
        (
            ("filter=3", "stage.objective=neuron", "stage.position=[3,1]"),
            "has 3 rows and 3 columns",
        ),
        (("filter=3", "stage.direction={a:1}"), "stage.direction={'a': 1} does not fit"),
        (("filter=3", "stage.samples=0"), "stage.samples=0 is too small"),
        (("filter=3", "stage.sign=2"), "stage.sign=2 does not fit. It takes 1, -1 or both"),
        (("filter=3", "ascent.steps=-4"), "ascent.steps=-4 is too small"),
        (("filter=3", "ascent.total_variation=-1"), "ascent.total_variation=-1.0 is too small"),
        (("filter=3", "ascent.size=7"), "ascent.size=7 leaves no position at block4_conv3"),
        (("filter=3", "ascent.size=[96,7]"), "ascent.size=[96,7] leaves no position"),
        (("filter=3", "ascent.size=[96]"), "ascent.size=[96] has 1 numbers"),
        (("filter=3", "ascent.view=4"), "ascent.view=4 leaves no position"),
        (("filter=3", "ascent.start=nowhere.png"), "ascent.start=nowhere.png is no picture"),
        (("filter=3", f"ascent.start={__file__}"), "is no picture: not a JPEG"),
        (("filter=3", "ascent.optimizer=normalized"), "add ascent=pixel"),
        (("filter=3", "ascent.crop_largest=2"), "ascent.crop_largest=2.0 is too large"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_in_one_line(words, message):
    with pytest.raises(ValueError) as caught:
        maximize.check(settings("layer=block4_conv3", *words))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_score_that_is_no_number_ends_in_one_line_with_the_last_good_image_kept(tmp_path):
    words = ("layer=block2_conv1", "filter=3", "ascent.learning_rate=1e38")
    told = r"^the score of block2_conv1:3 was no number from step 2 on.*learning_rate=1e\+38[^\n]*$"
    with pytest.raises(FloatingPointError, match=told):
        run(folder := tmp_path / "run", *words)
    (row,) = rows(folder)
    assert row["stopped"] == "2"
    assert pixels(folder / "images" / "block2_conv1-3-0.png").std() > 0.1
    assert (folder / "report.html").is_file()


def test_finished_images_survive_a_full_disk(tmp_path, monkeypatch):
    import errno

    from convscope.tracking import files

    write, count = Path.write_bytes, iter(range(100))

    def full(path, content):
        if path.name.endswith(".png.partial") and next(count) >= 3:
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(files.Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"The disk of .* is full. Free some space"):
        run(tmp_path / "1", "layer=block1_conv2", "filter=0-7", "ascent.batch=2")
    monkeypatch.undo()
    assert len(read(tmp_path / "1")[1]) == 3
    assert len(list((tmp_path / "1" / "images").iterdir())) == 3
    folder = run(tmp_path / "2", "layer=block1_conv2", "filter=0-7", "ascent.batch=2")
    assert "3 of 8 images are taken over" in (folder / "run.log").read_text()
    assert len(rows(folder)) == 8
