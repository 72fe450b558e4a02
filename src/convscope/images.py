"""Photographs: found in a folder or a package, decoded to [0, 1], the unreadable set aside."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

# The photographs that ship inside scikit-image's own wheel: the colour ones, then the natural
# greys. Its diagrams, masks, charts and the second picture of its stereo pair are left out.
SAMPLES = (
    "astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png",
    "motorcycle_left.png", "retina.jpg", "rocket.jpg",
    "brick.png", "camera.png", "clock_motion.png", "coins.png", "grass.png", "gravel.png",
    "moon.png", "page.png", "text.png",
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """How a square view was cut from a photograph: view = original * scale - offset.

    Attributes:
        scale: view pixels for one pixel of the original, (rows, columns).
        offset: view pixels cut away above and to the left.
        size: height and width of the original.
    """

    scale: tuple[float, float]
    offset: tuple[int, int]
    size: tuple[int, int]

    def original(self, top: int, left: int, bottom: int, right: int) -> tuple[int, int, int, int]:
        """Return the half-open box of the original that a half-open box of the view covers.

        It reaches outwards to whole pixels and is cut off at the photograph's edges.
        """
        edges = []
        for low, high, axis in ((top, bottom, 0), (left, right, 1)):
            # Rounded, so that an edge that lies on a pixel's edge does not take in the next one.
            start = int(np.floor(round((low + self.offset[axis]) / self.scale[axis], 9)))
            stop = int(np.ceil(round((high + self.offset[axis]) / self.scale[axis], 9)))
            edges.append((max(start, 0), min(stop, self.size[axis])))
        (first, last), (near, far) = edges
        return first, near, last, far


@dataclass(frozen=True)
class Batch:
    """Photographs on their way into the network.

    Attributes:
        paths: the files, in order.
        pixels: float32 `(photographs, size, size, 3)` in [0, 1].
        views: how each was cut.
        skipped: (file, reason) of those that turned out unreadable.
    """

    paths: tuple[Path, ...]
    pixels: np.ndarray
    views: tuple[View, ...]
    skipped: tuple[tuple[Path, str], ...]


def samples() -> tuple[Path, ...]:
    """Return the photographs that ship with scikit-image.

    Raises:
        FileNotFoundError: scikit-image is not installed, or ships them no longer.
    """
    spec = importlib.util.find_spec("skimage")
    home = Path(spec.submodule_search_locations[0]) / "data" if spec else None  # type: ignore[index]
    paths = tuple(home / name for name in SAMPLES if (home / name).is_file()) if home else ()
    if len(paths) < len(SAMPLES):
        raise FileNotFoundError(
            f"images=samples needs scikit-image with its {len(SAMPLES)} photographs; "
            f"{len(paths)} are installed. Run 'uv sync', or give a folder of your own with "
            "images=folder images.root=PATH."
        )
    return paths


def folder(root: Path) -> tuple[Path, ...]:
    """Return every image file below `root`, in the order of their names.

    Raises:
        FileNotFoundError: there is no such folder, or it holds no image.
    """
    if not root.is_dir():
        what = "is a file" if root.is_file() else "does not exist"
        raise FileNotFoundError(f"images.root={root} {what}. Give a folder of photographs.")
    paths = tuple(sorted(path for path in root.rglob("*") if path.suffix.lower() in ENDINGS))
    if not paths:
        raise FileNotFoundError(
            f"images.root={root} holds no image. Photographs end in {', '.join(sorted(ENDINGS))}."
        )
    return paths


def load(path: Path) -> Image.Image:
    """Return a photograph upright and in RGB; transparency shows white, 16 bits become 8.

    Raises:
        ValueError: the file is no image, broken, or so large that it looks like an attack.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(path) as file:
                picture = ImageOps.exif_transpose(file)
                if picture.mode.startswith(("I", "F")):
                    values = np.nan_to_num(np.asarray(picture, np.float32))
                    peak = values.max(initial=0)
                    top = 1.0 if picture.mode == "F" and peak <= 1 else 255.0
                    top = 65535.0 if ";16" in picture.mode or peak > 255 else top
                    levels = np.rint(np.clip(values / top, 0, 1) * 255)
                    picture = Image.fromarray(levels.astype(np.uint8))
                if picture.has_transparency_data:
                    picture = picture.convert("RGBA")
                    white = Image.new("RGBA", picture.size, "white")
                    picture = Image.alpha_composite(white, picture)
                return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(_reason(error)) from error
    except Image.DecompressionBombWarning as error:
        raise ValueError(_reason(error)) from error


def square(picture: Image.Image, size: int) -> tuple[np.ndarray, View]:
    """Return the central square of a photograph as `(size, size, 3)` in [0, 1], and its view.

    The shorter side is brought to `size` with an antialiased bicubic filter; of the longer one the
    middle is kept.
    """
    width, height = picture.size
    factor = size / min(width, height)
    rows, columns = max(size, round(height * factor)), max(size, round(width * factor))
    top, left = (rows - size) // 2, (columns - size) // 2
    view = View((rows / height, columns / width), (top, left), (height, width))
    # Scaled and cut in one: what is cut away from a long strip would not fit into memory.
    across, down = width / columns, height / rows
    box = (left * across, top * down, (left + size) * across, (top + size) * down)
    cut = picture.resize((size, size), Image.Resampling.BICUBIC, box)
    return np.asarray(cut, np.float32) / 255.0, view


def filling(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Return a photograph that fills `(height, width, 3)`, its middle kept, in [0, 1]."""
    height, width = size
    cut = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(cut, np.float32) / 255.0


def batches(paths: Sequence[Path], size: int, count: int) -> Iterator[Batch]:
    """Yield the photographs as square views, `count` files at a time."""
    for start in range(0, len(paths), count):
        good, pixels, views, skipped = [], [], [], []
        for path in paths[start : start + count]:
            try:
                cut, view = square(load(path), size)
            except ValueError as error:
                skipped.append((path, str(error)))
                continue
            good.append(path)
            pixels.append(cut)
            views.append(view)
        stacked = np.stack(pixels) if pixels else np.empty((0, size, size, 3), np.float32)
        yield Batch(tuple(good), stacked, tuple(views), tuple(skipped))


def fingerprint(paths: Sequence[Path]) -> str:
    """Return a SHA-256 over the names and contents of the files, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0")
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            digest.update(b"unreadable")
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    """Return in a few words why a file could not be read, without its path."""
    if isinstance(error, FileNotFoundError):
        return "no such file (a dangling link)"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, IsADirectoryError):
        return "a folder, not a file"
    text = str(error)
    if "cannot identify image file" in text:
        return "not an image, or an empty or broken one"
    if "decompression bomb" in text:
        return "too large: more pixels than a photograph has"
    return " ".join(text.split()) or type(error).__name__
