"""A photograph's file: upright RGB whatever it holds, and the reason where it holds none."""

import io
import os
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import NOISE, UNKNOWN, read, saved
from PIL import Image

from convscope.data import photograph
from convscope.data.dataset import stream
from convscope.data.photograph import load

RNG = np.random.default_rng(0)


def png(path: Path, size: tuple[int, int], bits: int, kind: int, rows: bytes) -> Path:
    """Write a PNG of bare rows: Pillow writes no colours of 16 bits, and huge ones slowly."""
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in (
        (b"IHDR", struct.pack(">2I5B", *size, bits, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    path.write_bytes(content)
    return path


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
    png(tmp_path / "deep.png", (2, 2), 16, 2, rows)
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


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (10_000, 9_000, "too large: 10000 x 9000 pixels"),  # where Pillow warns
        (30_000, 30_000, "too large: more pixels than a photograph has"),  # where it raises
        (1, 2**20 + 1, "too large: 1 x 1048577 pixels"),
    ],
)
def test_an_image_of_monstrous_size_says_so(tmp_path, width, height, reason):
    rows = bytes((width + 7) // 8 + 1) * height  # of one bit a pixel, all black
    path = png(tmp_path / "bomb.png", (width, height), 1, 0, rows)
    with pytest.raises(ValueError, match=f"^{reason}$"):
        load(path)


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
