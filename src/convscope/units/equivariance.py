"""Filters of a layer that are turned or mirrored copies of one another.

Response level: what one filter answers to turned stimuli is what the other answers to the same ones
as they are. Weight level: its turned kernel is the other's, input for input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.stats import circular
from convscope.units.tuning import TURNS, Tuning

STEP = 360.0 / TURNS
"""Degrees between the turns that all families of stimuli can be turned by."""

ALIKE = 0.8
"""Correlation from which a filter is called a copy; it must exceed the null besides."""

MOVES = {"mirror": None, "45": 45.0, "90": 90.0, "180": 180.0}
"""Degrees counter-clockwise, or None for left and right exchanged."""

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


def partners(
    tuning: Tuning, filter: int, random: np.random.Generator, draws: int = 200
) -> tuple[Partner, ...]:
    """Return the best copy of a filter for each move; none, if drawn stimuli do not excite it.

    The null exchanges the angles of the stimuli at random, alike for all that is done with them.
    """
    if not _alive(tuning)[filter]:
        return ()
    signatures = _signatures(_families(tuning))
    null = _null(tuning, filter, signatures, random, draws)
    found = []
    for move, angle in MOVES.items():
        moved = [_mirrored(f) if angle is None else _turned(f, angle) for f in _families(tuning)]
        alike = signatures @ _signatures([one[..., [filter]] for one in moved])[0]
        found.append(_best(move, alike, null))
    return tuple(found)


def family(
    tuning: Tuning, filter: int, random: np.random.Generator, draws: int = 200
) -> Family | None:
    """Return a filter with its turned copies; None, if drawn stimuli do not excite it.

    What a filter that looks the same after half a turn is turned by is known up to that: its copies
    have angles below 180 degrees then.
    """
    if not _alive(tuning)[filter]:
        return None
    families = _families(tuning)
    signatures = _signatures(families)
    turned = np.concatenate(
        [
            _signatures([_turned(one, turn * STEP)[..., [filter]] for one in families])
            for turn in range(TURNS)
        ]
    )
    alike = signatures @ turned.T  # (filters, turns)
    threshold = max(
        ALIKE, float(np.quantile(_null(tuning, filter, signatures, random, draws), 0.95))
    )
    best = alike.max(axis=1)
    members = [int(other) for other in np.flatnonzero(best >= threshold) if other != filter]
    angles = {other: float(alike[other].argmax() * STEP) for other in members}
    period = 180.0 if alike[filter, TURNS // 2] >= ALIKE else 360.0
    angles = {other: angle % period for other, angle in angles.items()}
    members.sort(key=lambda other: (angles[other], -best[other]))
    around = (0.0, *(angles[other] for other in members))
    several = len(around) >= 3
    return Family(
        filters=(filter, *members),
        angles=around,
        scores=(1.0, *(float(best[other]) for other in members)),
        threshold=threshold,
        rayleigh=circular.rayleigh(np.array(around), int(360 / period)) if several else None,
        gap=circular.gap(np.array(around), period) if several else None,
    )


def everyone(tuning: Tuning, move: str) -> np.ndarray:
    """Return the best copy of each filter for a move; of one that nothing excites itself."""
    families, angle = _families(tuning), MOVES[move]
    moved = [_mirrored(one) if angle is None else _turned(one, angle) for one in families]
    best = (_signatures(moved) @ _signatures(families).T).argmax(axis=1)
    return np.where(_alive(tuning), best, np.arange(len(best)))


def copies(
    kernels: np.ndarray,
    filter: int,
    move: str,
    inputs: Sequence[int] | np.ndarray,
    random: np.random.Generator,
    draws: int = 200,
) -> Partner:
    """Return the filter whose kernel is most nearly a filter's, moved.

    Args:
        kernels: weights of a layer `(height, width, C, filters)`.
        filter: whose copy is looked for.
        move: one of `MOVES`; turns by 45 degrees shift the ring of a 3 x 3 kernel.
        inputs: which input channel is the moved copy of each; colours are their own `(C,)`. Of
            several with the same copy the weights add up.
        random: of the null, which takes the inputs in random orders.
        draws: of the null.
    """
    moved = _moved(kernels[..., filter], MOVES[move])
    others = _standard(kernels.reshape(-1, kernels.shape[-1]).T)
    orders = [np.asarray(inputs), *(random.permutation(len(inputs)) for _ in range(draws))]
    alike = np.empty((len(orders), len(others)))
    for at, order in enumerate(orders):
        placed = np.zeros_like(moved)
        for channel, copy in enumerate(order):
            placed[..., copy] += moved[..., channel]
        alike[at] = (_standard(placed.reshape(1, -1)) @ others.T)[0]
    return _best(move, alike[0], alike[1:].max(axis=1))


# Pieces


def _best(move: str, alike: np.ndarray, null: np.ndarray) -> Partner:
    best = int(alike.argmax())
    p = float((1 + np.sum(null >= alike[best])) / (1 + len(null)))
    return Partner(move, best, float(alike[best]), float(null.mean()), p)


def _families(tuning: Tuning) -> list[np.ndarray]:
    """Return responses by direction in steps of 15 degrees `(24, others, filters)`.

    Orientations stand there twice; responses to gratings are means over their phases.
    """
    grating = tuning.sets["grating"].mean(axis=(2, 3))
    whole = [tuning.sets["edge"], np.concatenate([grating, grating])]
    lines = tuning.sets["line"]
    whole.append(np.concatenate([lines, lines]))
    whole += [np.moveaxis(tuning.sets["arc"], 1, 0), tuning.sets["corner"], tuning.sets["pair"]]
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


def _alive(tuning: Tuning) -> np.ndarray:
    """Return which filters any of the turned stimuli excites."""
    return np.any([one.max(axis=(0, 1)) > 0 for one in _families(tuning)], axis=0)


def _null(
    tuning: Tuning, filter: int, signatures: np.ndarray, random: np.random.Generator, draws: int
) -> np.ndarray:
    """Return the best correlation with any other filter for each exchange of angles `(draws,)`."""
    mine = [one[..., [filter]] for one in _families(tuning)]
    rows = [_signatures([one[order] for one in mine]) for order in _orders(random, draws)]
    alike = np.concatenate(rows) @ signatures.T
    alike[:, filter] = -1
    return alike.max(axis=1)


def _orders(random: np.random.Generator, draws: int) -> Iterator[np.ndarray]:
    for _ in range(draws):
        yield random.permutation(TURNS)


def _moved(kernel: np.ndarray, angle: float | None) -> np.ndarray:
    """Return a kernel `(height, width, C)` mirrored, or turned counter-clockwise.

    Raises:
        ValueError: it cannot be turned so without resampling.
    """
    if angle is None:
        return kernel[:, ::-1]
    if angle % 90 == 0 and (kernel.shape[0] == kernel.shape[1] or angle % 180 == 0):
        return np.rot90(kernel, int(angle // 90))
    if kernel.shape[:2] != (3, 3):
        raise ValueError(
            f"A kernel of {kernel.shape[0]} x {kernel.shape[1]} cannot be turned by {angle:g}"
            " degrees without resampling. Only square ones by 90, only 3 x 3 ones by 45."
        )
    moved = kernel.copy()
    for at, place in enumerate(RING):
        moved[RING[(at + round(angle / 45)) % 8]] = kernel[place]
    return moved
