"""Views: the square that is shown of a photograph, and boxes in it that map back."""

import numpy as np
import pytest
from PIL import Image

from convscope.data.dataset import batches, shown
from convscope.data.views import View, view

RNG = np.random.default_rng(0)
FITS = ("crop", "squash", "pad", "center")


def test_a_view_at_the_photographs_own_size_is_its_middle():
    pixels = RNG.integers(0, 256, (7, 12, 3), np.uint8)
    for turned in (False, True):
        picture = pixels.transpose(1, 0, 2) if turned else pixels
        middle = picture[2:9] if turned else picture[:, 2:9]
        found, made = shown(Image.fromarray(picture), 7)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, middle / np.float32(255))
        assert made == View((1, 1), (2, 0) if turned else (0, 2), picture.shape[:2], (7, 7))
        assert made.original(1, 2, 4, 6) == ((3, 2, 6, 6) if turned else (1, 4, 4, 8))


def test_a_padded_view_shows_the_whole_photograph_on_grey():
    pixels = RNG.integers(0, 256, (7, 12, 3), np.uint8)
    found, made = shown(Image.fromarray(pixels), 12, "pad")
    assert made == View((1, 1), (-2, 0), (7, 12), (12, 12))
    np.testing.assert_array_equal(found[2:9], pixels / np.float32(255))
    assert (found[:2] == 0.5).all() and (found[9:] == 0.5).all()
    found, made = shown(Image.fromarray(pixels.transpose(1, 0, 2)), 12, "pad")
    assert made == View((1, 1), (0, -2), (12, 7), (12, 12))
    np.testing.assert_array_equal(found[:, 2:9], pixels.transpose(1, 0, 2) / np.float32(255))
    assert (found[:, :2] == 0.5).all() and (found[:, 9:] == 0.5).all()


def test_a_squashed_view_shows_the_whole_photograph_without_grey():
    flat = np.repeat(np.uint8([[[40], [80], [160]]]), 3, axis=2)
    picture = Image.fromarray(np.repeat(np.repeat(flat, 10, axis=0), 20, axis=1))
    found, made = shown(picture, 30, "squash")
    assert made == View((3, 0.5), (0, 0), (10, 60), (30, 30))
    np.testing.assert_allclose(found[:, [3, 15, 26], 0] * 255, [[40, 80, 160]] * 30, atol=1e-4)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [1, 2, 37, 224])
def test_an_image_of_one_pixel_fills_its_view(size, fit):
    found, made = shown(Image.fromarray(np.uint8([[[51, 102, 255]]])), size, fit)
    np.testing.assert_allclose(found, np.broadcast_to([0.2, 0.4, 1], (size, size, 3)), atol=1e-6)
    assert made.original(0, 0, size, size) == (0, 0, 1, 1)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(1, 5000), (5000, 3)])
