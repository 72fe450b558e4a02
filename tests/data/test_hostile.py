"""A folder of 300 files, 60 of them hostile: the good ones come out, the bad ones say why."""

import io
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope import text
from convscope.data import dataset

UNKNOWN = r"not a JPEG, PNG, WebP, BMP, GIF or TIFF, or a broken one"
CUT = rf"cannot be decoded: .+|{UNKNOWN}"
Maker = Callable[[Path], object]


def content(
    mode: str = "RGB", kind: str = "jpeg", shape: tuple[int, int] = (23, 31), **more
) -> bytes:
    """The content of a small photograph."""
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, kind, **more)
    return file.getvalue()


def turned() -> bytes:
    """A photograph whose EXIF asks for a quarter turn."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return content(exif=exif)


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that says it has this size, with as much of it as is given."""
    found = b"\x89PNG\r\n\x1a\n"
    for name, body in (
        (b"IHDR", struct.pack(">2I5B", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(data)),
        (b"IEND", b""),
    ):
        found += struct.pack(">I", len(body)) + name + body
        found += struct.pack(">I", zlib.crc32(name + body))
    return found


def writes(data: bytes) -> Maker:
    """Return what writes a file."""
    return lambda path: path.write_bytes(data)


# Name, what makes it, and why it cannot be read; None: it is a photograph, only an odd one.
HOSTILE: tuple[tuple[str | bytes, Maker, str | None], ...] = (
    *((f"cut{at}.jpg", writes(content()[:at]), CUT)
      for at in (3, 20, 200, 400, 600)),
    *((f"cut{at}.png", writes(content(kind="png")[:at]), CUT)
      for at in (5, 40, 100, 900)),
    ("cut.webp", writes(content(kind="webp")[:300]), CUT),
    ("cut.gif", writes(content("P", "gif")[:900]), CUT),
    ("cut.tif", writes(content(kind="tiff")[:900]), CUT),
    ("cut.bmp", writes(content(kind="bmp")[:900]), CUT),
    *((f"zero{index}.jpg", writes(b""), "an empty file") for index in range(8)),
    *((f"text{ending}", writes(b"no photograph\n"), UNKNOWN)
      for ending in (".PNG", ".webp", ".bmp", ".gif", ".tif")),
    ("page.jpg", writes(b"<html><body>404</body></html>"), UNKNOWN),
    ("program.jpg", writes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), UNKNOWN),
    ("other.jpg", writes(content(kind="ppm")), UNKNOWN),
    ("nulls.png", writes(bytes(5000)), UNKNOWN),
    ("bomb.png", writes(png(30_000, 30_000, bytes(3751 * 30_000))), "too large: more pixels .*"),
    ("liar.png", writes(png(10_000, 9_000)), "too large: 10000 x 9000 pixels"),
    ("short.png", writes(png(300, 200, bytes(100))), CUT),
    ("thread.png", writes(png(2_000_000, 1)), "too large: 2000000 x 1 pixels"),
    ("dangling.jpg", lambda path: path.symlink_to("nowhere"), r"no such file \(a dangling link\)"),
    ("itself.jpg", lambda path: path.symlink_to(path), "too many levels of symbolic links"),
    ("x.jpg", lambda path: path.mkdir(), "a folder, not a file"),
    ("y.png", os.mkfifo, "a pipe, socket or device, not a file"),
    ("device.gif", lambda path: path.symlink_to("/dev/zero"), "a pipe, socket or device.*"),
    ("hole.tif", lambda path: os.truncate(path, 2**33) if not path.touch() else None,
     "too large: a file of 8589934592 bytes"),
    # From here on they are photographs.
    ("print.jpg", writes(content("CMYK")), None),
    ("print.tif", writes(content("CMYK", "tiff")), None),
    ("luma.tif", writes(content("YCbCr", "tiff")), None),
    ("turned.jpg", writes(turned()), None),
    ("one.png", writes(content(kind="png", shape=(1, 1))), None),
    ("one.gif", writes(content("P", "gif", (1, 1))), None),
    ("wide.png", writes(content(kind="png", shape=(1, 5000))), None),
    ("high.bmp", writes(content(kind="bmp", shape=(5000, 3))), None),
    ("palette.png", writes(content("P", "png")), None),
    ("grey.jpg", writes(content("L")), None),
    ("deep.png", writes(content("I;16", "png")), None),
    ("float.tif", writes(content("F", "tiff")), None),
    ("clear.webp", writes(content("RGBA", "webp")), None),
    ("fax.tif", writes(content("1", "tiff")), None),
    ("really a png.JPG", writes(content(kind="png")), None),
    ("Grüße, 猫 🐈.jpeg", writes(content()), None),
    ("two\nlines.jpg", writes(content()), None),
    (" \t'\"$(reboot)`;.jpg", writes(content()), None),
    (b"caf\xe9.jpg", writes(content()), None),
    ("n" * 250 + ".png", writes(content(kind="png")), None),
)  # fmt: skip


