"""Kernel tiles, colours and the page that pictures are drawn on."""

import subprocess
import sys

import numpy as np
import pytest

from convscope.report.figures import canvas
from convscope.report.figures.canvas import kernel_tile

WHITE = (255, 255, 255)


def lightness(colours: np.ndarray) -> np.ndarray:
    """Return the lightness of 8-bit sRGB colours in OKLab."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array([
        [0.4122214708, 0.2119034982, 0.0883024619],
        [0.5363325363, 0.6806995451, 0.2817188376],
        [0.0514459929, 0.1073969566, 0.6299787005],
    ])  # fmt: skip
    return np.cbrt(cones) @ np.array([0.2104542553, 0.7936177850, -0.0040720468])


def test_zero_is_exactly_white_and_only_zero_is():
    tile = kernel_tile(np.array([[0.0, 0.01, -0.01], [-0.0, 1.0, -1.0]]), 1.0, pixels=3)
    assert [tuple(colour) for colour in tile[:, 0]] == [WHITE, WHITE]
    assert not (tile[:, 1:] == 255).all(-1).any()


def test_positive_weights_are_red_and_negative_ones_blue():
    red, _, blue = np.moveaxis(kernel_tile(np.array([[0.3, -0.3]]), 1.0, pixels=2)[0], -1, 0)
    assert red[0] > blue[0]
    assert blue[1] > red[1]


def test_the_colours_of_a_kernel_and_its_negative_mirror_each_other_exactly():
    kernel = np.random.default_rng(0).normal(size=(5, 7))
    limit = float(np.abs(kernel).max())
    steps = np.rint(255 * np.abs(kernel) / limit).astype(int)
    positive = (kernel > 0).astype(int)
    assert np.array_equal(canvas.kernel_colours(kernel, limit), canvas.RAMPS[positive, steps])
    assert np.array_equal(canvas.kernel_colours(-kernel, limit), canvas.RAMPS[1 - positive, steps])


def test_red_and_blue_are_equally_light_at_every_step_and_darken_evenly():
    blue, red = lightness(canvas.RAMPS)
    assert np.abs(red - blue).max() < 0.004
    assert np.abs(red - np.linspace(1, 0.48, 256)).max() < 0.004


@pytest.mark.parametrize(
    ("shape", "size"),
    [((3, 3), (96, 96)), ((5, 5), (95, 95)), ((1, 7), (13, 91)), ((1, 1), (96, 96))],
)
def test_each_weight_is_a_square_of_one_colour(shape, size):
    kernel = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    tile = kernel_tile(kernel, 3.0, pixels=96)
    side = size[0] // shape[0]
    assert tile.shape == (*size, 3)
    assert tile.dtype == np.uint8
    squares = tile.reshape(shape[0], side, shape[1], side, 3)
    assert (squares == squares[:, :1, :, :1]).all()


def test_a_kernel_larger_than_the_tile_keeps_a_pixel_for_each_weight():
    assert kernel_tile(np.zeros((11, 9)), 1.0, pixels=4).shape == (11, 9, 3)


def test_weights_beyond_the_limit_get_the_colour_of_the_limit():
    tile = kernel_tile(np.array([[2.0, 1.0]]), 1.0, pixels=2)
    assert np.array_equal(tile[0, 0], tile[0, 1])


def test_a_filter_of_zeros_is_white():
    assert (kernel_tile(np.zeros((3, 5)), 0.0) == 255).all()


@pytest.mark.parametrize(
    ("kernel", "limit", "message"),
    [
        (np.zeros((3, 3, 2)), 1.0, r"shape \(height, width\)\. Received: shape=\(3, 3, 2\)"),
        (np.full((3, 3), np.nan), 1.0, "finite weights"),
        (np.zeros((3, 3)), -0.5, r"a finite number from 0\. Received: -0\.5"),
    ],
)
def test_what_is_no_kernel_is_refused(kernel, limit, message):
    with pytest.raises(ValueError, match=message):
        kernel_tile(kernel, limit)


def test_every_effect_is_legible_as_words_and_under_white_words():
    for colour in canvas.EFFECTS.values():
        share = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_drawing_leaves_neither_figures_nor_pyplot_behind():
    code = """
import gc, sys
from convscope.report.figures.canvas import Page
assert "matplotlib" not in sys.modules
page = Page(9, 7, 2)
page.text(1, 1, "one", fit=9)
assert page.array().shape == (14, 18, 3)
assert "matplotlib.pyplot" not in sys.modules
del page
gc.collect()
from matplotlib.figure import Figure
assert not [thing for thing in gc.get_objects() if isinstance(thing, Figure)]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
