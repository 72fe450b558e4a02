"""Grids of captioned images: contact sheets, quantiles, top images and predictions."""

from pathlib import Path

import numpy as np
import pytest
from results import optimum, sure, texture, views

from convscope.activations.dataset_examples import Bin, Example, bins
from convscope.report.classify import chosen
from convscope.report.figures.grids import (
    contact_sheet,
    described,
    framed,
    predictions_picture,
    quantiles_picture,
    top_picture,
)
from convscope.report.maximize import optima_sheet


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return a random image."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


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
    made = [optimum(number, 0, sign, image=noise(176, 176, 4 * number + sign + 1))
            for number in range(4) for sign in (1, -1)]  # fmt: skip
    sheet = optima_sheet(made)
    ((top, left),) = places(sheet, made[0].image)
    assert places(sheet, made[1].image) == [(top, left + 176 + 4)]
    ((_, other),) = places(sheet, made[2].image)
    assert other in (left, left + 2 * 176 + 4 + 16)


def test_samples_of_a_unit_stand_in_a_row():
    made = [optimum(number, sample, image=noise(176, 176, 10 * number + sample))
            for number in range(2) for sample in range(3)]  # fmt: skip
    sheet = optima_sheet(made)
    tops = [places(sheet, one.image)[0][0] for one in made]
    assert tops[:3] == [tops[0]] * 3
    assert tops[3:] == [tops[3]] * 3
    assert tops[0] != tops[3]


@pytest.mark.parametrize("count", [1, 2, 5, 16, 60])
@pytest.mark.parametrize("signs", [(1,), (1, -1)], ids=["positive", "both"])
def test_a_sheet_of_any_number_of_units_is_about_square(count, signs):
    made = [optimum(number, 0, sign) for number in range(count) for sign in signs]
    height, width = optima_sheet(made).shape[:2]
    assert 0.4 < height / width < 2.1


def test_an_image_that_does_not_move_its_unit_is_faded_and_said_to_be_not_alive():
    image = noise(176, 176)
    alive, dead = (
        optima_sheet([optimum(image=image)]),
        optima_sheet([optimum(image=image, alive=False)]),
    )
    assert dead.shape[0] > alive.shape[0]  # a line of words more
    shown = dead[16:192, 16:192]
    assert (shown == shown[..., :1]).all()
    assert shown.min() > 160
    assert np.array_equal(alive[16:192, 16:192], image)


@pytest.mark.parametrize("side", [3, 176, 700])
def test_one_image_is_shown_at_a_size_to_look_at(side):
    assert 176 <= optima_sheet([optimum(image=noise(side, side))]).shape[1] - 32 <= 512


@pytest.mark.exhaustive
def test_a_sheet_of_a_whole_layer_stays_modest():
    made = [optimum(number, image=noise(8, 8, number)) for number in range(512)]
    height, width = optima_sheet(made).shape[:2]
    assert 2300 < width < 2700
    assert 0.8 < height / width < 1.25


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"at least one image\. Received: none"):
        optima_sheet([])


def example(rank: int = 1, **changed: object) -> Example:
    given = {
        "path": Path("a.png"), "image": f"{rank}.png", "activation": 20.0 / rank, "row": 1,
        "column": 2, "wnid": "n1", "label": "cat", "box": (10, 20, 40, 60),
        "crop": texture(rank, 30, 40), "whole": texture(rank, 90, 120), "size": (90, 120),
    }  # fmt: skip
    return Example(rank=rank, **(given | changed))


def test_the_frame_lies_around_the_box_and_its_inside_is_untouched():
    image = np.full((90, 120, 3), 128, np.uint8)
    drawn = framed(example(whole=image, size=(180, 240), box=(40, 60, 100, 160)), 120)
    assert drawn.shape == (90, 120, 3)
    assert (drawn[20:50, 30:80] == 128).all()
    assert (drawn[19, 29:81] == 255).all()
    assert (drawn[18, 28:82] == 0).all()
    assert (drawn[19:51, 80] == 255).all()
    assert (drawn[:18] == 128).all()


def test_a_frame_of_the_whole_photograph_stays_inside_it():
    drawn = framed(example(box=(0, 0, 90, 120)), 120)
    assert (drawn[0] == 255).all()
    assert (drawn[:, -1] == 255).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 4000), (4000, 3)], ids=str)
