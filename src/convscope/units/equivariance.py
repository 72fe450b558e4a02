"""Filters of a layer that are turned or mirrored copies of one another.

Response level: what one filter answers to turned stimuli is what the other answers to the same ones
as they are. Weight level: its turned kernel is the other's, input for input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convscope.stats import circular
from convscope.units.stimuli import TURNS
from convscope.units.tuning import Tuning

STEP = 360.0 / TURNS
"""Degrees between the turns that all families of stimuli can be turned by."""

ALIKE = 0.8
"""Correlation from which a filter is called a copy; it must exceed the null besides."""

MOVES = {"mirror": None, "45": 45.0, "90": 90.0, "180": 180.0}
"""Degrees counter-clockwise, or None for left and right exchanged."""

DRAWS = 200
"""Of the nulls."""

# The taps of a 3 x 3 kernel around its middle, counter-clockwise from the right.
RING = (1, 2), (0, 2), (0, 1), (0, 0), (1, 0), (2, 0), (2, 1), (2, 2)


@dataclass(frozen=True)
class Partner:
    """The filter that is most nearly a moved copy of another.

    Attributes:
        move: "mirror", or degrees counter-clockwise.
        filter: its number; it may be the same filter.
        score: their correlation.
        null: the mean of the best correlation over random draws.
        p: the share of draws whose best is as large.
    """

    move: str
    filter: int
    score: float
    null: float
    p: float


@dataclass(frozen=True)
class Family:
    """A filter and its turned copies in the layer.

    Attributes:
        filters: their numbers, the filter itself first, then by angle.
        angles: how far each is turned, degrees counter-clockwise; 0 for the filter itself.
        scores: the correlation of each with the filter turned.
        threshold: the correlation that was asked for.
        rayleigh: p of evenly spread angles; None for fewer than three.
        gap: the largest gap between neighbours in mean gaps; None for fewer than three.
    """

    filters: tuple[int, ...]
    angles: tuple[float, ...]
    scores: tuple[float, ...]
    threshold: float
    rayleigh: float | None
    gap: float | None


def relatives(
    tuning: Tuning, filter: int, random: np.random.Generator
) -> tuple[tuple[Partner, ...], Family | None]:
    """Return the best copy of a filter for each move, and it with its turned copies.

    The null exchanges the angles of the stimuli at random, alike for all that is done with them.
    What a filter that looks the same after half a turn is turned by is known up to that: its copies
    have angles below 180 degrees then. Where drawn stimuli do not excite the filter, there are
    neither copies nor a family.
    """
    families = _families(tuning)
    mine = [one[..., [filter]] for one in families]
    if not any(one.max() > 0 for one in mine):
        return (), None
    signatures = _signatures(families)
    null = _null(mine, filter, signatures, random)
    partners = []
    for move, angle in MOVES.items():
        moved = [_mirrored(one) if angle is None else _turned(one, angle) for one in mine]
        partners.append(_best(move, signatures @ _signatures(moved)[0], null))
    turned = [_signatures([_turned(one, turn * STEP) for one in mine]) for turn in range(TURNS)]
    alike = signatures @ np.concatenate(turned).T  # (filters, turns)
    null = _null(mine, filter, signatures, random)
    return tuple(partners), _family(filter, alike, max(ALIKE, float(np.quantile(null, 0.95))))


def copies(kernels: np.ndarray, filter: int, random: np.random.Generator) -> tuple[Partner, ...]:
    """Return for each move that kernels allow the filter whose kernel is most nearly one's, moved.

    Quarters of a turn take a square kernel, and eighths one of 3 x 3, whose ring is shifted.

    Args:
        kernels: weights of a layer that reads colours, each its own copy `(height, width, C,
            filters)`.
        filter: whose copy is looked for.
        random: of the null, which takes the inputs in random orders.
    """
    others = _standard(kernels.reshape(-1, kernels.shape[-1]).T)
    found = []
    for move in MOVES:
        moved = _moved(kernels[..., filter], MOVES[move])
        if moved is None:
            continue
        orders = (random.permutation(moved.shape[-1]) for _ in range(DRAWS))
        placed = [moved, *(moved[..., np.argsort(order)] for order in orders)]
        rows = [_standard(one.reshape(1, -1)) @ others.T for one in placed]
        alike = np.concatenate(rows).astype(np.float64)
        found.append(_best(move, alike[0], alike[1:].max(axis=1)))
    return tuple(found)


# Pieces


def _family(filter: int, alike: np.ndarray, threshold: float) -> Family:
    """Return the filters that are as much alike as the threshold to a filter in one of its turns.

    Args:
        filter: the filter.
        alike: correlations with it, turned `(filters, turns)`.
        threshold: from which on they count.
    """
    best, period = alike.max(axis=1), 180.0 if alike[filter, TURNS // 2] >= ALIKE else 360.0
    angles = alike.argmax(axis=1) * STEP % period
    members = [int(other) for other in np.flatnonzero(best >= threshold) if other != filter]
    members.sort(key=lambda other: (angles[other], -best[other]))
    around = (0.0, *(float(angles[other]) for other in members))
    several = len(around) >= 3
    return Family(
        filters=(filter, *members),
        angles=around,
        scores=(1.0, *(float(best[other]) for other in members)),
        threshold=threshold,
        rayleigh=circular.rayleigh(np.array(around), int(360 / period)) if several else None,
        gap=circular.gap(np.array(around), period) if several else None,
    )


def _best(move: str, alike: np.ndarray, null: np.ndarray) -> Partner:
    best = int(alike.argmax())
    p = float((1 + np.sum(null >= alike[best])) / (1 + len(null)))
    return Partner(move, best, float(alike[best]), float(null.mean()), p)


def _families(tuning: Tuning) -> list[np.ndarray]:
    """Return responses by direction in steps of 15 degrees `(24, others, filters)`.

    Orientations stand there twice; responses to gratings are means over their phases.
    """
    sets = tuning.sets
    grating = sets["grating"].mean(axis=(2, 3))
    whole = [
        sets["edge"],
        np.concatenate([grating, grating]),
        np.concatenate([sets["line"], sets["line"]]),
        np.moveaxis(sets["arc"], 1, 0),
        sets["corner"],
        sets["pair"],
    ]
    return [
        one[:: len(one) // TURNS].reshape(TURNS, -1, one.shape[-1]).astype(np.float64)
        for one in whole
    ]


def _turned(responses: np.ndarray, angle: float) -> np.ndarray:
    """Return responses as a copy turned by an angle gives them."""
    return np.roll(responses, round(angle / STEP), axis=0)


def _mirrored(responses: np.ndarray) -> np.ndarray:
    """Return responses as a copy mirrored left to right gives them: angle a becomes 180 - a."""
    return responses[(TURNS // 2 - np.arange(TURNS)) % TURNS]


def _signatures(families: Sequence[np.ndarray]) -> np.ndarray:
    """Return each filter's responses in one row, of mean 0 and length 1 `(filters, stimuli)`."""
    rows = [one.reshape(-1, one.shape[-1]) for one in families]
    return _standard(np.concatenate(rows).T)


def _standard(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0)


def _null(
    mine: Sequence[np.ndarray], filter: int, signatures: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Return the best correlation with any other filter for each exchange of angles `(draws,)`."""
    orders = (random.permutation(TURNS) for _ in range(DRAWS))
    rows = [_signatures([one[order] for one in mine]) for order in orders]
    alike = np.concatenate(rows) @ signatures.T
    alike[:, filter] = -1
    return alike.max(axis=1)


def _moved(kernel: np.ndarray, angle: float | None) -> np.ndarray | None:
    """Return a kernel `(height, width, C)` mirrored, or turned counter-clockwise.

    None where it cannot be turned so without resampling.
    """
    if angle is None:
        return kernel[:, ::-1]
    if angle % 90 == 0 and kernel.shape[0] == kernel.shape[1]:
        return np.rot90(kernel, int(angle // 90))
    if kernel.shape[:2] != (3, 3):
        return None
    moved, ring = kernel.copy(), np.transpose(RING)
    moved[*np.roll(ring, -round(angle / 45), axis=1)] = kernel[*ring]
    return moved
