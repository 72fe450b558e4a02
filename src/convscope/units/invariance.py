"""How much of a unit's response to its exemplars is left when they are moved or recoloured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from convscope.models.backend import tf
from convscope.units.tuning import Respond

KEPT = 0.7
"""The share of the response from which on one speaks of an invariance."""

POSE = 30.0
"""Degrees either way within which a rotation is a change of pose."""

DRAWS = 1000
"""Bootstrap samples of exemplars."""

ENDS = 0.025, 0.975


@dataclass(frozen=True)
class Move:
    """One thing that is done to an image.

    Attributes:
        kind: "mirror", "rotation", "scale", "shift", "hue", "contrast" or "polarity".
        value: degrees of a rotation (counter-clockwise) or of a hue, the factor of a scale or a
            contrast; of a mirror 0 for left to right, 90 for top to bottom; of a shift by an eighth
            of the side its direction in degrees.
    """

    kind: str
    value: float


def _moves(**values: Sequence[float]) -> tuple[Move, ...]:
    return tuple(Move(kind, value) for kind, some in values.items() for value in some)


MOVES = _moves(
    mirror=(0, 90),
    rotation=(-150, -120, -90, -60, -30, -15, 15, 30, 60, 90, 120, 150, 180),
    scale=(0.5, 0.7, 1.4, 2),
    shift=(0, 90, 180, 270),
    hue=(60, 120, 180, 240, 300),
    contrast=(0.25, 0.5),
    polarity=(-1,),
)

CORE = _moves(
    mirror=(0,), rotation=(-90, -30, 30, 90, 180), scale=(0.7, 1.4), hue=(180,), contrast=(0.5,),
    polarity=(-1,),
)  # fmt: skip
"""What other filters of the layer are asked, for comparison: a part of `MOVES`."""


@dataclass(frozen=True)
class Score:
    """Some moves of one kind, put together, with 95 % of bootstrap samples.

    Attributes:
        mean: mean share of the response that is left.
        mean_low, mean_high: its interval.
        least: the smallest share.
        least_low, least_high: its interval.
    """

    mean: float
    mean_low: float
    mean_high: float
    least: float
    least_low: float
    least_high: float


@dataclass(frozen=True)
class Invariance:
    """The shares of a unit's response that moves leave.

    Attributes:
        moves: what was done.
        shares: mean response to moved exemplars over that to the same, resampled, in place.
        low, high: 95 % of bootstrap samples of exemplars.
        scores: {kind: all moves of it together}, besides "pose": left and right exchanged and
            rotations up to 30 degrees.
        width: degrees of rotation either way that leave half; None where all do, or its interval
            cannot be told.
        width_low, width_high: its interval.
        percentiles: {kind: how many of 100 other filters keep less of the core moves}.
        controls: other filters that were asked.
        kept: the response to each exemplar in place, and then to each move of it, above that to
            mid-grey `(exemplars, 1 + moves)`.
    """

    moves: tuple[Move, ...]
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    scores: Mapping[str, Score]
    width: float | None
    width_low: float | None
    width_high: float | None
    percentiles: Mapping[str, float]
    controls: int
    kept: np.ndarray

    @property
    def count(self) -> int:
        """How many exemplars were moved."""
        return len(self.kept)

    def of(self, kind: str) -> list[int]:
        """Return the places of the moves of a kind."""
        return [at for at, move in enumerate(self.moves) if move.kind == kind]


def measure(
    respond: Respond,
    filter: int,
    crops: np.ndarray,
    seed: int,
    controls: Mapping[int, np.ndarray],
) -> Invariance | None:
    """Return how much of a unit's response moves of its exemplars leave.

    Args:
        respond: what one position of the layer answers.
        filter: the unit's number.
        crops: its exemplars, as the position sees them `(count, height, width, 3)` in [0, 1].
        seed: of the bootstrap.
        controls: {other filter: its own exemplars}; they are asked fewer moves.

    Returns:
        None where the exemplars, resampled, do not excite the unit.
    """
    kept = _responses(respond, filter, crops, MOVES)
    if kept is None:
        return None
    chosen = np.random.default_rng(seed).integers(0, len(crops), (DRAWS, len(crops)))
    sums = kept[chosen].sum(axis=1)  # (draws, 1 + moves)
    alive = sums[:, 0] > 0
    drawn = sums[alive, 1:] / sums[alive, :1]
    shares = kept[:, 1:].sum(axis=0) / kept[:, 0].sum()
    low, high = np.quantile(drawn, ENDS, axis=0)
    scores = {kind: _score(shares[at], drawn[:, at]) for kind, at in _places(MOVES).items()}
    asked = (_core(respond, other, theirs) for other, theirs in controls.items())
    others = [one for one in asked if one]
    mine = _core(respond, filter, crops) if others else None
    width, widths = half(shares), np.array([half(one) for one in drawn])
    ends: tuple[float | None, ...] = None, None
    if np.isfinite(width) and np.isfinite(widths).mean() > 0.95:
        ends = tuple(float(end) for end in np.nanquantile(widths, ENDS))
    percentiles = {}
    for kind, share in (mine or {}).items():
        theirs = np.array([one[kind] for one in others])
        percentiles[kind] = 100 * float(np.mean((theirs < share) + (theirs == share) / 2))
    return Invariance(
        moves=MOVES,
        shares=shares,
        low=low,
        high=high,
        scores=scores,
        width=width if np.isfinite(width) else None,
        width_low=ends[0],
        width_high=ends[1],
        percentiles=percentiles,
        controls=len(others),
        kept=kept,
    )


def half(shares: np.ndarray) -> float:
    """Return the rotation either way at which shares, averaged over both, fall to a half; or NaN.

    Args:
        shares: of `MOVES`.
    """
    by_angle: dict[float, list[float]] = {0.0: [1.0]}
    for move, share in zip(MOVES, shares, strict=True):
        if move.kind == "rotation":
            by_angle.setdefault(abs(move.value), []).append(float(share))
    means = sorted((angle, float(np.mean(both))) for angle, both in by_angle.items())
    for (before, above), (angle, mean) in pairwise(means):
        if mean <= 0.5:
            return before + (above - 0.5) / (above - mean) * (angle - before)
    return math.nan


def moved(images: np.ndarray, move: Move) -> np.ndarray:
    """Return images moved about their middle, resampled bilinearly, mirrored at their edges.

    Args:
        images: `(count, height, width, 3)` in [0, 1].
        move: what is done. Colours that leave [0, 1] are cut.
    """
    if move.kind == "polarity":
        return 1 - images
    if move.kind == "contrast":
        means = images.mean(axis=(1, 2, 3), keepdims=True)
        return means + move.value * (images - means)
    if move.kind == "hue":
        return np.clip(images @ _hue(move.value), 0, 1).astype(np.float32)
    matrix, offset = _plan(move, min(images.shape[1:3]))
    if move.kind == "scale" and move.value < 1:  # four reads for each pixel, against aliasing
        quarters = (np.array([x, y]) / 4 for x in (-1, 1) for y in (-1, 1))
        reads = [_warped(images, matrix, offset + matrix @ quarter) for quarter in quarters]
        return np.mean(reads, axis=0)
    return _warped(images, matrix, offset)


def _plan(move: Move, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where an output pixel, (right, up) of the middle, is read: matrix and offset."""
    c, s = np.cos(np.radians(move.value)), np.sin(np.radians(move.value))
    if move.kind == "rotation":  # read where it came from: turned back
        return np.array([[c, s], [-s, c]]), np.zeros(2)
    if move.kind == "mirror":
        return np.diag([-1.0, 1.0] if move.value == 0 else [1.0, -1.0]), np.zeros(2)
    if move.kind == "scale":
        return np.eye(2) / move.value, np.zeros(2)
    return np.eye(2), -side / 8 * np.array([c, s])


