"""What is said about one filter among all of a layer, and its quilt of nine crops."""

import math

import numpy as np
import pytest
from cards import texture
from rosters import NOTHING, layer, unit

from convscope.report.figures.grids import mosaic
from convscope.report.filters import rows

RED, BLUE = (255, 0, 0), (0, 0, 255)
COLUMNS = (
    "layer", "filter", "firing_rate", "sparseness", "activation", "group", "side", "auroc", "low",
    "high", "q", "avoids",
)  # fmt: skip


def solid(height: int, width: int, colour: tuple[int, int, int] = RED) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def test_the_rows_of_the_table_are_what_is_known_of_each_filter():
    assert [tuple(row) for row in rows([unit(1), unit(2)])] == [COLUMNS] * 2
    first, second, third = rows([unit(17), unit(3, **NOTHING), layer()[5]])
    assert list(first.values()) == [
        "block4_conv3", 17, 0.125, 0.5, 217.0, "hunting dog", "fires", 0.875, 0.8, 0.93, 0.002, None
    ]  # fmt: skip
    assert list(second.values())[5:] == [None] * 7
    assert (third["group"], third["side"], third["avoids"]) == ("dog", "avoids", "dog")


def test_a_quilt_has_its_crops_in_rows_and_paper_where_there_is_none():
    quilt = mosaic([solid(5, 5, (place, 0, 0)) for place in range(7)], 31)
    assert quilt.dtype == np.uint8
    assert quilt.shape == (31, 31, 3)
    centres = quilt[5::10, 5::10][:3, :3].reshape(9, 3)
    assert centres.tolist() == [[place, 0, 0] for place in range(7)] + [[255] * 3] * 2


@pytest.mark.parametrize("shape", [(30, 90), (90, 30), (1, 64), (64, 1), (3, 2), (300, 200)])
def test_the_middle_of_a_crop_fills_its_square(shape):
    crop = solid(*shape)
    long = int(np.argmax(shape))
    side = min(shape)
    near = math.ceil(3 * max(side / 20, 1))  # as far as the filter that makes it smaller reaches
    ends = np.arange(shape[long]) < (shape[long] - side) // 2 - near
    np.moveaxis(crop, long, 0)[ends] = BLUE
    quilt = mosaic([crop], 60)
    assert (quilt[:20, :20] == RED).all()
    assert (quilt[20:] == 255).all()


def test_crops_of_a_few_pixels_are_enlarged_as_pixels():
    crop = texture(3, 3, 3)
    quilt = mosaic([crop] * 9, 3 * 3 * 7)
    assert np.array_equal(quilt[21:42, 42:], crop.repeat(7, axis=0).repeat(7, axis=1))


@pytest.mark.parametrize(
    ("count", "side", "received"), [(10, 30, "10 crops, side=30"), (1, 2, "1 crops, side=2")]
)
def test_a_quilt_of_too_many_crops_or_too_few_pixels_is_refused(count, side, received):
    with pytest.raises(ValueError, match=f"at least 3 pixels. Received: {received}"):
        mosaic([solid(4, 4)] * count, side)
