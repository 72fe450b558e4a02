"""Photographs: found in folders, decoded to [0, 1] ahead of use, the unreadable set aside."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import os
import stat
import threading
import unicodedata
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

Fit = Literal["crop", "squash", "pad"]

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
# The formats that those endings stand for. Pillow knows more, some of which start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

# The photographs that ship inside scikit-image's own wheel: the colour ones, then the natural
# greys. Its diagrams, masks, charts and the second picture of its stereo pair are left out.
SAMPLES = (
    "astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png",
    "motorcycle_left.png", "retina.jpg", "rocket.jpg",
    "brick.png", "camera.png", "clock_motion.png", "coins.png", "grass.png", "gravel.png",
    "moon.png", "page.png", "text.png",
)  # fmt: skip

# How the stored pixels become upright, by the orientation of EXIF 2.3, section 4.6.4.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

MARGIN = 0.5  # mid-grey, what a padded view shows beside the photograph
# Pillow resamples eight bits with whole weights, in units of this one.
WEIGHT = 2.0**-22
# Beyond these no photograph is read: a file of this many bytes, a picture of this many pixels a
# side (Pillow's table of weights alone takes 32 bytes for each).
LARGEST_FILE = 2**30
LONGEST_SIDE = 2**20
# From these on photographs are decoded one at a time, or a few of them would fill the memory.
HEAVY_FILE = 2**27
HEAVY_PIXELS = 2**25
_TURN = threading.RLock()
# Threads that decode at most; a photograph takes one core for milliseconds.
THREADS = 16


@dataclass(frozen=True)
class View:
    """How a square view shows a photograph: view = original * scale - offset.

    Attributes:
        scale: view pixels for one pixel of the original, (rows, columns).
        offset: view pixels cut away above and to the left; below zero, what is padded there.
        size: height and width of the original, upright.
        side: height and width of the view.
    """

    scale: tuple[float, float]
    offset: tuple[int, int]
    size: tuple[int, int]
    side: int

    def original(self, top: int, left: int, bottom: int, right: int) -> tuple[int, int, int, int]:
        """Return the half-open box of all original pixels that decide a half-open box of the view.

        It takes in the support of the bicubic filter, and nothing whose weight that filter rounds
        to zero. What the box covers beyond the view counts for nothing. Where only padding lies
        under it, no pixel decides, and the row or column of the photograph that is nearest is
        returned, so that there is always one to show.
        """
        first, last = self._deciding(0, top, bottom)
        near, far = self._deciding(1, left, right)
        return first, near, last, far

    def window(self, axis: int) -> tuple[int, int, float, float]:
        """Return where the photograph lies in the view, and which part of it is shown there.

        Args:
            axis: 0 for rows, 1 for columns.

        Returns:
            The first view pixel that shows it, how many do, and the edges in original pixels.
        """
        length, offset = self.size[axis], self.offset[axis]
        scaled = round(length * self.scale[axis])
        count, start, step = min(self.side, scaled), max(offset, 0), length / scaled
        return max(-offset, 0), count, start * step, (start + count) * step

    def _deciding(self, axis: int, low: int, high: int) -> tuple[int, int]:
        """Return the half-open range of original pixels that decide view pixels along an axis.

        This follows `precompute_coeffs` of Pillow 13, which keeps the edges in single precision.
        """
        margin, count, *edges = self.window(axis)
        start, stop = np.float32(edges[0]), np.float32(edges[1])
        length, step = self.size[axis], float(stop - start) / count
        low, high = max(low - margin, 0), min(high - margin, count)
        if low >= high:  # only padding
            place = int(start) if high <= 0 else int(np.ceil(stop)) - 1
            return place, place + 1
        # Where the view is the smaller one, the reach grows from pixel to pixel: two will do.
        chosen = np.arange(low, high) if step < 1 else np.unique([low, high - 1])
        stretch = max(step, 1.0)
        centres = float(start) + (chosen + 0.5) * step
        first = np.maximum(np.trunc(centres - 2 * stretch + 0.5), 0).astype(int)
        last = np.minimum(np.trunc(centres + 2 * stretch + 0.5), length).astype(int)
        places = first[:, None] + np.arange((last - first).max())
        weights = _bicubic((places - centres[:, None] + 0.5) * (1 / stretch))
        weights[places >= last[:, None]] = 0
        weights /= weights.sum(1, keepdims=True)
        deciding = places[np.abs(weights) >= WEIGHT / 2]
        return int(deciding.min()), int(deciding.max()) + 1


@dataclass(frozen=True)
class Batch:
    """Photographs on their way into the network.

    Attributes:
        places: where each readable photograph stood in what was given, from 0.
        paths: the files of those, in order.
        pixels: float32 `(photographs, size, size, 3)` in [0, 1].
        views: how each is shown.
        digests: SHA-256 of each file's content, 32 bytes.
        skipped: (file, reason) of those that turned out unreadable, in order.
    """

    places: tuple[int, ...]
    paths: tuple[Path, ...]
    pixels: np.ndarray
    views: tuple[View, ...]
    digests: tuple[bytes, ...]
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
    """Return every image file below `root`, in the order of their names; or `root`, if a file.

    Links to folders are followed, but each folder counts once, under its own name rather than a
    link's. What has a photograph's ending and is none is returned too, and so is a folder that may
    not be opened: reading them says why they are none.

    Raises:
        FileNotFoundError: there is no such folder, or it holds no image.
    """
    if root.is_file():
        return (root,)
    if not root.is_dir():
        what = "is neither a folder nor a file" if root.exists() else "does not exist"
        raise FileNotFoundError(f"images.root={root} {what}. Give a folder of photographs.")
    names = sorted(_walk(root), key=_parts)
    if "" in names:
        raise FileNotFoundError(
            f"images.root={root} may not be opened. Ask its owner for permission, or give another."
        )
    if not names:
        raise FileNotFoundError(
            f"images.root={root} holds no image. Photographs end in {', '.join(sorted(ENDINGS))}."
        )
    return tuple(root / name for name in names)


def load(path: Path) -> Image.Image:
    """Return a photograph upright and in RGB; transparency shows white, 16 bits become 8.

    Raises:
        ValueError: the file is no image, broken, or so large that it looks like an attack.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _load(path)[0]


