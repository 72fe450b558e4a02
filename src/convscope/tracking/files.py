"""Values as files hold them, and files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


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
