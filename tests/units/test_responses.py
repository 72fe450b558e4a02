"""What photographs say about a layer's filters is what stands in maps that are known."""

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from responses import (
    BIRDS,
    COLUMNS,
    DOGS,
    SIZE,
    activations,
    labelled,
    photographs,
    pixels,
    responses_of,
    seen,
)

from convscope.activations.dataset_examples import shrunk
from convscope.data import dataset, photograph
from convscope.data.labels import Labels
from convscope.models.receptive_field import Axis, ReceptiveField
from convscope.units.responses import Responses

CHIHUAHUA, BEAGLE, BRAMBLING, GOLDFINCH = *DOGS, *BIRDS
NAMES = [
    "n02123045_0.png",  # a tabby, broken
    *(f"{wnid}_{number}.png" for wnid in (*DOGS, *BIRDS) for number in range(6)),
    "new\nline.png",
    "gone.png",  # broken
]
GOOD = range(1, 26)
CHIHUAHUAS = range(1, 7)
PLAIN, FIRES, SILENT, AVOIDS = range(4)  # the filters, by what they do


def responses() -> np.ndarray:
    """Return maps of four filters: plain, firing for Chihuahuas, silent, avoiding Chihuahuas."""
    maps = activations(len(NAMES), filters=4)
    maps[CHIHUAHUAS, ..., FIRES] += 20
    maps[..., SILENT] = -np.abs(maps[..., SILENT])
    maps[CHIHUAHUAS, ..., AVOIDS] -= 20
    return maps


MAPS = responses()
PEAKS = MAPS.max((1, 2))
MEANS = MAPS.mean((1, 2)).astype(np.float16)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return photographs(tmp_path_factory.mktemp("photographs"), NAMES, broken=(0, 26))


@pytest.fixture(scope="module")
def layer(tmp_path_factory, paths) -> Responses:
    return responses_of(tmp_path_factory.mktemp("index"), paths, MAPS)


@pytest.fixture(scope="module")
def means(layer) -> Responses:
    return replace(layer, score="mean")


def ranked(values: np.ndarray) -> list[int]:
    """Return the good places, the largest value first, the earlier of equal ones before."""
    return sorted(GOOD, key=lambda place: (-values[place], place))


def position(place: int, filter: int) -> tuple[int, int]:
    """Return row and column of a filter's first largest value on a photograph."""
    return divmod(int(MAPS[place, ..., filter].argmax()), COLUMNS)


@pytest.fixture
def loads(monkeypatch) -> Counter:
    """How often each photograph is read from now on."""
    counts: Counter = Counter()
    load = photograph.load

    def counted(path):
        counts[path] += 1
        return load(path)

    monkeypatch.setattr(photograph, "load", counted)
    return counts


# The photographs


def test_photographs_that_cannot_be_read_are_set_aside_with_the_reason(layer):
    assert layer.skipped == {0: "an empty file", 26: "an empty file"}
    assert layer.seen == 25
    assert layer.layer == "conv"


def test_the_fingerprint_is_that_of_the_photographs_that_can_be_read(layer, paths):
    assert layer.fingerprint == dataset.fingerprint(paths[1:26])


def test_names_are_spelled_so_that_they_can_be_shown(layer):
    assert [layer.name(place) for place in (3, 25, 26)] == [
        "n02085620_2.png", "new\\nline.png", "gone.png"
    ]  # fmt: skip


def test_the_panel_knows_the_readable_photographs_by_class_half_and_group(layer):
    panel = layer.panel
    keys = (BRAMBLING, GOLDFINCH, CHIHUAHUA, BEAGLE)
    assert panel.classes == keys
    codes = [-1, *[2] * 6, *[3] * 6, *[0] * 6, *[1] * 6, -1, -1]
    assert panel.codes.tolist() == codes
    assert panel.first[GOOD].tolist() == [place % 2 == 0 for place in GOOD]
    assert {key: set(panel.groups[key]) for key in panel.groups} == {
        "n01525720": {0, 1}, "n02084071": {2, 3}, "n02085374": {2}, "n02087551": {3},
    }  # fmt: skip
    assert [panel.names[key] for key in panel.keys] == [
        "brambling", "goldfinch", "Chihuahua", "beagle", "oscine", "dog"
    ]  # fmt: skip
    assert panel.names["n02085374"] == "toy dog"
    assert (panel.min_images, panel.permutations, panel.seed) == (6, 199, 3)


def test_a_class_of_which_nothing_can_be_read_makes_no_group_of_its_own(layer):
    # With the tabby there would be carnivores beside the dogs, of the very same photographs.
    assert "n02123045" in layer.labels.keys
    assert "n02123045" not in layer.panel.classes
    assert [layer.panel.names[key] for key in layer.panel.together] == ["oscine", "dog"]


def test_photographs_are_labelled_if_one_that_can_be_read_has_a_class(layer):
    def known(keys):
        return replace(layer, labels=Labels(keys, {}, "folders")).labelled

    assert layer.labelled
    assert not known((None,) * 27)
    assert known((None,) * 7 + ("cat",) + (None,) * 19)
    assert not known(("cat",) + (None,) * 25 + ("cat",))


