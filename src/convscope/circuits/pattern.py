"""How the weights of one kernel slice are laid out in space."""

from __future__ import annotations

import math

import numpy as np

UNIFORM, OPPONENT, SURROUND, OTHER = "uniform", "opponent", "centre-surround", "other"
EVEN = 0.6  # share of the energy in the mean from which a kernel is uniform


def pattern(kernel: np.ndarray) -> tuple[str, float | None]:
    """Return what a kernel slice `(height, width)` looks like, and its angle where it has one.

    By its energy in the cosine basis: "uniform" where the mean holds 60 %; "opponent" where the
    two slowest waves hold most of the rest, with the angle in degrees, counterclockwise from the
    right, to the side of the larger weights; "centre-surround" where the middle has another sign
    than the mean around it; "other" otherwise. A kernel of zeros is "other".
    """
    height, width = kernel.shape
    waves = _cosines(height) @ kernel.astype(np.float64) @ _cosines(width).T
    energy = waves**2
    total = energy.sum()
    if not total:
        return OTHER, None
    if energy[0, 0] >= EVEN * total:
        return UNIFORM, None
    # The waves begin high at the top and at the left.
    up = waves[1, 0] if height > 1 else 0.0
    right = -waves[0, 1] if width > 1 else 0.0
    slow = up**2 + right**2
    if slow >= total - energy[0, 0] - slow:
        return OPPONENT, math.degrees(math.atan2(up, right)) % 360
    if height % 2 and width % 2:
        middle = kernel[height // 2, width // 2]
        around = kernel.sum(dtype=np.float64) - middle
        if middle * around < 0:
            return SURROUND, None
    return OTHER, None


def _cosines(length: int) -> np.ndarray:
    """Return the orthonormal cosine basis (DCT-II), a wave a row."""
    places = (np.arange(length) + 0.5) * np.pi / length
    waves = np.cos(np.arange(length)[:, None] * places) * math.sqrt(2 / length)
    waves[0] /= math.sqrt(2)
    return waves
