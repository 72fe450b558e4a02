"""Photographs of a run: found, checked, streamed to [0, 1] ahead of use, and recorded."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from convscope import text
from convscope.data import imagenet_samples, photograph
from convscope.data.labels import Labels, named
from convscope.data.labels import of as labels_of
from convscope.data.photograph import digest, read
from convscope.data.views import Fit, Sides, Size, View, view
from convscope.settings import ImageSettings, SampleImages, located, sides

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
# What a folder of results holds, whose pictures are no photographs: of one run, and of several.
OWN = frozenset({".hydra", "jobs.jsonl"})
# The photographs that ship inside scikit-image's own wheel, the colour ones first, and what each
# shows: a synset where that is one of ImageNet's classes or a group of them. Its diagrams, masks,
# charts and the second picture of its stereo pair are left out.
SAMPLES = {
    "astronaut.png": "astronaut",
    "chelsea.png": "n02121808",  # domestic cat
    "coffee.png": "n07920052",  # espresso
    "hubble_deep_field.jpg": "night sky",
    "ihc.png": "medical image",
    "motorcycle_left.png": "n03790512",  # motorcycle
    "retina.jpg": "medical image",
    "rocket.jpg": "n04099429",  # rocket
    "brick.png": "ground or wall",
    "camera.png": "n04485082",  # tripod
    "clock_motion.png": "n03046257",  # clock
    "coins.png": "old coins",
    "grass.png": "ground or wall",
    "gravel.png": "ground or wall",
    "moon.png": "night sky",
    "page.png": "printed text",
    "text.png": "printed text",
}

MARGIN = 0.5  # mid-grey, what a padded view shows beside the photograph
# Threads that decode at most; a photograph takes one core for milliseconds.
THREADS = 16


def photographs(settings: ImageSettings) -> tuple[Path, ...]:
    """Return the files that are shown to the network.

    Raises:
        ValueError, FileNotFoundError: there are none, or they cannot be fetched.
    """
    if settings.root is not None:
        return folder(located("images.root", settings.root))
    if settings.name == "imagenet_samples":
        return folder(imagenet_samples.imagenet_samples())
    return samples()


def root(settings: ImageSettings) -> Path | None:
    """Return the folder that the photographs lie in; None for those that a package brings."""
    if settings.root is not None:
        given = located("images.root", settings.root)
        return given.parent if given.is_file() else given
    return imagenet_samples.home() if settings.name == "imagenet_samples" else None


def shown_name(path: Path, root: Path | None) -> str:
    """Return the name of a photograph below the folder it was found in, as it can be shown."""
    full, above = os.fspath(path), "" if root is None else os.fspath(root) + os.sep
    return text.spelled(full[len(above) :] if above and full.startswith(above) else path.name)


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
    link's. Folders of results are left out, unless one is `root`. What has a photograph's ending
    and is none is returned too, and so is a folder that may not be opened: reading them says why
    they are none.

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
                inside = list(entries)
            if name and any(entry.name in OWN for entry in inside):
                continue
            for entry in inside:
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


def labels(settings: ImageSettings, paths: Sequence[Path]) -> Labels:
    """Return the classes of the photographs; of those that a package brings, what they show.

    Raises:
        ValueError: the table that images.labels names cannot be used.
    """
    if isinstance(settings, SampleImages):
        return named([SAMPLES.get(path.name) for path in paths], "the list that Convscope has")
    given = settings.labels
    table = located("images.labels", given) if given is not None else None
    return labels_of(paths, root(settings), table)


def halves(digests: np.ndarray) -> np.ndarray:
    """Return which photographs belong to the discovery half, bool `(N,)`.

    They are those whose file's SHA-256 begins with an even byte. So a photograph is in the same
    half in every run, whatever lies beside it, and copies of a file never face each other.

    Args:
        digests: uint8 `(N, 32)`.
    """
    return digests[:, 0] % 2 == 0


def check_readable(settings: ImageSettings) -> None:
    """Raise unless there is a photograph that can be read, and labels that fit.

    What images=imagenet_samples needs is fetched here, where it has not been before.

    Raises:
        ValueError, FileNotFoundError: no folder, no image in it, none that can be read, or a table
            of labels that does not fit them.
    """
    paths = photographs(settings)
    if settings.labels is not None:
        labels(settings, paths)
    reason = ""
    for path in paths:
        try:
            photograph.load(path)
        except ValueError as error:
            reason = reason or f"{text.spelled(path.name)} is {error}"
            continue
        return
    raise ValueError(
        f"images.root={settings.root} holds no image that can be read: {reason}."
        " Give a folder of photographs."
    )


def check_picture(name: str, given: str | None) -> None:
    """Raise ValueError unless the setting `name` gives the path of a picture, or nothing."""
    if given is None:
        return
    path = located(name, given)
    try:
        photograph.load(path)
    except ValueError as error:
        raise ValueError(
            f"{name}={given} is no picture: {error}. Give the path of a PNG, JPEG or WebP file."
        ) from error


@dataclass(frozen=True)
class Batch:
    """Photographs on their way into the network.

    Attributes:
        places: where each readable photograph stood in what was given, from 0.
        paths: the files of those, in order.
        pixels: float32 `(photographs, height, width, 3)` in [0, 1].
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


def batches(paths: Sequence[Path], size: Size, count: int, fit: Fit = "crop") -> Iterator[Batch]:
    """Yield the photographs as views, `count` files at a time."""
    starts = range(0, len(paths), count)
    with closing(stream((paths[start : start + count] for start in starts), size, fit)) as found:
        for start, batch in zip(starts, found, strict=True):
            yield replace(batch, places=tuple(start + place for place in batch.places))


