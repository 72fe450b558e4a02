"""The files of one run. Each appears whole or not at all; logs grow line by line."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

HOLD = 1500  # milliseconds that an animation rests on its last frame


class Folder:
    """The files of one run, each written whole.

    Attributes:
        directory: where they lie.
        written: those that are finished, in the order they were first written.
    """

    def __init__(self, directory: Path, flat: bool = False) -> None:
        """Write into a folder that exists; `flat`: without folders for images and the like."""
        self.directory, self._flat = directory, flat
        self.written: list[Path] = []

    def append(self, name: str, values: Mapping[str, object]) -> None:
        """Add a line to the JSON lines file `name`; it is on the disk when this returns."""
        self.line(name, json.dumps(plain(values)))

    def line(self, name: str, text: str) -> None:
        """Add one line to a text file; it is on the disk when this returns."""
        with self._writing(self.directory / name) as path, path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def image(self, name: str, image: np.ndarray, text: Mapping[str, str] | None = None) -> Path:
        """Write `images/<name>.png` from a uint8 image `(height, width, 3)`.

        The entries of `text` are kept inside the file, as PNG's text chunks.
        """
        from PIL.PngImagePlugin import PngInfo  # here: a question to an index needs no pictures

        buffer, info = io.BytesIO(), PngInfo()
        for key, value in (text or {}).items():
            # What the format asks of a keyword, without the few letters beyond ASCII.
            if len(key) > 79 or not re.fullmatch(r"[!-~]+( [!-~]+)*", key):
                raise ValueError(
                    f"{key!r} cannot name a text in an image. It takes up to 79 ASCII characters,"
                    " with single spaces between them."
                )
            info.add_text(key, value)
        picture(name, image).save(buffer, "PNG", pnginfo=info)
        return self._write(f"images/{_checked(name)}.png", buffer.getvalue())

    def animation(self, name: str, frames: np.ndarray, milliseconds: int) -> Path:
        """Write `images/<name>.webp`, which repeats for ever and rests on its last frame.

        Args:
            name: the file's name, without folder and ending.
            frames: uint8 `(frames, height, width, 3)`.
            milliseconds: how long each frame but the last is shown.
        """
        if frames.ndim != 4 or not len(frames) or milliseconds < 1:
            raise ValueError(
                f"Animation {name!r} has frames of shape {frames.shape}, {milliseconds} ms each. It"
                " must be uint8 of shape (frames, height, width, 3), each at least 1 ms."
            )
        first, *others = [picture(name, frame) for frame in frames]
        times = [milliseconds] * len(others) + [max(HOLD, milliseconds)]
        buffer, how = io.BytesIO(), {"quality": 85, "method": 4}
        first.save(
            buffer, "WEBP", save_all=True, append_images=others, duration=times, loop=0, **how
        )
        return self._write(f"images/{_checked(name)}.webp", buffer.getvalue())

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
        """Write `tables/<name>.csv`; None and numbers that are not finite are empty cells."""
        for number, row in enumerate(rows):
            if len(row) != len(columns):
                raise ValueError(
                    f"Row {number} of table {name!r} has {len(row)} cells. The header has"
                    f" {len(columns)}."
                )
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([columns, *([_cell(cell) for cell in row] for row in rows)])
        return self._write(f"tables/{_checked(name)}.csv", text.getvalue().encode())

    def array(self, name: str, **arrays: np.ndarray) -> Path:
        """Write `arrays/<name>.npz` and return its path."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return self._write(f"arrays/{_checked(name)}.npz", buffer.getvalue())

    def document(self, name: str, content: object) -> Path:
        """Write `<name>.json` and return its path; NaN and infinities are null."""
        text = json.dumps(plain(content), indent=2, allow_nan=False, ensure_ascii=False)
        return self._write(f"{_checked(name)}.json", f"{text}\n".encode())

    def page(self, name: str, html: str) -> Path:
        """Write `<name>.html` and return its path."""
        return self._write(f"{_checked(name)}.html", html.encode())

    def copy(self, name: str, source: Path) -> Path:
        """Write the file `name`, like `images/a.webp`, with the content of another."""
        return self._write(name, source.read_bytes())

    def _write(self, name: str, content: bytes) -> Path:
        path = self.directory / (Path(name).name if self._flat else name)
        partial = path.with_name(f".{path.name}.partial")
        with self._writing(path):
            path.parent.mkdir(exist_ok=True)
            try:
                partial.write_bytes(content)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        return path

    @contextmanager
    def _writing(self, path: Path) -> Iterator[Path]:
        """Remember a file that is written inside; say what to do where that fills the disk."""
        try:
            yield path
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OSError(
                f"The disk of {relative(self.directory)} is full. Free some space, or give a folder"
                " on another disk with outputs=PATH, and start again. What was finished is kept."
            ) from error
        if path not in self.written:
            self.written.append(path)


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: no NumPy types, null for NaN and infinities."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = list(value) if value.ndim else value[()]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.floating):
        value = float(str(value))  # the shortest number: 0.1 of float32 stays 0.1
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def picture(name: str, image: np.ndarray) -> Image.Image:
    """Return a uint8 array `(height, width, 3)` as a Pillow image.

    Raises:
        ValueError: it is of another type or shape. Floats are refused rather than guessed at.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise ValueError(
            f"Image {name!r} is {image.dtype} of shape {image.shape}. It must be uint8 of shape"
            " (height, width, 3)."
        )
    from PIL import Image

    return Image.fromarray(image)


def relative(path: Path) -> str:
    """Return a path as seen from the current folder."""
    return os.path.relpath(path)


def _cell(value: object) -> object:
    value = plain(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def _checked(name: str) -> str:
    if not re.fullmatch(r"\w[\w.+:-]*", name):
        raise ValueError(f"{name!r} cannot name a file. It takes letters, digits and _ . + : -")
    return name


ABANDONED = 86_400.0  # seconds after which a half-written folder of another machine is cleared


@contextmanager
def scratch(parent: Path, name: str) -> Iterator[Path]:
    """Give a new folder beside `name`, and remove what is left in it at the end.

    Its name says who writes there, so that others know whether it is abandoned.
    """
    path = parent / f".{name}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def settle(partial: Path, target: Path) -> bool:
    """Rename a finished folder into its place; return False if there is one already."""
    flush(partial)
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not target.is_dir():
            raise
        return False
    flush(target.parent)
    return True


def clear(parent: Path) -> int:
    """Remove the half-written folders of writers that live no longer; return how many."""
    host, count = _host(), 0
    for path in parent.glob(".*"):
        found = re.fullmatch(r"\..+\.([A-Za-z0-9-]*)\.(\d+)\.[0-9a-f]{8}", path.name)
        if found and path.is_dir() and _abandoned(path, found[1] == host, int(found[2])):
            shutil.rmtree(path, ignore_errors=True)
            count += 1
    return count


def _host() -> str:
    """Return the name of the machine, or container, within which a process has its number."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""  # no Linux, no containers
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{platform.node()}-{space}").strip("-")