def test_photographs_of_extreme_shape_are_framed(size):
    whole = np.zeros((max(1, size[0] // 20), max(1, size[1] // 20), 3), np.uint8)
    drawn = framed(example(whole=whole, size=size, box=(0, 0, 1, 1)), 300)
    assert max(drawn.shape) == 300


def rows(counts: list[int]) -> list[tuple[Bin, list[Example]]]:
    found = bins(np.arange(206.0), max(counts))
    return [
        (one, [example(at + 1) for at in range(count)])
        for one, count in zip(found, counts, strict=False)
    ]


@pytest.mark.parametrize("counts", [[1], [1, 6, 6, 6, 6], [1, 12, 12, 12, 12]], ids=str)
def test_a_mosaic_shows_each_crop_and_is_a_page_wide(counts):
    made = quantiles_picture("block4_conv3:17", rows(counts), 206)
    assert made.dtype == np.uint8
    assert 1500 < made.shape[1] < 2900
    blank = [(row, [example(1, crop=np.full((8, 8, 3), 255, np.uint8)) for _ in inside])
             for row, inside in rows(counts)]  # fmt: skip
    assert (made != quantiles_picture("block4_conv3:17", blank, 206)).any()


@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_top_images_are_shown_as_crop_and_whole(count):
    whole = np.zeros((156, 156, 3), np.uint8)
    whole[..., 1] = 200
    crop = np.zeros((12, 12, 3), np.uint8)
    crop[..., 0] = 200
    given = [example(at + 1, crop=crop, whole=whole, size=(156, 156)) for at in range(count)]
    made = top_picture("block4_conv3:17", given)
    assert (made == (200, 0, 0)).all(-1).sum() == count * 312 * 312
    assert (made == (0, 200, 0)).all(-1).sum() > count * 0.9 * 312 * 312


def test_names_of_any_length_keep_the_size_of_the_page():
    long = example(label="a very " * 40, image="b" * 300 + ".png")
    assert top_picture("a:1", [long]).shape == top_picture("a:1", [example()]).shape


def test_pictures_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"at least one example\. Received: none"):
        top_picture("a:1", [])
    with pytest.raises(ValueError, match=r"Received: \[1, 0\]"):
        quantiles_picture("a:1", [(one, inside[:at]) for at, (one, inside) in
                              zip((1, 0), rows([1, 1]), strict=True)], 206)  # fmt: skip


def rgb(colour):
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])


def count(picture, colour):
    """Return how many pixels of a picture have a colour, and none else."""
    return int((picture == rgb(colour)).all(-1).sum())


def numbers(predictions):
    return [int(one.path.stem.partition("_")[2]) for one in predictions]


def many(total, wrong):
    """Return photographs of which every so many is a mistake, surer the later it comes."""
    return [sure(n, 1 if n % wrong == 0 else 0, 0.3 + n / (2 * total), 0) for n in range(total)]


def test_few_photographs_are_all_shown_in_their_order():
    given = many(7, 2)
    assert chosen(given, 7) == given
    assert described(given, 7) == ""


def test_of_many_the_surest_mistakes_come_first_and_the_others_are_spread_evenly():
    given = many(100, 10)
    shown = chosen(given, 8)
    assert numbers(shown) == [90, 80, 70, 60, 0, 32, 64, 99]
    assert described(shown, 100) == (
        "8 of 100 photographs: the 4 most confident mistakes, then 4 spread over the others"
    )


def test_where_there_are_few_mistakes_the_others_take_their_place():
    shown = chosen(many(100, 60), 6)
    assert numbers(shown)[:2] == [60, 0]
    assert len(shown) == len(set(numbers(shown))) == 6
    assert "the 2 most confident mistakes, then 4 spread" in described(shown, 100)


def test_photographs_without_truth_are_spread_evenly():
    shown = chosen([sure(n, 0, 0.5) for n in range(101)], 5)
    assert numbers(shown) == [0, 25, 50, 75, 100]
    assert described(shown, 101) == "5 of 101 photographs, spread over all of them"


def test_one_place_goes_to_the_surest_mistake():
    shown = chosen(many(9, 4), 1)
    assert numbers(shown) == [8]
    assert described(shown, 9) == "1 of 9 photographs: the most confident mistake"


def test_each_photograph_stands_in_the_picture_as_the_network_saw_it():
    given = many(5, 2)
    seen = views(given, 248)  # as large as it is drawn
    picture = predictions_picture("net", given, seen, 5, "a result")
    assert picture.dtype == np.uint8
    for index, one in enumerate(given):
        left, top = 2 * (24 + index % 3 * 420), 2 * (104 + index // 3 * 159)
        own = picture[top : top + 248, left : left + 248]
        np.testing.assert_array_equal(own, seen[one.path])


def test_a_bar_is_as_long_as_its_probability_and_green_where_it_is_right():
    lengths = {}
    for share in (0.4, 0.8):
        for name, truth in (("right", 0), ("wrong", 1)):
            given = [sure(0, 0, share, truth, top=1)]
            picture = predictions_picture("net", given, views(given), 1, "")
            lengths[name, share] = [count(picture, tint) for tint in ("#bfe5cd", "#cdd7ea")]
    assert lengths["wrong", 0.4][0] == lengths["right", 0.4][1] == 0
    assert lengths["right", 0.8][0] == pytest.approx(2 * lengths["right", 0.4][0], rel=0.15)
    assert lengths["wrong", 0.8][1] == pytest.approx(2 * lengths["wrong", 0.4][1], rel=0.15)


def test_what_a_photograph_is_labelled_stands_in_green_or_red_or_quietly():
    found = {}
    for state, more in (
        ("right", {"truth": 0}), ("wrong", {"truth": 1}), ("unlabelled", {}),
    ):  # fmt: skip
        given = [sure(0, 0, 0.5, **more)]
        picture = predictions_picture("net", given, views(given), 1, "")
        found[state] = [count(picture, colour) > 0 for colour in ("#17713f", "#b00b1a")]
    assert found == {
        "right": [True, False], "wrong": [False, True], "unlabelled": [False, False],
    }  # fmt: skip


def test_long_names_stay_inside_their_cell():
    given = [sure(n, 0, 0.5, label="a very long name " * 9, truth=1) for n in range(3)]
    picture = predictions_picture(
        "a_network_with_a_long_name" * 4, given, views(given), 3, "x" * 400
    )
    edge = picture[:, -24:]
    assert (edge == 255).all()


def test_no_photograph_is_no_picture():
    with pytest.raises(ValueError, match="needs at least one photograph"):
        predictions_picture("net", [], {}, 0, "")