@pytest.fixture
def hostile(tmp_path):
    """The folder, and for each of the 60 its name and the reason that is expected."""
    for index in range(300 - len(HOSTILE)):
        folder = tmp_path / f"folder{index % 7}"
        folder.mkdir(exist_ok=True)
        (folder / f"{index}.jpg").write_bytes(content(shape=(11 + index % 5, 13 + index % 3)))
    expected = {}
    for name, make, reason in HOSTILE:
        path = tmp_path / os.fsdecode(name)
        try:
            make(path)
        except OSError:  # a file system that takes only names that are text
            assert isinstance(name, bytes)
            path = tmp_path / "cafe.jpg"
            make(path)
        expected[path] = reason
    return tmp_path, expected


def test_all_good_files_come_out_and_all_bad_ones_say_why(hostile):
    root, expected = hostile
    paths = dataset.folder(root)
    assert len(paths) == 300 and len(expected) == 60
    bad = {path: reason for path, reason in expected.items() if reason}
    for fit in ("crop", "squash", "pad", "center"):
        parts = [paths[start : start + 7] for start in range(0, 300, 7)]
        found = list(dataset.stream(parts, 17, fit))
        good = [path for batch in found for path in batch.paths]
        skipped = dict(one for batch in found for one in batch.skipped)
        assert good == [path for path in paths if path not in bad]
        assert list(skipped) == [path for path in paths if path in bad]
        for path, reason in skipped.items():
            assert re.fullmatch(bad[path], reason), (path, reason)
            assert len(reason) < 100 and reason.isprintable() and str(root) not in reason
        pixels = np.concatenate([batch.pixels for batch in found])
        assert pixels.shape == (len(good), 17, 17, 3)
        assert pixels.min() >= 0 and pixels.max() <= 1


def test_the_names_can_be_written_to_any_table(hostile):
    paths = dataset.folder(hostile[0])
    names = [text.spelled(path.relative_to(hostile[0])) for path in paths]
    assert len(set(names)) == 300
    assert all(name.isprintable() for name in names)
    "\n".join(names).encode("utf-8")
    assert len(dataset.fingerprint(paths[:-30])) == 64


def test_a_file_without_permission_is_set_aside():
    # In a process of its own, which lays down its rights: a superuser may read everything.
    code = """
import os, sys
from pathlib import Path
from convscope.data import dataset, photograph
root = Path(sys.argv[1])
photograph.load(root / "good.png")  # what is imported late needs rights too
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
(batch,) = dataset.stream([dataset.folder(root)], 5)
print([path.name for path in batch.paths])
print([(path.name, reason) for path, reason in batch.skipped])
"""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for file in ("good.png", "mine.png", "shut/inside.png"):
            (root / file).parent.mkdir(exist_ok=True)
            (root / file).write_bytes(content(kind="png"))
        (root / "mine.png").chmod(0)
        (root / "shut").chmod(0)
        ended = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True)
        (root / "shut").chmod(0o755)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "['good.png']",
        "[('mine.png', 'no permission to read it'), ('shut', 'a folder that may not be opened')]",
    ]
