"""A filter and its inputs as data, and the table of a real one against its checkpoint."""

import csv
import json
import math
import pickle
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import asked
import numpy as np
import pytest
from asked import ascent
from parts import part, random_part
from PIL import Image
from scipy.signal import correlate2d

from convscope.circuits import edges, weights
from convscope.circuits.attribution import Inputs, Sample, read_by
from convscope.circuits.edges import Circuit
from convscope.circuits.effects import TITLES, Effects
from convscope.data import dataset, photograph
from convscope.models.linear import Linear
from convscope.models.network import inputs_of, tap
from convscope.models.receptive_field import Inside
from convscope.models.zoo import packaged
from convscope.settings import FolderImages, InputSettings
from convscope.stages import circuit as stage
from convscope.stages.circuit import CircuitSettings, Settings
from convscope.tracking.tracker import Tracker
from convscope.unit import Unit

ROOT = Unit("b", 7)
SOURCES = tuple(Unit("a", channel) for channel in range(4))
KERNEL = np.float32([[1, -3, 0, 2], [-2, -4, 0.25, 2]]).reshape(2, 1, 4)
MEAN = np.array([0.5, -1.5, 0.0, 2.5])
TABLE = weights.measure(KERNEL, mixed=0.4, negligible=0.1)
LOWEST = np.array([0.0, -1.0, 0.0, 0.0])


def effects_of(mean):
    """Effects whose numbers all tell the channel and the field they belong to."""
    channels = np.arange(len(mean))
    number = {field.name: channels + place / 8 for place, field in enumerate(fields(Effects))}
    return Effects(**number | {"mean": mean, "effect": np.array(["mixed"] * len(mean))})


def traced(kernel, count, by="l2", mean=MEAN, table=TABLE, root=ROOT, sources=SOURCES):
    """A circuit whose other rankings are all the channels backwards."""
    channels = np.arange(len(sources))
    orders = dict.fromkeys(TITLES, channels[::-1]) | {"l2": np.argsort(table.rank_l2)}
    lowest = LOWEST if len(sources) == 4 else 0.0 * channels
    effects = effects_of(mean)
    return Circuit(root, kernel, 0.75, sources, table, effects, orders, lowest, by, count)


CIRCUIT = traced(KERNEL, 3)

# Where the packaged file keeps each layer, and what comes before it in the published network.
PLACES = {
    "block1_conv1": (0, None, 3),
    "block2_conv1": (2, "block1_conv2", 64),
    "block3_conv2": (5, "block3_conv1", 256),
    "block4_conv1": (7, "block3_conv3", 256),
    "block4_conv3": (9, "block4_conv2", 512),
    "block5_conv3": (12, "block5_conv2", 512),
}


def test_the_strongest_inputs_become_edges_in_order():
    assert CIRCUIT.root == ROOT and CIRCUIT.bias == 0.75 and CIRCUIT.sources == SOURCES
    assert [edge.source for edge in CIRCUIT.edges] == [Unit("a", 1), Unit("a", 3), Unit("a", 0)]
    assert [edge.channel for edge in CIRCUIT.edges] == [1, 3, 0]
    assert [edge.rank for edge in CIRCUIT.edges] == [1, 2, 3]


def test_an_edge_says_all_about_its_own_channel():
    strongest, second, third = CIRCUIT.edges
    total = 25 + 8 + 5 + 0.0625
    np.testing.assert_array_equal(strongest.kernel, [[-3], [-4]])
    names = ("l2", "share", "sign_index", "label", "mostly", "mean")
    of = [tuple(getattr(edge, name) for name in names) for edge in (strongest, second, third)]
    assert of[0] == (5, 25 / total, -1, "inhibitory", "mostly inhibitory", -1.5)
    assert of[1][3:] == ("excitatory", "mostly excitatory", 2.5)
    assert of[2][3:] == ("mixed", "mostly inhibitory", 0.5)


def test_no_more_edges_than_inputs():
    assert len(traced(KERNEL, 99).edges) == 4


def test_another_ranking_may_choose_the_edges():
    circuit = traced(KERNEL, 2, "greedy")
    assert [(edge.channel, edge.rank) for edge in circuit.edges] == [(3, 1), (2, 2)]
    assert circuit.document()["by"] == "greedy"


def test_the_colour_scale_ends_at_the_largest_weight_of_all_inputs_shown_or_not():
    assert CIRCUIT.limit == 4
    assert traced(KERNEL / 8, 0).limit == 0.5


