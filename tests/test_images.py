"""Photographs: upright RGB whatever the file, the unreadable set aside, boxes that map back."""

import hashlib
import importlib.util
import io
import os
import struct
import threading
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from convscope import images, photograph
from convscope.images import (
    SAMPLES,
    batches,
    fingerprint,
    fingerprint_of,
    folder,
    samples,
    shown,
    spelled,
    stream,
)
from convscope.photograph import load
from convscope.views import View, view

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
        (np.float32([[-np.inf, 0.2, np.inf]]), [0, 51, 255]),
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


def test_ink_of_a_tiff_and_of_adobes_inverted_jpeg_is_the_same_colour(tmp_path):
    ink = Image.new("CMYK", (9, 6), (255, 0, 0, 51))
    ink.save(tmp_path / "print.tif")
    ink.save(tmp_path / "print.jpg", quality=100)
    content = (tmp_path / "print.jpg").read_bytes()
    assert b"Adobe" in content  # which marks the inverted kind
    for name in ("print.tif", "print.jpg"):
        np.testing.assert_allclose(read(tmp_path / name)[0, 0].astype(int), [0, 204, 204], atol=3)


@pytest.mark.parametrize("name", ["colours.tif", "colours.jpg"])
def test_luma_and_chroma_become_red_green_and_blue(tmp_path, name):
    flat = Image.new("RGB", (16, 8), (200, 100, 50)).convert("YCbCr")
    flat.save(tmp_path / name, **({"quality": 100} if name.endswith("jpg") else {}))
    np.testing.assert_allclose(read(tmp_path / name)[0, 0].astype(int), [200, 100, 50], atol=3)


