"""What photographs that confirm say of each claim: its effect, with an interval and a p.

All inputs are plain arrays. A claim whose input is not there is not tested, and the reason is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from convscope import auroc, resampling
from convscope.claims import (
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
from convscope.intervention import change
from convscope.labels import taxonomy
from convscope.verdict import Effect

LEAST = 3  # photographs on either side of a comparison, as in panel.py
EXEMPLARS = 10  # photographs with strong responses, or exemplars, that a bootstrap can draw from
PERMUTATIONS = 5000
RANDOM_SETS = 1000  # of inputs, that a circuit is compared with
EQUIVALENCE = 0.90  # coverage: two one-sided tests at 5 %


@dataclass(frozen=True)
class Photographs:
    """Scores and classes of the photographs that confirm.

    Attributes:
        scores: what stands for each `(N,)`; NaN is left out.
        keys: the class of each; None: unlabelled, left out.
    """

    scores: np.ndarray
    keys: Sequence[str | None]


@dataclass(frozen=True)
class Positions:
    """Contributions at positions of the photographs that confirm.

    Attributes:
        u: contributions of the C inputs `(n, C)`.
        z: preactivations `(n,)`.
        images: the photograph of each position `(n,)`, any whole numbers.
        threshold: the preactivation above which a response is strong, from the discovery half.
        mean: each input's mean contribution on the discovery half `(C,)`.
        keys: {photograph: its class}; None: unlabelled.
    """

    u: np.ndarray
    z: np.ndarray
    images: np.ndarray
    threshold: float
    mean: np.ndarray
    keys: Mapping[int, str | None] = field(default_factory=dict)

    @cached_property
    def top(self) -> np.ndarray:
        """Where the response is strong, bool `(n,)`."""
        return self.z >= self.threshold

    @cached_property
    def strong(self) -> int:
        """The photographs with a strong response."""
        return len(np.unique(self.images[self.top]))

    @cached_property
    def _codes(self) -> np.ndarray:
        return np.unique(self.images, return_inverse=True)[1]

    def means(self, values: np.ndarray, chosen: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return means over chosen positions when photographs count as often as `counts` says.

        Args:
            values: `(n, K)`.
            chosen: bool `(n,)`.
            counts: `(rows, photographs)`.

        Returns:
            `(rows, K)`; NaN where none of the positions is left.
        """
        own = self._codes[chosen]
        place = (own, np.arange(len(own)))
        size = counts.shape[1], len(own)
        sums = sparse.csr_array((np.ones(len(own)), place), size) @ values[chosen]
        sizes = counts @ np.bincount(own, minlength=counts.shape[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            return (counts @ sums) / sizes[:, None]

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each photograph counts, as `resampling.counts` has it."""
        return resampling.counts(int(self._codes.max()) + 1)

    @cached_property
    def typical(self) -> np.ndarray:
        """Each input's mean contribution, for each row of `counts` `(rows, C)`."""
        return self.means(self.u, np.ones(len(self.u), bool), self.counts)

    @cached_property
    def shift(self) -> np.ndarray:
        """How each input differs where the response is strong `(rows, C)`."""
        return self.means(self.u, self.top, self.counts) - self.typical


@dataclass(frozen=True)
class Curve:
    """How much of their activation exemplars keep under the steps of a transform.

    Attributes:
        kept: `(exemplars, steps)`, 1 for all of it; each exemplar is of another photograph.
    """

    kept: np.ndarray


@dataclass(frozen=True)
class Tuning:
    """How selective something is for a feature of synthetic stimuli.

    Attributes:
        value: the selectivity index, from 0 to 1.
        draws: the index of bootstrap draws `(draws,)`.
        p: that there is no selectivity.
        stimuli: independent stimuli behind it.
    """

    value: float
    draws: np.ndarray
    p: float
    stimuli: int


@dataclass(frozen=True)
class Split:
    """Whether exemplars fall into several kinds.

    Attributes:
        p: of the test that they do.
        images: exemplars.
        draws: bootstrap draws of how far the kinds lie apart `(draws,)`, 0 for not at all and 1 for
            fully; None: not measured, so that nothing can speak for one kind.
        margin: the smallest distance of kinds that counts, between 0 and 1.
    """

    p: float
    images: int
    draws: np.ndarray | None = None
    margin: float = 0.0


@dataclass(frozen=True)
class Findings:
    """What was measured on the photographs that confirm; None and absent names: it was not.

    Attributes:
        photographs: for group_selective.
        positions: for input_sign, circuit_sufficient and edit.
        orders: {ranking: all C inputs, first to last}, from the discovery half.
        curves: {transform: its curve}.
        tunings: {feature: the filter's tuning}.
        inputs: {(channel, feature): an input's tuning}.
        split: for monosemantic.
    """

    photographs: Photographs | None = None
    positions: Positions | None = None
    orders: Mapping[str, Sequence[int]] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    tunings: Mapping[str, Tuning] = field(default_factory=dict)
    inputs: Mapping[tuple[int, str], Tuning] = field(default_factory=dict)
    split: Split | None = None


def effects(claims: Sequence[Claim], findings: Findings) -> list[Effect | str]:
    """Return what was measured of each claim, or why it was not."""
    return [effect(claim, findings) for claim in claims]


def effect(claim: Claim, findings: Findings) -> Effect | str:
    """Return what was measured of a claim, or why it was not."""
    match claim:
        case GroupSelective():
            if findings.photographs is None:
                return "No photographs with labels were scored."
            return _selective(claim, findings.photographs)
        case Invariant():
            curve = findings.curves.get(claim.transform)
            return (
                _absent(claim.transform, findings.curves) if curve is None else _kept(claim, curve)
            )
        case Tuned():
            tuning = findings.tunings.get(claim.feature)
            return (
                _absent(claim.feature, findings.tunings)
                if tuning is None
                else _tuned(claim.sesoi, tuning)
            )
        case InputSelective():
            tuning = findings.inputs.get((claim.channel, claim.tuning))
            if tuning is None:
                return f"The tuning of input {claim.channel} to {claim.tuning} was not measured."
            return _tuned(claim.sesoi, tuning)
        case Monosemantic():
            if findings.split is None:
                return "Whether its exemplars fall into kinds was not tested."
            return _one_kind(findings.split)
    if findings.positions is None:
        return "No contributions were sampled."
    if isinstance(claim, CircuitSufficient) and claim.by not in findings.orders:
        return _absent(claim.by, findings.orders)
    if findings.positions.strong < EXEMPLARS and not (
        isinstance(claim, Edit) and claim.among != "top"
    ):
        return (
            f"{findings.positions.strong} photographs with a strong response are too few. It takes "
            f"{EXEMPLARS}."
        )
    if isinstance(claim, InputSign):
        return _signed(claim, findings.positions)
    if isinstance(claim, CircuitSufficient):
        return _sufficient(claim, findings.positions, findings.orders[claim.by])
    return _edited(claim, findings.positions)


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
    ranks = auroc.ranking(given.scores[good][order])
    if inside.sum() == 1:  # one class: its photographs are the units
        area = auroc.by_image(ranks, codes).of(np.flatnonzero(inside))
        p = auroc.mann_whitney(ranks, codes, np.flatnonzero(inside))[0] / 2
        p = p if area.auroc[0] > 0.5 else 1 - p
    elif inside.sum() == len(classes) - 1:
        return "Photographs of one class beside these synsets are too few. It takes 2 classes."
    else:
        area = auroc.by_class(ranks, codes, inside[None])
        p = _permuted(ranks, codes, inside, float(area.auroc[0]))
    low, high = auroc.interval(area)
    return Effect(
        float(area.auroc[0]), float(low[0]), float(high[0]), float(p), len(good), claim.sesoi, 0.5
    )


def _permuted(order: auroc.Ranking, codes: np.ndarray, inside: np.ndarray, found: float) -> float:
    """Return the one-sided p of an AUROC when whole classes change places."""
    images = np.bincount(codes).astype(np.float64)
    sums = np.bincount(codes, order.midranks)
    random = np.random.default_rng(0)
    size = int(inside.sum())
    keys = random.random((PERMUTATIONS, len(inside)), np.float32)
    drawn = np.argpartition(keys, size - 1, axis=1)[:, :size]
    areas = auroc.aurocs(sums[drawn].sum(axis=1), images[drawn].sum(axis=1), len(codes))
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
    drawn = resampling.counts(images)
    means = drawn @ curve.kept / drawn.sum(axis=1, keepdims=True)
    least = resampling.resampled(means, images)
    p = np.maximum(least.above(claim.sesoi), least.below(1 / claim.sesoi))
    folded = resampling.resampled(_folded(means), images)
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
    found = resampling.Bootstrap(np.asarray(tuning.value), tuning.draws, tuning.stimuli)
    low, high = found.interval()
    return Effect(tuning.value, float(low), float(high), tuning.p, tuning.stimuli, sesoi)


def _one_kind(split: Split) -> Effect:
    """Return how far the kinds lie apart, which must stay below the margin, and the split's p."""
    if split.draws is None:
        nan = float("nan")
        return Effect(nan, nan, nan, 1.0, split.images, split.margin, 1.0, split.p)
    found = resampling.Bootstrap(np.mean(split.draws), split.draws, split.images)
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
    moved, average = (resampling.resampled(values, images) for values in (shift, sign * mean))
    p = max(2 * min(float(moved.above(0)), float(moved.below(0))), float(average.above(0)))
    return _found(resampling.resampled(share, images), min(p, 1.0), claim.sesoi)


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
    found = resampling.resampled(recovery, positions.strong)
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
    found = resampling.resampled(values, images)
    p = float(found.above(0) if claim.rises_by > 0 else found.below(0))
    return _found(found, p, claim.rises_by)


def _found(bootstrap: resampling.Bootstrap, p: float, sesoi: float) -> Effect:
    low, high = bootstrap.interval()
    return Effect(float(bootstrap.value), float(low), float(high), p, bootstrap.images, sesoi)
