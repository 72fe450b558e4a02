"""What photographs that confirm say of each claim: its effect, with an interval and a p.

A claim whose material is not there is not tested, and the reason is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convscope.circuits.ablation import change
from convscope.data.wordnet import taxonomy
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
from convscope.hypothesis.measurements import Curve, Material, Photographs, Positions, Split, Tuning
from convscope.stats import bootstrap as bootstraps
from convscope.stats import roc
from convscope.stats.inference import holm
from convscope.text import number

LEAST = 3  # photographs on either side of a comparison, as in panel.py
EXEMPLARS = 10  # photographs with strong responses, or exemplars, that a bootstrap can draw from
PERMUTATIONS = 5000
RANDOM_SETS = 1000  # of inputs, that a circuit is compared with
EQUIVALENCE = 0.90  # coverage: two one-sided tests at 5 %


def effects(claims: Sequence[Claim], material: Material) -> list[Effect | str]:
    """Return what was measured of each claim, or why it was not."""
    return [effect(claim, material) for claim in claims]


def effect(claim: Claim, material: Material) -> Effect | str:
    """Return what was measured of a claim, or why it was not."""
    match claim:
        case GroupSelective():
            if material.photographs is None:
                return "No photographs with labels were scored."
            return _selective(claim, material.photographs)
        case Invariant():
            curve = material.curves.get(claim.transform)
            return (
                _absent(claim.transform, material.curves) if curve is None else _kept(claim, curve)
            )
        case Tuned():
            tuning = material.tunings.get(claim.feature)
            return (
                _absent(claim.feature, material.tunings)
                if tuning is None
                else _tuned(claim.sesoi, tuning)
            )
        case InputSelective():
            tuning = material.inputs.get((claim.channel, claim.tuning))
            if tuning is None:
                return f"The tuning of input {claim.channel} to {claim.tuning} was not measured."
            return _tuned(claim.sesoi, tuning)
        case Monosemantic():
            if material.split is None:
                return "Whether its exemplars fall into kinds was not tested."
            return _one_kind(material.split)
    if material.positions is None:
        return "No contributions were sampled."
    if isinstance(claim, CircuitSufficient) and claim.by not in material.orders:
        return _absent(claim.by, material.orders)
    if material.positions.strong < EXEMPLARS and not (
        isinstance(claim, Edit) and claim.among != "top"
    ):
        return (
            f"{material.positions.strong} photographs with a strong response are too few. It takes "
            f"{EXEMPLARS}."
        )
    if isinstance(claim, InputSign):
        return _signed(claim, material.positions)
    if isinstance(claim, CircuitSufficient):
        return _sufficient(claim, material.positions, material.orders[claim.by])
    strong = material.strong if isinstance(claim, Edit) and claim.among == "top" else None
    return _edited(claim, strong or material.positions)


def silenced(claim: Edit, mean: np.ndarray) -> np.ndarray:
    """Return the inputs that an edit holds at their mean.

    Args:
        claim: the edit.
        mean: each input's mean contribution on the discovery half `(C,)`.
    """
    if isinstance(claim.silence, str):
        return np.flatnonzero(mean < 0)
    return np.array(claim.silence)


def concerned(claim: Edit, positions: Positions) -> np.ndarray:
    """Return the positions that an edit is about, bool `(n,)`."""
    if isinstance(claim.among, str):
        return positions.top
    leaves = _leaves(claim.among)
    inside = [image for image, key in positions.keys.items() if key in leaves]
    return np.isin(positions.images, inside)


def predicted(claim: Edit, discovery: Positions) -> float | None:
    """Return by how much the activation will change, from the discovery half; None: no photograph.

    It is said before the photographs that confirm are looked at, and before anything is edited.
    """
    channels, chosen = silenced(claim, discovery.mean), concerned(claim, discovery)
    if not chosen.any():
        return None
    moved = change(discovery.u, discovery.z, discovery.mean, channels)
    return float(moved[chosen].mean())


def _absent(name: str, known: Mapping[str, object]) -> str:
    measured = ", ".join(known) or "nothing of the kind"
    return f"{name} was not measured. Measured: {measured}."


def _leaves(synsets: Sequence[str]) -> frozenset[str]:
    return frozenset().union(*map(taxonomy().leaves, synsets))


def _selective(claim: GroupSelective, given: Photographs) -> Effect | str:
    """Return the AUROC of the synsets' photographs against all others, classes as units."""
    good = [
        at
        for at, key in enumerate(given.keys)
        if key is not None and not np.isnan(given.scores[at])
    ]
    keys = np.array([given.keys[at] for at in good], str)
    classes, codes, images = np.unique(keys, return_inverse=True, return_counts=True)
    inside = np.isin(classes, sorted(_leaves(claim.synsets) | set(claim.synsets)))
    for part, where in ((inside, "of these synsets"), (~inside, "beside them")):
        if images[part].sum() < LEAST:
            return f"{images[part].sum()} photographs {where} are too few. It takes {LEAST}."
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    ranks = roc.ranking(given.scores[good][order])
    if inside.sum() == 1:  # one class: its photographs are the units
        area = roc.by_image(ranks, codes).of(np.flatnonzero(inside))
        p = roc.mann_whitney(ranks, codes, np.flatnonzero(inside))[0] / 2
        p = p if area.auroc[0] > 0.5 else 1 - p
    elif inside.sum() == len(classes) - 1:
        return "Photographs of one class beside these synsets are too few. It takes 2 classes."
    else:
        area = roc.by_class(ranks, codes, inside[None])
        p = _permuted(ranks, codes, inside, float(area.auroc[0]))
    low, high = roc.interval(area)
    return Effect(
        float(area.auroc[0]), float(low[0]), float(high[0]), float(p), len(good), claim.sesoi, 0.5
    )


