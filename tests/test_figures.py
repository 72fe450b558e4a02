"""Kernel tiles, contact sheets and the explorer drawing."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convscope import figures
from convscope.figures import InputRow, Portrait, contact_sheet, explorer, kernel_tile, number

pytestmark = pytest.mark.filterwarnings("error")
WHITE = (255, 255, 255)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A random image."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def portrait(name: str = "block4_conv2:133", **other: Any) -> Portrait:
    """A unit with everything it can have."""
    crops = (noise(31, 31, 1), noise(31, 31, 2))
    unit = Portrait(name, noise(40, 40), 41.5, 3.25, True, crops, (12.0, 9.5))
    return replace(unit, **other)


def row(kernel: np.ndarray, label: str = "excitatory", **other: Any) -> InputRow:
    """An input whose strength is that of `kernel`."""
    l2 = float(np.sqrt((kernel**2).sum()))
    return replace(
        InputRow(portrait(), kernel, l2, 0.5, label, "mostly excitatory", 0.1, 0.25), **other
    )


def draw(*rows: InputRow, unit: Portrait | None = None) -> np.ndarray:
    """The explorer of `rows` with a limit of 1."""
    unit = unit or portrait("block4_conv3:17")
    return explorer(unit, rows, title="Title", subtitle="Subtitle", limit=1.0)


def lightness(colours: np.ndarray) -> np.ndarray:
    """Lightness of 8-bit sRGB colours in OKLab."""
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
    assert np.array_equal(figures.kernel_colours(kernel, limit), figures.RAMPS[positive, steps])
    assert np.array_equal(
        figures.kernel_colours(-kernel, limit), figures.RAMPS[1 - positive, steps]
    )


def test_red_and_blue_are_equally_light_at_every_step_and_darken_evenly():
    blue, red = lightness(figures.RAMPS)
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


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0123456, "0.0123"), (-4.2, "\N{MINUS SIGN}4.20"), (1234.5, "1234"), (-0.0, "0"),
     (None, "\N{EN DASH}"), (float("nan"), "\N{EN DASH}"), (2.5e-7, "2.50e\N{MINUS SIGN}07")],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value, words):
    assert number(value) == words


def test_a_small_negative_index_is_no_minus_zero():
    assert figures.fixed(-0.001) == "+0.00"
    assert figures.fixed(-0.25) == "\N{MINUS SIGN}0.25"


def test_every_effect_is_legible_as_words_and_under_white_words():
    for colour in figures.EFFECTS.values():
        share = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_the_explorer_holds_every_tile_pixel_for_pixel():
    kernels = [np.random.default_rng(seed).uniform(-1, 1, (3, 3)) for seed in (0, 1)]
    page = draw(*(row(kernel) for kernel in kernels))
    for index, kernel in enumerate(kernels):
        top = 2 * (figures.HEAD + index * figures.ROW + 8)
        side = 2 * figures.PICTURE
        shown = page[top : top + side, 2 * figures.TILE :][:, :side]
        assert np.array_equal(shown, kernel_tile(kernel, 1.0, side))


def test_the_explorer_grows_with_its_rows_and_repeats_itself_exactly():
    kernel = np.ones((3, 3), np.float32)
    one, two = draw(row(kernel)), draw(row(kernel), row(kernel))
    assert one.dtype == np.uint8
    assert two.shape == (one.shape[0] + 2 * figures.ROW, one.shape[1], 3)
    assert np.array_equal(two, draw(row(kernel), row(kernel)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 5), (11, 11)])
@pytest.mark.parametrize("label", ["excitatory", "inhibitory", "mixed", "negligible"])
def test_the_explorer_draws_every_shape_and_label(shape, label):
    assert draw(row(np.full(shape, 0.5), label)).std() > 0


def test_the_explorer_draws_inputs_without_optimum_crops_or_strength():
    colours = [
        portrait(f"image:{name}", optimum=None, activation=None, activation_mean=None,
                 alive=None, crops=(), crop_activations=())
        for name in ("red", "green", "blue")
    ]  # fmt: skip
    page = draw(*(row(np.zeros((3, 3)), portrait=unit, mean=None) for unit in colours))
    middle = 2 * (figures.OPTIMUM + 50), 2 * (figures.HEAD + 60)
    shown = [tuple(page[middle[1] + 2 * index * figures.ROW, middle[0]]) for index in range(3)]
    assert shown == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_a_unit_that_is_not_alive_is_never_shown_as_a_result():
    dead = portrait(alive=False)
    assert dead.picture is None
    assert dead.absence == "not alive"
    empty = replace(dead, optimum=None)
    kernel = np.ones((3, 3))
    assert np.array_equal(draw(row(kernel, portrait=dead)), draw(row(kernel, portrait=empty)))
    assert np.array_equal(draw(row(kernel), unit=dead), draw(row(kernel), unit=empty))


def test_names_are_drawn_as_they_are_and_made_to_fit():
    page = draw(row(np.ones((3, 3)), portrait=portrait(r"conv_$\frac{" + "x" * 90 + ":1023")))
    left, right = 2 * (figures.STRENGTH - 20), 2 * figures.STRENGTH - 4
    assert (page[2 * figures.HEAD + 20 : -60, left:right][:60] == 255).all()


def test_drawing_leaves_neither_figures_nor_pyplot_behind():
    code = """
import gc, sys, numpy
from convscope.figures import contact_sheet
assert "matplotlib" not in sys.modules
contact_sheet([numpy.zeros((9, 7, 3), numpy.uint8)], ["one"], 1)
assert "matplotlib.pyplot" not in sys.modules
gc.collect()
from matplotlib.figure import Figure
assert not [thing for thing in gc.get_objects() if isinstance(thing, Figure)]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_contact_sheet_shows_each_image_in_its_place():
    images = [noise(176, 176, seed) for seed in range(3)]
    sheet = contact_sheet(images, ["one", "two\nlines", "three"], columns=2)
    assert np.array_equal(sheet[16:192, 16:192], images[0])
    assert np.array_equal(sheet[16:192, 208:384], images[1])
    assert np.array_equal(sheet[-56 - 176 : -56, 16:192], images[2])
    assert sheet.shape[1] == 400


def test_few_pixels_are_enlarged_as_pixels_and_keep_their_shape():
    sheet = contact_sheet([noise(3, 3), noise(10, 40)], ["field", "wide"], columns=2)
    assert len(np.unique(sheet[20:188, 20:188].reshape(-1, 3), axis=0)) == 9
    assert (sheet[20, 208:384] == 255).all()


@pytest.mark.parametrize(
    ("images", "captions", "columns"), [(0, 0, 1), (2, 1, 1), (1, 1, 0)], ids=str
)
def test_an_impossible_contact_sheet_is_refused(images, captions, columns):
    with pytest.raises(ValueError, match=f"Received: {images} images, {captions} captions"):
        contact_sheet([noise(4, 4)] * images, [""] * captions, columns)
