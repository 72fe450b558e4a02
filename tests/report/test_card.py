"""What an optimum is worth, in words."""

import pytest
from cards import card

from convscope.report.maximize import by_unit


@pytest.mark.parametrize(
    ("sign", "quantile", "words"),
    [
        (1, 1.0, "above all 8,624 positions"),
        (1, 1 - 1 / 8624, "above all but 1 of 8,624 positions"),
        (1, 0.995, "above all but 0.50\N{NO-BREAK SPACE}% of 8,624 positions"),
        (1, 0.4, "above only 40\N{NO-BREAK SPACE}% of 8,624 positions"),
        (-1, 0.0, "below all 8,624 positions"),
        (-1, 3 / 8624, "below all but 3 of 8,624 positions"),
        (-1, 0.75, "below only 25\N{NO-BREAK SPACE}% of 8,624 positions"),
        (1, None, "not compared with photographs"),
    ],
)
def test_a_quantile_is_told_in_words(sign, quantile, words):
    assert card(sign=sign, quantile=quantile).standing(8624) == words


def test_without_the_number_of_positions_a_quantile_is_a_share():
    assert card(quantile=1.0).standing() == "above all positions"
    assert card(quantile=0.9995).standing() == (
        "above all but 0.050\N{NO-BREAK SPACE}% of the positions"
    )


@pytest.mark.parametrize(
    ("changed", "marks"),
    [
        ({}, ()),
        ({"quantile": 0.999}, ()),
        ({"quantile": 0.9989}, ("weak",)),
        ({"sign": -1, "quantile": 0.001}, ()),
        ({"sign": -1, "quantile": 0.0011}, ("weak",)),
        ({"quantile": None}, ()),
        ({"alive": False, "quantile": 0.2}, ("not alive",)),
        ({"alive": False, "stopped": 31}, ("not alive", "diverged")),
        ({"quantile": 0.5, "stopped": 1}, ("weak", "diverged")),
    ],
)
def test_what_stands_against_an_image_is_marked(changed, marks):
    assert card(**changed).marks == marks
    assert len(card(**changed).warnings) == len(marks)


def test_warnings_say_what_happened():
    warned = card(sign=-1, quantile=0.5, stopped=31).warnings
    assert warned[0].startswith("Weak: photographs inhibit the unit more than this image")
    assert warned[1].startswith("Diverged at step 31:")
    assert card(quantile=0.5).warnings[0].startswith("Weak: photographs excite the unit more")


def test_a_card_is_named_like_its_file():
    assert card(3, 1, -1).slug == "block4_conv3-3-1-negative"


def test_cards_of_a_unit_stand_together_in_pairs_of_sign():
    made = [card(9, sample, sign) for sign in (-1, 1) for sample in (1, 0)] + [card(2), card(9, 2)]
    units = [[(one.filter, one.sample, one.sign) for one in unit] for unit in by_unit(made)]
    assert units == [
        [(9, 0, 1), (9, 0, -1), (9, 1, 1), (9, 1, -1), (9, 2, 1)],
        [(2, 0, 1)],
    ]