def _permuted(order: roc.Ranking, codes: np.ndarray, inside: np.ndarray, found: float) -> float:
    """Return the one-sided p of an AUROC when whole classes change places."""
    images = np.bincount(codes).astype(np.float64)
    sums = np.bincount(codes, order.midranks)
    random = np.random.default_rng(0)
    size = int(inside.sum())
    keys = random.random((PERMUTATIONS, len(inside)), np.float32)
    drawn = np.argpartition(keys, size - 1, axis=1)[:, :size]
    areas = roc.aurocs(sums[drawn].sum(axis=1), images[drawn].sum(axis=1), len(codes))
    return float((1 + np.sum(areas >= found - 1e-12)) / (1 + PERMUTATIONS))


def _kept(claim: Invariant, curve: Curve) -> Effect | str:
    """Return the least that is left at any step; each step must stay within the margin.

    The claim is an equivalence: at each step two one-sided tests, at least `sesoi` and at most its
    inverse, all of which must reject (intersection-union). For the upper end the steps share the
    error, since one of them is enough to refute.
    """
    images, steps = curve.kept.shape
    if images < EXEMPLARS:
        return f"{images} exemplars are too few. It takes {EXEMPLARS}."
    drawn = bootstraps.counts(images)
    means = drawn @ curve.kept / drawn.sum(axis=1, keepdims=True)
    least = bootstraps.resampled(means, images)
    p = np.maximum(least.above(claim.sesoi), least.below(1 / claim.sesoi))
    folded = bootstraps.resampled(_folded(means), images)
    low, high = folded.interval(EQUIVALENCE, steps)
    return Effect(
        float(folded.value.min()), float(low.min()), float(high.min()), float(p.max()), images,
        claim.sesoi,
    )  # fmt: skip


def _folded(kept: np.ndarray) -> np.ndarray:
    """Return the inverse of what is above 1: what doubles has changed as much as what halves."""
    kept = np.maximum(kept, 0)
    folded: np.ndarray = np.where(kept > 1, 1 / np.maximum(kept, 1), kept)
    return folded


def _tuned(sesoi: float, tuning: Tuning) -> Effect:
    found = bootstraps.Bootstrap(np.asarray(tuning.value), tuning.draws, tuning.stimuli)
    low, high = found.interval()
    return Effect(tuning.value, float(low), float(high), tuning.p, tuning.stimuli, sesoi)


def _one_kind(split: Split) -> Effect:
    """Return how far the kinds lie apart, which must stay below the margin, and the split's p."""
    if split.draws is None:
        nan = float("nan")
        return Effect(nan, nan, nan, 1.0, split.images, split.margin, 1.0, split.p)
    found = bootstraps.Bootstrap(np.mean(split.draws), split.draws, split.images)
    low, high = found.interval(EQUIVALENCE)
    return Effect(
        float(found.value), float(low), float(high), float(found.below(split.margin)),
        split.images, split.margin, 1.0, split.p,
    )  # fmt: skip


def _signed(claim: InputSign, positions: Positions) -> Effect:
    """Return an input's share of the shift; below 0 where its mean has the other sign.

    An inhibitory input makes a response strong by falling silent, or weakens it by not doing so:
    what counts is how large its part is, and the sign of what it adds on average.
    """
    mean, shift = positions.typical[:, claim.channel], positions.shift[:, claim.channel]
    sign = 1 if claim.sign == "excitatory" else -1
    share = np.sign(sign * mean) * np.abs(shift) / positions.shift.sum(axis=1)
    images = positions.strong
    moved, average = (bootstraps.resampled(values, images) for values in (shift, sign * mean))
    p = max(2 * min(float(moved.above(0)), float(moved.below(0))), float(average.above(0)))
    return _found(bootstraps.resampled(share, images), min(p, 1.0), claim.sesoi)


def _sufficient(claim: CircuitSufficient, positions: Positions, order: Sequence[int]) -> Effect:
    """Return the share of the shift that the first inputs make, against as many at random.

    With all others held at their mean, it is exactly the share of the strong response's rise above
    the average that is recovered.
    """
    shift = positions.shift
    total = shift.sum(axis=1)
    recovery = shift[:, list(order[: claim.count])].sum(axis=1) / total
    random = np.random.default_rng(0)
    sets = np.tile(np.arange(shift.shape[1]) < claim.count, (RANDOM_SETS, 1))
    others = random.permuted(sets, axis=1) @ shift[0] / total[0]
    p = (1 + np.sum(others >= recovery[0] - 1e-12)) / (1 + RANDOM_SETS)
    found = bootstraps.resampled(recovery, positions.strong)
    return _found(found, float(p), claim.sesoi)


def _edited(claim: Edit, positions: Positions) -> Effect | str:
    """Return how much the activation changes on the photographs that the edit is about."""
    channels, chosen = silenced(claim, positions.mean), concerned(claim, positions)
    images = len(np.unique(positions.images[chosen]))
    if images < LEAST:
        return f"{images} photographs that it is about are too few. It takes {LEAST}."
    if not len(channels):
        return "No input is inhibitory on average."
    moved = change(positions.u, positions.z, positions.mean, channels)
    values = positions.means(moved[:, None], chosen, positions.counts)[:, 0]
    found = bootstraps.resampled(values, images)
    p = float(found.above(0) if claim.rises_by > 0 else found.below(0))
    return _found(found, p, claim.rises_by)


def _found(bootstrap: bootstraps.Bootstrap, p: float, sesoi: float) -> Effect:
    low, high = bootstrap.interval()
    return Effect(float(bootstrap.value), float(low), float(high), p, bootstrap.images, sesoi)


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