def view(height: int, width: int, size: int, fit: Fit = "crop") -> View:
    """Return how a photograph is shown on a square of `size` pixels.

    Args:
        height: of the upright photograph, in pixels.
        width: of the upright photograph, in pixels.
        size: height and width of the view, in pixels.
        fit: "crop" brings the shorter side to `size` and keeps the middle of the longer one,
            "squash" brings both to `size`, "pad" the longer one, with mid-grey beside the middle.
    """
    if fit == "squash":
        rows = columns = size
    elif fit == "pad":
        rows, columns = (
            max(1, round(side * size / max(height, width))) for side in (height, width)
        )
    else:
        factor = size / min(height, width)
        rows, columns = max(size, round(height * factor)), max(size, round(width * factor))
    # Rounded towards zero: the odd pixel lies below and to the right, cut away or padded.
    offset = int((rows - size) / 2), int((columns - size) / 2)
    return View((rows / height, columns / width), offset, (height, width), size)


def shown(picture: Image.Image, size: int, fit: Fit = "crop") -> tuple[np.ndarray, View]:
    """Return what the network sees of a photograph, `(size, size, 3)` in [0, 1], and its view.

    It is brought to size with an antialiased bicubic filter; `view` says what `fit` does.
    """
    pixels = np.empty((size, size, 3), np.float32)
    return pixels, _show(picture, size, fit, pixels)


