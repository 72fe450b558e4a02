"""A right hypothesis guesses pairs right, one that says nothing half of them."""

import numpy as np

from convscope.stats.inference import ForcedChoice, forced_choice, holm


def test_a_right_hypothesis_wins_and_a_wrong_one_loses() -> None:
    scores = np.arange(200.0)
    members = (scores >= 180).astype(float)
    assert forced_choice(members, scores) == ForcedChoice(20, 20, 0)
    assert forced_choice(1 - members, scores) == ForcedChoice(0, 20, 0)
    assert ForcedChoice(20, 20, 0).p == 0.5**20
    assert ForcedChoice(15, 20, 3).accuracy == 0.75


def test_equal_scores_make_no_pair_and_unknown_ones_are_left_out() -> None:
    assert forced_choice(np.ones(20), np.ones(20)) is None
    assert forced_choice(np.ones(9), np.arange(9.0)) is None  # a tenth of them is none
    scores = np.where(np.arange(41) < 21, np.nan, np.arange(41.0))
    assert forced_choice(np.arange(41.0), scores) == ForcedChoice(2, 2, 0)


def test_a_hypothesis_that_prefers_nothing_tosses_a_coin() -> None:
    scores = np.random.default_rng(0).normal(size=4000)
    found = forced_choice(np.zeros(4000), scores)
    assert found.tossed == found.pairs == 400
    assert 0.4 < found.accuracy < 0.6 and found.p > 0.05


def test_holms_p_are_those_of_a_known_example() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
