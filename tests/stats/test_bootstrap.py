"""Drawing photographs again and again."""

import numpy as np
from scipy import stats

from convscope.stats.bootstrap import DRAWS, Bootstrap, counts, draws, interval, resampled, sums


def test_each_draw_takes_as_many_photographs_as_there_are_the_same_with_each_seed():
    found = draws(7, 3, 50)
    assert found.shape == (50, 7) and (found.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(found, draws(7, 3, 50))
    assert not np.array_equal(found, draws(7, 4, 50))


def test_sums_are_over_each_photograph_and_zero_where_it_has_no_position():
    values = np.float32([[1, 10], [2, 20], [4, 40]])
    np.testing.assert_array_equal(
        sums(values, np.array([1, 1, 3]), 5), [[0, 0], [3, 30], [0, 0], [4, 40], [0, 0]]
    )
    np.testing.assert_array_equal(sums(values[:0], np.array([], int), 2), np.zeros((2, 2)))


def test_an_interval_is_that_of_the_draws_that_have_a_value():
    values = np.stack([np.arange(201.0), np.full(201, np.nan)], axis=1)
    values[0, 0] = np.nan
    low, high = interval(values)
    np.testing.assert_allclose([low[0], high[0]], np.quantile(np.arange(1, 201), [0.025, 0.975]))
    assert np.isnan(low[1]) and np.isnan(high[1])


def of(values: np.ndarray) -> Bootstrap:
    drawn = counts(len(values))
    return resampled(drawn @ values / drawn.sum(axis=1, keepdims=True), len(values))


def test_photographs_count_once_as_drawn_and_all_but_one() -> None:
    drawn = counts(7)
    assert drawn.shape == (1008, 7)
    assert (drawn[:1001].sum(axis=1) == 7).all() and (drawn[1001:].sum(axis=1) == 6).all()
    assert (drawn[0] == 1).all() and np.array_equal(drawn[1001:] == 0, np.eye(7, dtype=bool))
    assert np.allclose(drawn[1:1001].mean(axis=0), 1, atol=0.2)
    assert np.array_equal(drawn, counts(7))


def test_the_interval_and_the_p_of_a_mean_are_close_to_those_of_student() -> None:
    values = np.random.default_rng(3).normal(1.0, 2.0, (31, 5))
    low, high = of(values).interval()
    greater, less = (
        stats.ttest_1samp(values, 0, alternative=side).pvalue for side in ("greater", "less")
    )
    exact = stats.ttest_1samp(values, 0).confidence_interval()
    width = (exact.high - exact.low).max()
    assert np.allclose(low, exact.low, atol=0.1 * width)
    assert np.allclose(high, exact.high, atol=0.1 * width)
    assert np.allclose(of(values).above(0), greater, atol=0.04)
    assert np.allclose(of(values).below(0), less, atol=0.04)


def test_the_interval_covers_the_mean_of_few_values_as_often_as_it_says() -> None:
    values = np.random.default_rng(0).normal(0, 1, (9, 2000))
    low, high = of(values).interval()
    assert 0.92 < np.mean((low <= 0) & (high >= 0)) < 0.97


def test_skewed_values_are_missed_on_both_sides_about_as_rarely() -> None:
    values = np.random.default_rng(0).exponential(1, (25, 2000))
    low, high = of(values).interval()
    plain = Bootstrap(of(values).value, of(values).draws, 25)
    assert np.mean(high < 1) < 0.06 < np.mean(plain.interval()[1] < 1) + 0.02
    assert np.mean(low > 1) < 0.035


def test_the_p_is_where_the_interval_ends() -> None:
    values = np.random.default_rng(1).exponential(1, (25, 40))
    found = of(values)
    low, high = found.interval(0.9)
    for column in range(40):
        one = of(values[:, column : column + 1])
        assert np.isclose(one.above(low[column]), 0.05, atol=0.012)
        assert np.isclose(one.below(high[column]), 0.05, atol=0.012)


def test_ends_that_are_compared_with_each_other_share_the_tail() -> None:
    draws = np.random.default_rng(0).normal(size=(4000, 1))
    low, high = Bootstrap(np.zeros(1), draws, 500).interval(0.9, sides=5)
    assert np.isclose(low[0], stats.norm.ppf(0.05), atol=0.1)
    assert np.isclose(high[0], stats.norm.ppf(0.99), atol=0.15)


def test_draws_that_cannot_be_told_are_left_out() -> None:
    draws = np.where(np.arange(DRAWS) < 10, np.nan, np.random.default_rng(0).normal(5, 1, DRAWS))
    found = Bootstrap(np.asarray(5.0), draws, 50)
    assert np.isclose(found.interval()[0], 3, atol=0.3)
    assert found.above(0) < 0.01
