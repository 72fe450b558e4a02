"""A photograph's file: read once, decoded upright and in RGB, or refused with the reason."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import os
import stat
import threading
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

# Pillow knows more formats, some of which start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

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

# Beyond these no photograph is read: a file of this many bytes, a picture of this many pixels a
# side (Pillow's table of weights alone takes 32 bytes for each).
LARGEST_FILE = 2**30
LONGEST_SIDE = 2**20
# From these on photographs are decoded one at a time, or a few of them would fill the memory.
HEAVY_FILE = 2**27
HEAVY_PIXELS = 2**25
_TURN = threading.RLock()


def load(path: Path) -> Image.Image:
    """Return a photograph upright and in RGB; transparency shows white, 16 bits become 8.

    Raises:
        ValueError: the file is no image, broken, or so large that it looks like an attack.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read(path)[0]


def read(path: Path) -> tuple[Image.Image, bytes]:
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


def digest(path: Path) -> bytes | None:
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


def _no_file(path: Path, mode: int) -> str:
    """Return what a path is that is no regular file."""
    if not stat.S_ISDIR(mode):
        return "a pipe, socket or device, not a file"
    shut = not os.access(path, os.R_OK | os.X_OK)
    return "a folder that may not be opened" if shut else "a folder, not a file"


def _unread(error: Exception) -> str:
    """Return in a few words why the system did not let a file be read, without its path."""
    if isinstance(error, FileNotFoundError):
        link = Path(error.filename or "").is_symlink()
        return "no such file (a dangling link)" if link else "no such file"
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


def data_uri(image: np.ndarray, **how: Any) -> str:
    """Return `image` as a data URI: a lossless PNG unless `how` asks Pillow for another format."""
    file = io.BytesIO()
    settings: dict[str, Any] = {"format": "PNG", "optimize": True} | how
    Image.fromarray(image).save(file, **settings)
    kind = settings["format"].lower()
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
