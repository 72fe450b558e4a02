"""Where the map of a filter has its summits, on networks whose maps are known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.activations.recorder import Recording, fill, observer, summits
from convscope.activations.statistics import Observation, Peaks, join
from convscope.data import dataset, photograph
from convscope.data.views import View
from convscope.models.backend import keras
from convscope.models.network import Network, tap
from convscope.models.receptive_field import Axis, ReceptiveField
from convscope.models.zoo.checkpoints import Provenance
from convscope.unit import IMAGE, Unit

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


PIXELS = np.random.default_rng(0).random((5, 29, 41, 3), np.float32)


def detector(kernel: np.ndarray, **options: object) -> Network:
    """A network of one convolution with the given weights `(height, width, 3, filters)`."""
    image = keras.Input((None, None, 3))
    layer = L.Conv2D(
        kernel.shape[-1],
        kernel.shape[:2],
        use_bias=False,
        activation="relu",
        name="only",
        **options,
    )
    network = Network("tiny", keras.Model(image, layer(image)), lambda x: x, Provenance("", ""))
    layer.set_weights([kernel])
    return network


def write(folder: Path, *shapes: tuple[int, int]) -> list[Path]:
    """Photographs of smooth noise, (height, width)."""
    generator = np.random.default_rng(1)
    paths = []
    for index, (height, width) in enumerate(shapes):
        coarse = Image.fromarray(generator.integers(0, 256, (9, 13, 3), np.uint8))
        paths.append(folder / f"{index}.png")
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def test_peaks_and_positions_equal_a_plain_loop_on_the_real_network(vgg16):
    names = ["block1_conv2", "block2_conv2", "block3_conv1"]
    found, _ = observer(vgg16, names[-1], names[:-1])(PIXELS)
    maps = tap(vgg16, names, pre=True)(PIXELS)
    assert list(found.peaks) == names
    for name in names:
        values, peaks = maps[name].numpy(), found.peaks[name]
        assert values.dtype == peaks.values.dtype == np.float32
        assert peaks.values.shape == (5, values.shape[-1])
        for image in range(5):
            for filter in range(values.shape[-1]):
                plane = values[image, :, :, filter]
                place = peaks.rows[image, filter], peaks.columns[image, filter]
                np.testing.assert_allclose(peaks.values[image, filter], plane.max(), atol=1e-3)
                np.testing.assert_allclose(plane[place], plane.max(), atol=1e-3)
    last = maps[names[-1]].numpy()
    assert peaks.count == np.prod(last.shape[:3])
    fired = (last > 0).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(peaks.firing_rate * peaks.count, fired, atol=2)


def test_a_peak_is_found_where_it_was_put_even_below_zero():
    network = detector(np.float32([[[[1, -1], [0, 0], [0, 0]]]]))
    pixels = np.full((2, 5, 7, 3), 0.5, np.float32)
    pixels[0, 3, 2, 0], pixels[0, 1, 6, 0] = 0.9, 0.1
    pixels[1, 4, 6, 0], pixels[1, 0, 0, 0] = 0.8, 0.2
    peaks = observer(network, "only", [])(pixels)[0].peaks["only"]
    np.testing.assert_array_equal(peaks.values, np.float32([[0.9, -0.1], [0.8, -0.2]]))
    np.testing.assert_array_equal(peaks.rows, [[3, 1], [4, 0]])
    np.testing.assert_array_equal(peaks.columns, [[2, 6], [6, 0]])


def test_of_equal_peaks_the_first_counts():
    network = detector(np.ones((1, 1, 3, 1), np.float32))
    pixels = np.zeros((1, 4, 6, 3), np.float32)
    pixels[0, 2, 5] = pixels[0, 2, 1] = pixels[0, 3, 0] = 1
    peaks = observer(network, "only", [])(pixels)[0].peaks["only"]
    assert (peaks.rows.item(), peaks.columns.item()) == (2, 1)


def test_the_strongest_photographs_come_first_and_ties_in_order():
    values = np.float32([[1, 0], [3, 0], [3, 1], [2, 0], [3, 0]])
    peaks = Peaks(*[values] * 5)
    assert peaks.strongest(0, 4).tolist() == [1, 2, 4, 3]
    assert peaks.strongest(1, 99).tolist() == [2, 0, 1, 3, 4]
    assert peaks.strongest(1, 0).tolist() == []
    many = np.random.default_rng(0).integers(1, 4, (300, 1)).astype(np.float32)
    expected = sorted(range(300), key=lambda image: (-many[image, 0], image))
    assert Peaks(*[many] * 5).strongest(0, 300).tolist() == expected


def test_what_goes_in_and_how_often_a_filter_fires_is_exact():
    kernel = np.zeros((1, 2, 3, 2), np.float32)
    kernel[0, 0, 0, 0], kernel[0, 1, 0, 1] = 1, -1
    pixels = np.zeros((1, 2, 3, 3), np.float32)
    pixels[0, ..., 0] = [[1, 2, 4], [0, 8, 0]]
    found, batch = observer(detector(kernel), "only", [])(pixels)
    peaks = found.peaks["only"]
    assert peaks.count == 4
    np.testing.assert_array_equal(batch.inputs, pixels)
    np.testing.assert_array_equal(batch.maps[0, ..., 0], [[1, 2], [0, 8]])
    np.testing.assert_array_equal(found.lowest, [0, 0, 0])
    np.testing.assert_array_equal(peaks.firing_rate, [0.75, 0])


def test_joined_observations_are_one_after_the_other():
    parts = [
        Observation(
            {"a": Peaks(*[np.full((count, 2), count)] * 4, np.full((2, 512), 10 * count))},
            np.array([-count, count, 0]),
        )
        for count in (2, 3)
    ]
    whole = join(parts)
    assert whole.peaks["a"].rows[:, 1].tolist() == [2, 2, 3, 3, 3]
    np.testing.assert_array_equal(whole.lowest, [-3, 2, 0])
    assert (whole.peaks["a"].histogram == 50).all() and whole.peaks["a"].count == 50 * 512


def test_the_size_of_a_batch_does_not_matter(vgg16):
    def seen(batch):
        *_, recording = fill(
            vgg16, ["block3_conv1", "block2_conv2"], dataset.samples()[:7], 67, batch
        )
        return recording

    one, *others = seen(1), seen(3), seen(7)
    for other in others:
        assert other.paths == one.paths and other.views == one.views
        ours, theirs = one.observation, other.observation
        np.testing.assert_allclose(ours.lowest, theirs.lowest, atol=1e-4)
        assert other.digests == one.digests and len(one.digests) == 7
        for name in ("block2_conv2", "block3_conv1"):
            first, second = ours.peaks[name], theirs.peaks[name]
            assert np.abs(first.histogram - second.histogram).sum(axis=1).max() <= 4
            np.testing.assert_allclose(first.values, second.values, rtol=1e-4, atol=1e-4)
            same = (first.rows == second.rows) & (first.columns == second.columns)
            assert same.mean() > 0.999  # all but near ties


def test_an_album_grows_by_batches_and_sets_the_broken_aside(tmp_path):
    paths = write(tmp_path, (20, 33), (21, 34), (22, 35), (23, 36), (24, 37))
    paths[1].write_text("no image")
    paths[2].write_bytes(b"")
    network = detector(np.ones((1, 1, 3, 1), np.float32))
    sizes = [
        (len(recording.paths), len(recording.skipped), recording.observation.peaks["only"].count)
        for recording in fill(network, ["only"], paths, 10, 1)
    ]
    assert sizes == [(1, 0, 100), (1, 1, 100), (1, 2, 100), (2, 2, 200), (3, 2, 300)]
    for count in (2, 5):
        *_, recording = fill(network, ["only"], paths, 10, count)
        assert recording.paths == [paths[0], paths[3], paths[4]]
        assert [view.size for view in recording.views] == [(20, 33), (23, 36), (24, 37)]
        assert [path for path, _ in recording.skipped] == paths[1:3]
        assert [reason for _, reason in recording.skipped] == [
            "not a JPEG, PNG, WebP, BMP, GIF or TIFF, or a broken one",
            "an empty file",
        ]
        assert recording.observation.peaks["only"].values.shape == (3, 1)


def inverted(path: Path, box: tuple[int, int, int, int], *, inside: bool, folder: Path) -> Path:
    """A copy of a photograph whose pixels inside or outside of a box are inverted."""
    pixels = np.asarray(photograph.load(path))
    top, left, bottom, right = box
    mask = np.zeros(pixels.shape[:2], bool)
    mask[top:bottom, left:right] = True
    changed = np.where((mask if inside else ~mask)[..., None], 255 - pixels, pixels)
    copy = folder / f"{path.stem}-{inside}.png"
    Image.fromarray(changed).save(copy)
    return copy


@pytest.mark.parametrize("filter", [3, 40, 77, 101])
def test_a_crop_shows_all_the_pixels_whose_change_changes_the_activation(vgg16, tmp_path, filter):
    size, name = 48, "block3_conv1"
    # The shorter side is the view's: no pixel of the view mixes several of the photograph.
    *_, recording = fill(vgg16, [name], write(tmp_path, (48, 71), (67, 48), (48, 95)), size, 2)
    model = tap(vgg16, [name], pre=True)
    peaks = recording.observation.peaks[name]
    crops = recording.crops(Unit(name, filter), 3)
    assert len(crops) == 3
    order = [recording.paths.index(crop.path) for crop in crops]
    assert sorted(order) == [0, 1, 2]
    assert [crop.activation for crop in crops] == sorted(peaks.values[:, filter], reverse=True)
    for index, crop in zip(order, crops, strict=True):
        place = peaks.rows[index, filter], peaks.columns[index, filter]

        def response(path, place=place):
            view, _ = dataset.shown(photograph.load(path), size)
            return model(view[None])[name].numpy()[0, :, :, filter][place]

        top, left, bottom, right = crop.box
        whole = np.asarray(photograph.load(crop.path))
        np.testing.assert_array_equal(crop.pixels, whole[top:bottom, left:right])
        outside = inverted(crop.path, crop.box, inside=False, folder=tmp_path)
        within = inverted(crop.path, crop.box, inside=True, folder=tmp_path)
        np.testing.assert_allclose(response(crop.path), crop.activation, rtol=1e-4)
        np.testing.assert_allclose(response(outside), crop.activation, rtol=1e-4)
        assert abs(response(within) - crop.activation) > 0.1 * abs(crop.activation)


def test_a_crop_is_in_pixels_of_the_original_file(tmp_path):
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[30:32, 76:78] = 255  # one pixel of a view half as large, (15, 28) in the middle's 30
    Image.fromarray(pixels).save(tmp_path / "mark.png")
    kernel = np.ones((3, 5, 3, 1), np.float32)
    kernel[1, 2] = 20
    network = detector(kernel, padding="same")
    *_, recording = fill(network, ["only"], [tmp_path / "mark.png"], 30, 1)
    (crop,) = recording.crops(Unit("only", 0), 2)
    peaks = recording.observation.peaks["only"]
    assert (peaks.rows.item(), peaks.columns.item()) == (15, 28)
    # Rows 14 to 16 and columns 26 to 29 of the view, 36 to 39 of the whole at its scale: what lies
    # beyond the view counts for nothing. The filter reaches 3 pixels beyond what a pixel covers.
    assert crop.box == (28 - 3, 72 - 3, 34 + 3, 80 + 3)
    assert crop.pixels.shape == (12, 14, 3)
    assert crop.pixels.sum() == 255 * 3 * 4
    np.testing.assert_array_equal(crop.pixels[5:7, 7:9], 255)


def test_a_crop_at_the_corner_is_cut_off_at_the_photographs_edges(tmp_path):
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[0, 19] = 255
    Image.fromarray(pixels).save(tmp_path / "corner.png")
    kernel = np.ones((5, 7, 3, 1), np.float32)
    kernel[2, 3] = 20
    *_, recording = fill(
        detector(kernel, padding="same"), ["only"], [tmp_path / "corner.png"], 20, 1
    )
    (crop,) = recording.crops(Unit("only", 0), 1)
    assert crop.box == (0, 16, 3, 20)
    np.testing.assert_array_equal(crop.pixels, pixels[0:3, 16:20])


def test_a_crop_of_a_turned_photograph_is_cut_from_it_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees to the right: 9 rows and 12 columns
    stored = np.zeros((12, 9, 3), np.uint8)
    stored[6, 2] = 255  # upright: row 2, column 5
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    network = detector(np.ones((1, 1, 3, 1), np.float32))
    *_, recording = fill(network, ["only"], [tmp_path / "turned.png"], 9, 1)
    (crop,) = recording.crops(Unit("only", 0), 1)
    assert recording.views[0].size == (9, 12)
    assert crop.box == (2, 5, 3, 6)
    np.testing.assert_array_equal(crop.pixels, [[[255, 255, 255]]])


def test_layers_that_were_not_observed_have_no_crops():
    recording = Recording(
        sides=(5, 5),
        fit="crop",
        paths=[Path("a.png")],
        views=[View((1, 1), (0, 0), (5, 5), (5, 5))],
        fields={"a": ReceptiveField(Axis(), Axis())},
        pages=[Observation({"a": Peaks(*[np.zeros((1, 1))] * 5)}, np.zeros(1))],
    )
    assert recording.crops(Unit(IMAGE, 0), 2) == ()
    assert recording.crops(Unit("b", 0), 2) == ()
    assert recording.crops(Unit("a", 0), 0) == ()


def test_crops_of_real_photographs_hold_what_the_unit_saw(vgg16, photographs):
    paths = photographs[::29]
    *_, recording = fill(vgg16, ["block2_conv2", "block1_conv1"], paths, 96, 3)
    for unit in (Unit("block2_conv2", 5), Unit("block1_conv1", 9)):
        crops = recording.crops(unit, 3)
        field = recording.fields[unit.layer]
        activations = [crop.activation for crop in crops]
        assert activations == sorted(activations, reverse=True)
        assert len({crop.path for crop in crops}) == 3
        for crop in crops:
            view = recording.views[recording.paths.index(crop.path)]
            top, left, bottom, right = crop.box
            assert 0 <= top < bottom <= view.size[0] and 0 <= left < right <= view.size[1]
            # One and a half pixels of the view on either side are the reach of the filter.
            assert bottom - top <= (field.rows.size + 3) / view.scale[0] + 2
            assert crop.pixels.shape == (bottom - top, right - left, 3)
