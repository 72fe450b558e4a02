"""Numbers in words."""

import pytest

from convscope.text import fixed, number, percent


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0123456, "0.0123"), (-4.2, "\N{MINUS SIGN}4.20"), (1234.5, "1234"), (-0.0, "0"),
     (None, "\N{EN DASH}"), (float("nan"), "\N{EN DASH}"), (2.5e-7, "2.50e\N{MINUS SIGN}07")],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value, words):
    assert number(value) == words


def test_a_small_negative_index_is_no_minus_zero():
    assert fixed(-0.001) == "+0.00"
    assert fixed(-0.25) == "\N{MINUS SIGN}0.25"


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0, "0 %"), (0.004, "< 1 %"), (0.01, "1 %"), (0.625, "62 %"), (0.9949, "99 %"),
     (0.9951, "> 99 %"), (1, "100 %")],
)  # fmt: skip
def test_a_probability_is_whole_percent_and_its_ends_only_where_it_lies_there(probability, words):
    assert percent(probability) == words
