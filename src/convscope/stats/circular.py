"""Statistics of angles: where they point, how much they agree, whether they are spread evenly."""

from __future__ import annotations

import numpy as np


def resultant(weights: np.ndarray, angles: np.ndarray, turns: int = 1) -> np.ndarray:
    """Return the mean vector of weighted angles, complex `(...)`: its length from 0 to 1.

    Its length is the selectivity of a tuning curve, its angle over `turns` what is preferred.
    Where all weights are zero it is zero.

    Args:
        weights: not below zero `(angles, ...)`.
        angles: in degrees `(angles,)`.
        turns: 2 for orientations, which come back after 180 degrees.

    Source: Mardia and Jupp, "Directional Statistics", 2000.
    """
    around = np.exp(1j * turns * np.radians(angles))
    total = weights.sum(axis=0)
    summed = np.tensordot(around, weights, axes=(0, 0))
    return np.divide(summed, total, out=np.zeros_like(summed), where=total > 0)


def direction(vector: np.ndarray, turns: int = 1) -> np.ndarray:
    """Return the angle of mean vectors in degrees, from 0 to below 360 / turns; NaN for none."""
    angle = np.degrees(np.angle(vector)) % 360 / turns
    # What lies a rounding below the full turn is its beginning.
    angle = np.where(np.isclose(angle, 360 / turns, atol=1e-9), 0.0, angle)
    return np.where(np.abs(vector) > 0, angle, np.nan)


def apart(first: np.ndarray, second: np.ndarray, period: float = 360.0) -> np.ndarray:
    """Return how far angles lie apart on their circle, in degrees from 0 to half the period."""
    far = np.abs(np.asarray(first) - np.asarray(second)) % period
    return np.minimum(far, period - far)


def permuted(
    weights: np.ndarray, angles: np.ndarray, turns: int, draws: int, random: np.random.Generator
) -> float:
    """Return the p of a selectivity: how often one as large comes of exchanged angle labels.

    Args:
        weights: a tuning curve measured several times, such as at several phases, each of which
            exchanges its labels by itself `(angles, repeats)`; once `(angles,)`.
        angles: in degrees `(angles,)`.
        turns: see `resultant`.
        draws: permutations.
        random: where they come from.
    """
    repeats = weights.reshape(len(weights), -1)
    seen = abs(resultant(repeats.sum(axis=1), angles, turns))
    shuffled = random.permuted(np.tile(repeats, (draws, 1, 1)), axis=1).sum(axis=2).T
    null = np.abs(resultant(shuffled, angles, turns))
    return float((1 + np.sum(null >= seen - 1e-12)) / (1 + draws))


def rayleigh(angles: np.ndarray, turns: int = 1) -> float:
    """Return the p of evenly spread angles: small where they point one way.

    Args:
        angles: in degrees `(count,)`.
        turns: see `resultant`.

    Source: Zar, "Biostatistical Analysis", 1999, equation 27.4.
    """
    count = len(angles)
    length = count * float(abs(resultant(np.ones(count), angles, turns)))
    return float(
        min(1.0, np.exp(np.sqrt(1 + 4 * count + 4 * (count**2 - length**2)) - 1 - 2 * count))
    )


def gap(angles: np.ndarray, period: float = 360.0) -> float:
    """Return the largest gap between neighbouring angles in mean gaps: 1 for an even ring."""
    ordered = np.sort(np.asarray(angles) % period)
    gaps = np.diff(ordered, append=ordered[0] + period)
    return float(gaps.max() * len(ordered) / period)
