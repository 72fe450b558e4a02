"""Which photographs are shown, and the picture of them beside their classes."""

import numpy as np
import pytest
from guesses import sure, views

from convscope.report.classify import chosen
from convscope.report.figures.grids import described, predictions_picture
from convscope.text import percent


def rgb(colour):
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])


def count(picture, colour):
    """Return how many pixels of a picture have a colour, and none else."""
    return int((picture == rgb(colour)).all(-1).sum())


def numbers(predictions):
    return [int(one.path.stem.partition("_")[2]) for one in predictions]


def many(total, wrong):
    """Return photographs of which every so many is a mistake, surer the later it comes."""
    return [sure(n, 1 if n % wrong == 0 else 0, 0.3 + n / (2 * total), 0) for n in range(total)]


def test_few_photographs_are_all_shown_in_their_order():
    given = many(7, 2)
    assert chosen(given, 7) == given
    assert described(given, 7) == ""


def test_of_many_the_surest_mistakes_come_first_and_the_others_are_spread_evenly():
    given = many(100, 10)
    shown = chosen(given, 8)
    assert numbers(shown) == [90, 80, 70, 60, 0, 32, 64, 99]
    assert described(shown, 100) == (
        "8 of 100 photographs: the 4 most confident mistakes, then 4 spread over the others"
    )


def test_where_there_are_few_mistakes_the_others_take_their_place():
    shown = chosen(many(100, 60), 6)
    assert numbers(shown)[:2] == [60, 0]
    assert len(shown) == len(set(numbers(shown))) == 6
    assert "the 2 most confident mistakes, then 4 spread" in described(shown, 100)


def test_photographs_without_truth_are_spread_evenly():
    shown = chosen([sure(n, 0, 0.5) for n in range(101)], 5)
    assert numbers(shown) == [0, 25, 50, 75, 100]
    assert described(shown, 101) == "5 of 101 photographs, spread over all of them"


def test_one_place_goes_to_the_surest_mistake():
    shown = chosen(many(9, 4), 1)
    assert numbers(shown) == [8]
    assert described(shown, 9) == "1 of 9 photographs: the most confident mistake"


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0, "0 %"), (0.004, "< 1 %"), (0.01, "1 %"), (0.625, "62 %"), (0.9949, "99 %"),
     (0.9951, "> 99 %"), (1, "100 %")],
)  # fmt: skip
def test_a_probability_is_whole_percent_and_its_ends_only_where_it_lies_there(probability, words):
    assert percent(probability) == words


def test_each_photograph_stands_in_the_picture_as_the_network_saw_it():
    given = many(5, 2)
    seen = views(given, 248)  # as large as it is drawn
    picture = predictions_picture("net", given, seen, 5, "a result")
    assert picture.dtype == np.uint8
    for index, one in enumerate(given):
        left, top = 2 * (24 + index % 3 * 420), 2 * (104 + index // 3 * 159)
        own = picture[top : top + 248, left : left + 248]
        np.testing.assert_array_equal(own, seen[one.path])


def test_a_bar_is_as_long_as_its_probability_and_green_where_it_is_right():
    lengths = {}
    for share in (0.4, 0.8):
        for name, truth in (("right", 0), ("wrong", 1)):
            given = [sure(0, 0, share, truth, top=1)]
            picture = predictions_picture("net", given, views(given), 1, "")
            lengths[name, share] = [count(picture, tint) for tint in ("#bfe5cd", "#cdd7ea")]
    assert lengths["wrong", 0.4][0] == lengths["right", 0.4][1] == 0
    assert lengths["right", 0.8][0] == pytest.approx(2 * lengths["right", 0.4][0], rel=0.15)
    assert lengths["wrong", 0.8][1] == pytest.approx(2 * lengths["wrong", 0.4][1], rel=0.15)


def test_what_a_photograph_is_labelled_stands_in_green_or_red_or_quietly():
    found = {}
    for state, more in (
        ("right", {"truth": 0}), ("wrong", {"truth": 1}), ("unlabelled", {}),
    ):  # fmt: skip
        given = [sure(0, 0, 0.5, **more)]
        picture = predictions_picture("net", given, views(given), 1, "")
        found[state] = [count(picture, colour) > 0 for colour in ("#17713f", "#b00b1a")]
    assert found == {
        "right": [True, False], "wrong": [False, True], "unlabelled": [False, False],
    }  # fmt: skip


def test_long_names_stay_inside_their_cell():
    given = [sure(n, 0, 0.5, label="a very long name " * 9, truth=1) for n in range(3)]
    picture = predictions_picture(
        "a_network_with_a_long_name" * 4, given, views(given), 3, "x" * 400
    )
    edge = picture[:, -24:]
    assert (edge == 255).all()


def test_no_photograph_is_no_picture():
    with pytest.raises(ValueError, match="needs at least one photograph"):
        predictions_picture("net", [], {}, 0, "")