def test_records_hold_every_input_in_channel_order_with_plain_values():
    rows = CIRCUIT.rows
    assert [(row["source"], row["filter"]) for row in rows] == [("a", n) for n in range(4)]
    assert (*rows[0],) == edges.COLUMNS
    assert list(rows[0])[:22] == [
        "source", "filter", "l2", "l1", "sum", "positive", "negative", "sign_index", "label",
        "majority", "share", "mean", "deviation", "covariance_share", "top_shift", "drive",
        "release", "ablation", "rank_l2", "rank_top_shift", "rank_covariance", "rank_ablation",
    ]  # fmt: skip
    effects = effects_of(MEAN)
    measured = {field.name: getattr(effects, field.name)[3].item() for field in fields(Effects)}
    assert rows[3] == measured | {
        "source": "a",
        "filter": 3,
        "l2": math.sqrt(8),
        "l1": 4.0,
        "sum": 4.0,
        "positive": 4.0,
        "negative": 0.0,
        "sign_index": 1.0,
        "label": "excitatory",
        "majority": 1.0,
        "share": TABLE.share[3],
        "rank_l2": 2,
        "mostly": "mostly excitatory",
        "mean": 2.5,
        "rank_top_shift": 1,
        "rank_covariance": 1,
        "rank_ablation": 1,
        "rank_greedy": 1,
        "rank_greedy_variance": 1,
        "pattern": "uniform",
        "angle": None,
        "lowest": 0.0,
    }
    assert [row["lowest"] for row in rows] == LOWEST.tolist()
    assert [row["label"] for row in rows] == ["mixed", "inhibitory", "negligible", "excitatory"]
    kinds = {type(value) for row in rows for value in row.values()}
    assert kinds == {str, int, float, type(None)}


def test_the_document_is_plain_and_survives_json():
    content = CIRCUIT.document()
    assert json.loads(json.dumps(content)) == content
    assert content["root"] == {"layer": "b", "filter": 7, "bias": 0.75}
    first, *others = content["edges"]
    assert len(others) == 2
    assert first == {
        "source": {"layer": "a", "filter": 1},
        "target": {"layer": "b", "filter": 7},
        "rank": 1,
        "l2": 5.0,
        "share": float(TABLE.share[1]),
        "sign_index": -1.0,
        "label": "inhibitory",
        "mostly": "mostly inhibitory",
        "pattern": "uniform",
        "angle": None,
        "mean": -1.5,
        "top_shift": 1 + 3 / 8,
        "drive": 1 + 4 / 8,
        "release": 1 + 5 / 8,
        "ablation": 1 + 6 / 8,
        "ablation_top": 1 + 7 / 8,
        "effect": "mixed",
        "functional_sign": 2.0,
        "confidence": 1 + 12 / 8,
        "kernel": [[-3.0], [-4.0]],
    }


@pytest.fixture(scope="module")
def checkpoint():
    """The packaged file as an ordinary pickle, apart from the package's own reader."""
    path = packaged.PACKAGED["vgg16"].checkpoint.locate()
    return pickle.loads(path.read_bytes())["VGG16_0"]


