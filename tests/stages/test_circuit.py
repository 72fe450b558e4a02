"""The stage on the real network: through the command line once, else through its own door."""

import csv
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
from convscope.models.zoo.checkpoints import pickled_arrays
from convscope.stages import circuit

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FAST = (
    "ascent.steps=8", "ascent.chunk=4", "ascent.size=48", "ascent.attempts=1", "images.size=64",
    "stage.character=false",
)  # fmt: skip
COLUMNS = (
    "source", "filter", "l2", "l1", "sum", "positive", "negative", "sign_index", "label",
    "majority", "share", "mean", "deviation", "covariance_share", "top_shift", "drive", "release",
    "ablation", "rank_l2", "rank_top_shift", "rank_covariance", "rank_ablation", "mostly",
)  # fmt: skip


def command(*words):
    return [sys.executable, str(ROOT / "run.py"), "stage=circuit", *FAST, *words]


def run(folder, *words):
    return asked.run(circuit, folder / "run", *FAST, *words)


@pytest.fixture(scope="module")
def main_job(tmp_path_factory):
    """One filter through the command line, with W&B offline."""
    home = tmp_path_factory.mktemp("main")
    done = subprocess.run(
        command("layer=block2_conv2", "filter=17"),
        cwd=home, env=environment(home), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = home.glob("outputs/circuit/*/*/*/summary.json")
    return made.parent, done


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_writes_the_files_of_its_contract(main_job):
    folder, _ = main_job
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert folder.relative_to(folder.parents[4]).parts[:4] == (
        "outputs", "circuit", "vgg16", "block2_conv2-17",
    )  # fmt: skip
    top = {"summary.json", "metrics.jsonl", "run.log", "report.html", "circuit.json"}
    assert top | {"tables/kernels.csv", "tables/optima.csv", "arrays/kernels.npz"} <= names
    assert {f".hydra/{name}.yaml" for name in ("config", "overrides", "hydra")} <= names
    assert {"images/explorer.png", "images/faithfulness.png", "tables/faithfulness.csv"} <= names
    assert {"tables/agreement.csv", "tables/members.csv", "tables/vetoes.csv"} <= names
    edges = json.loads((folder / "circuit.json").read_text())["edges"]
    assert len(edges) == 10
    for edge in edges:
        assert f"images/kernel-block2_conv1-{edge['source']['filter']}.png" in names


def test_the_kernel_table_lists_every_input_and_repeats_the_checkpoint(main_job):
    folder, _ = main_job
    table = rows(folder / "tables" / "kernels.csv")
    stored = pickled_arrays(packaged.PACKAGED["vgg16"].checkpoint.content())
    kernel, bias = (stored[f"VGG16_0.Conv_3.{part}"] for part in ("kernel", "bias"))
    own = kernel[..., 17].astype(np.float64)
    assert tuple(table[0])[: len(COLUMNS)] == COLUMNS
    assert len(table) == 128
    assert [row["source"] for row in table] == ["block2_conv1"] * 128
    assert [int(row["filter"]) for row in table] == list(range(128))
    for name, values in {
        "l2": np.sqrt((own**2).sum((0, 1))),
        "l1": np.abs(own).sum((0, 1)),
        "sum": own.sum((0, 1)),
        "positive": own.clip(0).sum((0, 1)),
        "negative": (-own).clip(0).sum((0, 1)),
        "majority": (own > 0).mean((0, 1)),
        "share": (own**2).sum((0, 1)) / (own**2).sum(),
    }.items():
        np.testing.assert_allclose([float(row[name]) for row in table], values, atol=1e-6)
    stored = np.load(folder / "arrays" / "kernels.npz")
    np.testing.assert_array_equal(stored["kernel"], kernel[..., 17])
    assert stored["bias"] == bias[17]
    edges = json.loads((folder / "circuit.json").read_text())["edges"]
    strongest = np.argsort(-np.sqrt((own**2).sum((0, 1))), kind="stable")[:10]
    assert [edge["source"]["filter"] for edge in edges] == strongest.tolist()


def test_what_is_reported_is_what_the_saved_picture_does(main_job, vgg16):
    from convscope.models.network import tap

    folder, _ = main_job
    table = rows(folder / "tables" / "optima.csv")
    assert len(table) == 11
    for row in table:
        kind = "unit" if row["layer"] == "block2_conv2" else "input"
        path = folder / "images" / f"{kind}-{row['layer']}-{row['filter']}.png"
        assert path.exists() == (row["alive"] == "true")
        if not path.exists():
            continue
        pixels = np.asarray(Image.open(path), np.float32)[None] / 255
        maps = tap(vgg16, [row["layer"]], pre=True)(pixels)[row["layer"]].numpy()
        own = maps[0, ..., int(row["filter"])]
        assert own.max() == pytest.approx(float(row["activation"]), rel=1e-4)
        assert own.mean() == pytest.approx(float(row["activation_mean"]), rel=1e-3, abs=1e-3)


def test_the_summary_names_weights_photographs_versions_and_seconds(main_job):
    folder, _ = main_job
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "done"
    assert summary["weights"]["sha256"] == packaged.PACKAGED["vgg16"].checkpoint.sha256
    assert summary["images"]["count"] == 17
    assert {"total", "load", "index", "ascend", "report"} <= summary["seconds"].keys()
    assert {"tensorflow", "keras", "numpy", "wandb"} <= summary["versions"].keys()
    assert summary["precision"] in ("float32", "bfloat16")
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {step["step"] for step in steps} == set(range(1, 9))
    assert "ascent/block2_conv2:17" in {key for step in steps for key in step}


def test_the_terminal_ends_with_where_things_are(main_job):
    folder, done = main_job
    place = folder.relative_to(folder.parents[4])
    *_, sentence, report, where, upload = done.stdout.splitlines()
    assert sentence.startswith("The ten kernels with the largest L2 recover ")
    assert "too few to be halved" in sentence
    assert report == f"Report  {place}/report.html"
    assert where == f"Folder  {place}"
    assert f"wandb sync {place}/wandb/offline-run-" in upload
    assert done.stderr == ""
    assert (folder / "run.log").read_text().splitlines() == done.stdout.splitlines()


def test_the_offline_run_read_back_holds_everything(main_job):
    folder, _ = main_job
    offline = OfflineRun(folder)
    assert offline.exit_code == 0
    assert offline.config["layer"] == "block2_conv2"
    assert offline.config["ascent"]["steps"] == 8
    assert offline.config["stage"]["inputs"] == 10
    for path in sorted((folder / "images").glob("*.png")):
        media = offline.files / offline.logged(f"images/{path.stem}")["path"]
        assert media.read_bytes() == path.read_bytes()
    table = offline.table("tables/kernels")
    assert len(table["data"]) == 128
    assert set(table["columns"]) >= {*COLUMNS, "kernel"}
    tile = table["data"][0][table["columns"].index("kernel")]
    assert tile["_type"] == "image-file"
    page = offline.files / offline.logged("report")["path"]
    assert page.read_text() == (folder / "report.html").read_text()
    curve = [
        row["ascent/block2_conv2:17"] for row in offline.history if "ascent/block2_conv2:17" in row
    ]
    assert len(curve) == 8
    assert offline.summary["circuit/inputs"] == 128


def test_nothing_is_written_outside_the_run_folder(main_job):
    folder, _ = main_job
    home = folder.parents[4]
    outside = [
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and folder not in path.parents
    ]
    assert [path for path in outside if "wandb" in path.lower()] == []


def test_the_report_shows_all_inputs_and_the_unit(main_job):
    folder, _ = main_job
    page = (folder / "report.html").read_text()
    assert "block2_conv2:17" in page
    assert all(f"block2_conv1<wbr>:{number}<" in page for number in (0, 108, 127))
    assert packaged.PACKAGED["vgg16"].checkpoint.source in page


BATCHES = (
    "layer=block2_conv1", "filter=7", "stage.inputs=6", "stage.crops=0", "ascent.batch=3",
    "ascent.size=8", "ascent.steps=2", "images.size=16",
)  # fmt: skip


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """A layer behind a pool, with more inputs than fit one batch of the ascent."""
    return run(tmp_path_factory.mktemp("batches"), *BATCHES)


def test_a_layer_behind_a_pool_names_the_filters_before_the_pool(batches):
    table = rows(batches / "tables" / "kernels.csv")
    assert len(table) == 64
    assert {row["source"] for row in table} == {"block1_conv2"}
    assert len(list((batches / "images").glob("input-block1_conv2-*.png"))) == 6


def test_more_inputs_than_fit_one_batch_all_get_their_optimum(batches):
    units = [(row["layer"], row["filter"]) for row in rows(batches / "tables" / "optima.csv")]
    edges = json.loads((batches / "circuit.json").read_text())["edges"]
    inputs = [("block1_conv2", str(edge["source"]["filter"])) for edge in edges]
    assert units == [("block2_conv1", "7"), *inputs]
    assert len(units) == 7
    # Three batches of two steps each.
    assert "7 images of 8 x 8 6/6" in (batches / "run.log").read_text()


def test_the_same_seed_gives_the_same_pictures_bit_for_bit(batches, tmp_path):
    first, second = (
        {path.name: path.read_bytes() for path in (folder / "images").iterdir()}
        for folder in (batches, run(tmp_path, *BATCHES))
    )
    assert first == second and len(first) > 7


def test_the_first_layer_has_the_colours_for_inputs_and_broken_files_are_set_aside(tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 255, (90, 120, 3), np.uint8)
        Image.fromarray(noise).save(photographs / f"{number}.png")
    (photographs / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photograph")
    folder = run(
        tmp_path, "layer=block1_conv1", "filter=3", "images=folder", f"images.root={photographs}"
    )
    table = rows(folder / "tables" / "kernels.csv")
    assert [(row["source"], row["filter"]) for row in table] == [
        ("image", str(i)) for i in range(3)
    ]
    (skipped,) = rows(folder / "tables" / "skipped.csv")
    assert skipped["image"].endswith("broken.jpg")
    assert "1 file was set aside" in (folder / "run.log").read_text()
    assert (folder / "images" / "kernel-image-red.png").exists()
    assert json.loads((folder / "summary.json").read_text())["images"]["skipped"] == 1


@pytest.mark.parametrize("group", ["ascent", "images"])
def test_a_canvas_too_small_for_the_layer_is_refused(group):
    words = "layer=block4_conv3", "filter=17", f"{group}.size=7"
    with pytest.raises(ValueError) as caught:
        circuit.check(asked.settings(circuit, *FAST, *words))
    assert str(caught.value) == (
        f"{group}.size=7 leaves no position at block4_conv3, which needs 8 pixels. "
        f"Give {group}.size=32 or more."
    )


def test_the_smallest_canvas_that_a_layer_takes_runs(tmp_path):
    run(tmp_path, "layer=block2_conv1", "filter=0", "stage.inputs=1", "stage.crops=0",
        "ascent.size=2", "images.size=2")  # fmt: skip


@pytest.mark.exhaustive
def test_an_interrupt_keeps_and_names_what_is_finished(tmp_path):
    process = subprocess.Popen(
        command("layer=block4_conv3", "filter=17", "ascent.steps=100000", "tracker=files"),
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
        # Where the tests run in the background, Ctrl-C is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("outputs/circuit/*/*/*/metrics.jsonl")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Interrupted." in told
    assert "tables/kernels.csv" in told
    (folder,) = (path.parent for path in tmp_path.glob("outputs/circuit/*/*/*/summary.json"))
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    assert len(rows(folder / "tables" / "kernels.csv")) == 512


@pytest.mark.exhaustive
def test_a_bad_job_of_a_multirun_does_not_stop_the_others(tmp_path):
    done = subprocess.run(
        [*command("layer=block1_conv2", "filter=0,64,1", "stage.inputs=1", "tracker=files"), "-m"],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("block1_conv2 of vgg16 has no filter 64.")
    made = sorted(path.parent.name for path in tmp_path.glob("outputs/sweeps/*/*/report.html"))
    assert made == ["0", "2"]
