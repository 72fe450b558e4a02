"""What photographs that confirm say of each claim: its effect, with an interval and a p.

A claim whose material is not there is not tested, and the reason is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.circuits.intervention import change
from convscope.data.labels import taxonomy
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
from convscope.hypothesis.measurements import Curve, Material, Photographs, Positions, Split, Tuning
from convscope.hypothesis.verdict import Effect
from convscope.stats import resampling, roc

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