def table_of(path):
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("layer", "filter"),
    [
        ("block1_conv1", 0),
        ("block1_conv1", 41),
        ("block2_conv1", 100),
        ("block3_conv2", 8),
        ("block4_conv1", 17),
        ("block4_conv1", 511),
        ("block4_conv3", 17),
        ("block5_conv3", 1),
    ],
)
def test_the_kernel_table_equals_a_recomputation_from_the_checkpoint(
    vgg16, checkpoint, tmp_path, layer, filter
):
    root = Unit(layer, filter)
    kernel = vgg16.model.get_layer(layer).get_weights()[0][..., filter]
    sources = inputs_of(vgg16, layer)
    mean = np.linspace(-1, 1, len(sources))
    table = weights.measure(kernel, 0.2, 0.05)
    circuit = traced(kernel, 2, "l2", mean, table, root, tuple(sources))
    stage.record_kernels(circuit, Tracker(tmp_path))
    rows = table_of(tmp_path / "tables" / "kernels.csv")

    place, before, inputs = PLACES[layer]
    stored = checkpoint[f"Conv_{place}"]["kernel"][..., filter]
    assert stored.shape == (3, 3, inputs) and len(rows) == inputs
    assert [int(row["filter"]) for row in rows] == list(range(inputs))
    assert {row["source"] for row in rows} == {before or "image"}
    norms = [
        math.sqrt(math.fsum(float(w) ** 2 for w in stored[..., c].flat)) for c in range(inputs)
    ]
    energy = math.fsum(norm**2 for norm in norms)
    order = sorted(range(inputs), key=lambda c: (-norms[c], c))
    for channel, row in enumerate(rows):
        taps = [float(weight) for weight in stored[..., channel].flat]
        positive = math.fsum(tap for tap in taps if tap > 0)
        negative = -math.fsum(tap for tap in taps if tap < 0)
        index = (positive - negative) / (positive + negative)
        expected = {
            "l2": norms[channel],
            "l1": math.fsum(map(abs, taps)),
            "sum": math.fsum(taps),
            "positive": positive,
            "negative": negative,
            "sign_index": index,
            "majority": sum(tap > 0 for tap in taps) / 9,
            "share": norms[channel] ** 2 / energy,
            "mean": mean[channel],
        }
        for name, value in expected.items():
            assert float(row[name]) == pytest.approx(value, rel=1e-6, abs=1e-9), name
        label = "excitatory" if index > 0 else "inhibitory"
        assert row["mostly"] == f"mostly {label}"
        label = "mixed" if abs(index) < 0.2 else label
        label = "negligible" if norms[channel] <= 0.05 * max(norms) else label
        assert row["label"] == label
        assert int(row["rank_l2"]) == order.index(channel) + 1


def settings_for(folder, layer, filter, size=48, canvas="auto"):
    """The settings of a run on a folder of photographs."""
    return Settings(
        layer=layer,
        filter=filter,
        seed=0,
        stage=CircuitSettings(
            "l2", 3, 64, 0.2, 0.05, 1, 5, "circuit", "channel", None, False, crops=1
        ),
        model=asked.model("vgg16"),
        images=FolderImages("folder", size, "crop", 2, str(folder), None),
        ascent=ascent(size=canvas, steps=1, precision="float32", chunk=1, attempts=1),
        hypothesis=asked.hypothesis(),
    )


