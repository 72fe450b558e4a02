"""Photographs over a unit's range: which they are, and how they are drawn."""

from pathlib import Path

import numpy as np
import pytest
from cards import texture

from convscope.activations.dataset_examples import Bin, Example, bins
from convscope.report.figures.grids import framed, quilt_picture, top_picture


def example(rank: int = 1, **changed: object) -> Example:
    given = {
        "path": Path("a.png"), "image": f"{rank}.png", "activation": 20.0 / rank, "row": 1,
        "column": 2, "wnid": "n1", "label": "cat", "box": (10, 20, 40, 60),
        "crop": texture(rank, 30, 40), "whole": texture(rank, 90, 120), "size": (90, 120),
    }  # fmt: skip
    return Example(rank=rank, **(given | changed))


def names(found: tuple[Bin, ...]) -> list[str]:
    return [one.name for one in found]


def test_bins_of_many_photographs_lie_where_their_names_say():
    values = np.random.default_rng(0).permutation(10_000).astype(float)
    found = bins(values, 5)
    assert names(found) == ["top 0.1 %", "around 99 %", "around 90 %", "around 50 %", "bottom"]
    shown = [[values[place] for place in one.places] for one in found]
    assert shown[0] == [9999, 9997, 9995, 9992, 9990]  # spread over the ten of the top 0.1 %
    assert shown[1] == [9901, 9900, 9899, 9898, 9897]
    assert shown[2] == [9001, 9000, 8999, 8998, 8997]
    assert shown[3] == [5001, 5000, 4999, 4998, 4997]
    assert shown[4] == [9, 7, 5, 2, 0]
    assert [one.count for one in found] == [10, 5, 5, 5, 10]
    assert found[0].quantiles == pytest.approx((0.999, 1))
    assert (found[0].low, found[0].high) == (9990, 9999)
    assert found[1].range == "quantiles 98.97 to 99.02 %"
    assert not any(one.note for one in found)


@pytest.mark.parametrize("count", [*range(1, 60), 206, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("each", [1, 4, 9])
def test_no_photograph_is_in_two_bins_and_the_extremes_are_in_one(count, each):
    values = np.random.default_rng(count).normal(size=count)
    found = bins(values, each)
    places = [place for one in found for place in one.places]
    assert len(set(places)) == len(places)
    assert values.argmax() in found[0].places
    assert values.argmin() in found[-1].places
    assert all(len(one.places) <= each for one in found)
    scores = [values[place] for place in places]
    assert scores == sorted(scores, reverse=True)
    assert all(one.low <= values[place] <= one.high for one in found for place in one.places)


def test_few_photographs_leave_bins_out_and_say_that_the_top_is_one():
    assert names(bins(np.array([3.0]), 4)) == ["top 0.1 %"]
    assert names(bins(np.array([3.0, 5.0]), 4)) == ["top 0.1 %", "bottom"]
    assert names(bins(np.arange(3.0), 4)) == ["top 0.1 %", "around 50 %", "bottom"]
    found = bins(np.arange(206.0), 6)
    assert found[0].places == (205,)
    assert found[0].note == "0.1 % is less than one photograph: this is the strongest."
    assert found[0].range == "quantiles 99.5 to 100.0 %"
    assert found[1].places == (204, 203, 202, 201, 200, 199)
    assert found[1].range == "quantiles 96.6 to 99.5 %"
    assert bins(np.arange(1000.0), 6)[0].note == ""


def test_photographs_without_a_score_are_left_out_and_ties_keep_their_order():
    found = bins(np.array([np.nan, 1, np.nan, 1, 1, np.nan]), 3)
    assert [one.places for one in found] == [(1,), (3,), (4,)]


def test_shares_of_all_excitation_add_up_scores_above_zero():
    values = np.zeros(1000)
    values[:10], values[10:100], values[100:200] = 30, 5, -50
    found = {one.name: one.share for one in bins(values, 3)}
    assert found == {
        "top 0.1 %": 30 / 750, "around 99 %": 300 / 750, "around 90 %": 1, "around 50 %": 1,
        "bottom": 1,
    }  # fmt: skip
    few = {one.name: one.share for one in bins(np.arange(50.0), 3)}
    assert few["top 0.1 %"] is None
    assert few["around 99 %"] is None
    assert few["around 90 %"] == pytest.approx((45 + 46 + 47 + 48 + 49) / 1225)
    assert {one.share for one in bins(-np.ones(5000), 3)} == {None}


@pytest.mark.parametrize(
    ("values", "each", "received"),
    [([], 3, "0 photographs, 3 for each bin"), ([np.nan], 3, "0 photographs"), ([1.0], 0, "0 for")],
)
def test_bins_of_nothing_are_refused(values, each, received):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        bins(np.array(values), each)


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
def test_a_quilt_shows_each_crop_and_is_a_page_wide(counts):
    made = quilt_picture("block4_conv3:17", rows(counts), 206)
    assert made.dtype == np.uint8
    assert 1500 < made.shape[1] < 2900
    blank = [(row, [example(1, crop=np.full((8, 8, 3), 255, np.uint8)) for _ in inside])
             for row, inside in rows(counts)]  # fmt: skip
    assert (made != quilt_picture("block4_conv3:17", blank, 206)).any()


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
        quilt_picture("a:1", [(one, inside[:at]) for at, (one, inside) in
                              zip((1, 0), rows([1, 1]), strict=True)], 206)  # fmt: skip