def pixels_of(paths: Sequence[Path], shown: ImageSettings) -> Iterator[np.ndarray]:
    """Yield photographs as the network sees them, a batch at a time, without those gone by now."""
    for batch in batches(paths, shown.sides, shown.batch, shown.fit):
        if batch.paths:
            yield batch.pixels


def stream(
    parts: Iterable[Sequence[Path]], size: Size, fit: Fit = "crop", threads: int | None = None
) -> Generator[Batch, None, None]:
    """Yield a batch for each part, in order, while threads decode the next parts ahead.

    What is ahead is bounded: two parts, or as many more as give every thread two photographs. The
    threads end with the iterator, whether it is used up, closed or interrupted. From then on,
    Pillow's remarks on damaged metadata are not shown in this process: filters of warnings belong
    to the process, so threads cannot have their own.

    Args:
        parts: files, a batch at a time; `Batch.places` count within each.
        size: of the views in pixels, one side or (height, width).
        fit: how photographs of another shape are shown; see `view`.
        threads: how many decode; None takes one for each core, 16 at most.
    """
    workers = threads or min(_cores(), THREADS)
    waiting: deque[_Part] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="photographs")
    try:
        for files in parts:
            _hush()
            waiting.append(_Part(files, sides(size), fit, pool))
            while len(waiting) > 2 and sum(len(part.files) for part in waiting) > 2 * workers:
                yield waiting.popleft().batch()
        while waiting:
            yield waiting.popleft().batch()
    finally:
        pool.shutdown(cancel_futures=True)


class _Part:
    """Files on their way to a batch: each is decoded by a thread straight into its place."""

    def __init__(self, files: Sequence[Path], extent: Sides, fit: Fit, pool: ThreadPoolExecutor):
        self.files = tuple(files)
        self.pixels = np.empty((len(self.files), *extent, 3), np.float32)
        self.jobs: list[Future[tuple[View, bytes] | str]] = [
            pool.submit(_fetch, path, extent, fit, place)
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


def _fetch(path: Path, extent: Sides, fit: Fit, out: np.ndarray) -> tuple[View, bytes] | str:
    """Put a photograph into `out` and return its view and digest, or why it could not be read."""
    try:
        picture, digest = read(path)
        return _show(picture, extent, fit, out), digest
    except ValueError as error:
        return str(error)


def _show(picture: Image.Image, extent: Sides, fit: Fit, out: np.ndarray) -> View:
    """Put the view of a photograph into `out`, `(height, width, 3)`, and return how it was made."""
    made = view(picture.height, picture.width, extent, fit)
    (top, rows, above, below), (left, columns, before, behind) = made.window(0), made.window(1)
    # Scaled and cut in one, unless whole: what is cut away from a long strip would not fit into
    # memory.
    box = (before, above, behind, below)
    cut = picture.resize((columns, rows), Image.Resampling.BICUBIC, box)
    if made.whole:
        cut = cut.crop((-left, -top, extent[1] - left, extent[0] - top))
        top, left, rows, columns = 0, 0, *extent
    if (rows, columns) != extent:
        out[...] = MARGIN
    np.divide(np.asarray(cut), np.float32(255), out=out[top : top + rows, left : left + columns])
    return made


def _hush() -> None:
    """Silence Pillow's remarks; sizes are checked here, and damage ends in an error anyway."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _cores() -> int:
    """Return how many cores this process may use."""
    # macOS and Windows cannot say which.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shown(picture: Image.Image, size: Size, fit: Fit = "crop") -> tuple[np.ndarray, View]:
    """Return what the network sees of a photograph, `(height, width, 3)` in [0, 1], and its view.

    It is brought to size with an antialiased bicubic filter; `view` says what `fit` does.
    """
    pixels = np.empty((*(extent := sides(size)), 3), np.float32)
    return pixels, _show(picture, extent, fit, pixels)


def filling(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Return a photograph that fills `(height, width, 3)`, its middle kept, in [0, 1]."""
    height, width = size
    cut = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(cut, np.float32) / 255.0


def fingerprint(paths: Sequence[Path]) -> str:
    """Return a SHA-256 over the names and contents of the files, in order."""
    return fingerprint_of([path.name for path in paths], (digest(path) for path in paths))


def fingerprint_of(names: Iterable[str], digests: Iterable[bytes | None]) -> str:
    """Return what `fingerprint` does, from what is known already.

    Args:
        names: the files' names, without their folders.
        digests: SHA-256 of each file's content; None where it could not be read.
    """
    total = hashlib.sha256()
    for name, content in zip(names, digests, strict=True):
        total.update(os.fsencode(name) + b"\0" + (content or b"unreadable"))
    return total.hexdigest()


def record(settings: ImageSettings, count: int, sha256: str, skipped: int) -> dict[str, object]:
    """Return which photographs were shown, for the summary of a run."""
    # Other photographs are not fetched by git.
    home = root(settings) if settings.name == "imagenet_samples" else None
    return {
        "name": settings.name,
        "commit": imagenet_samples.commit(home) if home else None,
        "fit": settings.fit,
        "count": count,
        "sha256": sha256,
        "skipped": skipped,
    }


def aside(count: int) -> str:
    """Return in words that files were set aside."""
    return "1 file was set aside" if count == 1 else f"{count:,} files were set aside"