def test_a_strip_is_brought_to_size_without_a_huge_picture_between(shape, fit, monkeypatch):
    sizes = []
    resize = Image.Image.resize

    def watched(self, size, *rest, **options):
        sizes.append(size)
        return resize(self, size, *rest, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    ramp = np.linspace(0, 255, max(shape)).astype(np.uint8)
    strip = np.broadcast_to(ramp if shape[0] < shape[1] else ramp[:, None], shape)
    found, made = shown(Image.fromarray(np.ascontiguousarray(strip)).convert("RGB"), 9, fit)
    assert found.shape == (9, 9, 3)
    assert all(width * height <= 81 for width, height in sizes)
    along = found[4, :, 0] if shape[0] < shape[1] else found[:, 4, 0]
    cut = fit in ("crop", "center")
    expected = np.full(9, 0.5) if cut else (np.arange(9) + 0.5) / 9
    np.testing.assert_allclose(along, expected, atol=0.01)
    across = found[:, 4, 0] if shape[0] < shape[1] else found[4, :, 0]
    assert (across == 0.5).sum() == (8 if fit == "pad" else 0)
    top, left, bottom, right = made.original(0, 0, 9, 9)
    whole = (bottom - top, right - left)
    assert min(whole) == min(shape) and max(whole) < 9 if cut else whole == shape


def test_shrinking_averages_what_lies_under_a_pixel():
    flat = np.repeat(np.repeat(np.uint8([[40, 80], [120, 160]]), 30, axis=0), 30, axis=1)
    found, _ = shown(Image.fromarray(flat).convert("RGB"), 6)
    corners = found[[0, 0, -1, -1], [0, -1, 0, -1], 0] * 255
    np.testing.assert_allclose(corners, [40, 80, 120, 160], atol=1.01)
    checks = (np.indices((60, 60)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found, _ = shown(Image.fromarray(checks).convert("RGB"), 10)
    np.testing.assert_allclose(found[1:-1, 1:-1], 0.5, atol=0.01)  # no moire


@pytest.mark.parametrize(
    ("shape", "fit", "scaled", "offset"),
    [
        # Of a view of 30 x 45: covered by what is wider and by what is higher than it.
        ((60, 120), "crop", (30, 60), (0, 7)),
        ((90, 60), "crop", (68, 45), (19, 0)),
        ((60, 120), "pad", (22, 45), (-4, 0)),
        ((90, 60), "pad", (30, 20), (0, -12)),
        ((60, 120), "squash", (30, 45), (0, 0)),
        ((60, 120), "center", (34, 68), (2, 12)),
        ((90, 60), "center", (76, 51), (23, 3)),
        ((60, 90), "crop", (30, 45), (0, 0)),
        ((60, 90), "pad", (30, 45), (0, 0)),
    ],
)
def test_an_oblong_view_is_covered_or_filled_by_either_side(shape, fit, scaled, offset):
    expected = (scaled[0] / shape[0], scaled[1] / shape[1])
    made = view(*shape, (30, 45), fit)
    assert made == View(expected, offset, shape, (30, 45), fit == "center")
    turned = view(*shape[::-1], (45, 30), fit)
    assert turned == View(expected[::-1], offset[::-1], shape[::-1], (45, 30), fit == "center")
    picture = Image.fromarray(np.full((*shape, 3), 255, np.uint8))
    seen, its = shown(picture, (30, 45), fit)
    assert its == made and seen.shape == (30, 45, 3)
    grey = (seen[..., 0] == 0.5).mean()
    assert grey == pytest.approx(
        max(0, 1 - scaled[0] * scaled[1] / (30 * 45)) if fit == "pad" else 0
    )


@pytest.mark.parametrize(
    ("shape", "size", "fit", "scaled", "offset"),
    [
        ((375, 500), 224, "crop", (224, 299), (0, 37)),
        ((375, 500), 224, "squash", (224, 224), (0, 0)),
        ((375, 500), 224, "pad", (168, 224), (-28, 0)),
        ((50, 47), 101, "crop", (107, 101), (3, 0)),
        ((50, 47), 101, "pad", (101, 95), (0, -3)),
        ((1, 1000), 20, "pad", (1, 20), (-9, 0)),
        ((375, 500), 224, "center", (256, 341), (16, 58)),
        ((500, 375), 224, "center", (341, 256), (58, 16)),
        ((50, 47), 101, "center", (122, 115), (10, 7)),
        ((1, 1000), 20, "center", (23, 23000), (2, 11490)),
    ],
)
def test_a_view_is_known_from_sizes_alone(shape, size, fit, scaled, offset):
    expected = (scaled[0] / shape[0], scaled[1] / shape[1])
    whole = fit == "center" and max(shape) <= 16 * min(shape)
    assert view(*shape, size, fit) == View(expected, offset, shape, (size, size), whole)
    assert shown(Image.new("RGB", shape[::-1]), size, fit)[1] == view(*shape, size, fit)


def weights_of(made: View, axis: int) -> np.ndarray:
    """The weights `(original, view)` that Pillow itself gives original pixels along an axis."""
    margin, count, low, high = made.window(axis)
    length = made.size[axis]
    bright = Image.fromarray(np.eye(length, dtype=np.float32))  # each row lights one pixel
    scaled = bright.resize((count, length), Image.Resampling.BICUBIC, (low, 0, high, length))
    if margin < 0:  # more is scaled than the view shows
        return np.asarray(scaled)[:, -margin : made.sides[axis] - margin]
    found = np.zeros((length, made.sides[axis]))
    found[:, margin : margin + count] = np.asarray(scaled)
    return found


@pytest.mark.parametrize("size", [1, 2, 31, 97, 224])
@pytest.mark.parametrize(
    ("height", "width"),
    [(384, 448), (300, 451), (500, 333), (640, 41), (97, 98), (20, 319), (1, 1)],
)
def test_a_center_is_the_middle_of_what_pillow_makes_of_the_whole(size, height, width):
    picture = Image.fromarray(RNG.integers(0, 256, (height, width, 3), np.uint8))
    found, made = shown(picture, size, "center")
    short, brought = min(height, width), round(size / 0.875)
    rows, columns = int(brought * height / short), int(brought * width / short)
    scaled = picture.resize((columns, rows), Image.Resampling.BICUBIC)
    top, left = round((rows - size) / 2.0), round((columns - size) / 2.0)
    assert made.offset == (top, left)
    np.testing.assert_array_equal(
        found, np.asarray(scaled)[top : top + size, left : left + size] / np.float32(255)
    )


def test_a_center_outside_of_the_view_is_the_nearest_pixel_that_it_shows():
    made = view(80, 320, 14, "center")  # a fifth as large; 1 row and 25 columns are cut away
    assert made == View((0.2, 0.2), (1, 25), (80, 320), (14, 14), True)
    assert made.original(-3, -4, -1, -1) == (5, 125, 6, 126)
    assert made.original(15, 20, 17, 21) == (74, 194, 75, 195)
    assert made.original(-9, -9, 40, 40) == made.original(0, 0, 14, 14)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [97, 224, (61, 97)])
@pytest.mark.parametrize(
    ("height", "width"),
    [(384, 448), (300, 451), (191, 384), (427, 640), (500, 375), (37, 640), (1411, 131), (97, 98)],
)
def test_a_box_takes_in_each_pixel_that_pillow_weighs_and_no_other(size, height, width, fit):
    made = view(height, width, size, fit)
    weighed = [np.abs(weights_of(made, axis)) >= 2**-23 for axis in (0, 1)]
    end = max(made.sides)
    for low in range(-3, end, 7):
        for high in (low + 1, low + 14, end + 2):
            box = made.original(low, low, high, high)
            for axis in (0, 1):
                deciding = np.flatnonzero(weighed[axis][:, max(low, 0) : max(high, 0)].any(1))
                if len(deciding):
                    assert (box[axis], box[axis + 2]) == (deciding.min(), deciding.max() + 1)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(61, 87, 29), (87, 43, 41), (33, 21, 70), (40, 131, 64), (57, 19, 24), (50, 75, 50)],
)
def test_no_pixel_outside_a_box_decides_and_on_each_of_its_edges_one_does(height, width, size, fit):
    generator = np.random.default_rng(height)
    pictures = generator.integers(0, 256, (12, height, width, 3), np.uint8)
    made = view(height, width, size, fit)
    middle = size // 2
    for top, left, bottom, right in (
        (0, 0, size, size),
        (size // 3, middle - 2, middle + 1, middle + 1),
        (middle, middle, size, size),
    ):
        first, near, last, far = made.original(top, left, bottom, right)
        inside = np.zeros((height, width, 1), bool)
        inside[first:last, near:far] = True
        across, down = slice(near, far), slice(first, last)
        edges = (
            (slice(first, first + 1), across),
            (slice(last - 1, last), across),
            (down, slice(near, near + 1)),
            (down, slice(far - 1, far)),
        )
        met = [False] * 4
        for pixels in pictures:

            def seen(picture, box=(top, left, bottom, right)):
                return shown(Image.fromarray(picture), size, fit)[0][
                    box[0] : box[2], box[1] : box[3]
                ]

            before = seen(pixels)
            np.testing.assert_array_equal(seen(np.where(inside, pixels, 255 - pixels)), before)
            for index, edge in enumerate(edges):
                changed = pixels.copy()
                changed[edge] = 255 - changed[edge]
                met[index] |= not np.array_equal(seen(changed), before)
        assert met == [True] * 4


def test_what_a_box_covers_beyond_the_view_counts_for_nothing():
    made = view(40, 50, 20)  # half as large, 2 columns cut away on the left and 3 on the right
    assert made.offset == (0, 2)
    assert made.original(-100, -4, 7, 500) == made.original(0, 0, 7, 20) == (0, 1, 17, 47)


def test_where_only_padding_lies_under_a_box_the_nearest_edge_is_shown():
    made = view(10, 40, 20, "pad")  # half as large, 7 rows of grey above and 8 below
    assert made.offset == (-7, 0)
    assert made.original(0, 4, 6, 6)[::2] == (0, 1)
    assert made.original(12, 4, 20, 6)[::2] == (9, 10)
    assert made.original(6, 4, 8, 6)[::2] == (0, 5)
    assert made.original(-9, -9, -1, -1) == (0, 0, 1, 1)


def test_real_photographs_become_views_whose_whole_box_is_the_middle(photographs):
    paths = photographs[::9]
    (batch,) = batches(paths, 112, len(paths))
    assert batch.paths == paths and not batch.skipped
    assert batch.pixels.min() >= 0 and batch.pixels.max() <= 1
    assert len({made.size for made in batch.views}) > 10
    for made in batch.views:
        top, left, bottom, right = made.original(0, 0, 112, 112)
        height, width = made.size
        short = min(height, width)
        assert (bottom - top >= short - 1) and (right - left >= short - 1)
        assert abs((top + bottom) - height) <= 2 * height / 112
        assert abs((left + right) - width) <= 2 * width / 112
