import pytest

from convscope.optvis.ascent import Goal
from convscope.optvis.objectives import NAMES, Reading
from convscope.optvis.recipe import aim, batches, filled, goals
from convscope.unit import Unit

A, B = Unit("a", 3), Unit("a", 5)


def test_the_images_of_a_unit_follow_one_another():
    found = goals([A, B], (1, -1), 2)
    assert [goal.slug for goal in found] == [
        "a-3-0", "a-3-1", "a-3-0-negative", "a-3-1-negative",
        "a-5-0", "a-5-1", "a-5-0-negative", "a-5-1-negative",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "together", "group", "lengths"),
    [
        (32, 16, 1, [16, 16]),
        (17, 16, 1, [9, 8]),
        (5, 16, 1, [5]),
        (12, 16, 4, [12]),
        (20, 16, 4, [12, 8]),
        (6, 2, 3, [3, 3]),
        (1, 1, 1, [1]),
    ],
)
def test_batches_are_even_and_never_divide_a_group(count, together, group, lengths):
    every = goals([Unit("a", number) for number in range(count // group)], (1,), group)
    found = batches(every, together, group)
    assert [len(batch) for batch in found] == lengths
    assert [goal for batch in found for goal in batch] == list(every)


def test_a_short_batch_is_filled_with_its_own_goals_in_order():
    batch = goals([A, B], (1,), 2)
    assert filled(batch, 8) == batch + batch
    assert filled(batch, 4) == batch
    assert filled(batch[:2], 4) == (Goal(A, 0), Goal(A, 1)) * 2


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_an_objective_that_reads_its_layer(name):
    objective = aim(name)("a")
    assert {reading.layer for reading in objective.readings} == {"a"}
    assert any(reading.whole for reading in objective.readings) == (
        name in ("direction", "layer", "caricature")
    )
    assert any(reading.reference for reading in objective.readings) == (name == "caricature")


def test_diversity_is_read_only_where_several_images_are_made():
    whole = Reading("a", whole=True)
    assert whole not in aim("channel", samples=1, diversity=0.5)("a").readings
    assert whole not in aim("channel", samples=3, diversity=0.0)("a").readings
    assert whole in aim("channel", samples=3, diversity=0.5)("a").readings
