"""What photographs that confirm say of each claim: its effect, with an interval and a p.

A claim for which nothing was measured is not tested, and the reason is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.circuits.edges import plain
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
)
from convscope.hypothesis.measurements import Measurements, Positions
from convscope.stats import bootstrap, roc
from convscope.stats.inference import holm
from convscope.text import number

LEAST = 3  # photographs on either side of a comparison, as in data/splits.py
EXEMPLARS = 10  # photographs with strong responses, or exemplars, that a bootstrap can draw from
PERMUTATIONS = 5000
RANDOM_SETS = 1000  # of inputs, that a circuit is compared with
EQUIVALENCE = 0.90  # coverage: two one-sided tests at 5 %


def effect(claim: Claim, given: Measurements) -> Effect | str:
    """Return what was measured of a claim, or why it was not."""
    match claim:
        case GroupSelective():
            return _selective(claim, given.scores, given.labels)
        case Invariant(transform=name):
            curve = given.curves.get(name)
            return _absent(name, given.curves) if curve is None else _kept(claim, curve)
        case Tuned(feature=name):
            found = given.tunings.get(name)
            return _found(*found, claim.sesoi) if found else _absent(name, given.tunings)
        case InputSelective(channel=channel, tuning=name):
            found = given.input_tunings(channel).get(name)
            if found is None:
                return f"The tuning of input {channel} to {name} was not measured."
            return _found(*found, claim.sesoi)
        case Monosemantic():
            split = given.character.split if given.character else None
            if split is None:
                return "Whether its exemplars fall into kinds was not tested."
            # Its p can only refute: no effect speaks for one kind.
            nan = math.nan
            return Effect(nan, nan, nan, 1.0, len(split.groups), 0.0, 1.0, split.p)
        case CircuitSufficient(by=name) if name not in given.circuit.orders:
            return _absent(name, given.circuit.orders)
        case Edit(among=among) if among != "top":
            return _edited(claim, given.positions)
        case _ if given.positions.strong < EXEMPLARS:
            few = f"{given.positions.strong} photographs with a strong response are too few."
            return f"{few} It takes {EXEMPLARS}."
        case InputSign():
            return _signed(claim, given.positions)
        case CircuitSufficient():
            return _sufficient(claim, given.positions, given.circuit.orders[claim.by])
        case Edit():
            return _edited(claim, given.strong)


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


def _absent(name: str, known: Mapping[str, object]) -> str:
    measured = ", ".join(known) or "nothing of the kind"
    return f"{name} was not measured. Measured: {measured}."


def _leaves(synsets: Sequence[str]) -> frozenset[str]:
    return frozenset().union(*map(taxonomy().leaves, synsets))


def _selective(
    claim: GroupSelective, scores: np.ndarray, labels: Sequence[str | None]
) -> Effect | str:
    """Return the AUROC of the synsets' photographs against all others, classes as units."""
    if not any(labels):
        return "No photographs with labels were scored."
    good = [at for at, key in enumerate(labels) if key is not None and not np.isnan(scores[at])]
    keys = np.array([labels[at] for at in good], str)
    classes, codes, images = np.unique(keys, return_inverse=True, return_counts=True)
    inside = np.isin(classes, sorted(_leaves(claim.synsets) | set(claim.synsets)))
    for part, where in ((inside, "of these synsets"), (~inside, "beside them")):
        if images[part].sum() < LEAST:
            return f"{images[part].sum()} photographs {where} are too few. It takes {LEAST}."
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    ranks = roc.ranking(scores[good][order])
    if inside.sum() == 1:  # one class: its photographs are the units
        area = roc.by_image(ranks, codes).of(np.flatnonzero(inside))
        p = roc.mann_whitney(ranks, codes, np.flatnonzero(inside))[0] / 2
        p = p if area.auroc[0] > 0.5 else 1 - p
    elif inside.sum() == len(classes) - 1:
        return "Photographs of one class beside these synsets are too few. It takes 2 classes."
    else:
        area = roc.by_class(ranks, codes, inside[None])
        p = _permuted(ranks, codes, inside, float(area.auroc[0]))
    value, low, high = (float(values[0]) for values in (area.auroc, *roc.interval(area)))
    return Effect(value, low, high, float(p), len(good), claim.sesoi, 0.5)


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


def _kept(claim: Invariant, kept: np.ndarray) -> Effect | str:
    """Return the least that is left at any step; each step must stay within the margin.

    The claim is an equivalence: at each step two one-sided tests, at least `sesoi` and at most its
    inverse, all of which must reject (intersection-union). For the upper end the steps share the
    error, since one of them is enough to refute. What doubles has changed as much as what halves.
    """
    images, steps = kept.shape
    if images < EXEMPLARS:
        return f"{images} exemplars are too few. It takes {EXEMPLARS}."
    drawn = bootstrap.counts(images)
    means = drawn @ kept / drawn.sum(axis=1, keepdims=True)
    least = bootstrap.resampled(means, images)
    p = np.maximum(least.above(claim.sesoi), least.below(1 / claim.sesoi))
    level = np.maximum(means, 0)
    folded = bootstrap.resampled(np.minimum(level, 1 / np.maximum(level, 1)), images)
    ends = folded.interval(EQUIVALENCE, steps)
    value, low, high = (float(values.min()) for values in (folded.value, *ends))
    return Effect(value, low, high, float(p.max()), images, claim.sesoi)