def test_colours_of_sixteen_bits_become_eight(tmp_path):
    rows = b"".join(
        b"\0" + struct.pack(">6H", *(257 * value for value in row))
        for row in ((1, 2, 3, 250, 251, 252), (9, 8, 7, 0, 100, 255))
    )
    content = b"\x89PNG\r\n\x1a\n"
    for chunk, data in (
        (b"IHDR", struct.pack(">2I5B", 2, 2, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(data)) + chunk + data
        content += struct.pack(">I", zlib.crc32(chunk + data))
    (tmp_path / "deep.png").write_bytes(content)
    expected = [[[1, 2, 3], [250, 251, 252]], [[9, 8, 7], [0, 100, 255]]]
    np.testing.assert_array_equal(read(tmp_path / "deep.png"), expected)


def test_a_grey_of_few_bits_reaches_from_black_to_white(tmp_path):
    Image.fromarray(np.uint8([[0, 1, 0]]) * 255).convert("1").save(tmp_path / "fax.tif")
    np.testing.assert_array_equal(read(tmp_path / "fax.tif")[..., 0], [[0, 255, 0]])


def test_damaged_metadata_leaves_a_photograph_as_it_is_stored(tmp_path):
    generator = np.random.default_rng(3)
    for turn in range(40):
        exif = b"Exif\0\0II*\0" + generator.integers(0, 256, 30 + turn, np.uint8).tobytes()
        path = saved(tmp_path / "photo.jpg", np.zeros((6, 9, 3), np.uint8), exif=exif)
        assert load(path).size in ((9, 6), (6, 9))
    assert photograph._upright(Image.new("L", (9, 6))).size == (9, 6)


def test_a_reader_of_metadata_that_gives_up_does_not_cost_the_photograph(tmp_path, monkeypatch):
    def raises(self):
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(Image.Image, "getexif", raises)
    np.testing.assert_array_equal(read(saved(tmp_path / "photo.png", NOISE)), NOISE)


def truncated(path: Path) -> None:
    """Half of a photograph."""
    content = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (40, 60, 3), np.uint8)).save(content, "jpeg")
    path.write_bytes(content.getvalue()[: len(content.getvalue()) // 2])


UNKNOWN = "not a JPEG, PNG, WebP, BMP, GIF or TIFF, or a broken one"
BROKEN = {
    "empty": (lambda path: path.write_bytes(b""), "an empty file"),
    "text": (lambda path: path.write_text("hello"), UNKNOWN),
    "of another format": (lambda path: Image.new("L", (3, 5)).save(path, "ppm"), UNKNOWN),
    "a program": (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"), UNKNOWN),
    "cut short": (
        truncated,
        r"cannot be decoded: image file is truncated \(\d+ bytes not processed\)",
    ),
    "a folder": (lambda path: path.mkdir(), "a folder, not a file"),
    "a dangling link": (
        lambda path: path.symlink_to(path.with_name("nowhere")),
        r"no such file \(a dangling link\)",
    ),
    "a link to itself": (
        lambda path: path.symlink_to(path),
        "too many levels of symbolic links",
    ),
    "a pipe": (lambda path: os.mkfifo(path), "a pipe, socket or device, not a file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name):
    make, reason = BROKEN[name]
    make(tmp_path / "bad.jpg")
    with pytest.raises(ValueError, match=f"^{reason}$"):
        load(tmp_path / "bad.jpg")


def test_a_file_without_permission_says_so(tmp_path, monkeypatch):
    path = saved(tmp_path / "mine.png", NOISE)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # permissions do not stop a superuser
    with pytest.raises(ValueError, match=r"^no permission to read it$"):
        load(path)


def test_a_folder_that_may_not_be_opened_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match=r"^a folder that may not be opened$"):
        load(tmp_path)


def png(path: Path, width: int, height: int) -> Path:
    """A black and white PNG of any size, all black, in a few bytes."""
    content = b"\x89PNG\r\n\x1a\n"
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height)
    for name, data in (
        (b"IHDR", struct.pack(">2I5B", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", rows),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (10_000, 9_000, "too large: 10000 x 9000 pixels"),  # where Pillow warns
        (30_000, 30_000, "too large: more pixels than a photograph has"),  # where it raises
        (1, 2**20 + 1, "too large: 1 x 1048577 pixels"),
    ],
)
def test_an_image_of_monstrous_size_says_so(tmp_path, width, height, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        load(png(tmp_path / "bomb.png", width, height))


def test_a_file_of_monstrous_size_is_not_read(tmp_path):
    with (tmp_path / "hole.jpg").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=r"^too large: a file of 1099511627776 bytes$"):
        load(tmp_path / "hole.jpg")


def test_the_largest_photographs_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    at_once, most, lock = 0, [], threading.Lock()
    decode = photograph._red_green_blue

    def watched(picture):
        nonlocal at_once
        with lock:
            at_once += 1
            most.append(at_once)
        time.sleep(0.02)
        found = decode(picture)
        with lock:
            at_once -= 1
        return found

    monkeypatch.setattr(photograph, "_red_green_blue", watched)
    paths = [saved(tmp_path / f"{index}.png", NOISE) for index in range(8)]
    for heavy, expected in ((3 * 5, {2, 3, 4}), (3 * 5 - 1, {1})):
        monkeypatch.setattr(photograph, "HEAVY_PIXELS", heavy)
        most.clear()
        list(stream([paths], 3, threads=4))
        assert max(most) in expected


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


FITS = ("crop", "squash", "pad")


def test_a_view_at_the_photographs_own_size_is_its_middle():
    pixels = RNG.integers(0, 256, (7, 12, 3), np.uint8)
    for turned in (False, True):
        picture = pixels.transpose(1, 0, 2) if turned else pixels
        middle = picture[2:9] if turned else picture[:, 2:9]
        found, made = shown(Image.fromarray(picture), 7)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, middle / np.float32(255))
        assert made == View((1, 1), (2, 0) if turned else (0, 2), picture.shape[:2], 7)
        assert made.original(1, 2, 4, 6) == ((3, 2, 6, 6) if turned else (1, 4, 4, 8))


def test_a_padded_view_shows_the_whole_photograph_on_grey():
    pixels = RNG.integers(0, 256, (7, 12, 3), np.uint8)
    found, made = shown(Image.fromarray(pixels), 12, "pad")
    assert made == View((1, 1), (-2, 0), (7, 12), 12)
    np.testing.assert_array_equal(found[2:9], pixels / np.float32(255))
    assert (found[:2] == 0.5).all() and (found[9:] == 0.5).all()
    found, made = shown(Image.fromarray(pixels.transpose(1, 0, 2)), 12, "pad")
    assert made == View((1, 1), (0, -2), (12, 7), 12)
    np.testing.assert_array_equal(found[:, 2:9], pixels.transpose(1, 0, 2) / np.float32(255))
    assert (found[:, :2] == 0.5).all() and (found[:, 9:] == 0.5).all()


def test_a_squashed_view_shows_the_whole_photograph_without_grey():
    flat = np.repeat(np.uint8([[[40], [80], [160]]]), 3, axis=2)
    picture = Image.fromarray(np.repeat(np.repeat(flat, 10, axis=0), 20, axis=1))
    found, made = shown(picture, 30, "squash")
    assert made == View((3, 0.5), (0, 0), (10, 60), 30)
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
    expected = np.full(9, 0.5) if fit == "crop" else (np.arange(9) + 0.5) / 9
    np.testing.assert_allclose(along, expected, atol=0.01)
    across = found[:, 4, 0] if shape[0] < shape[1] else found[4, :, 0]
    assert (across == 0.5).sum() == (8 if fit == "pad" else 0)
    top, left, bottom, right = made.original(0, 0, 9, 9)
    whole = (bottom - top, right - left)
    assert whole == shape if fit != "crop" else min(whole) == min(shape) and max(whole) < 9


def test_shrinking_averages_what_lies_under_a_pixel():
    flat = np.repeat(np.repeat(np.uint8([[40, 80], [120, 160]]), 30, axis=0), 30, axis=1)
    found, _ = shown(Image.fromarray(flat).convert("RGB"), 6)
    corners = found[[0, 0, -1, -1], [0, -1, 0, -1], 0] * 255
    np.testing.assert_allclose(corners, [40, 80, 120, 160], atol=1.01)
    checks = (np.indices((60, 60)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found, _ = shown(Image.fromarray(checks).convert("RGB"), 10)
    np.testing.assert_allclose(found[1:-1, 1:-1], 0.5, atol=0.01)  # no moire


@pytest.mark.parametrize(
    ("shape", "size", "fit", "scaled", "offset"),
    [
        ((375, 500), 224, "crop", (224, 299), (0, 37)),
        ((375, 500), 224, "squash", (224, 224), (0, 0)),
        ((375, 500), 224, "pad", (168, 224), (-28, 0)),
        ((50, 47), 101, "crop", (107, 101), (3, 0)),
        ((50, 47), 101, "pad", (101, 95), (0, -3)),
        ((1, 1000), 20, "pad", (1, 20), (-9, 0)),
    ],
)
def test_a_view_is_known_from_sizes_alone(shape, size, fit, scaled, offset):
    expected = (scaled[0] / shape[0], scaled[1] / shape[1])
    assert view(*shape, size, fit) == View(expected, offset, shape, size)
    assert shown(Image.new("RGB", shape[::-1]), size, fit)[1] == view(*shape, size, fit)


def weights_of(made: View, axis: int) -> np.ndarray:
    """The weights `(original, view)` that Pillow itself gives original pixels along an axis."""
    margin, count, low, high = made.window(axis)
    length = made.size[axis]
    bright = Image.fromarray(np.eye(length, dtype=np.float32))  # each row lights one pixel
    found = np.zeros((length, made.side))
    found[:, margin : margin + count] = np.asarray(
        bright.resize((count, length), Image.Resampling.BICUBIC, (low, 0, high, length))
    )
    return found


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [97, 224])
@pytest.mark.parametrize(
    ("height", "width"),
    [(384, 448), (300, 451), (191, 384), (427, 640), (500, 375), (37, 640), (1411, 131), (97, 98)],
)
def test_a_box_takes_in_each_pixel_that_pillow_weighs_and_no_other(size, height, width, fit):
    made = view(height, width, size, fit)
    weighed = [np.abs(weights_of(made, axis)) >= 2**-23 for axis in (0, 1)]
    for low in range(-3, size, 7):
        for high in (low + 1, low + 14, size + 2):
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


def test_batches_keep_the_order_and_set_the_broken_aside(tmp_path):
    paths = []
    for index in range(5):
        pixels = np.full((4 + index, 6, 3), 10 * index, np.uint8)
        paths.append(saved(tmp_path / f"{index}.png", pixels))
    paths[1].write_text("no image")
    paths[3].write_bytes(b"")
    found = list(batches(paths, 3, 2))
    assert [batch.paths for batch in found] == [(paths[0],), (paths[2],), (paths[4],)]
    assert [batch.places for batch in found] == [(0,), (2,), (4,)]
    assert [batch.skipped for batch in found] == [
        ((paths[1], UNKNOWN),),
        ((paths[3], "an empty file"),),
        (),
    ]
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


def test_a_single_photograph_is_a_set_of_one(tmp_path):
    assert folder(saved(tmp_path / "cat.jpg", NOISE)) == (tmp_path / "cat.jpg",)


def test_a_folder_that_does_not_exist_or_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        folder(tmp_path / "none")
    assert str(caught.value) == (
        f"images.root={tmp_path / 'none'} does not exist. Give a folder of photographs."
    )
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError, match=r"pipe is neither a folder nor a file\. Give a f"):
        folder(tmp_path / "pipe")


def test_links_to_folders_are_followed_once_and_never_in_circles(tmp_path):
    for name in ("real/z/a.jpg", "elsewhere/b.jpg", "elsewhere/deep/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root = tmp_path / "real"
    (root / "up").symlink_to(root)
    (root / "z" / "up").symlink_to(tmp_path)
    (root / "a").symlink_to(root / "z")  # comes first, but is a link
    (root / "m").symlink_to(tmp_path / "elsewhere")
    (root / "n").symlink_to(tmp_path / "elsewhere")  # m was first
    (root / "one.jpg").symlink_to(root / "z" / "a.jpg")
    (root / "gone.jpg").symlink_to(root / "nowhere")
    found = [path.relative_to(root).as_posix() for path in folder(root)]
    assert found == ["gone.jpg", "m/b.jpg", "m/deep/c.jpg", "one.jpg", "z/a.jpg"]


def test_what_only_looks_like_a_photograph_is_listed_too(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    saved(tmp_path / "x.jpg" / "inside.png", NOISE)
    os.mkfifo(tmp_path / "y.PNG")
    found = [path.relative_to(tmp_path).as_posix() for path in folder(tmp_path)]
    assert found == ["x.jpg", "x.jpg/inside.png", "y.PNG"]


def test_a_folder_that_may_not_be_opened_is_listed_in_its_place(tmp_path, monkeypatch):
    saved(tmp_path / "a.png", NOISE)
    (tmp_path / "shut").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name in ("shut", refused):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    refused = ""
    monkeypatch.setattr(os, "scandir", refuse)  # permissions do not stop a superuser
    assert folder(tmp_path) == (tmp_path / "a.png", tmp_path / "shut")
    refused = tmp_path.name
    with pytest.raises(FileNotFoundError, match=r"may not be opened\. Ask its owner"):
        folder(tmp_path)


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


def test_a_fingerprint_is_the_same_from_what_a_batch_knows(tmp_path):
    paths = [
        saved(tmp_path / f"{name}.png", NOISE + np.uint8(index))
        for index, name in enumerate("ab\udcff")
    ]
    (batch,) = batches(paths, 3, 5)
    assert batch.digests == tuple(hashlib.sha256(path.read_bytes()).digest() for path in paths)
    assert fingerprint_of([path.name for path in paths], batch.digests) == fingerprint(paths)
    gone = tmp_path / "gone"
    assert fingerprint_of(["gone"], [None]) == fingerprint([gone])
    os.mkfifo(gone)
    assert fingerprint_of(["gone"], [None]) == fingerprint([gone])
    with pytest.raises(ValueError, match="shorter"):
        fingerprint_of(["a", "b"], [None])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b.jpg", "a b.jpg"),
        ("Ünïcode 猫\u3000🐈\u200d⬛.jpg", "Ünïcode 猫\u3000🐈\u200d⬛.jpg"),
        ("two\nlines\r\t.jpg", r"two\nlines\r\t.jpg"),
        ("\x1b[31m\x7f\u2028", r"\x1b[31m\x7f\u2028"),
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\xe9.jpg"),
        (r"back\slash", r"back\\slash"),
    ],
)
def test_a_name_is_spelled_on_one_line_that_utf8_can_hold(name, expected):
    assert spelled(name) == spelled(Path(name)) == expected
    spelled(name).encode()
    assert len(spelled(name).splitlines()) == 1


def many(tmp_path: Path, count: int) -> list[Path]:
    """Photographs whose grey says which they are."""
    return [
        saved(tmp_path / f"{index:03}.png", np.full((5, 4 + index % 3, 3), index, np.uint8))
        for index in range(count)
    ]


@pytest.mark.parametrize("threads", [None, 1, 3, 32])
def test_a_stream_gives_a_batch_for_each_part_in_order(tmp_path, threads):
    paths = many(tmp_path, 40)
    paths[7].write_bytes(b"")
    paths[39].unlink()
    parts = [paths[:1], paths[1:8], [], paths[8:20], paths[20:39], paths[39:]]
    found = list(stream(parts, 3, "squash", threads))
    assert [len(batch.places) for batch in found] == [1, 6, 0, 12, 19, 0]
    assert found[1].places == (0, 1, 2, 3, 4, 5)
    assert found[1].skipped == ((paths[7], "an empty file"),)
    assert found[5].skipped == ((paths[39], "no such file (a dangling link)"),)
    greys = [pixel for batch in found for pixel in batch.pixels[:, 1, 1, 1]]
    kept = [index for index in range(39) if index != 7]
    np.testing.assert_array_equal(greys, np.float32(kept) / np.float32(255))
    assert [path for batch in found for path in batch.paths] == [paths[index] for index in kept]
    assert all(batch.pixels.dtype == np.float32 for batch in found)


def decoding() -> list[threading.Thread]:
    """The threads that decode."""
    return [one for one in threading.enumerate() if one.name.startswith("photographs")]


def test_the_threads_end_with_the_stream_however_it_ends(tmp_path):
    paths = many(tmp_path, 30)
    parts = [paths[start : start + 3] for start in range(0, 30, 3)]
    list(stream(parts, 3))
    assert not decoding()
    begun = stream(parts, 3, threads=2)
    next(begun)
    assert decoding()
    begun.close()
    assert not decoding()
    begun = batches(paths, 3, 3)
    next(begun)
    del begun
    assert not decoding()
    with pytest.raises(KeyboardInterrupt):
        for _ in stream(parts, 3):
            raise KeyboardInterrupt
    assert not decoding()

    def failing():
        yield parts[0]
        raise OSError("the list of files is gone")

    with pytest.raises(OSError, match="is gone"):
        list(stream(failing(), 3))
    assert not decoding()


@pytest.mark.parametrize(("length", "threads", "ahead"), [(8, 2, 2), (1, 2, 4), (2, 8, 8)])
def test_what_is_decoded_ahead_is_bounded(tmp_path, length, threads, ahead):
    paths, asked = many(tmp_path, 60), 0

    def parts():
        nonlocal asked
        for start in range(0, 60, length):
            asked += 1
            yield paths[start : start + length]

    for turn, _ in enumerate(stream(parts(), 3, threads=threads)):
        assert asked <= turn + 1 + ahead
    assert asked == -(-60 // length)


def test_photographs_are_decoded_while_the_consumer_is_busy(tmp_path, monkeypatch):
    paths, done, load_one = many(tmp_path, 9), [], images.read
    monkeypatch.setattr(images, "read", lambda path: done.append(path) or load_one(path))
    begun = stream([paths[:3], paths[3:6], paths[6:]], 3, threads=2)
    next(begun)
    end = time.monotonic() + 30
    while len(done) < 9 and time.monotonic() < end:
        time.sleep(0.01)
    assert sorted(done) == paths
    assert [len(batch.paths) for batch in begun] == [3, 3]


def test_remarks_on_metadata_from_a_thread_cost_no_photograph(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x0f\x01\x02\0\xff\0\0\0\xff\xff\0\0"
    paths = [saved(tmp_path / f"{index}.jpg", NOISE, exif=exif) for index in range(9)]
    (batch,) = stream([paths], 3)
    assert len(batch.paths) == 9


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
