import pytest
from cards import card

from convscope.report.maximize import facts, notes, rows
from convscope.unit import WHOLE

COLUMNS = [
    "layer", "filter", "sample", "objective", "size", "steps", "activation_start", "activation",
    "activation_mean", "quantile", "alive", "seconds",
]  # fmt: skip


def test_a_row_begins_with_the_columns_that_other_programs_read():
    (row,) = rows([card()], "channel", (96, 128), 96)
    assert list(row)[: len(COLUMNS)] == COLUMNS
    assert row["size"] == "96x128"
    assert row["objective"] == "channel"


def test_a_whole_layer_has_no_filter_number():
    (row,) = rows([card(filter=WHOLE)], "layer", (96, 96), 96)
    assert row["filter"] is None


def test_the_facts_count_what_is_alive(vgg16):
    some = [card(layer="block4_conv3", alive=True, activation=10.0), card(alive=False)]
    some[1] = card(layer="block4_conv3", alive=False, activation=-5.0, filter=9)
    found = facts(some, vgg16, "channel", 17)
    assert found["alive"] == "1 of 2"
    assert found["receptive field"] == "92 x 92 pixels, a position every 8"
    assert found["activation"].startswith("10.0 on average")
    assert found["photographs"] == "17"
    assert "alive" not in facts(some[:1], vgg16, "channel", 0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"quantile": 0.5, "alive": True}, "Weak, below 99.9 %"),
        ({"quantile": 0.5, "alive": False}, "Not alive from any start"),
    ],
)
def test_what_is_no_evidence_is_said_with_its_names(vgg16, values, words):
    several = [card(name=f"a:{number}", filter=number, **values) for number in range(12)]
    said = " ".join(notes(several, vgg16, 17))
    assert words in said
    assert "a:0, a:1, a:2, a:3, a:4, a:5, a:6, a:7 and 4 more" in said
    assert "17 photographs are few" in said


def test_good_images_of_many_photographs_need_no_warning(vgg16):
    said = " ".join(notes([card(quantile=1.0, alive=True)], vgg16, 500))
    assert "Weak" not in said
    assert "few" not in said
    assert "Not alive" not in said
