"""Drawn images that ask one position what it is tuned to, each with the numbers that made it.

All are centred, lie in [0, 1] around mid-grey and are antialiased by how much of a pixel they
cover. Angles are in degrees, counter-clockwise from the right. An orientation is that of the bars:
0 for horizontal ones, 90 for upright ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Size = tuple[int, int]
"""(height, width) in pixels."""

GREY = 0.5
LOWEST, HIGHEST = 0.02, 0.45
"""Cycles per pixel of the slowest and the fastest grating; half a cycle is the most there is."""

CHROMA = 0.28
"""The strength of hues, the most at which all of them have a place in RGB at mid-grey's luma."""

WAVES = 24
"""Plane waves that make a texture look the same in all directions."""

DEVIATION = 0.2
"""Standard deviation of textures and noise: little of it is cut at black and white."""


@dataclass(frozen=True)
class Stimuli:
    """Images and what they show.

    Attributes:
        images: float32 `(count, height, width, 3)` in [0, 1].
        axes: the values of each parameter, in the order in which they vary, the last the fastest.
    """

    images: np.ndarray
    axes: dict[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each parameter takes: their product is the count of images."""
        return tuple(len(values) for values in self.axes.values())


def blank(size: Size) -> Stimuli:
    """Return one image of mid-grey."""
    return Stimuli(np.full((1, *size, 3), GREY, np.float32), {})


def frequencies(size: Size, count: int) -> np.ndarray:
    """Return spatial frequencies in even steps of their logarithm, at least one cycle a side."""
    return np.geomspace(max(LOWEST, 1 / min(size)), HIGHEST, count)


def gratings(
    size: Size,
    orientations: np.ndarray,
    frequencies: np.ndarray,
    phases: np.ndarray,
    contrasts: Sequence[float] = (1.0,),
) -> Stimuli:
    """Return sine gratings over the whole image: grey + contrast / 2 cos(2 pi f d + phase).

    Args:
        size: of the images.
        orientations: of the bars.
        frequencies: cycles per pixel.
        phases: in degrees, at the middle.
        contrasts: 1 reaches from black to white.
    """
    axes = {
        "orientation": orientations, "frequency": frequencies, "phase": phases,
        "contrast": np.asarray(contrasts),
    }  # fmt: skip
    turn, pace, phase, contrast = _grid(axes)
    wave = np.cos(2 * np.pi * pace * _along(size, turn + 90) + np.radians(phase))
    return Stimuli(_grey(contrast / 2 * wave), axes)


def edges(size: Size, angles: np.ndarray) -> Stimuli:
    """Return straight edges through the middle, from black to white in the direction `angle`."""
    axes = {"angle": angles}
    (turn,) = _grid(axes)
    return Stimuli(_grey(_inside(_along(size, turn)) - GREY), axes)


def arcs(size: Size, radii: np.ndarray, angles: np.ndarray, signs: Sequence[int]) -> Stimuli:
    """Return half circles whose middle is the image's, drawn as lines.

    Args:
        size: of the images.
        radii: in pixels.
        angles: from the middle of the image to that of the circle: where the arc opens.
        signs: 1 for white lines, -1 for black ones.
    """
    axes = {"radius": radii, "angle": angles, "sign": np.asarray(signs)}
    radius, turn, sign = _grid(axes)
    ahead, beside = _along(size, turn), _along(size, turn + 90)
    far = np.abs(np.hypot(ahead - radius, beside) - radius)
    half = _inside(radius - ahead)
    return Stimuli(_grey(sign / 2 * _stroke(size, far) * half), axes)


def lines(size: Size, orientations: np.ndarray, signs: Sequence[int]) -> Stimuli:
    """Return straight lines through the middle; see `arcs`."""
    axes = {"orientation": orientations, "sign": np.asarray(signs)}
    turn, sign = _grid(axes)
    return Stimuli(_grey(sign / 2 * _stroke(size, np.abs(_along(size, turn + 90)))), axes)


def corners(size: Size, angles: np.ndarray, signs: Sequence[int]) -> Stimuli:
    """Return right angles with their tip in the middle that open towards `angle`; see `arcs`."""
    axes = {"angle": angles, "sign": np.asarray(signs)}
    turn, sign = _grid(axes)
    rays = []
    for way in (turn - 45, turn + 45):
        ahead, beside = _along(size, way), _along(size, way + 90)
        rays.append(np.hypot(np.minimum(ahead, 0), beside))
    return Stimuli(_grey(sign / 2 * _stroke(size, np.minimum(*rays))), axes)


def pairs(size: Size, angles: np.ndarray, seed: int = 0) -> Stimuli:
    """Return a fast texture on one side, towards `angle`, and a slow one on the other.

    Source: Schubert et al., "High-Low Frequency Detectors", Distill, 2021.
    """
    axes = {"angle": angles}
    (turn,) = _grid(axes)
    fast, slow = _texture(size, turn, HIGHEST - 0.1, seed), _texture(size, turn, _slow(size), seed)
    share = _inside(_along(size, turn))
    return Stimuli(_grey(share * fast + (1 - share) * slow), axes)


def textures(size: Size, turns: np.ndarray, seed: int = 0) -> Stimuli:
    """Return the textures of `pairs`, each over the whole image, turned: slow ones, then fast."""
    axes = {"frequency": np.array([_slow(size), HIGHEST - 0.1]), "angle": turns}
    pace, turn = _grid(axes)
    return Stimuli(_grey(_texture(size, turn, pace, seed)), axes)


def hues(size: Size, angles: np.ndarray) -> Stimuli:
    """Return hues at the luma of mid-grey, over the whole image and as a disk of half its side.

    An angle is that in the plane of Cb and Cr (ITU-R BT.601): 0 is blue, 90 a purplish red.
    """
    axes = {"radius": np.array([np.inf, min(size) / 4]), "angle": angles}
    radius, turn = _grid(axes)
    return Stimuli(_shown(_disk(size, radius)[..., None] * (_colour(turn) - GREY)), axes)


def greys(size: Size) -> Stimuli:
    """Return what `hues` are compared with: darker and lighter greys of the same strength."""
    axes = {"radius": np.array([np.inf, min(size) / 4]), "sign": np.array([-1, 1])}
    radius, sign = _grid(axes)
    return Stimuli(_grey(sign * CHROMA * _disk(size, radius)), axes)


def disks(size: Size, radii: np.ndarray, signs: Sequence[int]) -> Stimuli:
    """Return white (1) and black (-1) disks; an infinite radius fills the image."""
    axes = {"radius": radii, "sign": np.asarray(signs)}
    radius, sign = _grid(axes)
    return Stimuli(_grey(sign / 2 * _disk(size, radius)), axes)


def noises(size: Size, count: int, seed: int = 0) -> Stimuli:
    """Return noise, cut to [0, 1]: white, then 1/f as photographs have it."""
    random = np.random.default_rng(seed)
    white = random.standard_normal((count, *size))
    pace = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1]))
    pace[0, 0] = np.inf
    pink = np.fft.ifft2(np.fft.fft2(white) / pace).real
    both = np.stack([white, pink])
    both -= both.mean(axis=(2, 3), keepdims=True)
    both *= DEVIATION / np.maximum(both.std(axis=(2, 3), keepdims=True), 1e-9)
    axes = {"slope": np.array([0, 1]), "draw": np.arange(count)}
    return Stimuli(_grey(both.reshape(-1, *size)), axes)


# Pieces


def _grid(axes: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Return each parameter of all combinations `(count, 1, 1)`, the last varying the fastest."""
    values = (np.asarray(axis, np.float64) for axis in axes.values())
    return [part.reshape(-1, 1, 1) for part in np.meshgrid(*values, indexing="ij")]


def _along(size: Size, angles: np.ndarray) -> np.ndarray:
    """Return how far each pixel lies from the middle in a direction `(count, height, width)`."""
    up = (size[0] - 1) / 2 - np.arange(size[0])[:, None]
    right = np.arange(size[1]) - (size[1] - 1) / 2
    return right * np.cos(np.radians(angles)) + up * np.sin(np.radians(angles))


def _inside(distances: np.ndarray) -> np.ndarray:
    """Return how much of a pixel lies inside an edge that is so many pixels behind it."""
    return np.clip(distances + 0.5, 0, 1)


def _stroke(size: Size, distances: np.ndarray) -> np.ndarray:
    """Return how much a line covers pixels at these distances: a sixteenth of the side wide."""
    return _inside(max(1.0, min(size) / 16) / 2 - distances)


def _disk(size: Size, radii: np.ndarray) -> np.ndarray:
    far = np.hypot(_along(size, np.zeros(1)), _along(size, np.full(1, 90.0)))
    return _inside(radii - far)


def _slow(size: Size) -> float:
    """Return the frequency of slow textures: two cycles a side, well below the fast ones."""
    return min(max(LOWEST, 2 / min(size)), HIGHEST / 3)


def _texture(size: Size, turns: np.ndarray, pace: float | np.ndarray, seed: int) -> np.ndarray:
    """Return plane waves of one frequency, between -0.5 and 0.5, turned about the middle."""
    random = np.random.default_rng(seed)
    total = np.zeros((1, *size))
    for way, phase in zip(
        np.linspace(0, 180, WAVES, endpoint=False), random.uniform(0, 2 * np.pi, WAVES), strict=True
    ):
        total = total + np.cos(2 * np.pi * pace * _along(size, turns + way) + phase)
    return np.clip(DEVIATION * total / np.sqrt(WAVES / 2), -GREY, GREY)


def _colour(angles: np.ndarray) -> np.ndarray:
    """Return RGB of hues `(..., 3)` at the luma of mid-grey (ITU-R BT.601)."""
    blue, red = (CHROMA * f(np.radians(angles)) for f in (np.cos, np.sin))
    return GREY + np.stack([1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue], axis=-1)


def rgb(angles: np.ndarray) -> np.ndarray:
    """Return the colours of hues `(count, 3)` in [0, 1], as `hues` shows them."""
    return _colour(np.asarray(angles, np.float64))


def _grey(differences: np.ndarray) -> np.ndarray:
    return _shown(np.repeat(differences[..., None], 3, axis=-1))


def _shown(differences: np.ndarray) -> np.ndarray:
    """Return images that differ so much from mid-grey, cut to [0, 1] against rounding."""
    return np.clip(GREY + differences, 0, 1).astype(np.float32)
