"""Where the map of a filter has its summits, on networks whose maps are known."""

import keras
import numpy as np
import pytest

from convscope.activations.recorder import summits
from convscope.models.network import Network, tap
from convscope.models.zoo.checkpoints import Provenance

L = keras.layers


def plain() -> Network:
    """A network whose filters are the red channel, minus it, and nothing; all exact."""
    image = keras.Input((None, None, 3))
    only = L.Conv2D(3, 1, activation="relu", name="only")
    model = keras.Model(image, only(image))
    kernel = np.zeros((1, 1, 3, 3))
    kernel[0, 0, 0] = 1, -1, 0
    only.set_weights([kernel, np.float32([0, 0, -2])])
    return Network("plain", model, lambda x: x, Provenance("", ""))


def tiny() -> Network:
    """A network of two convolutions in whole numbers, so that its maps are exact."""
    image = keras.Input((None, None, 3))
    first = L.Conv2D(3, (3, 2), activation="relu", padding="same", name="first")
    second = L.Conv2D(5, (2, 3), activation="relu", padding="valid", name="second")
    model = keras.Model(image, second(first(image)))
    random = np.random.default_rng(0)
    for layer in (first, second):
        layer.set_weights([random.integers(-3, 4, w.shape) for w in layer.get_weights()])
    return Network("tiny", model, lambda x: keras.ops.round(x * 9), Provenance("", ""))


@pytest.fixture(scope="module")
def red() -> Network:
    return plain()


def shown(*planes: list[list[float]]) -> np.ndarray:
    """Return photographs with these red channels."""
    pixels = np.zeros((*np.shape(planes), 3), np.float32)
    pixels[..., 0] = planes
    return pixels


def reference(plane: np.ndarray, count: int) -> list[tuple[float, int, int]]:
    """Return the highest of the positions that none of their eight neighbours exceeds."""
    rows, columns = plane.shape
    found = [
        (float(plane[row, column]), row, column)
        for row in range(rows)
        for column in range(columns)
        if plane[row, column]
        == plane[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].max()
    ]
    return sorted(found, key=lambda one: -one[0])[:count]


@pytest.mark.parametrize("count", [1, 2, 7, 400])
@pytest.mark.parametrize("layer", ["first", "second"])
@pytest.mark.parametrize("size", [(9, 14), (17, 6)])
def test_summits_are_those_of_a_plain_loop(layer, size, count):
    network = tiny()
    pixels = np.random.default_rng(1).random((3, *size, 3), np.float32)
    maps = tap(network, [layer], pre=True)(pixels)[layer].numpy()
    equal = 0
    for filter in range(maps.shape[3]):
        found = summits(network, layer, filter, count)(pixels)
        assert found == [reference(plane, count) for plane in maps[..., filter]]
        values = [value for one in found for value, _, _ in one]
        equal += len(values) - len(set(values))
    assert count < 400 or equal > 0  # of equal ones the earlier stands first


def test_summits_of_one_photograph_stand_apart_and_at_its_edges(red):
    pixels = shown([[5, 1, 0, 2], [1, 1, 0, 0], [0, 0, 3, 0]])
    assert summits(red, "only", 0, 9)(pixels) == [[(5, 0, 0), (3, 2, 2), (2, 0, 3)]]
    assert summits(red, "only", 0, 2)(pixels) == [[(5, 0, 0), (3, 2, 2)]]


def test_every_position_of_a_plateau_is_a_summit_in_the_order_of_the_map(red):
    pixels = shown([[0, 4, 4, 0, 0, 0], [0, 4, 0, 0, 6, 0], [1, 0, 0, 0, 0, 0]])
    plateau = [(4, 0, 1), (4, 0, 2), (4, 1, 1)]
    assert summits(red, "only", 0, 9)(pixels) == [[(6, 1, 4), *plateau]]
    # The end of a plateau that something exceeds is none.
    slope = shown([[4, 4, 0], [0, 0, 5]])
    assert summits(red, "only", 0, 9)(slope) == [[(5, 1, 2), (4, 0, 0)]]
    # The least difference makes two heights.
    more = float(np.nextafter(np.float32(0.5), np.float32(1)))
    assert summits(red, "only", 0, 9)(shown([[0.5, more, 0.5]])) == [[(more, 0, 1)]]


def test_photographs_with_fewer_summits_than_asked_give_those_they_have(red):
    one, level = [[1, 2, 3], [2, 3, 4]], [[7, 7, 7], [7, 7, 7]]
    found = summits(red, "only", 0, 4)(shown(one, level))
    assert found == [[(4, 1, 2)], [(7, 0, 0), (7, 0, 1), (7, 0, 2), (7, 1, 0)]]
    assert len(summits(red, "only", 0, 99)(shown(level))[0]) == 6


def test_summits_below_zero_are_found_before_the_relu_and_beyond_the_edge_lies_nothing(red):
    pixels = shown([[9, 8, 9], [9, 9, 9], [9, 9, 7]])
    assert summits(red, "only", 1, 5)(pixels) == [[(-7, 2, 2), (-8, 0, 1), (-9, 2, 0)]]
    assert summits(red, "only", 2, 2)(pixels) == [[(-2, 0, 0), (-2, 0, 1)]]


def test_one_function_serves_photographs_of_any_size_and_number(red):
    climb = summits(red, "only", 0, 3)
    assert climb(shown([[1, 0, 2]])) == [[(2, 0, 2), (1, 0, 0)]]
    assert climb(shown([[3], [0]], [[0], [5]])) == [[(3, 0, 0)], [(5, 1, 0)]]
    assert climb(shown([[8]])) == [[(8, 0, 0)]]
