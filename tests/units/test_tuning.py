"""What planted filters are tuned to: Gabors, disks, colours, curves."""

import numpy as np
import pytest

from convscope.models.backend import keras
from convscope.models.position import probe
from convscope.stats import circular
from convscope.units import stimuli, tuning
from convscope.units.tuning import measure

L = keras.layers
SIDE = 21
LUMA = np.array([0.299, 0.587, 0.114])
ANGLES = np.array([3.0, 22.5, 41.0, 77.0, 90.0, 128.0, 171.0])
PACES = np.array([0.08, 0.11, 0.15, 0.2, 0.25, 0.3, 0.12])


@pytest.fixture(scope="module")
def bank(places, tuned, gabor) -> tuning.Tuning:
    """Gabors, and a disk as the last."""
    right, up = places
    disk = np.exp(-(right**2 + up**2) / 18) - 0.24 * np.exp(-(right**2 + up**2) / 72)
    gabors = [
        gabor(angle, pace, at) for at, (angle, pace) in enumerate(zip(ANGLES, PACES, strict=True))
    ]
    return tuned([*gabors, disk])


def test_planted_gabors_recover_their_orientation_within_half_a_step(bank):
    found = bank.measures["orientation"][:-1]
    assert circular.apart(found, ANGLES, 180).max() < 3.75
    assert (bank.measures["osi"][:-1] > 0.6).all()
    assert (bank.measures["half_width"][:-1] < 45).all()


def test_planted_gabors_recover_their_frequency_within_a_step(bank):
    steps = np.log(bank.axes["grating"]["frequency"])
    off = np.abs(np.log(bank.measures["frequency"][:-1]) - np.log(PACES))
    assert off.max() < steps[1] - steps[0]
    assert (bank.measures["bandwidth"][1:5] < 2).all()


def test_a_disk_is_tuned_to_no_orientation(bank):
    assert bank.measures["osi"][-1] < 0.02
    assert tuning.percentile(bank.measures["osi"], 7) == 0
    assert bank.measures["suppression"][-1] > 0.2


def test_gratings_are_answered_as_the_kernels_spectrum_says(gabor, places, planted):
    kernel = gabor(30, 0.17, 0.4)
    found = probe(planted([kernel, -kernel]), "planted")
    right, up = places
    phases = np.arange(0, 360, 45.0)
    for orientation, pace in ((30, 0.17), (75, 0.1), (120, 0.31)):
        shown = stimuli.gratings(
            (SIDE, SIDE), np.array([orientation]), np.array([pace]), phases, (0.5,)
        )
        normal = np.radians(orientation + 90)
        along = right * np.cos(normal) + up * np.sin(normal)
        spectrum = np.sum(kernel * np.exp(2j * np.pi * pace * along))
        expected = 0.25 * np.abs(spectrum) * np.cos(np.radians(phases) + np.angle(spectrum))
        answers = found.respond(shown.images)
        np.testing.assert_allclose(answers[:, 0], expected, atol=1e-4)
        np.testing.assert_allclose(answers[:, 1], -expected, atol=1e-4)


def test_a_rectified_linear_filter_is_modulated_as_half_a_wave(bank):
    np.testing.assert_allclose(bank.measures["modulation"][:-1], np.pi / 2, atol=0.15)


def test_an_odd_gabor_knows_the_side_of_an_edge_that_is_bright(tuned, gabor):
    found = tuned([gabor(90, 0.06, -np.pi / 2), gabor(90, 0.06, np.pi / 2)])
    assert circular.apart(found.measures["edge"], [180, 0]).max() < 1
    assert (found.measures["polarity"] > 0.5).all()


def test_a_linear_filter_has_half_its_response_at_half_the_contrast(planted, gabor):
    found = probe(planted([gabor(30, 0.17), -np.ones((SIDE, SIDE)) * 0]), "planted")
    known = measure(found.respond, found.size)
    levels, answers, half = tuning.contrast(found.respond, known, 0)
    np.testing.assert_allclose(answers, answers[-1] * levels, rtol=1e-5, atol=1e-5)
    assert half == pytest.approx(0.5, abs=1e-3)
    assert tuning.contrast(found.respond, known, 1)[2] is None
    assert (
        np.isnan(known.measures["osi"][1]) and tuning.percentile(known.measures["osi"], 1) is None
    )


def test_planted_hues_are_recovered(places, tuned):
    right, up = places
    bump = np.exp(-(right**2 + up**2) / 18)[..., None]
    kernels = [bump * (stimuli.rgb(np.array([hue]))[0] - 0.5) for hue in (20, 100, 250)]
    found = tuned([*kernels, bump * LUMA])
    assert circular.apart(found.measures["hue"][:3], [20, 100, 250]).max() < 15
    assert (found.measures["colour"][:3] > 0.2).all()
    assert found.measures["colour"][3] < -0.9
    assert tuning.percentile(found.measures["colour"], 3) == 0


def test_planted_arcs_recover_their_angle_and_have_no_echo(tuned):
    angles = np.array([0.0, 40.0, 135.0, 222.0])
    drawn = stimuli.arcs((SIDE, SIDE), np.array([4.0]), angles).images[::2, ..., 0] - 0.5
    straight = stimuli.lines((SIDE, SIDE), np.array([40.0])).images[::2, ..., 0] - 0.5
    kernels = [one - one.mean() for one in (*drawn, *straight)]
    found = tuned(kernels, bias=-1.0)
    assert circular.apart(found.measures["curve_angle"][:4], angles).max() < 7.5
    assert (found.measures["curve"][:4] > 0).all() and found.measures["curve"][4] < 0
    assert (found.measures["curve_r"][:4] > 0.2).all()
    assert (found.measures["echo"][:4] < 0.5).all() and found.measures["echo"][4] > 0.6
    assert tuning.percentile(found.measures["curve"], 4) == 0


def test_percentiles_count_what_lies_below():
    values = np.array([3.0, 1.0, 2.0, np.nan, 3.0, 9.0])
    assert tuning.percentile(values, 0) == 100 * 2.5 / 4
    assert tuning.percentile(values, 5) == 100
    assert tuning.percentile(values, 3) is None


def test_half_heights_lie_between_steps():
    angles = np.arange(0, 180, 15.0)
    curve = np.maximum(0, 1 - circular.apart(angles, 45, 180) / 60)
    assert tuning._half_width(curve, angles) == pytest.approx(30)
    assert np.isnan(tuning._half_width(np.ones(12), angles))
    assert tuning._bandwidth(np.array([0, 0.4, 0.8, 0.4, 0]), 2.0 ** np.arange(5)) == 2
