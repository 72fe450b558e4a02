"""Planted rings and mirror images are found among other filters."""

import numpy as np
import pytest

from convscope.stats import circular
from convscope.units import equivariance, stimuli
from convscope.units.equivariance import copies, relatives
from convscope.units.tuning import Tuning

RING = np.arange(0, 360, 45.0)

SIDE = 21  # of a planted kernel


@pytest.fixture(scope="module")
def ring(tuned, gabor) -> Tuning:
    """Eight turned arcs, shuffled by a stride, then Gabors and noise."""
    drawn = stimuli.arcs((SIDE, SIDE), np.array([5.0]), RING[np.arange(8) * 3 % 8])
    arcs = [one - one.mean() for one in drawn.images[::2, ..., 0]]
    random = np.random.default_rng(0)
    noise = [one - one.mean() for one in random.standard_normal((6, SIDE, SIDE)) / 4]
    return tuned([*arcs, gabor(90, 0.2), gabor(0, 0.2), *noise], bias=-1.0)


@pytest.mark.parametrize("filter", [0, 3])
def test_a_planted_ring_is_found_with_its_rotations(ring, filter):
    _, found = relatives(ring, filter, np.random.default_rng(1))
    assert sorted(found.filters) == list(range(8))
    mine = RING[filter * 3 % 8]
    for other, angle in zip(found.filters, found.angles, strict=True):
        assert circular.apart(mine + angle, RING[other * 3 % 8]) == 0
    assert found.gap == pytest.approx(1) and found.rayleigh > 0.9
    assert min(found.scores) > 0.9


def test_partners_are_the_turned_and_the_mirrored_filter(ring):
    partners, _ = relatives(ring, 1, np.random.default_rng(1))
    found = {one.move: one for one in partners}
    angles = list(RING[np.arange(8) * 3 % 8])
    assert angles[1] == 135
    assert found["90"].filter == angles.index(225)
    assert found["45"].filter == angles.index(180)
    assert found["180"].filter == angles.index(315)
    assert found["mirror"].filter == angles.index(45)
    assert all(one.p < 0.05 and one.score > one.null + 0.2 for one in found.values())


def test_a_gabor_has_one_partner_across_and_looks_the_same_after_half_a_turn(ring):
    partners, whole = relatives(ring, 8, np.random.default_rng(1))
    found = {one.move: one for one in partners}
    assert found["90"].filter == 9 and found["180"].filter == 8 and found["mirror"].filter == 8
    assert whole.filters == (8, 9) and whole.angles == (0, 90)
    assert whole.rayleigh is None


def test_noise_has_no_family(ring):
    for filter in range(10, 16):
        _, found = relatives(ring, filter, np.random.default_rng(1))
        assert found is None or found.filters == (filter,)


def test_kernels_turned_by_hand_are_found():
    random = np.random.default_rng(0)
    kernel = random.standard_normal((3, 3, 9))
    taps = [1, 0, 0, 0, 1, 2, 2, 2], [2, 2, 1, 0, 0, 0, 1, 2]
    turned = kernel.copy()
    turned[taps] = np.roll(kernel[taps], 1, axis=0)
    other = random.standard_normal((3, 3, 9))
    layer = np.stack([other, np.rot90(kernel), kernel, kernel[:, ::-1], turned], axis=-1)
    found = {one.move: one for one in copies(layer, 2, np.random.default_rng(1))}
    for move, partner in (("90", 1), ("mirror", 3), ("45", 4)):
        assert found[move].filter == partner
        assert found[move].score == pytest.approx(1) and found[move].p < 0.01
    assert found["180"].score < 0.6


def test_two_eighths_of_a_turn_are_a_quarter():
    kernel = np.arange(45.0).reshape(3, 3, 5)
    twice = equivariance._moved(equivariance._moved(kernel, 45.0), 45.0)
    np.testing.assert_array_equal(twice, equivariance._moved(kernel, 90.0))


def test_a_large_kernel_is_turned_by_quarters_and_an_oblong_one_not_at_all():
    for shape, moves in (((5, 5), ["mirror", "90", "180"]), ((3, 5), ["mirror"])):
        found = copies(np.ones((*shape, 2, 3)), 0, np.random.default_rng(0))
        assert [one.move for one in found] == moves
