"""Examples: the part of a photograph that a unit saw, in the original's own pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.activations.dataset_examples import CROP, WHOLE, Bin, Example, Hit, bins, examples
from convscope.data import dataset, photograph, views
from convscope.models.receptive_field import Axis, ReceptiveField

FIELD = ReceptiveField(Axis(7, 4, 2), Axis(9, 4, 3))
FITS = ("crop", "squash", "pad", "center")


def coded(height: int, width: int) -> np.ndarray:
    """Return a picture whose colours tell the row and the column of each pixel."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows % 256, columns % 256, rows // 256 * 16 + columns // 256], -1).astype("u1")


def written(folder: Path, height: int, width: int, name: str = "a.png") -> Path:
    path = folder / name
    Image.fromarray(coded(height, width)).save(path)
    return path


def hit(path: Path, rank: int, row: int, column: int, **changed: object) -> Hit:
    given = {"image": path.name, "activation": 10.0 - rank, "wnid": "n1", "label": "cat"}
    return Hit(rank, path, row=row, column=column, **(given | changed))


def cut(path: Path, places: list[tuple[int, int]], fit: str, size: int = 32) -> tuple[Example, ...]:
    return examples([hit(path, 1, *place) for place in places], FIELD, size, fit)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("height", "width"), [(37, 61), (61, 37), (23, 23), (301, 97)], ids=str)
def test_the_crop_holds_the_pixels_of_the_box_and_no_others(fit, height, width, tmp_path):
    path = written(tmp_path, height, width)
    places = [(0, 0), (2, 3), (5, 7)]
    for place, found in zip(places, cut(path, places, fit), strict=True):
        top, left, bottom, right = found.box
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width
        assert np.array_equal(found.crop, coded(height, width)[top:bottom, left:right])
        seen = FIELD.box(*place)
        view = views.view(height, width, 32, fit)
        assert found.box == view.original(seen.top, seen.left, seen.bottom, seen.right)
        assert found.size == (height, width)


@pytest.mark.parametrize("fit", FITS)
def test_only_what_the_box_holds_reaches_the_unit(fit, tmp_path):
    height, width, (row, column) = 43, 71, (3, 4)
    seen = FIELD.box(row, column)
    (found,) = cut(written(tmp_path, height, width), [(row, column)], fit)
    top, left, bottom, right = found.box

    def field(picture: np.ndarray) -> np.ndarray:
        pixels = np.asarray(dataset.shown(Image.fromarray(picture), 32, fit)[0])
        return pixels[seen.top : seen.bottom, seen.left : seen.right]

    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    outside = 255 - noise
    outside[top:bottom, left:right] = noise[top:bottom, left:right]
    assert np.array_equal(field(outside), field(noise))
    for edge in (np.s_[top], np.s_[bottom - 1], np.s_[:, left], np.s_[:, right - 1]):
        changed = noise.copy()
        changed[edge] = 255 - noise[edge]
        assert not np.array_equal(field(changed), field(noise))


def test_a_field_that_reaches_beyond_the_photograph_is_cut_at_its_edges(tmp_path):
    path = written(tmp_path, 64, 96)
    first, last = cut(path, [(0, 0), (7, 7)], "crop")
    assert first.box[0] == 0
    assert last.box[2] == 64
    assert first.crop.shape[:2] == (first.box[2], first.box[3] - first.box[1])


def test_a_field_on_padding_alone_shows_the_nearest_pixels(tmp_path):
    (found,) = cut(written(tmp_path, 9, 90), [(0, 4)], "pad")
    top, _, bottom, _ = found.box
    assert (top, bottom) == (0, 1)
    assert found.crop.shape[0] == 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3000), (3000, 2)], ids=str)
@pytest.mark.parametrize("fit", FITS)
def test_extreme_photographs_have_crops(fit, height, width, tmp_path):
    for found in cut(written(tmp_path, height, width), [(0, 0), (4, 4)], fit):
        assert min(found.crop.shape) > 0
        assert min(found.whole.shape) > 0


def test_large_crops_and_photographs_are_kept_smaller(tmp_path):
    (found,) = cut(written(tmp_path, 1201, 1803), [(3, 3)], "crop", 16)
    assert max(found.crop.shape[:2]) == CROP
    assert found.whole.shape == (round(1201 * WHOLE / 1803), WHOLE, 3)
    assert found.crop.dtype == found.whole.dtype == np.uint8


def test_examples_keep_their_order_and_each_photograph_is_read_once(tmp_path, monkeypatch):
    paths = [written(tmp_path, 41, 53, name) for name in ("a.png", "b.png")]
    read = []
    load = photograph.load
    monkeypatch.setattr(photograph, "load", lambda path: read.append(path) or load(path))
    hits = [hit(paths[at % 2], at + 1, at, 2 * at) for at in range(4)]
    found = examples(hits, FIELD, 32, "squash")
    assert read == paths
    assert [(one.rank, one.path, one.row, one.column) for one in found] == [
        (given.rank, given.path, given.row, given.column) for given in hits
    ]
    assert [one.activation for one in found] == [9, 8, 7, 6]
    assert {(one.image, one.wnid, one.label) for one in found} == {
        ("a.png", "n1", "cat"), ("b.png", "n1", "cat")
    }  # fmt: skip
    for one, given in zip(found, hits, strict=True):
        (alone,) = cut(given.path, [(given.row, given.column)], "squash")
        assert one.box == alone.box
        assert np.array_equal(one.crop, alone.crop)


def test_no_hits_give_no_examples():
    assert examples([], FIELD, 32) == ()


def test_a_photograph_that_is_gone_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.png was ranked but cannot be shown: no such file"):
        cut(tmp_path / "gone.png", [(0, 0)], "crop")


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