def _abandoned(path: Path, here: bool, process: int) -> bool:
    """Return whether a writer is gone; of one on another machine only the time can tell."""
    try:
        if not here:
            return time.time() - path.stat().st_mtime > ABANDONED
        os.kill(process, 0)
    except OSError as error:  # another: it lives under another user, or the folder is gone already
        return isinstance(error, ProcessLookupError)
    return False


def save(path: Path, content: bytes) -> None:
    """Write a new file, on the disk before this returns."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def canonical(content: Mapping[str, object]) -> bytes:
    """Return the one JSON text, in ASCII, that stands for some content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sealed(content: Mapping[str, object]) -> bytes:
    """Return content as JSON that carries its own SHA-256."""
    seal = hashlib.sha256(canonical(content)).hexdigest()
    return json.dumps({**content, "seal": seal}, indent=1, allow_nan=False).encode() + b"\n"


def unsealed(path: Path) -> dict[str, Any]:
    """Return the content of a sealed file.

    Raises:
        ValueError: it is missing, or not what was written.
    """
    try:
        content = json.loads(path.read_bytes())
        seal = content.pop("seal")
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} is missing") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path.name} is damaged") from error
    if hashlib.sha256(canonical(content)).hexdigest() != seal:
        raise ValueError(f"{path.name} is not what was written: its SHA-256 is another")
    return content