# One filter


def test_scores_are_peaks_or_means_with_nothing_for_what_was_set_aside(layer, means):
    for one, values in ((layer, PEAKS), (means, MEANS)):
        for filter in range(4):
            found = one.scores(filter)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found[GOOD], values[GOOD, filter])
            assert np.isnan(found[[0, 26]]).all()


@pytest.mark.parametrize("filter", range(4))
def test_the_top_hits_are_those_of_a_plain_sort_and_name_all_of_a_photograph(layer, paths, filter):
    order = ranked(PEAKS[:, filter])
    assert len({PEAKS[place, filter] for place in order}) < 25  # some are equal
    for count in (1, 7, 25, 99):
        found = layer.top(filter, count)
        assert [hit.path for hit in found] == [paths[place] for place in order[:count]]
        assert [hit.rank for hit in found] == list(range(1, min(count, 25) + 1))
    for hit, place in zip(found, order, strict=True):
        assert (hit.row, hit.column) == position(place, filter)
        assert hit.activation == PEAKS[place, filter]
        assert hit.image == layer.name(place)
        assert hit.wnid == (NAMES[place][:9] if place < 25 else None)
        assert hit.label == (DOGS | BIRDS).get(hit.wnid)


def test_hits_keep_the_order_of_their_places(layer, means, paths):
    asked = np.array([9, 25, 2])
    for one, values in ((layer, PEAKS), (means, MEANS)):
        found = one.hits(AVOIDS, asked)
        assert [(hit.rank, hit.path) for hit in found] == [
            (1, paths[9]), (2, paths[25]), (3, paths[2])
        ]  # fmt: skip
        assert [hit.activation for hit in found] == values[asked, AVOIDS].tolist()
        # Where its peak is, whatever the score.
        assert [(hit.row, hit.column) for hit in found] == [position(at, AVOIDS) for at in asked]
    assert layer.hits(AVOIDS, asked[:0]) == ()


def test_by_their_means_other_photographs_are_on_top(layer, means, paths):
    assert [hit.path for hit in means.top(PLAIN, 5)] == [
        paths[place] for place in ranked(MEANS[:, PLAIN])[:5]
    ]
    assert means.top(PLAIN, 5) != layer.top(PLAIN, 5)


def test_a_class_without_a_name_is_shown_by_its_key(layer):
    other = replace(layer, labels=Labels((None,) * 3 + ("cat",) + (None,) * 23, {}, "folders"))
    assert [hit.label for hit in other.hits(PLAIN, np.array([3, 4]))] == ["cat", None]


@pytest.mark.parametrize("fit", ["crop", "squash", "pad", "center"])
def test_hits_are_shown_by_what_the_filter_saw(tmp_path, fit):
    paths = labelled(tmp_path / "p", 2)
    made = responses_of(tmp_path / "home", paths, activations(8), fit=fit)
    hits = made.top(1, 8)
    shown = made.show(hits)
    assert len(shown) == 8
    for hit, example in zip(hits, shown, strict=True):
        whole, view = pixels(hit.path), seen(hit.path, fit)
        row, column = 4 * hit.row - 2, 5 * hit.column - 4
        assert example.box == view.original(row, column, row + 9, column + 13)
        top, left, bottom, right = example.box
        assert 0 <= top < bottom <= whole.shape[0] and 0 <= left < right <= whole.shape[1]
        np.testing.assert_array_equal(example.crop, whole[top:bottom, left:right])
        np.testing.assert_array_equal(example.whole, whole)
        assert (example.path, example.rank, example.label) == (hit.path, hit.rank, hit.label)
        assert (example.activation, example.size) == (hit.activation, whole.shape[:2])


def test_every_position_of_the_layer_is_shown_inside_the_photograph(layer):
    (hit,) = layer.top(PLAIN, 1)
    height, width = pixels(hit.path).shape[:2]
    hits = [replace(hit, row=row, column=column) for row, column in product(range(8), range(6))]
    for example in layer.show(hits):
        top, left, bottom, right = example.box
        assert 0 <= top < bottom <= height and 0 <= left < right <= width


def test_a_layer_without_positions_sees_the_whole_square(tmp_path):
    paths = labelled(tmp_path / "p", 1)
    made = responses_of(
        tmp_path / "home", paths, activations(4)[:, :1, :1], field=None, fit="squash"
    )
    assert made.field == ReceptiveField(Axis(SIZE, SIZE), Axis(SIZE, SIZE))
    for example in made.show(made.top(2, 4)):
        assert (example.row, example.column) == (0, 0)
        assert example.box == (0, 0, *example.size)


