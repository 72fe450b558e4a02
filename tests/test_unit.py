"""The address of a filter."""

from dataclasses import FrozenInstanceError

import pytest

from convscope.unit import IMAGE, Unit, check

LAYERS = {"block1_conv1": 64, "block4_conv3": 512, "block5_conv3": 7}


def test_a_unit_is_written_layer_colon_filter():
    assert str(Unit("block4_conv3", 17)) == "block4_conv3:17"
    assert Unit("block4_conv3", 17).slug == "block4_conv3-17"


def test_the_channels_of_the_image_are_written_as_colours():
    assert [str(Unit(IMAGE, channel)) for channel in range(3)] == [
        "image:red",
        "image:green",
        "image:blue",
    ]
    assert Unit(IMAGE, 2).slug == "image-blue"


def test_units_are_values_that_sort_by_layer_and_then_by_number():
    units = [Unit("b", 2), Unit("a", 10), Unit("b", 1), Unit("a", 9)]
    assert sorted(units) == [Unit("a", 9), Unit("a", 10), Unit("b", 1), Unit("b", 2)]
    assert len({Unit("a", 1), Unit("a", 1), Unit("a", 2)}) == 2
    with pytest.raises(FrozenInstanceError):
        units[0].filter = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("layer", "filter"), [("block1_conv1", 0), ("block1_conv1", 63), ("block5_conv3", 6)]
)
def test_the_first_and_the_last_filter_of_a_layer_are_accepted(layer, filter):
    check(Unit(layer, filter), LAYERS, "vgg16")


def test_an_unknown_layer_is_refused_with_the_range_and_the_nearest_name():
    with pytest.raises(ValueError) as caught:
        check(Unit("block4_conv4", 17), LAYERS, "vgg16")
    assert str(caught.value) == (
        "vgg16 has no layer 'block4_conv4'. Its convolutions are block1_conv1, ..., block5_conv3. "
        "Did you mean 'block4_conv3'?"
    )


def test_a_layer_unlike_any_other_is_refused_without_a_suggestion():
    with pytest.raises(ValueError) as caught:
        check(Unit("xyz", 17), LAYERS, "vgg16")
    assert str(caught.value) == (
        "vgg16 has no layer 'xyz'. Its convolutions are block1_conv1, ..., block5_conv3."
    )


@pytest.mark.parametrize("filter", [-1, 7, 512])
def test_a_filter_outside_the_layer_is_refused_with_its_range(filter):
    with pytest.raises(ValueError) as caught:
        check(Unit("block5_conv3", filter), LAYERS, "vgg16")
    assert str(caught.value) == (
        f"block5_conv3 of vgg16 has no filter {filter}. Its 7 filters are numbered 0 to 6."
    )