def _signed(claim: InputSign, positions: Positions) -> Effect:
    """Return an input's share of the shift; below 0 where its mean has the other sign.

    An inhibitory input makes a response strong by falling silent, or weakens it by not doing so:
    what counts is how large its part is, and the sign of what it adds on average.
    """
    mean, shift = positions.typical[:, claim.channel], positions.shift[:, claim.channel]
    sign = 1 if claim.sign == "excitatory" else -1
    share = np.sign(sign * mean) * np.abs(shift) / positions.shift.sum(axis=1)
    images = positions.strong
    moved, average = (bootstrap.resampled(values, images) for values in (shift, sign * mean))
    p = max(2 * min(float(moved.above(0)), float(moved.below(0))), float(average.above(0)))
    return _found(bootstrap.resampled(share, images), min(p, 1.0), claim.sesoi)


def _sufficient(claim: CircuitSufficient, positions: Positions, order: np.ndarray) -> Effect:
    """Return the share of the shift that the first inputs make, against as many at random.

    With all others held at their mean, it is exactly the share of the strong response's rise above
    the average that is recovered.
    """
    shift = positions.shift
    total = shift.sum(axis=1)
    recovery = shift[:, order[: claim.count]].sum(axis=1) / total
    random = np.random.default_rng(0)
    sets = np.tile(np.arange(shift.shape[1]) < claim.count, (RANDOM_SETS, 1))
    others = random.permuted(sets, axis=1) @ shift[0] / total[0]
    p = (1 + np.sum(others >= recovery[0] - 1e-12)) / (1 + RANDOM_SETS)
    found = bootstrap.resampled(recovery, positions.strong)
    return _found(found, float(p), claim.sesoi)


def _edited(claim: Edit, positions: Positions) -> Effect | str:
    """Return how much the activation changes on the photographs that the edit is about."""
    channels, chosen = silenced(claim, positions.mean), concerned(claim, positions)
    images = len(np.unique(positions.images[chosen]))
    if images < LEAST:
        return f"{images} photographs that it is about are too few. It takes {LEAST}."
    if not len(channels):
        return "No input is inhibitory on average."
    moved = positions.changed(channels)
    values = positions.means(moved[:, None], chosen)[:, 0]
    found = bootstrap.resampled(values, images)
    p = float(found.above(0) if claim.rises_by > 0 else found.below(0))
    return _found(found, p, claim.rises_by)


def _found(drawn: bootstrap.Bootstrap, p: float, sesoi: float) -> Effect:
    low, high = drawn.interval()
    return Effect(float(drawn.value), float(low), float(high), p, drawn.images, sesoi)


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
class ClaimResult:
    """A claim and what became of it.

    Attributes:
        claim: what was claimed.
        verdict: supported, refuted, inconclusive or not tested.
        effect: what was measured; None: it was not tested.
        reason: why, in one sentence.
        p_holm: Holm's p among all tested claims; None: not tested.
        refuted_by: what would have refuted it, in words.
    """

    claim: Claim
    verdict: str
    effect: Effect | None
    reason: str
    p_holm: float | None
    refuted_by: str

    @property
    def needed(self) -> int | None:
        """The photographs that would decide it; None: it is decided, or no number would."""
        return self.effect.needed if self.effect and self.verdict == "inconclusive" else None

    @property
    def row(self) -> dict[str, object]:
        """Its row of the table of claims."""
        known = vars(self.effect) if self.effect else {"sesoi": self.claim.bound}
        found = {
            "claim": self.claim.words,
            "effect": known.get("value"),
            **{name: known.get(name) for name in ("low", "high", "p")},
            "p_holm": self.p_holm,
            "sesoi": known["sesoi"],
            "verdict": self.verdict,
            "images": known.get("images"),
            "needed": self.needed,
            "refuted_by": self.refuted_by,
        }
        return plain(found)


def decide(
    claims: Sequence[Claim], effects: Sequence[Effect | str], alpha: float
) -> tuple[ClaimResult, ...]:
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
        by = claim.refuted_by(alpha)
        if isinstance(effect, str):
            found.append(ClaimResult(claim, "not tested", None, effect, None, by))
        else:
            p = next(adjusted)
            verdict, reason = _verdict(effect, p, alpha)
            found.append(ClaimResult(claim, verdict, effect, reason, p, by))
    return tuple(found)


def _verdict(effect: Effect, p: float, alpha: float) -> tuple[str, str]:
    """Return the verdict on a claim with this effect and adjusted p, and why."""
    near, far = effect.ends
    bound = number(effect.sesoi, digits=3)
    if near >= 0 and p < alpha:
        return "supported", f"All of the interval reaches {bound}."
    if far < 0:
        if effect.high < effect.null if effect.sign > 0 else effect.low > effect.null:
            return "refuted", "All of the interval lies on the other side of no effect."
        return "refuted", f"No part of the interval reaches {bound}."
    if effect.against is not None and effect.against < alpha:
        return "refuted", f"The opposite is significant, p = {number(effect.against)}."
    if math.isnan(effect.value):
        return "inconclusive", "That the opposite was not found supports nothing."
    if near >= 0:
        return "inconclusive", f"It is not significant among all claims, p = {number(p)}."
    return "inconclusive", f"The interval lies on both sides of {bound}."