def test_a_range_has_the_photographs_of_each_bin_strongest_first(layer, paths):
    found = layer.binned(AVOIDS, 2)
    assert [one.name for one, _ in found] == [
        "top 0.1 %", "around 90 %", "around 50 %", "bottom"
    ]  # fmt: skip
    # Ranks from 0 for the strongest: 90 % of 25 lie around 2.4, a half around 12.
    ranks, order = [[0], [2, 3], [12, 13], [23, 24]], ranked(PEAKS[:, AVOIDS])
    for (one, shown), rank in zip(found, ranks, strict=True):
        chosen = [order[at] for at in rank]
        assert list(one.places) == chosen
        assert [example.path for example in shown] == [paths[place] for place in chosen]
        assert [example.rank for example in shown] == list(range(1, len(chosen) + 1))
        assert [example.activation for example in shown] == PEAKS[chosen, AVOIDS].tolist()


def test_a_study_counts_the_pairs_of_each_half_that_a_class_or_group_wins(layer, means):
    for one, values, filter in ((layer, PEAKS, PLAIN), (means, MEANS, PLAIN), (layer, PEAKS, 3)):
        found = one.study(filter)
        assert (found.discovery, found.confirmation, found.min_images) == (12, 12, 6)
        assert len(found.classes) == 4 and len(found.groups) == 2
        for name in found.tested:
            own = {"n02084071": set(DOGS), "n01525720": set(BIRDS)}.get(name.wnid, {name.wnid})
            for parity, area in ((0, name.discovery), (1, name.auroc)):
                half = [place for place in range(1, 25) if place % 2 == parity]
                inside = [values[at, filter] for at in half if NAMES[at][:9] in own]
                beside = [values[at, filter] for at in half if NAMES[at][:9] not in own]
                pairs = [float(a > b) + 0.5 * (a == b) for a, b in product(inside, beside)]
                assert area == pytest.approx(np.mean(pairs), abs=1e-12)
            assert name.images == len(inside)
            assert name.mean == pytest.approx(np.mean(inside))


def test_what_a_filter_fires_for_and_avoids_is_found(layer):
    fires, avoids = layer.study(FIRES), layer.study(AVOIDS)
    assert [one.name for one in fires.fires] == [one.name for one in avoids.avoids] == ["Chihuahua"]
    assert (fires.fires[0].auroc, avoids.avoids[0].auroc) == (1, 0)
    assert fires.avoids == avoids.fires == layer.study(PLAIN).fires == ()


def test_the_rate_is_the_share_of_positions_above_zero(layer):
    assert (MAPS[GOOD] == 0).any()  # which counts as not above
    for filter in range(4):
        assert layer.rate(filter) == (MAPS[GOOD][..., filter] > 0).mean()
    assert layer.rate(SILENT) == 0


def test_peak_and_mean_are_told_of_the_photographs_in_the_order_asked(layer, means, paths):
    for one, values in ((layer, PEAKS), (means, MEANS)):
        order = ranked(values[:, PLAIN])[:5]
        asked = [*order[::-1][:4], order[1]]  # one of them twice
        assert one.measured(PLAIN, [paths[place] for place in asked]) == [
            (float(PEAKS[place, PLAIN]), float(MEANS[place, PLAIN])) for place in asked
        ]
    assert layer.measured(PLAIN, []) == []


# Many filters


def test_the_studies_of_many_filters_are_those_of_each(layer):
    chosen = [AVOIDS, PLAIN, SILENT, FIRES]
    assert list(layer.studies(chosen)) == [layer.study(filter) for filter in chosen]


def test_the_crops_of_many_filters_take_one_reading_of_each_photograph(layer, loads):
    chosen = [AVOIDS, PLAIN, FIRES]
    tops = {filter: layer.top(filter, 9) for filter in chosen}
    wanted = {hit.path for hits in tops.values() for hit in hits}
    assert len(wanted) < 27
    grown = [sum(map(len, crops.values())) for crops in layer.crops(chosen, 7)]
    assert loads == dict.fromkeys(wanted, 1)
    assert len(grown) == len(wanted) and grown == sorted(set(grown))
    assert grown[-1] == 27
    *_, crops = layer.crops(chosen, 7)
    assert list(crops) == chosen
    for filter, found in crops.items():
        found = sorted(found, key=lambda example: example.rank)
        for example, full in zip(found, layer.show(tops[filter]), strict=True):
            assert (example.path, example.rank, example.box, example.label) == (
                full.path, full.rank, full.box, full.label
            )  # fmt: skip
            assert max(example.crop.shape) == 7 < max(full.crop.shape)
            np.testing.assert_array_equal(example.crop, shrunk(full.crop, 7))
            assert example.whole.shape == (1, 1, 3)


def test_crops_that_are_small_enough_stay_as_they_are(layer):
    *_, crops = layer.crops([PLAIN], 500)
    for example in crops[PLAIN]:
        top, left, bottom, right = example.box
        np.testing.assert_array_equal(example.crop, pixels(example.path)[top:bottom, left:right])


def test_of_few_photographs_there_are_few_crops(tmp_path, loads):
    paths = labelled(tmp_path / "p", 1, broken=[2])
    made = responses_of(tmp_path / "home", paths, activations(4))
    loads.clear()
    *_, crops = made.crops([0, 2], 99)
    assert {filter: len(found) for filter, found in crops.items()} == {0: 3, 2: 3}
    assert loads == {paths[0]: 1, paths[1]: 1, paths[3]: 1}
