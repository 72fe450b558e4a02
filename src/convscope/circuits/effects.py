"""What each input of a filter does to it on photographs, beside what the weights alone say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.circuits.sample import Part
from convscope.circuits.weights import EXCITATORY, INHIBITORY, MIXED, NEGLIGIBLE
from convscope.stats import bootstrap

SMALL = 0.01  # of the unit's deviation: an input that moves it less has no effect to speak of
BLOCK = 256  # inputs at a time, which bounds the memory


@dataclass(frozen=True)
class Effects:
    """What each of the C inputs does; arrays `(C,)`, contributions in units of the preactivation.

    Attributes:
        mean: expected contribution.
        deviation: its standard deviation over positions.
        covariance_share: covariance of contribution and preactivation over the preactivation's
            variance; all sum to 1, and one below zero dampens the unit.
        top_shift: mean contribution at strong responses minus `mean`; all sum to what the whole
            preactivation rises by.
        drive: the part of the shift that comes from contributions above zero.
        release: the part from those below zero, which fall silent.
        ablation: what the unit's mean output loses where the contribution is replaced by `mean`.
        ablation_top: the same at strong responses.
        functional_sign: from -1, all contributions lower the unit, to 1, all raise it.
        sign_low: where its 95 % interval begins.
        sign_high: where it ends.
        effect: excitatory, inhibitory or mixed by the functional sign; negligible where the shift
            may be zero and the deviation is below 1 % of the unit's.
        confidence: the share of draws of photographs that give the same label, mixed ones apart.
    """

    mean: np.ndarray
    deviation: np.ndarray
    covariance_share: np.ndarray
    top_shift: np.ndarray
    drive: np.ndarray
    release: np.ndarray
    ablation: np.ndarray
    ablation_top: np.ndarray
    functional_sign: np.ndarray
    sign_low: np.ndarray
    sign_high: np.ndarray
    effect: np.ndarray
    confidence: np.ndarray


def measure(part: Part, mixed: float, weights: np.ndarray) -> Effects:
    """Return what each input does on some photographs.

    Args:
        part: what the filter gets from its inputs.
        mixed: |functional sign| below this is neither excitatory nor inhibitory.
        weights: how often each draw takes each photograph `(draws, photographs)`.
    """
    found = [_block(part, at, mixed, weights) for at in range(0, part.u.shape[1], BLOCK)]
    return Effects(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _block(part: Part, at: int, mixed: float, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the fields of `Effects` for some of the inputs."""
    which = slice(at, at + BLOCK)
    u, top = part.u[:, which].astype(np.float64), part.top[:, which].astype(np.float64)
    mean, z = part.center[which], part.sampled
    centered = u - u.mean(axis=0)
    variance = z.var()
    share = centered.T @ (z - z.mean()) / len(z) / variance if variance else 0 * mean
    shift = top.mean(axis=0) - mean
    above, below = np.maximum(u, 0).mean(axis=0), np.maximum(-u, 0).mean(axis=0)
    # Where contributions seldom fall below zero, the mean over all positions says more.
    above = np.where(below <= above, mean + below, above)
    drive = np.maximum(top, 0).mean(axis=0) - above

    photographs = part.photographs
    counts = np.bincount(part.of, minlength=photographs)
    up = bootstrap.sums(np.maximum(u, 0), part.of, photographs)
    down = bootstrap.sums(np.maximum(-u, 0), part.of, photographs)
    sign = _sign(up.sum(axis=0), down.sum(axis=0))
    signs = _sign(weights @ up, weights @ down)
    low, high = bootstrap.interval(signs)
    deviation = u.std(axis=0)
    small = _shiftless(part, which, weights) & (deviation <= SMALL * np.sqrt(variance))
    effect = np.select(
        [small, np.abs(sign) < mixed],
        [NEGLIGIBLE, MIXED],
        np.where(sign > 0, EXCITATORY, INHIBITORY),
    )
    drawn = np.where(np.abs(signs) < mixed, 0, np.sign(signs))
    own = np.where(np.abs(sign) < mixed, 0, np.sign(sign))
    confidence = (drawn == own)[(weights @ counts) > 0].mean(axis=0)
    return (
        mean, deviation, share, shift, drive, shift - drive, _lost(z, u, mean),
        _lost(part.strong, top, mean), sign, low, high, effect, confidence,
    )  # fmt: skip


def _sign(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return (up - down) / (up + down), 0 for neither."""
    total = up + down
    return np.divide(up - down, total, out=np.zeros_like(total), where=total > 0)


def _lost(z: np.ndarray, u: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return what the mean output loses where each contribution becomes its mean `(C,)`."""
    without = np.maximum(z[:, None] - u + mean, 0).mean(axis=0)
    return np.maximum(z, 0).mean() - without


def _shiftless(part: Part, which: slice, weights: np.ndarray) -> np.ndarray:
    """Return which inputs' top shift may be zero, bool: its 95 % interval holds zero."""
    photographs = part.photographs
    strong = bootstrap.sums(part.top[:, which], part.top_of, photographs)
    count = np.bincount(part.top_of, minlength=photographs).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        shifts = (weights @ strong) / (weights @ count)[:, None]
    low, high = bootstrap.interval(shifts - weights @ part.mean[:, which] / photographs)
    return ~((low > 0) | (high < 0))