def _warped(images: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    height, width = images.shape[1:3]
    flip = np.diag([1.0, -1.0])  # rows count downwards
    plan, middle = flip @ matrix @ flip, np.array([(width - 1) / 2, (height - 1) / 2])
    begin = middle + flip @ offset - plan @ middle
    # Rounded, lest a quarter of a turn reads between pixels.
    row = [*plan[0], begin[0], *plan[1], begin[1], 0, 0]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.constant(images, tf.float32),
        transforms=tf.constant([np.round(row, 6)], tf.float32),
        output_shape=tf.constant([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    ).numpy()


def _hue(angle: float) -> np.ndarray:
    """Return the matrix `(3, 3)` that turns colours about grey at equal luma (ITU-R BT.601)."""
    to = np.array([[0.299, -0.168736, 0.5], [0.587, -0.331264, -0.418688], [0.114, 0.5, -0.081312]])
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    return to @ turn @ np.linalg.inv(to)


def _responses(
    respond: Respond, filter: int, crops: np.ndarray, moves: Sequence[Move]
) -> np.ndarray | None:
    """Return rectified preactivations `(count, 1 + moves)`, first to what stays in place."""
    pictures = np.concatenate([moved(crops, move) for move in (Move("rotation", 0), *moves)])
    found = np.maximum(respond(pictures)[:, filter], 0).reshape(1 + len(moves), -1).T
    return found.astype(np.float64) if found[:, 0].sum() > 0 else None


def _core(respond: Respond, filter: int, crops: np.ndarray) -> dict[str, float] | None:
    """Return the mean share that the core moves of each kind leave, and the least of a pose."""
    kept = _responses(respond, filter, crops, CORE)
    if kept is None:
        return None
    shares = kept[:, 1:].sum(axis=0) / kept[:, 0].sum()
    return {
        kind: float(shares[at].min() if kind == "pose" else shares[at].mean())
        for kind, at in _places(CORE).items()
    }


def _places(moves: Sequence[Move]) -> dict[str, list[int]]:
    """Return the places of the moves of each kind, and of those that change the pose."""
    found: dict[str, list[int]] = {}
    for at, move in enumerate(moves):
        found.setdefault(move.kind, []).append(at)
    pose = found["mirror"][:1] + [at for at in found["rotation"] if abs(moves[at].value) <= POSE]
    return found | {"pose": pose}


def _score(shares: np.ndarray, drawn: np.ndarray) -> Score:
    means, least = (np.quantile(one, ENDS) for one in (drawn.mean(axis=1), drawn.min(axis=1)))
    return Score(*map(float, (shares.mean(), *means, shares.min(), *least)))
