"""The address of a filter."""

from dataclasses import FrozenInstanceError

import pytest

from convscope.unit import IMAGE, WHOLE, Unit, check, filters, label

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
        "vgg16 has no layer 'block4_conv4'. Its layers are block1_conv1, ..., block5_conv3;"
        " stage=layers lists them. Did you mean 'block4_conv3'?"
    )


def test_a_layer_unlike_any_other_is_refused_without_a_suggestion():
    with pytest.raises(ValueError) as caught:
        check(Unit("xyz", 17), LAYERS, "vgg16")
    assert str(caught.value) == (
        "vgg16 has no layer 'xyz'. Its layers are block1_conv1, ..., block5_conv3; stage=layers"
        " lists them."
    )


@pytest.mark.parametrize("filter", [-1, 7, 512])
def test_a_filter_outside_the_layer_is_refused_with_its_range(filter):
    with pytest.raises(ValueError) as caught:
        check(Unit("block5_conv3", filter), LAYERS, "vgg16")
    assert str(caught.value) == (
        f"block5_conv3 of vgg16 has no filter {filter}. Its 7 filters are numbered 0 to 6."
    )


def test_filters_are_chosen_by_number_range_list_or_all():
    assert filters(17, 64) == (17,)
    assert filters("all", 4) == (0, 1, 2, 3)
    assert filters("5-8", 64) == (5, 6, 7, 8)
    assert filters((3, "5-7", 3, 6, 1), 64) == (3, 5, 6, 7, 1)
    assert filters(None, 64) == (WHOLE,)


def test_a_range_beyond_the_layer_names_the_first_filter_that_is_not_there():
    assert filters("62-999999999999", 64) == (62, 63, 64)


@pytest.mark.parametrize("choice", ["some", "8-5", "-3", "1-", "3,4", ("all",), ""])
def test_other_words_for_filters_are_refused(choice):
    with pytest.raises(ValueError, match=r"names no filters. Give a number, a range like 40-47"):
        filters(choice, 64)


def test_no_filters_are_refused():
    with pytest.raises(ValueError, match=r"filter=\[\] names no filters. Give at least one."):
        filters((), 64)


def test_a_choice_of_filters_is_named_by_its_first_and_how_many_more():
    assert label("a", 17) == "a-17"
    assert label("a", 17, ":") == "a:17"
    assert label("a", "all") == "a-all"
    assert label("a", None) == "a"
    assert label("a", [3, 17, "40-47"]) == "a-3+9"
    assert label("a", "0-31") == "a-0+31"
    assert label("a", [5]) == "a-5"
    assert label("a", "0-99999999999").startswith("a-0+")
    assert label("a", "odd") == "a-odd"


def test_a_whole_layer_is_a_unit_of_its_own():
    assert str(Unit("a", WHOLE)) == "a:whole"
    assert Unit("a", WHOLE).slug == "a-whole"
