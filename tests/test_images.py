"""Photographs: upright RGB whatever the file, the unreadable set aside, boxes that map back."""

import importlib.util
import io
import warnings
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from convscope import images
from convscope.images import SAMPLES, View, batches, fingerprint, folder, load, samples, square

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (3, 5, 3), np.uint8)


def saved(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> Path:
    """Write an array as an image file."""
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def read(path: Path) -> np.ndarray:
    """The file's pixels, as `load` sees them."""
    picture = load(path)
    assert picture.mode == "RGB"
    return np.asarray(picture)


# The eight orientations of EXIF: how the stored pixels become upright.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_photograph_is_upright_whatever_its_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "photo.png", NOISE, exif=exif)
    np.testing.assert_array_equal(read(path), UPRIGHT[orientation](NOISE))


def test_orientation_is_read_in_jpeg_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "photo.jpg", np.zeros((20, 30, 3), np.uint8), exif=exif)
    assert load(path).size == (20, 30)


def test_a_grey_photograph_has_three_equal_channels(tmp_path):
    found = read(saved(tmp_path / "grey.png", NOISE[..., 0]))
    np.testing.assert_array_equal(found, np.repeat(NOISE[..., :1], 3, axis=2))


def test_a_black_and_white_image_is_0_and_255(tmp_path):
    path = tmp_path / "bilevel.png"
    Image.fromarray(np.uint8([[0, 255, 0]])).convert("1").save(path)
    np.testing.assert_array_equal(read(path)[..., 1], [[0, 255, 0]])


@pytest.mark.parametrize(
    ("ink", "expected"),
    [((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 255, 0), (255, 255, 0)), ((0, 0, 0, 255), (0, 0, 0))],
)
def test_cmyk_becomes_the_colour_that_is_printed(tmp_path, ink, expected):
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (7, 5), ink).save(path, quality=95)
    found = read(path)
    assert found.shape == (5, 7, 3)
    np.testing.assert_allclose(found.astype(int), np.broadcast_to(expected, (5, 7, 3)), atol=3)


def test_transparency_shows_white(tmp_path):
    rgba = np.uint8([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 255, 51]]])
    expected = [[[255, 0, 0], [255, 255, 255], [204, 204, 255]]]
    np.testing.assert_array_equal(read(saved(tmp_path / "rgba.png", rgba)), expected)
    grey = np.uint8([[[0, 255], [0, 0], [100, 51]]])
    path = tmp_path / "grey.png"
    Image.fromarray(grey, "LA").save(path)
    np.testing.assert_array_equal(read(path)[..., 0], [[0, 255, 224]])


@pytest.mark.parametrize("name", ["palette.png", "palette.gif"])
def test_a_transparent_colour_of_a_palette_shows_white(tmp_path, name):
    picture = Image.fromarray(np.uint8([[0, 1, 2], [1, 1, 0]]), "P")
    picture.putpalette([255, 0, 0, 0, 0, 255, 0, 255, 0])
    picture.save(tmp_path / name, transparency=1)
    red, green, white = (255, 0, 0), (0, 255, 0), (255, 255, 255)
    found = read(tmp_path / name)
    np.testing.assert_array_equal(found, [[red, white, green], [white, white, red]])


def test_a_turned_palette_keeps_its_colours_and_its_transparency(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(np.uint8([[0, 1, 2]]), "P")
    picture.putpalette([255, 0, 0, 0, 0, 255, 0, 255, 0])
    picture.save(tmp_path / "palette.png", transparency=1, exif=exif)
    expected = [[(255, 0, 0)], [(255, 255, 255)], [(0, 255, 0)]]
    np.testing.assert_array_equal(read(tmp_path / "palette.png"), expected)


def test_a_single_transparent_colour_shows_white(tmp_path):
    path = saved(tmp_path / "rgb.png", np.uint8([[[9, 8, 7], [1, 2, 3]]]), transparency=(9, 8, 7))
    np.testing.assert_array_equal(read(path), [[[255, 255, 255], [1, 2, 3]]])


def test_sixteen_bits_become_the_nearest_of_eight(tmp_path):
    levels = np.arange(256, dtype=np.uint16)
    path = saved(tmp_path / "deep.png", np.stack([levels * 257, levels[::-1] * 257]))
    np.testing.assert_array_equal(read(path)[..., 2], [levels, levels[::-1]])
    between = saved(tmp_path / "between.png", np.uint16([[128, 129, 257 * 9 + 128, 257 * 9 + 129]]))
    np.testing.assert_array_equal(read(between)[..., 0], [[0, 1, 9, 10]])


def test_a_dark_image_of_sixteen_bits_stays_dark(tmp_path):
    path = saved(tmp_path / "dark.png", np.uint16([[0, 100, 255]]))
    np.testing.assert_array_equal(read(path)[..., 0], [[0, 0, 1]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([[0, 51, 255]]), [0, 51, 255]),
        (np.int32([[0, 51, 255]]), [0, 51, 255]),
        (np.int32([[0, 257 * 51, 65535]]), [0, 51, 255]),
        (np.float32([[0, 0.2, 1]]), [0, 51, 255]),
        (np.float32([[-5, 1e9, np.nan]]), [0, 255, 0]),
    ],
)
def test_wide_numbers_of_a_tiff_become_eight_bits(tmp_path, values, expected):
    np.testing.assert_array_equal(read(saved(tmp_path / "wide.tif", values))[0, :, 0], expected)


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("RGB", (5, 3), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read(tmp_path / "film.gif")[0, 0], [255, 0, 0])


