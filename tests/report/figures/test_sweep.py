"""Scales and lines of parallel coordinates."""

import re
from itertools import pairwise

import pytest

from convscope.report.figures.sweep import APART, Axis, axis, line


def labels(found: Axis) -> list[str]:
    return [label for _, label in found.ticks]


def test_few_numbers_label_their_own_scale() -> None:
    found = axis("learning_rate", [0.1, 0.01, 0.05, 0.01])
    assert found.kind == "linear"
    assert found.places == pytest.approx((1.0, 0.0, 4 / 9, 0.0))
    assert labels(found) == ["0.01", "0.05", "0.1"]
    assert [place for place, _ in found.ticks] == pytest.approx([0.0, 4 / 9, 1.0])


def test_numbers_that_span_decades_lie_on_a_logarithmic_scale() -> None:
    found = axis("learning_rate", [0.001, 0.01, 1.0])
    assert found.kind == "log"
    assert found.places == pytest.approx((0.0, 1 / 3, 1.0))


def test_zero_stands_apart_below_a_logarithmic_scale() -> None:
    found = axis("total_variation", [0, 1e-4, 1e-2, 1])
    assert found.kind == "log"
    zero, lowest, middle, highest = found.places
    assert (zero, highest) == (0.0, 1.0)
    assert lowest == pytest.approx(0.18)
    assert middle == pytest.approx((lowest + 1) / 2)
    assert labels(found) == ["0", "0.0001", "0.01", "1"]


@pytest.mark.parametrize("values", [[0.05, 0.2, 0.8], [1, 17, 200], [0.01, 0.02, 0.05, 0.3, 0.9]])
def test_numbers_that_grow_by_factors_lie_on_a_logarithmic_scale(values: list[float]) -> None:
    assert axis("x", values).kind == "log"


@pytest.mark.parametrize(
    "values", [[-1, 0.01, 100], [0, 5], [1, 2, 5], [0.01, 0.05, 0.1], list(range(1, 60))]
)
def test_a_sign_less_than_a_decade_or_even_steps_keep_a_scale_linear(values: list[float]) -> None:
    assert axis("x", values).kind == "linear"


def test_many_numbers_get_round_labels_inside_their_range() -> None:
    found = axis("filter", list(range(3, 60)))
    assert labels(found) == ["20", "40"]
    assert (found.places[0], found.places[-1]) == (0.0, 1.0)
    many = axis("learning_rate", [10 ** (-2 + number / 20) for number in range(38)])
    assert labels(many) == ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]


def test_a_measured_scale_begins_and_ends_at_round_numbers() -> None:
    found = axis("activation", [62.3, None, 138.9, 81.0], measured=True)
    assert labels(found) == ["60", "80", "100", "120", "140"]
    assert found.places[1] is None
    assert found.places[0] == pytest.approx(2.3 / 80)


def test_a_single_value_stands_in_the_middle() -> None:
    assert axis("seed", [3, 3]) == Axis("seed", "linear", ((0.5, "3"),), (0.5, 0.5))
    assert axis("layer", ["a"]) == Axis("layer", "words", ((0.5, "a"),), (0.5,))
    assert axis("activation", [124.7], measured=True).places == (0.5,)


def test_words_get_a_place_each_in_the_order_given() -> None:
    found = axis("ascent", ["maco", "fourier", "maco", "pixel"])
    assert found.kind == "words"
    assert found.places == (0.0, 0.5, 0.0, 1.0)
    assert labels(found) == ["maco", "fourier", "pixel"]


def test_what_is_no_number_makes_all_values_words() -> None:
    assert labels(axis("size", [64, "auto", None, True])) == ["64", "auto", "null", "true"]
    assert axis("size", [64, None]).places == (0.0, 1.0)


def test_a_quantity_that_no_job_has_reached_has_an_empty_scale() -> None:
    assert axis("activation", [None, None], measured=True) == Axis(
        "activation", "words", (), (None, None)
    )


def test_labels_never_touch_and_both_ends_keep_theirs() -> None:
    found = axis("layer", [f"block{number}" for number in range(200)])
    places = [place for place, _ in found.ticks]
    assert (places[0], places[-1]) == (0.0, 1.0)
    assert min(b - a for a, b in pairwise(places)) >= APART
    assert labels(axis("x", [1.0, 1.01, 2.0, 1.99])) == ["1", "2"]


def test_all_places_lie_on_their_scale() -> None:
    for values in ([1e-9, 1e9, 0, 3], [-5, 5, 0.1, 0.2], [7, 7.5, 8, 1e4], list(range(100))):
        for measured in (False, True):
            found = axis("x", values, measured)
            assert all(0 <= place <= 1 for place in found.places if place is not None)
            assert all(0 <= place <= 1 for place, _ in found.ticks)


def points(path: str) -> list[tuple[float, float]]:
    """Return where a path begins and where each of its curves ends."""
    found = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    pairs = list(zip(found[::2], found[1::2], strict=True))
    return [pairs[0], *pairs[3::3]]


def test_a_line_passes_through_all_its_places() -> None:
    places = [0.0, 1.0, 0.25]
    assert points(line(places, 200, 80, upright=True)) == [(0, 80), (100, 0), (200, 60)]
    assert points(line(places, 200, 80, upright=False)) == [(0, 0), (200, 40), (50, 80)]


def test_a_line_leaves_each_axis_at_a_right_angle() -> None:
    assert line([0.0, 1.0], 100, 50, upright=True) == ("M0.0 50.0C40.0 50.0 60.0 0.0 100.0 0.0")
    assert line([0.0, 1.0], 100, 50, upright=False) == ("M0.0 0.0C0.0 20.0 100.0 30.0 100.0 50.0")


def test_a_line_ends_before_the_first_axis_without_a_place() -> None:
    assert points(line([0.5, 0.5, None, 1.0], 300, 80, upright=True)) == [(0, 40), (100, 40)]
    assert line([None, 1.0], 300, 80, upright=True) == ""
