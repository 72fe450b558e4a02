"""The findings about one unit, in words and pictures, on a small network of known weights."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from convscope.activations.recorder import fill
from convscope.circuits.attribution import Sampler
from convscope.models.linear import linear
from convscope.models.network import Network, inputs_of
from convscope.models.receptive_field import Inside
from convscope.models.zoo.checkpoints import Provenance
from convscope.optvis.ascent import Goal, Optimum
from convscope.report.circuit import Dossier
from convscope.stages.circuit import measure
from convscope.unit import IMAGE, Unit

ROOT = Unit("b", 1)
# One slice for each of three inputs: rising L2, the second balanced to a sign index of 0.
KERNEL = np.array([[[0.1, 1.0, -3.0], [0.1, -1.0, -3.0]]], np.float32)


@pytest.fixture(scope="module")
def dossier(tmp_path_factory):
    image = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="a")
    second = keras.layers.Conv2D(2, (1, 2), padding="same", name="b")
    model = keras.Model(image, second(first(image)))
    second.set_weights([np.stack([KERNEL * 0, KERNEL], -1), np.array([0, 0.5], np.float32)])
    network = Network("tiny", model, lambda pixels: pixels, Provenance("by hand", "0"))
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 255, (20, 31, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    *_, recording = fill(network, ["b", "a"], sorted(folder.iterdir()), 16, 2)
    found = linear(second, 1)
    sampler = Sampler(found, 1, 8, 3, 0, Inside(range(1, 15), range(1, 14)), (16, 16))
    for seen in fill(network, ["b", "a"], sorted(folder.iterdir()), 16, 2):
        sampler.add(seen.latest, [True] * len(seen.latest.maps))
    settings = SimpleNamespace(
        unit=ROOT, seed=0, stage=SimpleNamespace(mixed=0.2, negligible=0.05, inputs=2, by="l2")
    )
    findings = measure(settings, inputs_of(network, "b"), found, recording, sampler.sample())
    circuit = findings.circuit
    picture = np.zeros((8, 8, 3), np.uint8)
    units = [ROOT, *(edge.source for edge in circuit.edges)]
    optima = {unit: Optimum(Goal(unit), picture, 2.0, 1.0, 0.0, 1.0, 1) for unit in units}
    return Dossier(network, findings, recording, optima, 2)


def changed(dossier, **values):
    """The same report on another circuit."""
    edges = values.pop("edges", dossier.circuit.edges)
    circuit = replace(dossier.circuit, **values)
    vars(circuit)["edges"] = edges  # what the circuit would work out from its table
    return replace(dossier, findings=replace(dossier.findings, circuit=circuit))


def test_a_unit_is_shown_by_the_optimum_and_the_strongest_photographs(dossier):
    shown = dossier.root
    assert shown.name == "b:1"
    assert shown.alive
    assert shown.optimum.shape == (8, 8, 3)
    assert len(shown.crops) == 2
    assert shown.crop_activations[0] >= shown.crop_activations[1]


def test_an_optimum_that_is_not_alive_is_never_shown_and_is_named_below(dossier):
    silent = dossier.circuit.edges[0].source
    optima = {**dossier.optima, silent: replace(dossier.optima[silent], activation=-1.0)}
    found = replace(dossier, optima=optima)
    assert found.pictures(silent).optimum is None
    assert found.pictures(silent).alive is False
    assert any(
        note.startswith("Not alive from any start") and str(silent) in note
        for note in found.notes()
    )
    assert not any("Not alive" in note for note in dossier.notes())


def test_the_rows_are_the_edges_strongest_first(dossier):
    assert [row.unit.name for row in dossier.rows] == ["a:2", "a:1"]
    assert [row.label for row in dossier.rows] == ["inhibitory", "mixed"]


def test_the_notes_say_what_these_findings_cannot_carry(dossier):
    notes = " ".join(dossier.notes())
    assert "weights 'by hand'" in notes
    assert "The 2 inputs shown hold" in notes
    assert "the table has all 3" in notes
    assert "3 photographs are few" in notes
    assert "Mixed, with weights of both signs in near balance: a:1." in notes


def test_the_notes_leave_out_what_does_not_apply(dossier):
    notes = " ".join(changed(dossier, edges=dossier.circuit.edges[:1]).notes())
    assert "Mixed" not in notes
    assert "could not be read" not in notes


def test_the_notes_say_where_photographs_are_too_few_to_choose_and_to_measure(dossier):
    notes = " ".join(dossier.notes())
    assert "Ranked and measured on the same photographs" in notes
    assert "The strong responses come from only" in notes
    assert "sees beyond the edge" not in notes and "want of memory" not in notes
    sample = dossier.findings.sample
    other = replace(sample, apart=True, whole=True, thinned=True)
    changed = replace(dossier, findings=replace(dossier.findings, sample=other))
    notes = " ".join(changed.notes())
    assert "Ranked and measured on the same" not in notes
    assert "Every position sees beyond the edge" in notes and "want of memory" in notes


def test_the_notes_say_where_weights_and_effect_disagree(dossier):
    first, second = dossier.circuit.edges
    edges = (replace(first, effect="excitatory"), replace(second, effect="negligible"))
    notes = " ".join(changed(dossier, edges=edges).notes())
    assert "disagree: a:2 (inhibitory by weight, excitatory by effect)." in notes
    assert "Strong by weight, negligible by effect: a:1." in notes
    assert "disagree" not in " ".join(changed(dossier, edges=edges[1:]).notes())


def test_inputs_that_can_be_negative_come_with_a_word_about_their_sign(dossier):
    notes = " ".join(changed(dossier, lowest=np.array([0.0, -1.0, -2.0])).notes())
    assert "2 of the 3 inputs can be negative" in notes
    assert "can be negative" not in " ".join(dossier.notes())


def test_maxima_at_the_border_are_told_where_they_are_more_than_their_share(dossier):
    peaks = dossier.recording.observation.peaks["b"]
    rows = np.zeros_like(peaks.rows)
    observation = replace(dossier.recording.observation, peaks={"b": replace(peaks, rows=rows)})
    recording = replace(dossier.recording, pages=[observation])
    notes = " ".join(replace(dossier, recording=recording).notes())
    assert "On 100 % of the photographs the unit responds most where it sees beyond" in notes


def test_colours_for_inputs_come_with_a_word_about_their_sign(dossier):
    sources = tuple(Unit(IMAGE, channel) for channel in range(3))
    colours = changed(dossier, sources=sources)
    assert any(note.startswith("The inputs are colours") for note in colours.notes())
    assert not any("colours" in note for note in dossier.notes())


def test_the_facts_name_weights_field_and_how_often_it_fires(dossier):
    facts = dossier.facts()
    assert facts["weights"] == "by hand"
    assert facts["receptive field"] == "3 x 4 pixels, a position every 1"
    rate = dossier.recording.observation.firing_rate[1]
    assert facts["measured on"] == "3 of them, 182 positions each"
    assert facts["strong response"].startswith("from ")
    assert facts["fires at"] == f"{100 * rate:.1f} % of positions on the photographs"


def test_the_page_lists_all_inputs_strongest_first(dossier):
    page = dossier.page([{"layer": "b", "filter": 1}], {"layer": "b"})
    places = [page.rindex(f"a<wbr>:{number}") for number in (2, 1, 0)]
    assert places == sorted(places)


def test_the_picture_is_8_bit_colour(dossier):
    assert dossier.picture().dtype == np.uint8
    assert dossier.picture().shape[-1] == 3
