"""The profile of planted and of real units, as values, a drawing and a section of a page."""

from dataclasses import replace

import numpy as np
import pytest

from convscope.activations import dataset_examples
from convscope.activations.dataset_examples import Exemplars, gather
from convscope.activations.recorder import fill
from convscope.data import labels
from convscope.models.network import Network
from convscope.report import html
from convscope.report.figures.tuning import tuning_figure
from convscope.unit import Unit
from convscope.units import profile, properties, stimuli
from convscope.units.profile import Profile

RING = np.arange(0, 360, 45.0)

SIDE = 21  # of a planted kernel


def shown(kernel: np.ndarray, count: int, seed: int = 1) -> np.ndarray:
    """Return images that excite a kernel, each with noise of its own."""
    noise = np.random.default_rng(seed).normal(0, 0.08, (count, SIDE, SIDE, 3))
    return np.clip(0.5 + kernel[..., None] / np.abs(kernel).max() / 3 + noise, 0, 1).astype("f")


def study(network: Network, filter: int, exemplars: Exemplars, seed: int = 0) -> Profile:
    found = profile.study(network, Unit("planted", filter), exemplars, np.zeros(3), seed)
    return properties.described(found, seed)


@pytest.fixture(scope="module")
def bars(gabor, planted) -> Profile:
    """A Gabor among a ring of arcs."""
    drawn = stimuli.arcs((SIDE, SIDE), np.array([5.0]), RING).images[::2, ..., 0]
    kernels = [gabor(30, 0.17), *(one - one.mean() for one in drawn)]
    exemplars = Exemplars(
        shown(kernels[0], 40), controls={at: shown(kernels[at], 2) for at in (1, 2, 3)}
    )
    return study(planted(kernels, bias=-1.0), 0, exemplars, seed=3)


def words(found: Profile) -> dict[str, bool | None]:
    return {trait.word: trait.holds for trait in found.properties}


def test_a_gabor_is_called_what_it_is(bars):
    said = words(bars)
    assert said["orientation-tuned"] is True and said["phase-sensitive"] is True
    assert said["rotation-invariant"] is False and said["pose-invariant"] is False
    assert said["hue-invariant"] is True and said["curve detector"] is None
    assert said["colour detector"] is None
    assert said["mono-faceted (no split found)"] is True
    assert "consistent with superposition" not in said
    assert bars.measure("orientation") == pytest.approx(30, abs=3.75)
    assert bars.natural > 1 and bars.invariance.controls == 3
    assert bars.half_contrast > 0.4


def test_an_arc_of_a_ring_is_a_curve_detector_with_a_family(planted):
    drawn = stimuli.arcs((SIDE, SIDE), np.array([5.0]), RING).images[::2, ..., 0]
    kernels = [one - one.mean() for one in drawn]
    found = study(planted(kernels, bias=-2.0), 2, Exemplars(shown(kernels[2], 4)))
    said = words(found)
    assert said["curve detector"] is True and said["member of an equivariant family"] is True
    assert found.split is None and said["polysemantic"] is None
    # The kernel has more than 3 x 3 taps: turned by quarters alone, which the ring has too.
    copies = {one.move: one.filter for one in found.copies}
    assert copies["90"] == 4 and copies["180"] == 6 and "45" not in copies
    assert {one.move: one.filter for one in found.partners}["90"] == 4


def test_every_trait_has_its_rule_and_numbers(bars):
    assert len({trait.word for trait in bars.properties}) == len(bars.properties)
    assert all(trait.rule and trait.numbers for trait in bars.properties)
    shares = [found.percentile for found in bars.properties if found.percentile is not None]
    assert all(0 <= share <= 100 for share in shares)


def test_without_exemplars_only_drawn_stimuli_speak(planted, gabor):
    found = study(
        planted([gabor(30, 0.17), gabor(90, 0.1)]), 0, Exemplars(np.empty((0, SIDE, SIDE, 3)))
    )
    assert found.natural is None and found.invariance is None
    assert words(found)["orientation-tuned"] is True
    assert "pose-invariant" not in words(found)
    assert tuning_figure(found).shape == (1500, 2800, 3)


def test_the_same_seed_gives_the_same_profile(planted, gabor):
    network = planted([gabor(30, 0.17), gabor(90, 0.1)])
    exemplars = Exemplars(shown(gabor(30, 0.17), 14))
    assert study(network, 0, exemplars).properties == (study(network, 0, exemplars).properties)


def test_part_of_a_view_is_mirrored_beyond_its_edges():
    view = np.arange(30.0).reshape(5, 6, 1)
    np.testing.assert_array_equal(
        dataset_examples.window(view, (-1, 4), (5, 3))[..., 0],
        [[4, 5, 5], [4, 5, 5], [10, 11, 11], [16, 17, 17], [22, 23, 23]],
    )


def test_the_drawing_is_two_thousand_eight_hundred_pixels_wide(bars):
    drawn = tuning_figure(bars)
    assert drawn.shape == (1500, 2800, 3) and drawn.dtype == np.uint8
    assert (drawn == 255).all(axis=2).mean() > 0.5
    assert not np.array_equal(drawn, tuning_figure(replace(bars, invariance=None)))


def section(found: Profile) -> str:
    """Return what the page says of it."""
    return html.render("profile.html", character=found, tuning=tuning_figure(found))


def test_the_section_says_every_word_with_its_rule(bars):
    text = section(bars)
    for trait in bars.properties:
        assert f'<th scope="row">{trait.word}</th>' in text
    assert text.count('class="holds') == len(bars.properties)
    assert "planted:0 is: <strong>orientation-tuned" in text
    assert 'src="data:image/png;base64,' in text and "http" not in text


@pytest.mark.slow
def test_exemplars_are_what_excites_the_real_unit(vgg16, photographs, monkeypatch):
    paths = photographs[:40]
    *_, recording = fill(vgg16, ["block2_conv2"], paths, 112, 20)
    peaks = recording.observation.peaks["block2_conv2"]
    keys = labels.of(recording.paths, recording.paths[0].parent).keys
    monkeypatch.setattr(dataset_examples, "EXEMPLARS", 14)
    monkeypatch.setattr(dataset_examples, "CONTROLS", 3)
    found = gather(vgg16, Unit("block2_conv2", 100), recording, keys)
    assert found.crops.shape == (14, 14, 14, 3) and len(found.keys) == 14
    assert [len(crops) for crops in found.controls.values()] == [2, 2, 2]
    assert 100 not in found.controls
    position = profile.probe(vgg16, "block2_conv2")
    answers = position.respond(found.crops)[:, 100]
    best = peaks.strongest(100, 14)
    inside = [
        at
        for at, place in enumerate(best)
        if all(5 <= axis[place, 100] <= 50 for axis in (peaks.rows, peaks.columns))
    ]
    assert len(inside) > 3
    np.testing.assert_allclose(answers[inside], peaks.values[best[inside], 100], rtol=1e-3)
    mean = np.zeros(vgg16.find("block2_conv2").input.shape[-1])
    result = profile.study(vgg16, Unit("block2_conv2", 100), found, mean)
    assert result.split is not None and result.invariance.controls == 3
    assert result.copies == ()  # its inputs are no colours
