"""Moves of images against plain ones, and units whose invariance is known."""

import numpy as np
import pytest

from convscope.models.position import probe
from convscope.units import invariance
from convscope.units.invariance import MOVES, Move, half, measure, moved

RANDOM = np.random.default_rng(0).random((2, 9, 13, 3), np.float32)
SQUARE = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
LUMA = np.array([0.299, 0.587, 0.114])

SIDE = 21  # of a planted kernel


def test_what_stays_in_place_is_not_resampled():
    np.testing.assert_allclose(moved(RANDOM, Move("rotation", 0)), RANDOM, atol=1e-6)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarters_of_a_turn_are_those_of_numpy(turns):
    angle = 90 * turns if turns < 3 else -90
    expected = np.rot90(SQUARE, turns, axes=(1, 2))
    np.testing.assert_allclose(moved(SQUARE, Move("rotation", angle)), expected, atol=1e-5)


def test_mirrors_and_shifts_are_those_of_numpy():
    np.testing.assert_allclose(moved(RANDOM, Move("mirror", 0)), RANDOM[:, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(moved(RANDOM, Move("mirror", 90)), RANDOM[:, ::-1], atol=1e-6)
    step = SQUARE.shape[1] // 8
    right = moved(SQUARE, Move("shift", 0))
    np.testing.assert_allclose(right[:, :, step:], SQUARE[:, :, :-step], atol=1e-5)
    np.testing.assert_allclose(right[:, :, :step][:, :, ::-1], SQUARE[:, :, :step], atol=1e-5)
    up = moved(SQUARE, Move("shift", 90))
    np.testing.assert_allclose(up[:, :-step], SQUARE[:, step:], atol=1e-5)


def test_a_larger_scale_enlarges_the_middle():
    image = np.zeros((1, 9, 9, 3), np.float32)
    image[:, 3:6, 3:6] = 1
    assert moved(image, Move("scale", 2)).sum() > 3 * image.sum()
    small = moved(image, Move("scale", 0.5))[:, 2:7, 2:7]
    assert small.sum() == pytest.approx(image.sum() / 4, rel=0.1)


def test_colours_turn_at_equal_luma():
    mild = 0.4 + 0.2 * RANDOM
    turned = moved(mild, Move("hue", 120))
    np.testing.assert_allclose(turned @ LUMA, mild @ LUMA, atol=1e-5)
    np.testing.assert_allclose(moved(turned, Move("hue", 240)), mild, atol=1e-5)
    assert np.abs(turned - mild).max() > 0.05
    red = moved(np.float32([[[[0.6, 0.45, 0.45]]]]), Move("hue", 180))[0, 0, 0]
    assert red[0] < red[1]
    np.testing.assert_allclose(moved(RANDOM, Move("polarity", -1)), 1 - RANDOM)
    flat = moved(RANDOM, Move("contrast", 0.5))
    np.testing.assert_allclose(flat.mean(axis=(1, 2, 3)), RANDOM.mean(axis=(1, 2, 3)), rtol=1e-4)
    assert flat.std() == pytest.approx(RANDOM.std() / 2, rel=0.02)


def exemplars(kernel: np.ndarray, count: int = 6) -> np.ndarray:
    """Return images that excite a kernel, each with noise of its own."""
    noise = np.random.default_rng(1).normal(0, 0.05, (count, SIDE, SIDE, 3))
    shape = kernel / np.abs(kernel).max() / 3
    return np.clip(0.5 + shape[..., None] + noise, 0, 1).astype(np.float32)


def test_a_disk_is_rotation_invariant_and_a_gabor_is_not(places, gabor, planted):
    right, up = places
    disk = np.exp(-(right**2 + up**2) / 18) - 0.24 * np.exp(-(right**2 + up**2) / 72)
    kernels = [disk, gabor(0, 0.15), gabor(60, 0.2), gabor(90, 0.2)]
    found = probe(planted(kernels), "planted")
    controls = {at: exemplars(kernels[at], 2) for at in (1, 2, 3)}
    round_ = measure(found.respond, 0, exemplars(disk), 0, controls)
    assert round_.scores["rotation"].least_low > 0.9 and round_.width is None
    assert round_.scores["pose"].least_low > 0.9
    assert round_.percentiles["rotation"] == 100 and round_.controls == 3
    assert round_.scores["polarity"].mean < 0.05
    bars = measure(found.respond, 1, exemplars(kernels[1]), 0, {})
    assert bars.scores["rotation"].least_high < 0.2
    assert bars.width_low <= bars.width <= bars.width_high < 30
    # A turn of 180 degrees and both mirrors leave these bars as they are.
    np.testing.assert_allclose(bars.shares[bars.of("mirror")], 1, atol=0.1)
    assert bars.shares[[move == Move("rotation", 180) for move in MOVES].index(True)] > 0.9
    assert bars.shares[[move == Move("contrast", 0.5) for move in MOVES].index(True)] == (
        pytest.approx(0.5, abs=0.02)
    )
    assert (bars.low <= bars.shares).all() and (bars.shares <= bars.high).all()
    assert bars.percentiles == {} and bars.count == 6


def test_a_unit_that_its_exemplars_do_not_excite_has_no_invariance(planted, gabor):
    found = probe(planted([gabor(0, 0.15)], bias=-1000.0), "planted")
    assert measure(found.respond, 0, exemplars(gabor(0, 0.15)), 0, {}) is None


def test_the_core_is_part_of_all_moves():
    assert set(invariance.CORE) <= set(MOVES)


def test_the_half_width_lies_between_the_angles_asked():
    shares = np.array([1 - abs(m.value) / 80 if m.kind == "rotation" else 1.0 for m in MOVES])
    assert half(shares) == pytest.approx(40)
    assert np.isnan(half(np.ones(len(MOVES))))
