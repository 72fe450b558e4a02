"""Drawing photographs again and again."""

import numpy as np

from convscope.stats.bootstrap import draws, interval, sums


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
