"""Photographs as files, of pixels that are known."""

from pathlib import Path

import numpy as np
from PIL import Image

from convscope.data.photograph import load

NOISE = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)

# What is said of a file that holds no photograph.
UNKNOWN = "not a JPEG, PNG, WebP, BMP, GIF or TIFF, or a broken one"


def saved(path: Path, pixels: np.ndarray, **options: object) -> Path:
    """Write an array as an image file."""
    Image.fromarray(pixels).save(path, **options)
    return path


def read(path: Path) -> np.ndarray:
    """Return the file's pixels, as `load` sees them."""
    picture = load(path)
    assert picture.mode == "RGB"
    return np.asarray(picture)
