"""Contact sheets, and that of all optima of a run."""

import subprocess
import sys

import numpy as np
import pytest
from cards import card

from convscope.report.figures.grids import contact_sheet
from convscope.report.maximize import optima_sheet


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return a random image."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_drawing_leaves_neither_figures_nor_pyplot_behind():
    code = """
import gc, sys, numpy
from convscope.sheet import contact_sheet
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


def test_a_tab_parts_a_caption_between_both_edges():
    sheet = contact_sheet([np.zeros((176, 176, 3), np.uint8)], ["17\t213.5"], 1)
    dark = np.flatnonzero((sheet[196:216] < 128).all(-1).any(0))
    assert dark[0] - 16 < 4
    assert 16 + 176 - dark[-1] < 4
    assert np.diff(dark).max() > 60


def test_neighbours_of_a_group_stand_closer_and_a_place_may_stay_empty():
    images = [noise(96, 96, seed) for seed in range(3)]
    sheet = contact_sheet([*images, None], ["a", "b", "c", ""], 4, side=96, gap=12, group=2)
    lefts = [12, 12 + 96 + 3, 12 + 2 * 96 + 3 + 12]
    for left, image in zip(lefts, images, strict=True):
        assert np.array_equal(sheet[12:108, left : left + 96], image)
    assert (sheet[:, lefts[-1] + 96 + 2 :] == 255).all()


def places(sheet: np.ndarray, image: np.ndarray) -> list[tuple[int, int]]:
    """Return where on the sheet `image` stands, pixel by pixel."""
    height, width = image.shape[:2]
    found = np.argwhere((sheet == image[0, 0]).all(-1))
    return [
        (int(top), int(left))
        for top, left in found
        if np.array_equal(sheet[top : top + height, left : left + width], image)
    ]


def test_optima_of_a_pair_stand_side_by_side_and_pairs_do_not_touch():
    made = [card(number, 0, sign, image=noise(176, 176, 4 * number + sign + 1))
            for number in range(4) for sign in (1, -1)]  # fmt: skip
    sheet = optima_sheet(made)
    ((top, left),) = places(sheet, made[0].image)
    assert places(sheet, made[1].image) == [(top, left + 176 + 4)]
    ((_, other),) = places(sheet, made[2].image)
    assert other in (left, left + 2 * 176 + 4 + 16)


def test_samples_of_a_unit_stand_in_a_row():
    made = [card(number, sample, image=noise(176, 176, 10 * number + sample))
            for number in range(2) for sample in range(3)]  # fmt: skip
    sheet = optima_sheet(made)
    tops = [places(sheet, one.image)[0][0] for one in made]
    assert tops[:3] == [tops[0]] * 3
    assert tops[3:] == [tops[3]] * 3
    assert tops[0] != tops[3]


@pytest.mark.parametrize("count", [1, 2, 5, 16, 60])
@pytest.mark.parametrize("signs", [(1,), (1, -1)], ids=["positive", "both"])
def test_a_sheet_of_any_number_of_units_is_about_square(count, signs):
    made = [card(number, 0, sign) for number in range(count) for sign in signs]
    height, width = optima_sheet(made).shape[:2]
    assert 0.4 < height / width < 2.1


def test_an_image_that_does_not_move_its_unit_is_faded_and_said_to_be_not_alive():
    image = noise(176, 176)
    alive, dead = optima_sheet([card(image=image)]), optima_sheet([card(image=image, alive=False)])
    assert dead.shape[0] > alive.shape[0]  # a line of words more
    shown = dead[16:192, 16:192]
    assert (shown == shown[..., :1]).all()
    assert shown.min() > 160
    assert np.array_equal(alive[16:192, 16:192], image)


@pytest.mark.parametrize("side", [3, 176, 700])
def test_one_image_is_shown_at_a_size_to_look_at(side):
    assert 176 <= optima_sheet([card(image=noise(side, side))]).shape[1] - 32 <= 512


def test_a_sheet_of_a_whole_layer_stays_modest():
    made = [card(number, image=noise(8, 8, number)) for number in range(512)]
    height, width = optima_sheet(made).shape[:2]
    assert 2300 < width < 2700
    assert 0.8 < height / width < 1.25


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"at least one image\. Received: none"):
        optima_sheet([])
