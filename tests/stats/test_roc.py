"""AUROCs, their p and their intervals against plain loops, scipy and simulation."""

import numpy as np
import pytest
from scipy import stats

from convscope.stats import roc

# Class sizes: odd, one below scipy's bound for the exact p, one on it.
SIZES = (3, 8, 11, 29)


def drawn(seed: int, ties: bool, sizes: tuple[int, ...] = SIZES) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and classes, the later classes a little higher."""
    generator = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    scores = generator.normal(size=len(codes)) + 0.3 * codes
    return (np.round(2 * scores) / 2 if ties else scores), codes


def wins(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return `(own, others)`: 1 where the own image is above the other, ties a half."""
    return (own[:, None] > others) + 0.5 * (own[:, None] == others)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_aurocs_and_p_are_those_of_scipy(seed: int, ties: bool) -> None:
    scores, codes = drawn(seed, ties)
    order = roc.ranking(scores)
    counts = np.bincount(codes)
    areas = roc.aurocs(np.bincount(codes, order.midranks), counts, len(codes))
    p = roc.mann_whitney(order, codes, np.arange(len(SIZES)))
    for place in range(len(SIZES)):
        own, others = scores[codes == place], scores[codes != place]
        truth = stats.mannwhitneyu(own, others)
        np.testing.assert_allclose(areas[place], truth.statistic / len(own) / len(others))
        np.testing.assert_allclose(p[place], truth.pvalue, rtol=1e-9)
        np.testing.assert_allclose(areas[place], wins(own, others).mean())


def test_only_the_asked_classes_are_tested_and_equal_scores_say_nothing() -> None:
    scores, codes = drawn(0, False)
    every = roc.mann_whitney(roc.ranking(scores), codes, np.arange(4))
    some = roc.mann_whitney(roc.ranking(scores), codes, np.array([2, 1]))
    np.testing.assert_array_equal(some, every[[2, 1]])
    flat = roc.ranking(np.zeros(7))
    np.testing.assert_array_equal(
        roc.mann_whitney(flat, np.array([0] * 3 + [1] * 4), np.array([0])), 1
    )


@pytest.mark.parametrize("sizes", [(1, 6), (2, 9), (4, 4), (8, 300), (400, 7)])
def test_the_exact_p_is_scipys_at_every_outcome(sizes: tuple[int, int]) -> None:
    codes = np.repeat([0, 1], sizes)
    for seed in range(5):
        scores = np.random.default_rng(seed).permutation(len(codes)) - seed * 20.0 * codes
        p = roc.mann_whitney(roc.ranking(scores), codes, np.array([0, 1]))
        truth = stats.mannwhitneyu(scores[codes == 0], scores[codes == 1])
        np.testing.assert_allclose(p, truth.pvalue, rtol=1e-9)


