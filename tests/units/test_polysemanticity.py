"""Groups of exemplars: planted ones are found, and one Gaussian is not taken for two."""

from dataclasses import replace

import numpy as np
import pytest

from convscope.activations import dataset_examples
from convscope.activations.dataset_examples import gather
from convscope.activations.recorder import fill
from convscope.circuits.attribution import means
from convscope.data.wordnet import lin, taxonomy
from convscope.models.linear import linear
from convscope.models.position import probe
from convscope.models.receptive_field import Inside
from convscope.unit import Unit
from convscope.units import polysemanticity
from convscope.units.polysemanticity import (
    MONO,
    MULTI,
    POLY,
    UNDECIDED,
    Split,
    dimensionality,
    meaning,
    rand,
    split,
    verdict,
)

CAT, TABBY, PERSIAN = "n02124075", "n02123045", "n02123394"
CAR, TRUCK, WAGON = "n04285008", "n04461696", "n02814533"


def gaussian(
    random: np.random.Generator, count: int, width: int, slope: float, away: float = 2.0
) -> np.ndarray:
    """Return exemplars of one Gaussian whose deviations fall by a power, so far from zero."""
    deviations = np.arange(1, width + 1) ** -slope
    mean = random.standard_normal(width)
    return mean * away * np.linalg.norm(deviations) / np.linalg.norm(mean) + (
        random.standard_normal((count, width)) * deviations
    )


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(polysemanticity, "DRAWS", 199)
    monkeypatch.setattr(polysemanticity, "BOOTS", 20)


@pytest.mark.parametrize("seeds", [40, pytest.param(300, marks=pytest.mark.exhaustive)])
def test_one_gaussian_is_seldom_taken_for_two(few_draws, seeds):
    taken = []
    for seed in range(seeds):
        # The last has one long axis around zero: two directions, and no two groups.
        shapes = (60, 128, 0.0), (48, 64, 1.0), (48, 12, 0.5), (60, 2, 0.3), (48, 5, 1.0, 0.0)
        vectors = gaussian(np.random.default_rng(seed), *shapes[seed % 5])
        taken.append(split(vectors, seed).p <= 0.05)
    assert np.mean(taken) <= 0.06


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_planted_groups_are_found(few_draws, share):
    right = stable = 0
    for seed in range(10):
        random = np.random.default_rng(seed)
        planted = (np.arange(60) < 60 * share).astype(int)
        ways = random.standard_normal((2, 200))
        ways *= 3.5 / np.linalg.norm(ways, axis=1, keepdims=True)
        vectors = ways[planted] + random.standard_normal((60, 200)) * 0.2
        found = split(vectors, seed)
        right += found.p <= 0.05 and rand(found.groups, planted) > 0.8
        stable += found.stability > 0.5
    assert right >= 9 and stable >= 9


def test_one_long_gaussian_is_as_sharp_as_its_halves_and_two_points_are_all_sharp():
    random = np.random.default_rng(0)
    line = random.standard_normal((1, 20000, 2)) * [5, 0.01]
    assert polysemanticity._two_means(line, random)[0][0] == pytest.approx(2 / np.pi, abs=0.01)
    ends = np.repeat([[[3.0, 1.0], [-3.0, 2.0]]], 7, axis=1)
    assert polysemanticity._two_means(ends, random)[0][0] == pytest.approx(1)