def filling(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Return a photograph that fills `(height, width, 3)`, its middle kept, in [0, 1]."""
    height, width = size
    cut = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(cut, np.float32) / 255.0


def batches(paths: Sequence[Path], size: int, count: int, fit: Fit = "crop") -> Iterator[Batch]:
    """Yield the photographs as square views, `count` files at a time."""
    starts = range(0, len(paths), count)
    with closing(stream((paths[start : start + count] for start in starts), size, fit)) as found:
        for start, batch in zip(starts, found, strict=True):
            yield replace(batch, places=tuple(start + place for place in batch.places))


def stream(
    parts: Iterable[Sequence[Path]], size: int, fit: Fit = "crop", threads: int | None = None
) -> Generator[Batch, None, None]:
    """Yield a batch for each part, in order, while threads decode the next parts ahead.

    What is ahead is bounded: two parts, or as many more as give every thread two photographs. The
    threads end with the iterator, whether it is used up, closed or interrupted. From then on,
    Pillow's remarks on damaged metadata are not shown in this process: filters of warnings belong
    to the process, so threads cannot have their own.

    Args:
        parts: files, a batch at a time; `Batch.places` count within each.
        size: height and width of the views in pixels.
        fit: how photographs that are no squares are shown; see `view`.
        threads: how many decode; None takes one for each core, 16 at most.
    """
    workers = threads or min(_cores(), THREADS)
    waiting: deque[_Part] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="photographs")
    try:
        for files in parts:
            _hush()
            waiting.append(_Part(files, size, fit, pool))
            while len(waiting) > 2 and sum(len(part.files) for part in waiting) > 2 * workers:
                yield waiting.popleft().batch()
        while waiting:
            yield waiting.popleft().batch()
    finally:
        pool.shutdown(cancel_futures=True)


def spelled(path: Path | str) -> str:
    r"""Return a file's name as text for one line: what cannot be shown there is escaped.

    Undecodable bytes become like \xff, line breaks and other control characters like \n; a
    backslash is doubled, so that two names never look alike.
    """
    text = os.fspath(path).replace("\\", "\\\\")
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        else letter
        for letter in text
    )


def fingerprint(paths: Sequence[Path]) -> str:
    """Return a SHA-256 over the names and contents of the files, in order."""
    return fingerprint_of([path.name for path in paths], (_digest(path) for path in paths))


def fingerprint_of(names: Iterable[str], digests: Iterable[bytes | None]) -> str:
    """Return what `fingerprint` does, from what is known already.

    Args:
        names: the files' names, without their folders.
        digests: SHA-256 of each file's content; None where it could not be read.
    """
    digest = hashlib.sha256()
    for name, content in zip(names, digests, strict=True):
        digest.update(os.fsencode(name) + b"\0" + (content or b"unreadable"))
    return digest.hexdigest()


class _Part:
    """Files on their way to a batch: each is decoded by a thread straight into its place."""

    def __init__(self, files: Sequence[Path], size: int, fit: Fit, pool: ThreadPoolExecutor):
        self.files = tuple(files)
        self.pixels = np.empty((len(self.files), size, size, 3), np.float32)
        self.jobs: list[Future[tuple[View, bytes] | str]] = [
            pool.submit(_fetch, path, size, fit, place)
            for path, place in zip(self.files, self.pixels, strict=True)
        ]

    def batch(self) -> Batch:
        """Return the batch, once all of it is decoded."""
        found = [job.result() for job in self.jobs]
        good = {place: seen for place, seen in enumerate(found) if not isinstance(seen, str)}
        return Batch(
            places=tuple(good),
            paths=tuple(self.files[place] for place in good),
            pixels=self.pixels if len(good) == len(found) else self.pixels[list(good)],
            views=tuple(seen for seen, _ in good.values()),
            digests=tuple(digest for _, digest in good.values()),
            skipped=tuple(
                (path, reason)
                for path, reason in zip(self.files, found, strict=True)
                if isinstance(reason, str)
            ),
        )


def _fetch(path: Path, size: int, fit: Fit, out: np.ndarray) -> tuple[View, bytes] | str:
    """Put a photograph into `out` and return its view and digest, or why it could not be read."""
    try:
        picture, digest = _load(path)
        return _show(picture, size, fit, out), digest
    except ValueError as error:
        return str(error)


def _show(picture: Image.Image, size: int, fit: Fit, out: np.ndarray) -> View:
    """Put the view of a photograph into `out`, `(size, size, 3)`, and return how it was made."""
    made = view(picture.height, picture.width, size, fit)
    (top, rows, above, below), (left, columns, before, behind) = made.window(0), made.window(1)
    # Scaled and cut in one: what is cut away from a long strip would not fit into memory.
    box = (before, above, behind, below)
    cut = picture.resize((columns, rows), Image.Resampling.BICUBIC, box)
    if min(rows, columns) < size:
        out[...] = MARGIN
    np.divide(np.asarray(cut), np.float32(255), out=out[top : top + rows, left : left + columns])
    return made


def _load(path: Path) -> tuple[Image.Image, bytes]:
    """Return a photograph, upright and in RGB, and the SHA-256 of its file; both of one reading.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        status = path.stat()
        # A pipe would keep its reader waiting for ever.
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(_no_file(path, status.st_mode))
        if status.st_size > LARGEST_FILE:
            raise ValueError(f"too large: a file of {status.st_size} bytes")
        with _turn(status.st_size > HEAVY_FILE):
            content = path.read_bytes()
            return _decode(content), hashlib.sha256(content).digest()
    except (OSError, MemoryError) as error:
        raise ValueError(_unread(error)) from error


def _decode(content: bytes) -> Image.Image:
    """Return the photograph that a file's content holds, upright and in RGB.

    Raises:
        ValueError: it holds none. Whatever damage makes Pillow raise becomes one.
    """
    if not content:
        raise ValueError("an empty file")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            width, height = picture.size
            limit = Image.MAX_IMAGE_PIXELS or math.inf
            if width * height <= limit and max(width, height) <= LONGEST_SIDE:
                with _turn(width * height > HEAVY_PIXELS):
                    picture.load()
                    return _red_green_blue(_upright(picture))
    except Exception as error:
        raise ValueError(_undecoded(error)) from error
    raise ValueError(f"too large: {width} x {height} pixels")


def _upright(picture: Image.Image) -> Image.Image:
    """Return a picture as its EXIF orientation wants it seen; as stored, where EXIF is damaged."""
    try:
        method = UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever a parser of damaged metadata raises; the pixels are not touched
        method = None
    return picture if method is None else picture.transpose(method)


def _red_green_blue(picture: Image.Image) -> Image.Image:
    """Return a picture of any mode in RGB, over white."""
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture, np.float32)
        peak = values.max(initial=0, where=np.isfinite(values))
        top = 1.0 if picture.mode == "F" and peak <= 1 else 255.0
        top = 65535.0 if ";16" in picture.mode or peak > 255 else top
        levels = np.nan_to_num(values / top, nan=0.0, posinf=1.0, neginf=0.0)
        picture = Image.fromarray(np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _walk(root: Path) -> set[str]:
    """Return the names below `root` of what may be photographs, and of folders that stay shut."""
    found: set[str] = set()
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    while folders or links:
        # Links wait until all real folders are seen, and are taken in order: one that leads to a
        # folder seen before, or above itself, adds nothing, however the system lists the files.
        if not folders:
            links.sort(key=_parts, reverse=True)
        name = folders.pop() if folders else links.pop()
        try:
            status = (root / name).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(root / name) as entries:
                for entry in entries:
                    below = f"{name}/{entry.name}" if name else entry.name
                    if os.path.splitext(entry.name)[1].lower() in ENDINGS:  # noqa: PTH122
                        found.add(below)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(below)
                    elif entry.is_symlink() and (root / below).is_dir():
                        links.append(below)
        except OSError:
            found.add(name)
    return found


def _parts(name: str) -> list[str]:
    """Return what names are sorted by: a folder's own files stand together."""
    return name.split("/")


def _bicubic(distances: np.ndarray) -> np.ndarray:
    """Return the weights of Pillow's bicubic filter (Keys 1981, a = -0.5) at distances."""
    near, far = np.abs(distances), np.abs(distances)
    inner = (1.5 * near - 2.5) * near * near + 1
    outer = (((far - 5) * far + 8) * far - 4) * -0.5
    return np.where(near < 1, inner, np.where(far < 2, outer, 0.0))


def _digest(path: Path) -> bytes | None:
    """Return the SHA-256 of a file's content, or None where it cannot be read."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_FILE:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        pass
    return None


def _turn(heavy: bool) -> AbstractContextManager[object]:
    """Return what a thread holds while it decodes: one at a time, where a photograph is heavy."""
    return _TURN if heavy else nullcontext()


def _hush() -> None:
    """Silence Pillow's remarks; sizes are checked here, and damage ends in an error anyway."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _cores() -> int:
    """Return how many cores this process may use."""
    # macOS and Windows cannot say which.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _no_file(path: Path, mode: int) -> str:
    """Return what a path is that is no regular file."""
    if not stat.S_ISDIR(mode):
        return "a pipe, socket or device, not a file"
    shut = not os.access(path, os.R_OK | os.X_OK)
    return "a folder that may not be opened" if shut else "a folder, not a file"


def _unread(error: Exception) -> str:
    """Return in a few words why the system did not let a file be read, without its path."""
    if isinstance(error, FileNotFoundError):
        return "no such file (a dangling link)"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def _undecoded(error: Exception) -> str:
    """Return in a few words why Pillow could not decode a file."""
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, WebP, BMP, GIF or TIFF, or a broken one"
    if isinstance(error, Image.DecompressionBombError):
        return "too large: more pixels than a photograph has"
    return f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