def test_where_the_exact_distribution_is_too_long_the_normal_one_stands_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores, codes = drawn(1, False, (8, 82))
    monkeypatch.setattr(roc, "EXACT_PAIRS", 8 * 82 - 1)
    p = roc.mann_whitney(roc.ranking(scores), codes, np.array([0]))
    truth = stats.mannwhitneyu(scores[codes == 0], scores[codes == 1], method="asymptotic")
    np.testing.assert_allclose(p, truth.pvalue, rtol=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_the_variance_by_image_is_delongs(ties: bool) -> None:
    scores, codes = drawn(3, ties)
    area = roc.by_image(roc.ranking(scores), codes)
    for place, size in enumerate(SIZES):
        pairs = wins(scores[codes == place], scores[codes != place])
        np.testing.assert_allclose(area.auroc[place], pairs.mean())
        np.testing.assert_allclose(area.inside[place], pairs.mean(axis=1).var(ddof=1) / size)
        outside = pairs.mean(axis=0).var(ddof=1) / pairs.shape[1]
        np.testing.assert_allclose(area.outside[place], outside)
    np.testing.assert_array_equal(area.images, SIZES)
    np.testing.assert_array_equal(area.others, 51 - np.array(SIZES))


@pytest.mark.parametrize("ties", [False, True])
def test_the_variance_by_class_is_obuchowskis(ties: bool) -> None:
    sizes = (3, 1, 7, 2, 5)
    scores, codes = drawn(4, ties, sizes)
    members = np.array([[1, 0, 1, 0, 0], [0, 1, 0, 1, 1]], bool)
    area = roc.by_class(roc.ranking(scores), codes, members)
    for place, own in enumerate(members):
        inside = own[codes]
        pairs = wins(scores[inside], scores[~inside])
        for values, classes, found in (
            (pairs.mean(axis=1), codes[inside], area.inside),
            (pairs.mean(axis=0), codes[~inside], area.outside),
        ):
            k = len(set(classes))
            sums = [np.sum(values[classes == code] - pairs.mean()) for code in set(classes)]
            truth = k / (k - 1) * np.sum(np.square(sums)) / len(classes) ** 2
            np.testing.assert_allclose(found[place], truth)
        np.testing.assert_allclose(area.auroc[place], pairs.mean())
    np.testing.assert_array_equal(area.units, [2, 3])
    np.testing.assert_array_equal(area.rest, [8, 10])


def test_with_one_image_of_each_class_both_variances_are_the_same() -> None:
    scores, codes = drawn(5, True, (6, 17))
    order, each = roc.ranking(scores), np.arange(23)
    by_class = roc.by_class(order, each, (each < 6)[None])
    by_image = roc.by_image(order, codes)
    for name, values in vars(by_class).items():
        np.testing.assert_allclose(values, getattr(by_image, name)[:1], err_msg=name)


def separated(own: int, others: int) -> roc.Area:
    codes = np.repeat([0, 1], [own, others])
    return roc.by_image(roc.ranking(-codes), codes)


def test_an_interval_has_width_even_where_all_images_are_told_apart() -> None:
    low, high = roc.interval(separated(5, 98))
    np.testing.assert_allclose(high, [1, 0.1998], atol=1e-4)
    np.testing.assert_allclose(low, [0.8002, 0], atol=1e-4)
    assert roc.interval(separated(20, 98))[0][0] > 0.9
    # The limit solves Newcombe's equation.
    limit, pairs = low[0], 5 * 98
    spread = 1 + 50.5 * ((1 - limit) / (2 - limit) + limit / (1 + limit))
    np.testing.assert_allclose((1 - limit) ** 2, 1.959964**2 * limit * (1 - limit) * spread / pairs)


def test_an_interval_turns_with_the_sign_of_the_scores_and_holds_its_auroc() -> None:
    scores, codes = drawn(6, True)
    ends = [roc.interval(roc.by_image(roc.ranking(sign * scores), codes)) for sign in (1, -1)]
    np.testing.assert_allclose(ends[0][0], 1 - ends[1][1], atol=1e-9)
    np.testing.assert_allclose(ends[0][1], 1 - ends[1][0], atol=1e-9)
    area = roc.by_image(roc.ranking(scores), codes).auroc
    assert np.all((ends[0][0] >= 0) & (ends[0][0] < area) & (area < ends[0][1]) & (ends[0][1] <= 1))


def test_of_two_clear_classes_the_one_with_more_images_has_the_narrower_interval() -> None:
    widths = [np.subtract(*roc.interval(separated(count, 60))[::-1])[0] for count in (3, 9, 27)]
    assert widths[0] > widths[1] > widths[2] > 0


@pytest.mark.parametrize("truth", [0.5, 0.8, 0.97])
@pytest.mark.parametrize("classes", [(5, 61, 1), (4, 23, 5)])
def test_intervals_cover_the_true_auroc(truth: float, classes: tuple[int, int, int]) -> None:
    own, others, images = classes
    generator = np.random.default_rng(7)
    # Classes differ with a variance of 0.3, their images with 0.7: over both, a deviation of 1.
    shift = np.sqrt(2) * stats.norm.ppf(truth) * (np.arange(own + others) < own)
    codes = np.repeat(np.arange(own + others), images)
    covered = 0
    for _ in range(300):
        levels = shift + generator.normal(0, np.sqrt(0.3), own + others)
        scores = levels[codes] + generator.normal(0, np.sqrt(0.7), len(codes))
        members = (np.arange(own + others) < own)[None]
        low, high = roc.interval(roc.by_class(roc.ranking(scores), codes, members))
        covered += int(low[0] <= truth <= high[0])
    # 95 % of 300 with a deviation of 3.8; the intervals of few classes are on the safe side.
    assert covered >= 275


def test_hedges_g_is_the_gap_in_pooled_deviations() -> None:
    scores, codes = drawn(8, False)
    counts, totals = np.bincount(codes), np.bincount(codes, scores)
    squares = np.bincount(codes, scores**2)
    members = np.array([[1, 0, 1, 0], [0, 0, 0, 1]], bool)
    found = roc.hedges(counts, totals, squares, members)
    for place, own in enumerate(members):
        a, b = scores[own[codes]], scores[~own[codes]]
        freedom = len(a) + len(b) - 2
        pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / freedom)
        g = (a.mean() - b.mean()) / pooled * (1 - 3 / (4 * freedom - 1))
        np.testing.assert_allclose(found[place], g)


def test_hedges_g_of_scores_without_spread_is_zero_or_infinite() -> None:
    counts = np.array([3, 4])
    members = np.array([[1, 0], [0, 1]], bool)
    flat = roc.hedges(counts, counts * 0.1, counts * 0.1**2, members)
    np.testing.assert_array_equal(flat, 0)
    apart = roc.hedges(counts, np.array([3.0, -4.0]), np.array([3.0, 4.0]), members)
    np.testing.assert_array_equal(apart, [np.inf, -np.inf])
