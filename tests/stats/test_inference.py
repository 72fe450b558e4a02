"""A hypothesis that is right guesses held-out pairs right, one that says nothing guesses half."""

import numpy as np
import pytest
from scipy import stats

from convscope.stats.inference import Game, nearness, pairs, play


def test_pairs_hold_each_photograph_once_and_the_stronger_one_first() -> None:
    scores = np.random.default_rng(0).permutation(41).astype(float)
    scores[5] = np.nan
    found = pairs(scores, 0.25)
    assert found.shape == (10, 2)
    assert len(np.unique(found)) == 20 and 5 not in found
    assert sorted(scores[found[:, 0]]) == sorted(np.sort(scores[~np.isnan(scores)])[-10:])
    assert not np.array_equal(found, pairs(scores, 0.25, seed=1))


def test_equal_scores_make_no_pair() -> None:
    assert pairs(np.ones(20), 0.5).shape == (0, 2)
    with pytest.raises(ValueError, match="no pairs to guess: all scores are equal"):
        play(np.ones(20), pairs(np.ones(20), 0.5))


def test_a_right_hypothesis_wins_and_a_wrong_one_loses() -> None:
    scores = np.arange(200.0)
    members = (scores >= 180).astype(float)
    assert play(members, pairs(scores)) == Game(20, 20, 0)
    assert play(1 - members, pairs(scores)) == Game(0, 20, 0)
    assert Game(20, 20, 0).p == 0.5**20
    low, high = Game(15, 20, 3).interval
    assert low < Game(15, 20, 3).accuracy == 0.75 < high


def test_a_hypothesis_that_prefers_nothing_tosses_a_coin() -> None:
    scores = np.random.default_rng(0).normal(size=4000)
    found = play(np.zeros(4000), pairs(scores))
    assert found.tossed == found.pairs == 400
    assert 0.4 < found.accuracy < 0.6
    p = [play(np.zeros(4000), pairs(scores, seed=seed), seed=seed).p for seed in range(200)]
    assert np.mean(np.array(p) < 0.05) <= 0.08


def test_nearness_is_the_cosine_to_the_nearest_exemplar() -> None:
    features = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0], [-1.0, 0.0]])
    exemplars = np.array([[3.0, 0.0], [0.0, 5.0]])
    assert np.allclose(nearness(features, exemplars), [1, np.sqrt(0.5), 0, 0])


def test_the_nearest_to_exemplars_are_guessed_from_what_they_share() -> None:
    random = np.random.default_rng(0)
    kind = random.random(600) < 0.2
    features = random.normal(size=(600, 9)) + 2 * kind[:, None] * np.eye(9)[4]
    scores = kind + 0.2 * random.normal(size=600)
    held, known = np.arange(600) < 300, np.arange(600) >= 300
    best = features[known][np.argsort(-scores[known])[:12]]
    found = play(nearness(features[held], best), pairs(scores[held]))
    assert found.accuracy > 0.75 and found.p < 0.01
    expected = stats.binomtest(found.right, found.pairs, alternative="greater").pvalue
    assert found.p == expected


@pytest.mark.parametrize(("share", "message"), [(0, "share=0 does not fit"), (0.6, "at most 0.5")])
def test_a_share_that_is_none_is_refused(share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pairs(np.arange(9.0), share)
    with pytest.raises(ValueError, match=r"9 photographs are too few: 0.1 of them are none"):
        pairs(np.arange(9.0))
