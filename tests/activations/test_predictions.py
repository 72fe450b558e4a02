"""What a network takes photographs for, from probabilities made by hand."""

from pathlib import Path

import numpy as np
import pytest

from convscope.activations.predictions import (
    Guess,
    Prediction,
    Rate,
    Target,
    mistakes,
    predict,
    rate,
)

KEYS = ("a", "b", "c", "d", "e")
NAMES = ("A", "B", "C", "D", "E")
SHARES = np.array([0.1, 0.4, 0.05, 0.25, 0.2], np.float32)


def prediction(shares, places=None, truth="b", top=3):
    target = None if places is None else Target(frozenset(places), "key")
    found = predict(np.asarray(shares, np.float32), target, KEYS, NAMES, top)
    return Prediction(Path("x.png"), "x.png", truth, truth, *found)


def test_classes_come_most_probable_first_and_know_whether_they_are_right():
    guesses, rank, probability = predict(SHARES, Target(frozenset({3}), "key"), KEYS, NAMES, 3)
    assert guesses == (
        Guess("b", "B", float(SHARES[1]), False),
        Guess("d", "D", 0.25, True),
        Guess("e", "E", float(SHARES[4]), False),
    )
    assert (rank, probability) == (2, 0.25)


def test_the_truth_has_its_rank_and_probability_beyond_what_is_kept():
    guesses, rank, probability = predict(SHARES, Target(frozenset({2}), "key"), KEYS, NAMES, 1)
    assert len(guesses) == 1 and guesses[0].right is False
    assert (rank, probability) == (5, pytest.approx(0.05))


def test_any_class_of_a_group_is_right_and_their_probabilities_add_up():
    guesses, rank, probability = predict(SHARES, Target(frozenset({0, 3}), "group"), KEYS, NAMES, 9)
    assert [guess.right for guess in guesses] == [False, True, False, True, False]
    assert (rank, probability) == (2, pytest.approx(0.35))


def test_without_truth_nothing_is_right_or_wrong():
    guesses, rank, probability = predict(SHARES, None, KEYS, NAMES, 2)
    assert [guess.right for guess in guesses] == [None, None]
    assert rank is probability is None


def test_of_equal_probabilities_the_earlier_class_stands_first():
    guesses, rank, _ = predict(np.full(5, 0.2), Target(frozenset({1}), "key"), KEYS, NAMES, 5)
    assert [guess.key for guess in guesses] == list(KEYS)
    assert rank == 2


@pytest.mark.parametrize(
    ("places", "truth", "state", "correct"),
    [
        ({1}, "b", "right", True),
        ({2}, "c", "wrong", False),
        (None, "zebra", "unknown", None),
        (None, None, "unlabelled", None),
    ],
)
def test_a_photograph_is_right_wrong_unknown_or_unlabelled(places, truth, state, correct):
    one = prediction(SHARES, places, truth)
    assert (one.state, one.correct) == (state, correct)


def test_the_rate_counts_those_whose_truth_is_known():
    found = [prediction(SHARES, {place}) for place in (1, 1, 3, 2)] + [prediction(SHARES)]
    assert rate(found) == Rate(2, 4)
    assert rate(found, 2) == Rate(3, 4)
    assert rate(found, 5) == Rate(4, 4)
    assert rate(found[-1:]) == Rate(0, 0)


def test_mistakes_come_most_confident_first():
    less = prediction([0.5, 0.2, 0.1, 0.1, 0.1], {1})
    more = prediction([0.8, 0.1, 0.1, 0, 0], {1})
    assert mistakes([less, prediction(SHARES, {1}), more, prediction(SHARES)]) == [more, less]