def test_the_same_seed_gives_the_same_split_and_others_nearly():
    vectors = gaussian(np.random.default_rng(0), 40, 50, 0.5)
    one, again, other = (split(vectors, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.groups, again.groups)
    assert (one.p, one.poly, one.stability) == (again.p, again.poly, again.stability)
    assert one.p == pytest.approx(other.p, abs=0.3)


def test_the_sharpness_is_that_of_a_plain_two_means():
    random = np.random.default_rng(3)
    points = np.concatenate([random.normal(-2, 1, (7, 2)), random.normal(2, 1, (5, 2))])
    points -= points.mean(axis=0)
    best = min(
        sum(((points[side] - points[side].mean(axis=0)) ** 2).sum() for side in (mine, ~mine))
        for code in range(1, 2**11)
        for mine in [(code >> np.arange(12)) & 1 == 1]
    )
    sharpness, groups = polysemanticity._two_means(points[None], random)
    assert groups[0].sum() == 5
    longest = np.linalg.svd(points)[1][0] ** 2
    assert sharpness[0] == pytest.approx(((points**2).sum() - best) / longest)
    assert 0.9 < sharpness[0] <= 1


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_real_filters_added_up_are_two_groups(vgg16, photographs, monkeypatch):
    monkeypatch.setattr(dataset_examples, "EXEMPLARS", 24)
    monkeypatch.setattr(dataset_examples, "CONTROLS", 0)
    seen = []
    for recording in fill(vgg16, ["block3_conv2"], photographs, 224, 16):
        if len(seen) < 3:
            seen.append(recording.latest.inputs)
    some = np.concatenate(seen)
    everywhere = Inside(range(some.shape[1]), range(some.shape[2]))
    position = probe(vgg16, "block3_conv2")
    layer, found = vgg16.find("block3_conv2"), []
    for pair in np.random.default_rng(0).choice(256, (20, 2), replace=False).tolist():
        hows = [linear(layer, filter) for filter in pair]
        both = replace(hows[0], kernel=hows[0].kernel + hows[1].kernel)
        crops = [gather(vgg16, Unit("block3_conv2", filter), recording).crops for filter in pair]
        usual = means(some, both, everywhere).mean(axis=0)
        found.append(split(position.contributions(np.concatenate(crops), both) - usual, 0).p)
    assert np.mean(np.array(found) <= 0.05) >= 0.8


def test_cosines_are_those_of_a_plain_loop():
    random = np.random.default_rng(0)
    vectors = random.standard_normal((14, 4)) + np.array([2, 0, 0, 0])
    found = split(vectors, 0)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [(a, b) for a in range(14) for b in range(a)]
    same = [units[a] @ units[b] for a, b in pairs if found.groups[a] == found.groups[b]]
    other = [units[a] @ units[b] for a, b in pairs if found.groups[a] != found.groups[b]]
    assert found.poly == pytest.approx(1 - np.mean(other) / np.mean(same))


def test_directions_that_share_a_dimension_have_a_part_of_it():
    np.testing.assert_allclose(dimensionality(np.eye(3)), 1)
    # Two opposite ones share one.
    np.testing.assert_allclose(dimensionality(np.array([[1.0, -1.0], [0, 0]])), 0.5)
    assert np.isnan(dimensionality(np.zeros((2, 2)))).all()


def test_few_or_equal_exemplars_are_not_split():
    assert split(np.eye(11), 0) is None
    assert split(np.ones((20, 5)), 0) is None
    assert split(np.zeros((20, 5)), 0) is None  # of a constant unit
    with pytest.raises(ValueError, match="finite length above zero"):
        split(np.eye(20, 5), 0)


def test_lin_similarity_follows_from_the_leaves():
    known = taxonomy()
    assert lin(TABBY, TABBY) == 1
    assert lin(TABBY, PERSIAN) == lin(PERSIAN, TABBY)
    cats = len(known.leaves("n02121808"))  # domestic cat
    assert lin(TABBY, PERSIAN) == pytest.approx(np.log(1000 / cats) / np.log(1000))
    assert lin(TABBY, PERSIAN) > lin(TABBY, "n02085620") > lin(TABBY, CAR)


def test_adjusted_rand_agrees_with_hand_counted_pairs():
    assert rand(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])) == 1
    assert rand(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == pytest.approx(-0.5)
    assert rand(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])) == pytest.approx(
        (4 - 6 * 7 / 15) / (6.5 - 6 * 7 / 15)
    )


def parted(p: float = 0.002, count: int = 40, smaller: int = 16, stability: float = 0.9) -> Split:
    groups = (np.arange(count) < smaller).astype(int)
    return Split(groups, 0.9, 0.7, p, stability, 0.5, 0.1)


def test_cats_and_cars_are_two_meanings_and_kinds_of_cats_are_one():
    found = parted()
    far = meaning(found.groups, [TABBY, PERSIAN] * 8 + [CAR, TRUCK, WAGON] * 8, 0)
    assert far.p < 0.01 and far.ratio < 0.5
    assert verdict(found, far)[0] == POLY
    near = meaning(found.groups, [TABBY] * 16 + [PERSIAN] * 24, 0)
    assert near.ratio > 0.5
    assert verdict(found, near)[0] == MULTI
    mixed = meaning(found.groups, [TABBY, CAR, "n02085620", TRUCK] * 10, 0)
    assert mixed.p > 0.05


def test_words_follow_their_rules():
    assert verdict(parted(p=0.3), None)[0] == MONO
    assert verdict(parted(p=0.3, count=20), None) == (
        UNDECIDED,
        "no split, but 20 exemplars show little: sharpness 0.90, 0.70 of one Gaussian, p = 0.3",
    )
    assert verdict(parted(), None)[1].startswith("two groups whose classes are not known")
    assert verdict(parted(smaller=3), None)[1].startswith("a split that may be a few odd exemplars")
    assert verdict(parted(stability=0.2), None)[0] == UNDECIDED
    assert verdict(None, None) == (UNDECIDED, "fewer than 12 different exemplars")


def test_classes_that_are_not_known_say_nothing():
    assert meaning(np.array([0, 0, 1, 1]), [None, "lamp", TABBY, CAR], 0) is None