@pytest.mark.parametrize("name", ["p.jpg", "p.png", "p.webp", "p.bmp", "p.gif", "p.tif"])
def test_each_kind_of_file_is_read(tmp_path, name):
    flat = np.full((6, 9, 3), (200, 100, 0), np.uint8)
    found = read(saved(tmp_path / name, flat)).astype(int)
    assert found.shape == (6, 9, 3)
    np.testing.assert_allclose(found, flat, atol=4)


def truncated(path: Path) -> None:
    """Half of a photograph."""
    content = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (40, 60, 3), np.uint8)).save(content, "jpeg")
    path.write_bytes(content.getvalue()[: len(content.getvalue()) // 2])


BROKEN = {
    "empty": (lambda path: path.write_bytes(b""), "not an image, or an empty or broken one"),
    "text": (lambda path: path.write_text("hello"), "not an image, or an empty or broken one"),
    "cut short": (truncated, r"image file is truncated \(\d+ bytes not processed\)"),
    "a folder": (lambda path: path.mkdir(), "a folder, not a file"),
    "a dangling link": (
        lambda path: path.symlink_to(path.with_name("nowhere")),
        r"no such file \(a dangling link\)",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name):
    make, reason = BROKEN[name]
    make(tmp_path / "bad.jpg")
    with pytest.raises(ValueError, match=f"^{reason}$"):
        load(tmp_path / "bad.jpg")


def test_a_file_without_permission_says_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(images.Image, "open", refuse)
    with pytest.raises(ValueError, match=r"^no permission to read it$"):
        load(tmp_path / "mine.jpg")


@pytest.mark.parametrize("limit", [100, 60])  # beyond it a warning, beyond twice it an error
def test_an_image_of_monstrous_size_says_so(tmp_path, monkeypatch, limit):
    path = saved(tmp_path / "bomb.png", np.zeros((10, 15, 3), np.uint8))
    monkeypatch.setattr(images.Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a user's Python may be set
        with pytest.raises(ValueError, match=r"^too large: more pixels than a photograph has$"):
            load(path)


@pytest.mark.parametrize("name", ["p.jpg", "p.png", "p.gif", "p.bmp", "p.webp"])
def test_a_damaged_file_is_read_or_set_aside_and_never_anything_else(tmp_path, name):
    content = saved(tmp_path / name, RNG.integers(0, 256, (11, 17, 3), np.uint8)).read_bytes()
    generator = np.random.default_rng(1)
    for turn in range(60):
        damaged = bytearray(content[: generator.integers(len(content))] if turn % 3 else content)
        for _ in range(turn % 5 if damaged else 0):
            damaged[generator.integers(len(damaged))] = generator.integers(256)
        (tmp_path / name).write_bytes(damaged)
        try:
            read(tmp_path / name)
        except ValueError as error:
            assert str(error) and "\n" not in str(error) and str(tmp_path) not in str(error)


def test_a_square_at_the_photographs_own_size_is_its_middle():
    pixels = RNG.integers(0, 256, (7, 12, 3), np.uint8)
    found, view = square(Image.fromarray(pixels), 7)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, pixels[:, 2:9] / np.float32(255))
    assert view == View((1, 1), (0, 2), (7, 12))
    found, view = square(Image.fromarray(pixels.transpose(1, 0, 2)), 7)
    np.testing.assert_array_equal(found, pixels.transpose(1, 0, 2)[2:9] / np.float32(255))
    assert view == View((1, 1), (2, 0), (12, 7))


@pytest.mark.parametrize("size", [1, 2, 37, 224])
def test_an_image_of_one_pixel_fills_its_square(size):
    found, view = square(Image.fromarray(np.uint8([[[51, 102, 255]]])), size)
    np.testing.assert_allclose(found, np.broadcast_to([0.2, 0.4, 1], (size, size, 3)), atol=1e-6)
    assert view.original(0, 0, size, size) == (0, 0, 1, 1)


@pytest.mark.parametrize("shape", [(1, 5000), (4000, 2)])
def test_a_strip_is_brought_to_size_without_enlarging_what_is_cut_away(shape, monkeypatch):
    sizes = []
    resize = Image.Image.resize

    def watched(self, size, *rest, **options):
        sizes.append(size)
        return resize(self, size, *rest, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    strip = np.broadcast_to(np.arange(max(shape)) % 256, (min(shape), max(shape))).astype(np.uint8)
    strip = strip if shape[0] < shape[1] else strip.T
    found, _ = square(Image.fromarray(strip).convert("RGB"), 8)
    assert found.shape == (8, 8, 3)
    assert all(width * height <= 10_000 for width, height in sizes)


def test_shrinking_averages_what_lies_under_a_pixel():
    flat = np.repeat(np.repeat(np.uint8([[40, 80], [120, 160]]), 30, axis=0), 30, axis=1)
    found, _ = square(Image.fromarray(flat).convert("RGB"), 6)
    corners = found[[0, 0, -1, -1], [0, -1, 0, -1], 0] * 255
    np.testing.assert_allclose(corners, [40, 80, 120, 160], atol=1.01)
    checks = (np.indices((60, 60)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found, _ = square(Image.fromarray(checks).convert("RGB"), 10)
    np.testing.assert_allclose(found[1:-1, 1:-1], 0.5, atol=0.01)  # no moire


@pytest.mark.parametrize(
    ("height", "width", "size", "row", "column"),
    [
        (31, 47, 31, 0, 8),  # same size: the first pixel of the view
        (31, 47, 31, 30, 38),  # and its last
        (31, 47, 62, 12, 25),  # twice as large
        (47, 31, 93, 20, 3),  # three times
        (93, 141, 31, 49, 70),  # a third
        (124, 62, 31, 61, 40),  # half
    ],
)
def test_a_marked_pixel_of_the_view_maps_back_to_the_original_pixels(
    height, width, size, row, column
):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[row, column] = 255
    found, view = square(Image.fromarray(pixels), size)
    lit = np.argwhere(found[..., 0] > found.max() * 0.8)
    top, left = lit.min(axis=0)
    bottom, right = lit.max(axis=0) + 1
    box = view.original(top, left, bottom, right)
    step = max(1, min(height, width) // size)
    assert box == (
        row // step * step,
        column // step * step,
        row // step * step + step,
        column // step * step + step,
    )


@pytest.mark.parametrize("size", [224, 97, 73])
@pytest.mark.parametrize(
    ("height", "width"),
    [(384, 448), (300, 451), (191, 384), (427, 640), (500, 375), (37, 640), (1411, 131)],
)
def test_boxes_map_back_as_exact_fractions_do(size, height, width):
    _, view = square(Image.new("RGB", (width, height)), size)
    rows = max(size, round(height * size / min(height, width)))
    columns = max(size, round(width * size / min(height, width)))
    for low in range(0, size, 5):
        for high in (low + 1, low + 14, size):
            exact = [
                (Fraction(edge + offset) * length / scaled)
                for edge, offset, length, scaled in (
                    (low, (rows - size) // 2, height, rows),
                    (low, (columns - size) // 2, width, columns),
                    (high, (rows - size) // 2, height, rows),
                    (high, (columns - size) // 2, width, columns),
                )
            ]
            assert view.original(low, low, high, high) == (
                floor(exact[0]),
                floor(exact[1]),
                min(ceil(exact[2]), height),
                min(ceil(exact[3]), width),
            )


def test_a_box_that_reaches_beyond_the_view_is_cut_at_the_photographs_edges():
    view = View((0.5, 2.0), (3, 5), (40, 50))
    assert view.original(-100, -4, 7, 500) == (0, 0, 20, 50)
    assert view.original(-2, -4, 7, 6) == (2, 0, 20, 6)
    assert view.original(0, 0, 100, 1) == (6, 2, 40, 3)


def test_batches_keep_the_order_and_set_the_broken_aside(tmp_path):
    paths = []
    for index in range(5):
        pixels = np.full((4 + index, 6, 3), 10 * index, np.uint8)
        paths.append(saved(tmp_path / f"{index}.png", pixels))
    paths[1].write_text("no image")
    paths[3].write_bytes(b"")
    found = list(batches(paths, 3, 2))
    assert [batch.paths for batch in found] == [(paths[0],), (paths[2],), (paths[4],)]
    reason = "not an image, or an empty or broken one"
    assert [batch.skipped for batch in found] == [((paths[1], reason),), ((paths[3], reason),), ()]
    for batch, index in zip(found, (0, 2, 4), strict=True):
        assert batch.pixels.shape == (1, 3, 3, 3) and batch.pixels.dtype == np.float32
        np.testing.assert_allclose(batch.pixels, 10 * index / 255)
        assert batch.views[0].size == (4 + index, 6)


def test_a_batch_of_broken_files_is_empty(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    (batch,) = batches([tmp_path / "a.jpg"], 7, 4)
    assert batch.pixels.shape == (0, 7, 7, 3) and batch.paths == batch.views == ()


def test_a_folder_is_read_in_the_order_of_its_names_with_what_lies_within(tmp_path):
    names = ["b.PNG", "a10.jpg", "a9.jpeg", "sub/c.webp", "sub/deep/d.TIFF", "A.gif", "z.bmp"]
    for name in [*names, "notes.txt", "sub/data.npz", "jpg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert folder(tmp_path) == tuple(
        tmp_path / name
        for name in (
            "A.gif", "a10.jpg", "a9.jpeg", "b.PNG", "sub/c.webp", "sub/deep/d.TIFF", "z.bmp",
        )
    )  # fmt: skip


def test_a_folder_that_does_not_exist_or_is_a_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        folder(tmp_path / "none")
    assert str(caught.value) == (
        f"images.root={tmp_path / 'none'} does not exist. Give a folder of photographs."
    )
    (tmp_path / "file").touch()
    with pytest.raises(
        FileNotFoundError, match=r"file is a file\. Give a folder of photographs\.$"
    ):
        folder(tmp_path / "file")


def test_a_folder_without_images_is_refused_with_the_endings_that_count(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError) as caught:
        folder(tmp_path)
    assert str(caught.value) == (
        f"images.root={tmp_path} holds no image. Photographs end in .bmp, .gif, .jpeg, .jpg, "
        ".png, .tif, .tiff, .webp."
    )


def test_the_samples_are_the_photographs_of_scikit_image_colours_first():
    paths = samples()
    assert [path.name for path in paths] == list(SAMPLES) and len(set(SAMPLES)) == 17
    colourful = [bool(np.ptp(read(path), axis=2).any()) for path in paths]
    assert colourful == [True] * 8 + [False] * 9


@pytest.mark.parametrize("installed", [False, True])
def test_missing_samples_are_refused_with_the_way_out(monkeypatch, tmp_path, installed):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "coins.png").touch()
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)]) if installed else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(FileNotFoundError) as caught:
        samples()
    assert str(caught.value) == (
        f"images=samples needs scikit-image with its 17 photographs; {int(installed)} are "
        "installed. Run 'uv sync', or give a folder of your own with images=folder "
        "images.root=PATH."
    )


def test_the_fingerprint_changes_with_content_name_and_order_and_with_nothing_else(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a").write_bytes(b"1")
        (tmp_path / place / "b").write_bytes(b"2")
    one = [tmp_path / "here" / name for name in "ab"]
    first = fingerprint(one)
    assert len(first) == 64 and first == fingerprint(one)
    assert first == fingerprint([tmp_path / "there" / name for name in "ab"])
    others = {first, fingerprint(one[::-1]), fingerprint(one[:1]), fingerprint([])}
    (tmp_path / "here" / "b").write_bytes(b"3")
    others.add(fingerprint(one))
    (tmp_path / "here" / "b").rename(tmp_path / "here" / "c")
    others.add(fingerprint([one[0], tmp_path / "here" / "c"]))
    others.add(fingerprint([one[0], tmp_path / "here" / "gone"]))
    assert len(others) == 7


def test_real_photographs_become_views_whose_whole_box_is_the_middle(photographs):
    paths = photographs[::9]
    (batch,) = batches(paths, 112, len(paths))
    assert batch.paths == paths and not batch.skipped
    assert batch.pixels.min() >= 0 and batch.pixels.max() <= 1
    assert len({view.size for view in batch.views}) > 10
    for view in batch.views:
        top, left, bottom, right = view.original(0, 0, 112, 112)
        height, width = view.size
        short = min(height, width)
        assert (bottom - top >= short - 1) and (right - left >= short - 1)
        assert abs((top + bottom) - height) <= 2 * height / 112
        assert abs((left + right) - width) <= 2 * width / 112
