"""A unit beyond its inputs: on a small network of known weights, with photographs of noise."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from convscope.circuits import edges
from convscope.circuits.attribution import observe, read_by
from convscope.circuits.multihop import CircuitPath, analyze
from convscope.models.backend import keras
from convscope.models.network import build
from convscope.models.zoo.checkpoints import Provenance
from convscope.settings import FolderImages, InputSettings
from convscope.unit import IMAGE, Unit

L = keras.layers
ROOT, SIZE = Unit("end", 1), 18


def network():
    start = keras.Input((None, None, 3))
    value = L.ReLU()(L.Conv2D(6, 3, padding="same", name="first")(start))
    value = L.MaxPooling2D()(L.ReLU()(L.Conv2D(5, 3, padding="same", name="second")(value)))
    value = L.Conv2D(2, 1, name="end")(value)
    made = build(
        "tiny", keras.Model(start, L.Conv2D(3, 1, name="behind")(L.ReLU()(value))), "none",
        Provenance("by hand", ""),
    )  # fmt: skip
    rng = np.random.default_rng(1)
    for name in ("first", "second", "end", "behind"):
        layer = made.find(name)
        layer.kernel.assign(rng.normal(size=layer.kernel.shape))
        layer.bias.assign(rng.normal(size=layer.bias.shape) / 4 + (name == "first"))
    return made


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(60):
        noise = np.random.default_rng(number).integers(0, 255, (6, 6, 3), np.uint8)
        Image.fromarray(noise).resize((SIZE, SIZE)).save(folder / f"{number}.png")
    made, files = network(), sorted(folder.iterdir())
    inputs, images = read_by(made, ROOT), FolderImages("folder", SIZE, "crop", 7, str(folder), None)
    recording, sample = observe(made, inputs, files, images, 8, 0)
    findings = edges.analyze(
        inputs, recording, sample, InputSettings("l2", 2, 8, 0.2, 0.05, 1, 2), 0
    )

    def at(depth, branches=2):
        how = InputSettings("l2", 2, 8, 0.2, 0.05, depth, branches)
        return analyze(made, findings, recording.paths, images, how, 0)

    return SimpleNamespace(at=at, findings=findings, sample=sample, network=made)


def test_one_hop_names_the_readers_alone(found):
    one = found.at(1)
    assert one.paths == () and one.reach is None
    assert [reader.unit.layer for reader in one.downstream.filters] == ["behind"] * 3
    assert list(one.tables()) == ["clients"] and one.scalars() == {"clients": 3}


def test_paths_go_through_the_inputs_shown_and_are_the_strongest_of_the_other_half(found):
    two = found.at(2)
    shown = [edge.source for edge in found.findings.circuit.edges]
    assert [path.through for path in two.paths] == [shown[0], shown[0], shown[1], shown[1]]
    assert [path.rank for path in two.paths] == [1, 2, 1, 2]
    for first, second in (two.paths[:2], two.paths[2:]):
        assert abs(first.discovery) >= abs(second.discovery)
    assert {path.source.layer for path in two.paths} == {"first"}
    assert found.sample.apart


def test_all_paths_through_an_input_add_up_to_its_top_shift_but_for_the_biases(found):
    every = found.at(2, branches=6)
    part = found.sample.confirmation
    assert every.rise == pytest.approx(part.strong.mean() - part.sampled.mean(), abs=0.5)
    assert every.rise == pytest.approx(part.strong.mean() - part.z.mean(), rel=1e-4)
    assert abs(every.remainder[0]) < 1e-4 * every.rise
    assert len(every.paths) == 12


def test_with_all_their_paths_the_inputs_recover_what_the_algebra_says(found):
    every = found.at(2, branches=6)
    at = found.findings.curves.at
    expected = found.findings.shown.recovery[at]
    assert every.reach["paths_recovery"] == pytest.approx(expected, rel=1e-4)
    assert every.reach["paths_whole"] == pytest.approx(expected, rel=1e-4)
    few = found.at(2, branches=1).reach
    assert few["paths_recovery"] != pytest.approx(expected, rel=1e-2)
    assert few["paths_none"] < few["paths_recovery"]
    assert few["paths_recovery_low"] <= few["paths_recovery"] <= few["paths_recovery_high"]


def test_three_hops_lead_on_to_the_inputs_of_these(found):
    three = found.at(3, branches=2)
    deep = [path for path in three.paths if path.depth == 3]
    assert {path.through for path in deep} <= {path.source for path in three.paths}
    assert {path.source.layer for path in deep} == {IMAGE}
    assert all(abs(left) < 1e-4 * three.rise for left in three.remainder)
    whole = found.at(3, branches=6).reach
    assert whole["paths_recovery"] == pytest.approx(whole["paths_whole"], rel=1e-4)


def test_tables_and_the_document_hold_plain_values(found):
    two = found.at(2)
    assert [len(row) for row in two.tables()["paths"]] == [15] * 4
    first = two.document()["paths"][0]
    assert first["source"] == {"layer": "first", "filter": two.paths[0].source.filter}
    assert first["shift"] == two.paths[0].shift
    assert len(two.document()["clients"]) == 3


def test_what_cancels_or_disagrees_misleads():
    path = CircuitPath(2, Unit("a", 0), Unit("b", 0), 0, 1, 1.0, 0.0, 1.0, 1.0, 1.0, 0.7, 0.9)
    assert path.misleads == "70 % of its influence cancels between photographs"
    path = CircuitPath(2, Unit("a", 0), Unit("b", 0), 0, 1, 1.0, 0.0, 1.0, 1.0, 1.0, 0.1, 0.5)
    assert path.misleads == "its weights correlate by +0.50 with what they do"
    path = CircuitPath(2, Unit("a", 0), Unit("b", 0), 0, 1, 1.0, 0.0, 1.0, 1.0, 1.0, 0.1, 0.9)
    assert path.misleads == ""


def test_where_the_inputs_are_the_image_there_is_no_path_to_show(found):
    nothing = replace(found.at(1), remainder=(0.0,))
    assert nothing.scalars() == {"clients": 3}
