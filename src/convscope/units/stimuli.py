"""Drawn images that ask one position what it is tuned to, each with the numbers that made it.

All are centred, lie in [0, 1] around mid-grey and are antialiased by how much of a pixel they
cover. Angles are in degrees, counter-clockwise from the right. An orientation is that of the bars:
0 for horizontal ones, 90 for upright ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

Size = tuple[int, int]
"""(height, width) in pixels."""

GREY = 0.5
LOWEST, HIGHEST = 0.02, 0.45
"""Cycles per pixel of the slowest and the fastest grating; half a cycle is the most there is."""

CHROMA = 0.28
"""The strength of hues, the most at which all of them have a place in RGB at mid-grey's luma."""

SMALL = 48
"""Pixels of a side up to which finely sampled stimuli take seconds on two cores."""

TURNS = 24
"""Directions of arcs, corners and pairs, and hues: a step is 15 degrees."""

SIGNS = 1, -1
"""White lines and disks, and black ones."""

WAVES = 24
"""Plane waves that make a texture look the same in all directions."""

DEVIATION = 0.2
"""Standard deviation of textures: little of it is cut at black and white."""


@dataclass(frozen=True)
class Stimuli:
    """Images and what they show.

    Attributes:
        images: float32 `(count, height, width, 3)` in [0, 1].
        axes: the values of each parameter, in the order in which they vary, the last the fastest.
    """

    images: np.ndarray
    axes: dict[str, np.ndarray]


def battery(size: Size) -> Iterator[tuple[str, Stimuli]]:
    """Yield the stimuli for images of a size by kind; finely, where that takes few seconds."""
    fine = min(size) <= SMALL
    half = np.linspace(0, 180, 24 if fine else 12, endpoint=False)
    whole = np.linspace(0, 360, TURNS, endpoint=False)
    phases = np.linspace(0, 360, 8 if fine else 4, endpoint=False)
    shares = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2) if fine else (1 / 8, 1 / 4, 1 / 2)
    radii = min(size) * np.array(shares)
    yield "grating", gratings(size, half, _frequencies(size, 8 if fine else 6), phases)
    yield "edge", edges(size, np.linspace(0, 360, 48 if fine else 24, endpoint=False))
    yield "arc", arcs(size, radii[radii >= 1.5], whole)
    yield "line", lines(size, half)
    yield "corner", corners(size, whole)
    yield "pair", pairs(size, whole)
    yield "texture", textures(size, np.linspace(0, 360, 8, endpoint=False))
    yield "hue", hues(size, whole)
    yield "grey", greys(size)
    yield "disk", disks(size, np.append(radii, np.inf))


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

    def draw(
        turn: np.ndarray, pace: np.ndarray, phase: np.ndarray, contrast: np.ndarray
    ) -> np.ndarray:
        wave = np.cos(2 * np.pi * pace * _along(size, turn + 90) + np.radians(phase))
        return contrast / 2 * wave

    return _drawn(
        draw, orientation=orientations, frequency=frequencies, phase=phases, contrast=contrasts
    )


def edges(size: Size, angles: np.ndarray) -> Stimuli:
    """Return straight edges through the middle, from black to white in the direction `angle`."""
    return _drawn(lambda turn: _inside(_along(size, turn)) - GREY, angle=angles)


def arcs(size: Size, radii: np.ndarray, angles: np.ndarray) -> Stimuli:
    """Return half circles whose middle is the image's, drawn as lines.

    Args:
        size: of the images.
        radii: in pixels.
        angles: from the middle of the image to that of the circle: where the arc opens.
    """

    def draw(radius: np.ndarray, turn: np.ndarray, sign: np.ndarray) -> np.ndarray:
        ahead, beside = _along(size, turn), _along(size, turn + 90)
        far = np.abs(np.hypot(ahead - radius, beside) - radius)
        return sign / 2 * _stroke(size, far) * _inside(radius - ahead)

    return _drawn(draw, radius=radii, angle=angles, sign=SIGNS)


def lines(size: Size, orientations: np.ndarray) -> Stimuli:
    """Return straight lines through the middle."""
    return _drawn(
        lambda turn, sign: sign / 2 * _stroke(size, np.abs(_along(size, turn + 90))),
        orientation=orientations,
        sign=SIGNS,
    )


