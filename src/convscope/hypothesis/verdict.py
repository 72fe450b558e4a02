"""Whether photographs support a claim, refute it, or leave it open, and what it would take.

A claim names the smallest effect that counts. It is supported if the whole interval of the effect
reaches that and the effect is significant among all claims; refuted if no part of the interval
reaches it; open otherwise. That nothing was found never supports anything: claims that something is
the same are tested for equivalence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convscope.hypothesis.claims import (
    CircuitSufficient,
    Claim,
    Edit,
    GroupSelective,
    InputSelective,
    InputSign,
    Invariant,
    Monosemantic,
    Tuned,
    words,
)
from convscope.report.figures.canvas import number

Verdict = Literal["supported", "refuted", "inconclusive", "not tested"]


@dataclass(frozen=True)
class Effect:
    """What the photographs that confirm say of one claim.

    Attributes:
        value: the effect; NaN where there is a p alone.
        low: where its interval begins.
        high: where it ends.
        p: one-sided, that there is no effect; of an equivalence, that it lies outside the margin
            (the larger of the two one-sided p).
        images: photographs behind it.
        sesoi: the smallest effect that counts; of an equivalence its margin.
        null: the value without any effect; the claim lies from there towards `sesoi` and beyond.
        against: the p of a test of the opposite, which refutes if it is small; None: no such test.
    """

    value: float
    low: float
    high: float
    p: float
    images: int
    sesoi: float
    null: float = 0.0
    against: float | None = None

    @property
    def sign(self) -> int:
        """1 where the claim says at least, -1 where it says at most."""
        return 1 if self.sesoi > self.null else -1

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval, counted from `sesoi` in the direction of the claim."""
        near, far = (self.low, self.high) if self.sign > 0 else (self.high, self.low)
        return self.sign * (near - self.sesoi), self.sign * (far - self.sesoi)

    @property
    def opposite(self) -> bool:
        """Whether the whole interval lies on the other side of no effect."""
        return self.high < self.null if self.sign > 0 else self.low > self.null

    @property
    def needed(self) -> int | None:
        """The photographs at which the interval would just reach `sesoi` no more; None: no number.

        Intervals shrink with the root of the number of photographs.
        """
        gap = self.sign * (self.value - self.sesoi)
        near, far = self.ends
        width = gap - near if gap > 0 else far - gap
        if not (gap and width > abs(gap)):
            return None
        return math.ceil(round(self.images * (width / gap) ** 2, 6))


@dataclass(frozen=True)
class Judged:
    """A claim and what became of it.

    Attributes:
        claim: what was claimed.
        verdict: what became of it.
        effect: what was measured; None: it was not tested.
        reason: why, in one sentence.
        p_holm: Holm's p among all tested claims; None: not tested.
        refuted_by: what would have refuted it, in words.
    """

    claim: Claim
    verdict: Verdict
    effect: Effect | None
    reason: str
    p_holm: float | None
    refuted_by: str

    @property
    def words(self) -> str:
        """What is claimed, in words."""
        return words(self.claim)

    @property
    def needed(self) -> int | None:
        """The photographs that would decide it; None: it is decided, or no number would."""
        open = self.verdict == "inconclusive" and self.effect
        return self.effect.needed if open and self.effect else None


def judge(
    claims: Sequence[Claim], effects: Sequence[Effect | str], alpha: float
) -> tuple[Judged, ...]:
    """Return what becomes of claims; the first of them decides.

    Args:
        claims: what is claimed.
        effects: what was measured of each, or why it was not.
        alpha: the rate of errors that all claims together may have.
    """
    tested = [effect for effect in effects if isinstance(effect, Effect)]
    adjusted = iter(holm(np.array([effect.p for effect in tested])).tolist())
    found = []
    for claim, effect in zip(claims, effects, strict=True):
        by = refuted_by(claim, alpha)
        if isinstance(effect, str):
            found.append(Judged(claim, "not tested", None, effect, None, by))
        else:
            p = next(adjusted)
            found.append(Judged(claim, *_decided(effect, p, alpha), p, by))
    return tuple(found)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p `(n,)` adjusted so that any error among them all is as rare as each says.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 1979.
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)


def _decided(effect: Effect, p: float, alpha: float) -> tuple[Verdict, Effect, str]:
    near, far = effect.ends
    bound = number(effect.sesoi, digits=3)
    if near >= 0 and p < alpha:
        return "supported", effect, f"All of the interval reaches {bound}."
    if far < 0:
        if effect.opposite:
            return "refuted", effect, "All of the interval lies on the other side of no effect."
        return "refuted", effect, f"No part of the interval reaches {bound}."
    if effect.against is not None and effect.against < alpha:
        return "refuted", effect, f"The opposite is significant, p = {number(effect.against)}."
    if math.isnan(effect.value):
        return "inconclusive", effect, "That the opposite was not found supports nothing."
    if near >= 0:
        return "inconclusive", effect, f"It is not significant among all claims, p = {number(p)}."
    return "inconclusive", effect, f"The interval lies on both sides of {bound}."


def refuted_by(claim: Claim, alpha: float) -> str:
    """Return what would refute a claim, in words."""
    match claim:
        case GroupSelective():
            return f"an AUROC whose 95 % interval lies below {claim.sesoi:g}"
        case Invariant():
            return (
                f"a step of {claim.transform} at which the interval of the activation that is left "
                f"lies below {claim.sesoi:g}"
            )
        case Tuned() | InputSelective():
            return f"a selectivity index whose 95 % interval lies below {claim.sesoi:g}"
        case InputSign():
            other = "excites" if claim.sign == "inhibitory" else "inhibits"
            return (
                f"an input that {other}, or makes less than {claim.sesoi:g} of the shift (95 % "
                "interval)"
            )
        case CircuitSufficient():
            return f"a recovery whose 95 % interval lies below {claim.sesoi:g}"
        case Monosemantic():
            return f"a split of its exemplars into kinds, p < {alpha:g}"
        case Edit():
            side = "below" if claim.rises_by > 0 else "above"
            return f"a change whose 95 % interval lies {side} {claim.rises_by:g}"


COLUMNS = (
    "claim", "effect", "low", "high", "p", "p_holm", "sesoi", "verdict", "images", "needed",
    "refuted_by",
)  # fmt: skip
"""Of the table of claims."""


def rows(judged: Sequence[Judged]) -> list[list[object]]:
    """Return the rows of the table of claims, the one that decides first."""
    return [
        [
            one.words,
            *_numbers(one.effect)[:4],
            one.p_holm,
            _bound(one),
            one.verdict,
            _numbers(one.effect)[5],
            one.needed,
            one.refuted_by,
        ]
        for one in judged
    ]


def _numbers(effect: Effect | None) -> list[float | None]:
    if effect is None:
        return [None] * 6
    values = (effect.value, effect.low, effect.high, effect.p, effect.sesoi, effect.images)
    return [None if math.isnan(value) else value for value in values]


def _bound(one: Judged) -> float | None:
    """Return the smallest effect that counts, as the claim or else the measurement has it."""
    match one.claim:
        case Edit(rises_by=rise):
            return rise
        case Monosemantic():
            return one.effect.sesoi if one.effect else None
    return one.claim.sesoi
