"""The stage with a network of known weights: through the command line, and its own door."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asked
import colours
import numpy as np
import pytest
from asked import environment
from PIL import Image
from wandb_reader import OfflineRun

from convscope.models.zoo import packaged, registry
from convscope.stages import classify

PROGRAM = str(Path(colours.__file__))
COLUMNS = ("image", "rank", "wnid", "label", "probability", "truth", "correct")


def saved(path, colour, height=37, width=53, seed=0):
    """Write a noisy photograph of about one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-15, 16, (height, width, 3))
    Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Photographs in folders of a class each: three that are right, one mistake, and others."""
    home = tmp_path_factory.mktemp("pictures")
    saved(home / "tench" / "1.png", colours.RED, seed=1)
    saved(home / "tench" / "2.png", colours.BLUE, seed=2)
    saved(home / "dog" / "1.png", colours.GREEN, seed=3)
    saved(home / "dog" / "2.png", colours.BLUE, seed=4)
    saved(home / "zebrafish" / "1.png", colours.RED, seed=5)
    saved(home / "loose.png", colours.GREEN, seed=6)
    (home / "dog" / "broken.png").write_bytes(b"no image")
    return home


@pytest.fixture
def known(monkeypatch):
    """The network of known weights in the place of the packaged one."""
    monkeypatch.setattr(packaged, "load", lambda *given: colours.network())
    registry._loaded.cache_clear()
    yield
    registry._loaded.cache_clear()


def command(home, *words):
    return subprocess.run(
        [sys.executable, PROGRAM, *words], cwd=home, env=environment(home), capture_output=True,
        text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory, pictures):
    """The photographs through the command line, with W&B offline and no model named."""
    home = tmp_path_factory.mktemp("whole")
    done = command(home, "stage=classify", f"images.root={pictures}", "stage.top=2")
    assert done.returncode == 0, done.stderr
    (made,) = home.glob("outputs/classify/efficientnet_lite0/*/summary.json")
    return made.parent, done


def rows(folder, name):
    with (folder / "tables" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_writes_the_files_of_its_contract(whole):
    folder, done = whole
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    tables = {f"tables/{name}.csv" for name in ("predictions", "photographs", "classes", "skipped")}
    assert tables | {"images/predictions.png", "report.html", "summary.json", "run.log"} <= names
    assert "broken.png" in rows(folder, "skipped")[0]["image"]
    assert "1 file was set aside: see tables/skipped.csv" in done.stdout
    assert not [name for name in names if name.endswith(".partial")]


def test_the_predictions_are_those_of_a_plain_loop_over_the_photographs(whole, pictures):
    from convscope.data import dataset, photograph

    table = rows(whole[0], "predictions")
    assert tuple(table[0]) == COLUMNS
    assert len(table) == 6 * 2
    fit = json.loads((whole[0] / "summary.json").read_text())["images"]["fit"]
    for row in table:
        seen, _ = dataset.shown(photograph.load(pictures / row["image"]), 224, fit)
        own = colours.probabilities(seen[None])[0]
        place = np.argsort(-own)[int(row["rank"]) - 1]
        assert (row["wnid"], row["label"]) == (colours.CLASSES[place], colours.NAMES[place])
        # TensorFlow sums the 50,000 pixels of a photograph in float32.
        assert float(row["probability"]) == pytest.approx(own[place], rel=3e-3)
    truths = {row["image"]: row["truth"] for row in table}
    assert truths["loose.png"] == "" and truths["zebrafish/1.png"] == "zebrafish"
    best = {row["image"]: row["correct"] for row in table if row["rank"] == "1"}
    assert best == {
        "tench/1.png": "true", "tench/2.png": "false", "dog/1.png": "true", "dog/2.png": "true",
        "zebrafish/1.png": "", "loose.png": "",
    }  # fmt: skip


def test_the_summary_has_accuracy_counts_and_provenance(whole):
    summary = json.loads((whole[0] / "summary.json").read_text())
    assert (summary["status"], summary["stage"]) == ("done", "classify")
    assert summary["classify/top1"] == 0.75
    assert summary["classify/top1_low"] == pytest.approx(0.3006, abs=1e-4)
    assert summary["classify/topk"] == 0.75
    counts = [summary[f"classify/{name}"] for name in ("photographs", "labelled", "known", "k")]
    assert counts == [6, 5, 4, 2]
    assert summary["weights"] == {"source": "colours", "sha256": "0" * 64}
    images = summary["images"]
    assert (images["name"], images["count"], images["skipped"]) == ("folder", 6, 1)
    assert {"device", "precision", "versions"} <= summary.keys()
    assert {"load", "predict", "report"} <= summary["seconds"].keys()


def test_the_terminal_shows_the_photographs_and_the_accuracy(whole):
    lines = whole[1].stdout.splitlines()
    assert any(line.split()[:2] == ["tench/2.png", "beagle"] and "it is tench" in line
               for line in lines)  # fmt: skip
    assert any(line.startswith("top-1 75 % (3 of 4; 95 % interval 30 to 95 %)") for line in lines)
    assert whole[1].stderr == ""


def test_the_report_says_what_the_labels_stand_for(whole):
    page = (whole[0] / "report.html").read_text()
    assert "Some labels are groups above classes" in page and "(dog: 2)" in page
    assert "does not know (zebrafish)" in page
    assert "1 file was set aside" in page


def test_wandb_gets_the_tables_with_thumbnails_the_picture_and_the_numbers(whole):
    logged = OfflineRun(whole[0])
    assert (logged.job_type, logged.name, logged.exit_code) == ("classify", "classify", 0)
    assert logged.tags == ["efficientnet_lite0"]
    table = logged.table("tables/photographs")
    assert table["columns"][-1] == "view" and len(table["data"]) == 6
    assert all(row[-1]["_type"] == "image-file" for row in table["data"])
    assert {"width": 96, "height": 96}.items() <= table["data"][0][-1].items()
    keys = {key for row in logged.history for key in row}
    assert {"tables/predictions", "tables/classes", "report", "images/predictions"} <= keys
    assert logged.summary["classify/top1"] == 0.75
    assert logged.config["model"]["name"] == "efficientnet_lite0"
    assert "layer" not in logged.config and "ascent" not in logged.config


def test_the_kept_config_says_which_photographs_were_meant(whole, pictures):
    kept = (whole[0] / ".hydra" / "config.yaml").read_text()
    assert f"name: folder\n  root: {pictures}" in kept


def test_a_network_without_classifier_is_asked_for_neighbours(tmp_path):
    folder = asked.run(classify, tmp_path / "run", "model=vgg16", "images.size=64",
                       "stage.neighbours=3")  # fmt: skip
    found = rows(folder, "neighbours")
    assert len(found) == 17 * 3 and {row["rank"] for row in found} == {"1", "2", "3"}
    nearest = {row["image"]: row["neighbour"] for row in found if row["rank"] == "1"}
    assert nearest["grass.png"] == "gravel.png"
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["classify/layer"], summary["classify/labelled"]) == ("block5_pool", 17)
    by = {(row["what"], row["count"]): row for row in rows(folder, "agreement")}
    assert set(by) == {("class", "1"), ("class", "3"), ("kind", "1"), ("kind", "3")}
    assert float(by["kind", "1"]["share"]) == summary["classify/kind_share"]
    assert 0 < float(by["kind", "1"]["control"]) < 1
    page = (folder / "report.html").read_text()
    assert "Does vgg16 see?" in page and "with random weights" in page
    with Image.open(folder / "images" / "neighbours.png") as drawn:
        assert drawn.height > drawn.width


def test_features_are_asked_of_a_classifier_too_where_a_layer_is_named(tmp_path, pictures):
    words = "model=efficientnet_lite0", "stage.features=block2b_add", "images=folder"
    folder = asked.run(classify, tmp_path / "run", *words, f"images.root={pictures}",
                       "images.size=64", "stage.neighbours=20")  # fmt: skip
    found = rows(folder, "neighbours")
    assert len(found) == 6 * 5  # each other one
    assert rows(folder, "skipped")[0]["image"] == "dog/broken.png"
    assert {row["same_class"] for row in found if row["image"] == "loose.png"} == {""}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("stage.features=block5_pol",),
         "stage.features=block5_pol is no layer of vgg16. Did you mean 'block5_pool'? stage=layers"
         " lists them."),
        (("images.size=8",),
         "images.size=8 leaves no position at block5_conv3, which needs 16 pixels. Give"
         " images.size=64 or more."),
        (("stage.neighbours=0",), "stage.neighbours=0 is too small. At least 1."),
    ],
)  # fmt: skip
def test_neighbours_that_cannot_be_told_are_refused(say, shell, words, line):
    ended = say("stage=classify", "model=vgg16", *words)
    assert (ended.code, ended.line) == (2, line)
    assert shell.files() == []


def test_one_photograph_has_no_neighbours(say, shell, pictures):
    ended = say("stage=classify", "model=vgg16", f"images.root={pictures / 'loose.png'}")
    assert (ended.code, ended.line) == (
        2,
        "vgg16 has no classes, so photographs are compared with each other, for which 1 photograph"
        " that can be read is too few. Give 3 or more.",
    )
    assert shell.files() == []


@pytest.mark.exhaustive
def test_each_job_of_a_multirun_has_the_model_that_it_names_or_the_default(tmp_path, pictures):
    words = ("stage=classify", "tracker=files", f"images.root={pictures / 'loose.png'}")
    done = command(tmp_path, "-m", *words, "model=vgg16,efficientnet_lite0")
    assert done.returncode == 2
    assert done.stderr.startswith("vgg16 has no classes, so photographs are compared with each")
    assert "2 jobs: 1 refused, 1 done." in done.stderr
    done = command(tmp_path, "-m", *words, "stage.top=1,3")
    assert done.returncode == 0, done.stderr
    made = [
        json.loads(path.read_text()) for path in tmp_path.glob("outputs/sweeps/*/?/summary.json")
    ]
    assert sorted(one["classify/k"] for one in made) == [1, 3, 4]
    assert {one["model"] for one in made} == {"efficientnet_lite0"}


@pytest.mark.parametrize("word", ["layer=block4_conv3", "filter=17", "seed=1", "ascent=maco"])
def test_what_is_about_a_filter_is_refused(say, word):
    ended = say("stage=classify", word)
    assert ended.code == 2
    assert ended.line == f"{word} has no effect on stage=classify. Leave it out."


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("stage.top=0", r"^stage\.top=0 is too small\. At least 1\."),
        ("stage.top=101", r"^stage\.top=101 is too large\. At most 100\."),
        ("stage.mistakes=-1", r"^stage\.mistakes=-1 is too small\. At least 0\."),
        ("stage.shown=0", r"^stage\.shown=0 is too small\. At least 1\."),
        ("stage.shown=2001", r"^stage\.shown=2001 is too large\. At most 2000\."),
    ],
)
def test_settings_outside_their_ranges_are_refused(word, told):
    with pytest.raises(ValueError, match=told):
        asked.settings(classify, word)


def test_photographs_that_are_not_there_are_refused(tmp_path, known):
    (tmp_path / "bad.png").write_bytes(b"")
    for root, told in ((tmp_path / "no", "does not exist"), (tmp_path, "no image that can be rea")):
        with pytest.raises(ValueError if root == tmp_path else FileNotFoundError, match=told):
            classify.check(asked.settings(classify, "images=folder", f"images.root={root}"))


def test_the_packaged_photographs_are_the_default_and_say_what_they_show(tmp_path, known):
    folder = asked.run(classify, tmp_path / "run", "images.batch=5")
    assert len({row["image"] for row in rows(folder, "predictions")}) == 17
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["classify/labelled"] == 17
    truths = {row["image"]: row["truth"] for row in rows(folder, "predictions")}
    assert (truths["chelsea.png"], truths["moon.png"]) == ("domestic cat", "night sky")
    assert "no class of the network" in (folder / "report.html").read_text()


def test_more_classes_than_the_network_has_are_all_of_them(tmp_path, known, pictures):
    photo = pictures / "loose.png"
    folder = asked.run(classify, tmp_path / "run", "images=folder", f"images.root={photo}",
                       "stage.top=50")  # fmt: skip
    table = rows(folder, "predictions")
    assert [row["rank"] for row in table] == ["1", "2", "3", "4"]
    assert {row["image"] for row in table} == {"loose.png"}
    assert sum(float(row["probability"]) for row in table) == pytest.approx(1, abs=1e-5)


def test_batches_of_any_length_give_the_same_table(tmp_path, known, pictures):
    words = ("images=folder", f"images.root={pictures}")
    made = [asked.run(classify, tmp_path / f"{n}", *words, f"images.batch={n}") for n in (1, 4, 9)]
    first, *others = [(folder / "tables" / "predictions.csv").read_bytes() for folder in made]
    assert others == [first, first]


def test_the_report_shows_as_many_photographs_as_asked_for(tmp_path, known, pictures):
    folder = asked.run(classify, tmp_path / "run", "images=folder", f"images.root={pictures}",
                       "stage.shown=2")  # fmt: skip
    assert len(rows(folder, "photographs")) == 2
    assert rows(folder, "photographs")[0]["image"] == "tench/2.png"
    assert (
        "2 of 6 photographs: the most confident mistake, then 1"
        in (folder / "report.html").read_text()
    )


def test_an_interrupt_leaves_nothing_half(tmp_path):
    for number in range(3000):
        os.link(saved(tmp_path / "one.png", colours.RED) if not number else tmp_path / "one.png",
                tmp_path / f"{number}.png")  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, PROGRAM, "stage=classify", f"images.root={tmp_path}", "images.batch=1",
         "tracker=files"],
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("outputs/classify/*/*/.hydra/hydra.yaml")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert told.startswith("Interrupted. ")
    (folder,) = (path.parent for path in tmp_path.glob("outputs/classify/*/*/summary.json"))
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    assert not list(folder.glob("tables/*")) and not (folder / "report.html").exists()