def photographs_in(folder):
    """Three photographs of smooth noise and a broken one between them."""
    generator = np.random.default_rng(0)
    for index, (height, width) in enumerate(((60, 91), (75, 52), (48, 67))):
        coarse = Image.fromarray(generator.integers(0, 256, (7, 11, 3), np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    (folder / "0-broken.jpg").write_text("no image")


@pytest.mark.parametrize("layer", ["block1_conv1", "block3_conv1"])
def test_the_mean_of_the_stage_is_that_of_the_photographs_it_could_read(vgg16, tmp_path, layer):
    photographs_in(tmp_path)
    filter = 11
    settings, inputs = settings_for(tmp_path, layer, filter), read_by(vgg16, Unit(layer, filter))
    recording, sample = stage.see(vgg16, inputs, settings, Tracker(tmp_path))
    kernel, bias = vgg16.model.get_layer(layer).get_weights()
    found = sample.confirmation.center
    assert not sample.apart and sample.error < 1e-5
    inside = sample.inside
    rows, columns = (
        slice(inside.rows[0], inside.rows[-1] + 1),
        slice(inside.columns[0], inside.columns[-1] + 1),
    )

    assert [path.name for path in recording.paths] == ["0.png", "1.png", "2.png"]
    (row,) = table_of(tmp_path / "tables" / "skipped.csv")
    assert row["image"].endswith("0-broken.jpg") and row["reason"].startswith("not a JPEG")
    assert "1 file was set aside: see tables/skipped.csv" in (tmp_path / "run.log").read_text()
    observed = {"block1_conv1": ["block1_conv1"], "block3_conv1": ["block3_conv1", "block2_conv2"]}
    assert list(recording.fields) == observed[layer]
    assert set(recording.observation.peaks) == set(observed[layer])

    pixels = np.stack([dataset.shown(photograph.load(path), 48)[0] for path in recording.paths])
    whole = tap(vgg16, [layer], pre=True)(pixels)[layer].numpy().astype(np.float64)
    np.testing.assert_allclose(
        found.sum() + bias[filter], whole[:, rows, columns, filter].mean(), rtol=1e-4
    )
    if layer == "block3_conv1":
        inputs = tap(vgg16, ["block2_pool"])(pixels)["block2_pool"].numpy()
        for channel in (0, 5, 127):
            maps = [
                correlate2d(image[..., channel], kernel[..., channel, filter], mode="same")[
                    rows, columns
                ]
                for image in inputs
            ]
            np.testing.assert_allclose(found[channel], np.mean(maps, dtype=np.float64), rtol=1e-4)


def test_photographs_that_turn_out_unreadable_are_refused(vgg16, tmp_path):
    (tmp_path / "broken.jpg").write_text("no image")
    settings = settings_for(tmp_path, "block1_conv1", 3)
    with pytest.raises(ValueError, match=r"^None of the photographs could be read\.$"):
        stage.see(vgg16, read_by(vgg16, settings.unit), settings, Tracker(tmp_path))


@pytest.mark.slow
def test_the_tables_of_a_run_hold_what_they_must_sum_to(photographs, tmp_path):
    (home := tmp_path / "photographs").mkdir()
    for path in photographs[::3]:
        (home / path.name).symlink_to(path)
    folder = asked.run(
        stage, tmp_path / "run", "layer=block2_conv1", "filter=7", "stage.by=greedy",
        "images=folder", f"images.root={home}", "images.size=48",
        "images.batch=32", "stage.crops=0", "stage.character=false", "ascent.size=16",
        "ascent.steps=1", "ascent.attempts=1", "tracker=files",
    )  # fmt: skip
    table = table_of(folder / "tables" / "kernels.csv")
    summary = json.loads((folder / "summary.json").read_text())

    def column(name):
        return np.array([float(row[name]) for row in table])

    assert len(table) == 64
    assert column("covariance_share").sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(column("drive") + column("release"), column("top_shift"), atol=1e-9)
    rows = table_of(folder / "tables" / "faithfulness.csv")
    edges = json.loads((folder / "circuit.json").read_text())["edges"]
    shown = [edge["source"]["filter"] for edge in edges]
    assert sorted(shown, key=lambda one: column("rank_greedy")[one]) == shown
    share = column("top_shift")[shown].sum() / column("top_shift").sum()
    (ten,) = [row for row in rows if (row["ranking"], row["k"]) == ("greedy", "10")]
    assert float(ten["recovery"]) == pytest.approx(share, rel=1e-4)
    assert summary["circuit/recovery_10"] == float(ten["recovery"])
    assert summary["circuit/apart"] is True and summary["circuit/exactness"] < 1e-5
    assert summary["circuit/discovery"] + summary["circuit/confirmation"] == len(photographs[::3])
    assert summary["circuit/random_10"] < summary["circuit/recovery_10"]
    assert {row["ranking"] for row in rows} == set(TITLES)


def test_a_request_that_can_be_answered_passes_and_one_broken_file_does_not_stop_it(tmp_path):
    photographs_in(tmp_path)
    stage.check(settings_for(tmp_path, "block4_conv1", 511))


def test_requests_that_cannot_be_answered_are_refused_in_one_line(tmp_path):
    photographs_in(tmp_path)
    with pytest.raises(
        ValueError, match=r"^vgg16 has no layer 'block4_conv4'\..* 'block4_conv3'\?$"
    ):
        stage.check(settings_for(tmp_path, "block4_conv4", 0))
    with pytest.raises(ValueError, match=r"^block4_conv3 of vgg16 has no filter 512\. "):
        stage.check(settings_for(tmp_path, "block4_conv3", 512))
    for path in tmp_path.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError) as caught:
        stage.check(settings_for(tmp_path, "block4_conv3", 17))
    assert str(caught.value) == (
        f"images.root={tmp_path} holds no image that can be read: 0-broken.jpg is not a JPEG, PNG,"
        " WebP, BMP, GIF or TIFF, or a broken one. Give a folder of photographs."
    )


@pytest.mark.parametrize(("canvas", "size", "name"), [(7, 8, "ascent"), (8, 7, "images")])
def test_sizes_that_leave_no_position_are_refused_and_those_that_leave_one_are_not(
    tmp_path, canvas, size, name
):
    photographs_in(tmp_path)
    with pytest.raises(ValueError) as caught:
        stage.check(settings_for(tmp_path, "block4_conv3", 17, size, canvas))
    assert str(caught.value) == (
        f"{name}.size=7 leaves no position at block4_conv3, which needs 8 pixels. Give "
        f"{name}.size=32 or more."
    )
    stage.check(settings_for(tmp_path, "block4_conv3", 17, 8, 8))
    stage.check(settings_for(tmp_path, "block1_conv1", 17, 1, 1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("inputs=0", "inputs=0 is too small. At least 1."),
        ("crops=-1", "crops=-1 is too small. At least 0."),
        ("positions=0", "positions=0 is too small. At least 1."),
        ("mixed=1.2", "mixed=1.2 is too large. At most 1."),
        ("negligible=-0.1", "negligible=-0.1 is too small. At least 0."),
        ("depth=0", "depth=0 is too small. At least 1."),
        ("depth=4", "depth=4 is too large. At most 3."),
        ("branches=0", "branches=0 is too small. At least 1."),
    ],
)
def test_settings_outside_their_range_are_refused(given, message):
    with pytest.raises(ValueError) as caught:
        asked.settings(stage, "layer=block4_conv3", "filter=17", f"stage.{given}")
    assert str(caught.value) == f"stage.{message}"


def findings(given, apart=True, by="l2", inputs=10):
    """What is found where this part is both halves."""
    count = given.u.shape[1]
    kernel = np.random.default_rng(0).normal(size=(3, 3, count)).astype(np.float32)
    found = Linear(kernel, given.bias, np.arange(count), None)
    places = np.arange(given.photographs)
    sample = Sample(given, given, places, apart, Inside(range(5), range(6)), False, False, 1e-7)
    recording = SimpleNamespace(
        observation=SimpleNamespace(lowest=np.zeros(count)),
        paths=[Path(f"{number}.png") for number in places],
    )
    settings = InputSettings(by, inputs, 64, 0.2, 0.05, 1, 5)
    sources = tuple(Unit("a", n) for n in range(count))
    return edges.analyze(Inputs(Unit("b", 1), found, sources), recording, sample, settings, 0)


FOUND = findings(random_part(), False)


def test_the_sentence_sets_the_ten_beside_random_ones_and_the_best():
    own = FOUND.scalars()
    for name in ("recovery_10", "recovery_10_low", "recovery_10_high", "random_10", "best_10"):
        assert f"{100 * own[name]:.0f} %" in FOUND.sentence
    assert FOUND.sentence.startswith("The ten kernels with the largest L2 recover ")
    assert FOUND.sentence.endswith("on the same 20 photographs that chose: too few to be halved).")
    apart = findings(random_part(), True, "greedy", 3)
    assert apart.sentence.startswith("The three kernels that explain the responses best together")
    assert apart.sentence.endswith("(20 photographs that had no part in choosing).")


def test_all_inputs_together_need_no_figures():
    found = findings(random_part(inputs=3), inputs=10)
    assert found.sentence.startswith("All three inputs are shown: nothing is left that others")
    found = findings(random_part(inputs=1), inputs=10)
    assert found.sentence.startswith("The only input is shown: ")
    found = findings(random_part(), inputs=1)
    assert found.sentence.startswith("The kernel with the largest L2 recovers ")


def test_the_figures_are_those_of_the_curves():
    own, at = FOUND.scalars(), FOUND.curves.at
    curve = FOUND.curves.curves["l2"]
    assert own["recovery_10"] == curve.recovery[at] and own["r2_10"] == curve.r2[at]
    assert own["necessity_10"] == curve.necessity[at] and own["auroc_10"] == curve.auroc[at]
    assert own["normalized_best"] == pytest.approx(1) and own["half_l2"] == curve.half.value
    assert own["recovery_10_low"] <= own["recovery_10"] <= own["recovery_10_high"]
    assert (own["apart"], own["positions"]) == (False, 30)
    assert own["strong"] == len(FOUND.sample.confirmation.top)


def test_the_tables_have_a_row_for_each_ranking_and_size_and_member():
    tables = FOUND.tables()
    rows = tables["faithfulness"]
    assert list(rows[0])[:7] == ["ranking", "k", "recovery", "r2", "necessity", "auroc", "zero_r2"]
    assert {row["k"] for row in rows} == {0, 1, 2, 5, 10, 20, 40}
    assert len(rows) == 8 * 7 and len(tables["agreement"]) == 21
    assert [row["rank"] for row in tables["members"]] == list(range(1, 11))
    assert all(row["p"] <= row["p_holm"] <= 1 for row in tables["members"])


def test_inputs_that_silence_the_unit_are_listed_with_their_photographs():
    given = part([[1, -3], [1, 0], [-1, 0], [2, -2], [9, 0], [9, 0]], of=[0, 0, 1, 1, 2, 2])
    found = findings(given, inputs=2)
    rows = found.tables()["vetoes"]
    assert [(row["filter"], row["image"], row["positions"]) for row in rows] == [
        (1, "0.png", 1), (1, "1.png", 1),
    ]  # fmt: skip