def corners(size: Size, angles: np.ndarray) -> Stimuli:
    """Return right angles with their tip in the middle that open towards `angle`."""

    def draw(turn: np.ndarray, sign: np.ndarray) -> np.ndarray:
        rays = [
            np.hypot(np.minimum(_along(size, way), 0), _along(size, way + 90))
            for way in (turn - 45, turn + 45)
        ]
        return sign / 2 * _stroke(size, np.minimum(*rays))

    return _drawn(draw, angle=angles, sign=SIGNS)


def pairs(size: Size, angles: np.ndarray) -> Stimuli:
    """Return a fast texture on one side, towards `angle`, and a slow one on the other.

    Source: Schubert et al., "High-Low Frequency Detectors", Distill, 2021.
    """

    def draw(turn: np.ndarray) -> np.ndarray:
        slow, fast = (_texture(size, turn, pace) for pace in _paces(size))
        share = _inside(_along(size, turn))
        return share * fast + (1 - share) * slow

    return _drawn(draw, angle=angles)


def textures(size: Size, turns: np.ndarray) -> Stimuli:
    """Return the textures of `pairs`, each over the whole image, turned: slow ones, then fast."""
    return _drawn(
        lambda pace, turn: _texture(size, turn, pace), frequency=_paces(size), angle=turns
    )


def hues(size: Size, angles: np.ndarray) -> Stimuli:
    """Return hues at the luma of mid-grey, over the whole image and as a disk of half its side.

    An angle is that in the plane of Cb and Cr (ITU-R BT.601): 0 is blue, 90 a purplish red.
    """
    return _drawn(
        lambda radius, turn: _disk(size, radius)[..., None] * (rgb(turn) - GREY),
        radius=[np.inf, min(size) / 4],
        angle=angles,
    )


def greys(size: Size) -> Stimuli:
    """Return what `hues` are compared with: darker and lighter greys of the same strength."""
    return _drawn(
        lambda radius, sign: sign * CHROMA * _disk(size, radius),
        radius=[np.inf, min(size) / 4],
        sign=[-1, 1],
    )


def disks(size: Size, radii: np.ndarray) -> Stimuli:
    """Return white and black disks; an infinite radius fills the image."""
    return _drawn(lambda radius, sign: sign / 2 * _disk(size, radius), radius=radii, sign=SIGNS)


def rgb(angles: np.ndarray) -> np.ndarray:
    """Return the colours of hues `(..., 3)` in [0, 1], as `hues` shows them (ITU-R BT.601)."""
    blue, red = (CHROMA * f(np.radians(angles)) for f in (np.cos, np.sin))
    return GREY + np.stack([1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue], axis=-1)


# Pieces


def _drawn(draw: Callable[..., np.ndarray], **axes: ArrayLike) -> Stimuli:
    """Return an image for each combination of parameters, the last varying the fastest.

    Args:
        draw: what grids `(count, 1, 1)` of all parameters -> how images differ from mid-grey,
            `(count, height, width)` or with colours; what leaves [0, 1] is cut.
        axes: the values of each parameter.
    """
    values = {name: np.asarray(axis) for name, axis in axes.items()}
    grid = np.meshgrid(*(axis.astype(np.float64) for axis in values.values()), indexing="ij")
    differences = draw(*(part.reshape(-1, 1, 1) for part in grid))
    if differences.ndim == 3:
        differences = np.repeat(differences[..., None], 3, axis=-1)
    return Stimuli(np.clip(GREY + differences, 0, 1).astype(np.float32), values)


def _frequencies(size: Size, count: int) -> np.ndarray:
    """Return spatial frequencies in even steps of their logarithm, at least one cycle a side."""
    return np.geomspace(max(LOWEST, 1 / min(size)), HIGHEST, count)


def _along(size: Size, angles: float | np.ndarray) -> np.ndarray:
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
    return _inside(radii - np.hypot(_along(size, 0.0), _along(size, 90.0)))


def _paces(size: Size) -> tuple[float, float]:
    """Return the frequencies of textures: two cycles a side, well below the fast ones, and fast."""
    return min(max(LOWEST, 2 / min(size)), HIGHEST / 3), HIGHEST - 0.1


def _texture(size: Size, turns: np.ndarray, pace: float | np.ndarray) -> np.ndarray:
    """Return plane waves of one frequency, between -0.5 and 0.5, turned about the middle."""
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, WAVES)
    total = np.zeros((1, *size))
    for way, phase in zip(np.linspace(0, 180, WAVES, endpoint=False), phases, strict=True):
        total = total + np.cos(2 * np.pi * pace * _along(size, turns + way) + phase)
    return np.clip(DEVIATION * total / np.sqrt(WAVES / 2), -GREY, GREY)
