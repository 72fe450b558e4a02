"""What may be said of a unit, in the words of the Circuits articles, each with its rule.

A word holds, does not hold, or cannot be told; the numbers that decided stand beside it.

Source of the vocabulary: Olah et al., "Zoom In: An Introduction to Circuits", Distill, 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from convscope.stats import circular
from convscope.text import number
from convscope.units.equivariance import ALIKE, Family, Partner
from convscope.units.invariance import KEPT, Invariance
from convscope.units.polysemanticity import POLY, UNDECIDED, Meaning, Split, verdict
from convscope.units.tuning import Tuning

DRIVEN = 0.5
"""The share of the response to exemplars that drawn stimuli must reach to say something."""

TUNED, UNTUNED = 0.5, 0.3
"""Lengths of mean vectors from which a unit is tuned, and below which it is not."""

MORE = 0.1
"""The index of a shape against its controls from which it is preferred: by a fifth or so."""

COLOURED = 1 / 3
"""The colour index of a unit that answers to a hue twice what it does to any grey."""

ALPHA = 0.05
DRAWS = 999
"""Permutations of angle labels."""


@dataclass(frozen=True)
class Trait:
    """One thing that may be said of a unit.

    Attributes:
        word: what is said.
        holds: whether it is so; None: cannot be told.
        rule: when it is said.
        numbers: what decided, in words.
        percentile: of the decisive number among other filters of the layer, from 0 to 100.
    """

    word: str
    holds: bool | None
    rule: str
    numbers: str
    percentile: float | None = None


@dataclass(frozen=True)
class Evidence:
    """All that traits are told from.

    Attributes:
        tuning: responses of the layer to drawn stimuli.
        filter: the unit's number.
        natural: its mean rise above mid-grey on its exemplars; None: there are none.
        invariance: what moves leave; None: not measured.
        partners: its copies by response.
        family: it and its turned copies; None: drawn stimuli do not excite it.
        split: the best division of its exemplars in two; None: too few.
        meaning: how alike the classes of both are; None: not known.
        dimensionality: how much of a direction of its own its kernel has; None: no kernel.
        dimensionality_percentile: of that among the other filters of the layer.
    """

    tuning: Tuning
    filter: int
    natural: float | None
    invariance: Invariance | None
    partners: tuple[Partner, ...]
    family: Family | None
    split: Split | None
    meaning: Meaning | None
    dimensionality: float | None
    dimensionality_percentile: float | None

    def value(self, name: str) -> float:
        """Return a measure of the unit; NaN for none."""
        return float(self.tuning.measures[name][self.filter])

    def percentile(self, name: str) -> float | None:
        """Return how many of 100 other filters have less of a measure."""
        return self.tuning.percentile(name, self.filter)

    def best(self, kind: str) -> float:
        """Return the strongest response to a kind of drawn stimuli."""
        return float(self.tuning.sets[kind][..., self.filter].max())

    def reached(self, kind: str) -> float | None:
        """Return the share of the response to exemplars that a kind of stimuli reaches."""
        return self.best(kind) / self.natural if self.natural else None


def traits(seen: Evidence, seed: int) -> tuple[Trait, ...]:
    """Return what may be said of a unit.

    Args:
        seen: what it is told from.
        seed: of permutations.
    """
    random = np.random.default_rng(seed)
    drawn = [*_oriented(seen, random), *_shapes(seen, random), *_surfaces(seen, random)]
    return (*drawn, *_invariances(seen), *_relatives(seen), *_facets(seen))


Test = Callable[[], tuple[bool | None, str]]


def _drawn(seen: Evidence, kind: str, word: str, rule: str, measure: str, test: Test) -> Trait:
    """Return a trait told from drawn stimuli, which must excite the unit to say anything."""
    reached = seen.reached(kind)
    whole = f"{rule}, at {100 * DRIVEN:.0f} % of the response to exemplars or more"
    if seen.best(kind) <= 0:
        return Trait(word, None, whole, "these stimuli do not excite it")
    share = "" if reached is None else f"; reaches {100 * reached:.0f} % of exemplars"
    holds, numbers = test()
    if reached is not None and reached < DRIVEN:
        holds = None
    return Trait(word, holds, whole, numbers + share, seen.percentile(measure))


def _oriented(seen: Evidence, random: np.random.Generator) -> Iterator[Trait]:
    def oriented() -> tuple[bool | None, str]:
        osi, chance = seen.value("osi"), _chance(seen, "orientation", random)
        words = f"OSI {osi:.2f} at {seen.value('orientation'):.0f} degrees, p = {chance:.3g}"
        if np.isfinite(width := seen.value("half_width")):
            words += f", half-width {width:.0f} degrees"
        return _told(osi, chance), words

    def edged() -> tuple[bool | None, str]:
        size, chance = seen.value("polarity"), _chance(seen, "edge", random)
        axis, same = seen.value("edge_axis"), _chance(seen, "edge_axis", random)
        if axis > size:
            words = f"of either polarity: mean axis {axis:.2f}"
            at = f", at {seen.value('edge_orientation'):.0f} degrees, p = {same:.3g}"
            return _told(axis, same), words + at
        words = f"of one polarity: mean vector {size:.2f}"
        at = f", bright towards {seen.value('edge'):.0f} degrees, p = {chance:.3g}"
        return _told(size, chance), words + at

    def phased() -> tuple[bool | None, str]:
        ratio = seen.value("modulation")
        return ratio > 1, f"F1/F0 {ratio:.2f}"

    rule = f"mean vector of {TUNED} or more (below {UNTUNED} it is not), p < {ALPHA}"
    yield _drawn(seen, "grating", "orientation-tuned", rule, "osi", oriented)
    yield _drawn(seen, "grating", "phase-sensitive", "F1/F0 above 1", "modulation", phased)
    yield _drawn(seen, "edge", "edge detector", rule, "edge_axis", edged)


def _shapes(seen: Evidence, random: np.random.Generator) -> Iterator[Trait]:
    def curved() -> tuple[bool | None, str]:
        index, size, echo = (seen.value(name) for name in ("curve", "curve_r", "echo"))
        chance = _chance(seen, "arc", random)
        words = f"index {index:+.2f}, mean vector {size:.2f}, echo {echo:.2f}, p = {chance:.3g}"
        if index < 0 or echo > 0.8:
            return False, words
        return (index >= MORE and size >= TUNED and echo < 0.5 and chance < ALPHA) or None, words

    def angular() -> tuple[bool | None, str]:
        index = seen.value("corner")
        return True if index >= MORE else False if index < 0 else None, f"index {index:+.2f}"

    def paired() -> tuple[bool | None, str]:
        index, chance = seen.value("high_low"), _chance(seen, "pair", random)
        words = f"index {index:+.2f}, p of the direction = {chance:.3g}"
        return (False if index < 0 else (index >= MORE and chance < ALPHA) or None), words

    rule = (
        f"arcs over lines by an index of {MORE}, mean vector {TUNED}, echo below 0.5, p < {ALPHA}"
    )
    yield _drawn(seen, "arc", "curve detector", rule, "curve", curved)
    rule = f"corners over arcs and lines by an index of {MORE}"
    yield _drawn(seen, "corner", "corner detector", rule, "corner", angular)
    rule = f"fast beside slow textures over either by an index of {MORE}, p < {ALPHA}"
    yield _drawn(seen, "pair", "high-low frequency detector", rule, "high_low", paired)


def _surfaces(seen: Evidence, random: np.random.Generator) -> Iterator[Trait]:
    def coloured() -> tuple[bool | None, str]:
        index, chance = seen.value("colour"), _chance(seen, "hue", random)
        words = f"index {index:+.2f}, hue {seen.value('hue'):.0f} degrees, p = {chance:.3g}"
        return (False if index < 0 else (index >= COLOURED and chance < ALPHA) or None), words

    def surrounded() -> tuple[bool | None, str]:
        index, osi = seen.value("suppression"), seen.value("osi")
        words = f"suppression {index:.2f}, OSI {osi:.2f}"
        if index < TUNED or osi >= TUNED:
            return False, words
        return osi < UNTUNED or None, words

    rule = f"hues over greys by an index of {COLOURED:.2f}, p < {ALPHA}"
    yield _drawn(seen, "hue", "colour detector", rule, "colour", coloured)
    rule = f"a growing disk loses {TUNED} of its response, OSI below {UNTUNED}"
    yield _drawn(seen, "disk", "center-surround", rule, "suppression", surrounded)


def _invariances(seen: Evidence) -> Iterator[Trait]:
    if seen.invariance is None:
        return
    least = f"lower end of the interval of the least share left, {KEPT} or more"
    for word, kind, what in (
        ("pose-invariant", "pose", "mirror and rotations up to 30 degrees"),
        ("rotation-invariant", "rotation", "rotations by any angle"),
        ("hue-invariant", "hue", "hues turned by any angle"),
    ):
        score = seen.invariance.scores[kind]
        holds = True if score.least_low >= KEPT else False if score.least_high < KEPT else None
        numbers = f"least {score.least:.2f} ({score.least_low:.2f} to {score.least_high:.2f})"
        numbers += f", mean {score.mean:.2f} over {seen.invariance.count} exemplars"
        yield Trait(word, holds, f"{what}: {least}", numbers, seen.invariance.percentiles.get(kind))


def _relatives(seen: Evidence) -> Iterator[Trait]:
    rule = "three turned copies or more in the layer, evenly spread: Rayleigh p above"
    rule += f" {ALPHA}, largest gap below two mean gaps"
    if seen.family is None:
        yield Trait(
            "member of an equivariant family", None, rule, "turned stimuli do not excite it"
        )
        return
    count, found = len(seen.family.filters), seen.family
    reached = [seen.reached(kind) for kind in ("grating", "edge", "arc", "line", "corner", "pair")]
    driven = seen.natural is None or max(share or 0.0 for share in reached) >= DRIVEN
    weak = "" if driven else "; drawn stimuli excite it too little to tell"
    numbers = f"{count - 1} turned copies with correlation {found.threshold:.2f} or more"
    holds: bool | None = False
    if found.rayleigh is not None and found.gap is not None:
        numbers += f", Rayleigh p = {found.rayleigh:.3g}, largest gap {found.gap:.1f}"
        even = found.rayleigh > ALPHA and found.gap < 2
        holds = True if even and count > 3 else None
    yield Trait("member of an equivariant family", holds if driven else None, rule, numbers + weak)
    for one in seen.partners:
        if one.move != "mirror":
            continue
        word = "mirror-symmetric" if one.filter == seen.filter else "has a mirror image"
        sure = one.score >= ALIKE and one.p < ALPHA
        numbers = f"filter {one.filter}: {one.score:.2f}, chance {one.null:.2f}, p = {one.p:.3g}"
        rule = f"correlation of {ALIKE} with its responses mirrored, p < {ALPHA}"
        holds = sure or (None if one.p < ALPHA else False)
        yield Trait(word, holds if driven else None, rule, numbers + weak)


def _facets(seen: Evidence) -> Iterator[Trait]:
    word, numbers = verdict(seen.split, seen.meaning)
    rule = "2-means of exemplars against one Gaussian, after SigClust; classes by Lin similarity"
    if word == UNDECIDED:
        yield Trait(POLY, None, rule, numbers)
    else:
        yield Trait(word, True, rule, numbers)
    if word == POLY and seen.dimensionality is not None:
        rule = "polysemantic, and its kernel's direction is half shared or more"
        numbers = f"dimensionality {number(seen.dimensionality)}"
        shared = seen.dimensionality < 0.5
        percentile = seen.dimensionality_percentile
        yield Trait("consistent with superposition", shared, rule, numbers, percentile)


def dimensionality(kernels: np.ndarray) -> np.ndarray:
    """Return how much of a direction of its own each filter has, from 0 to 1 `(filters,)`.

    Args:
        kernels: weights `(..., filters)`.

    Source: Elhage et al., "Toy Models of Superposition", 2022.
    """
    flat = kernels.reshape(-1, kernels.shape[-1]).astype(np.float64)
    products = flat.T @ flat
    squared = np.diag(products)
    shared = (products**2).sum(axis=0)
    return np.divide(squared**2, shared, out=np.full_like(squared, np.nan), where=shared > 0)


def _chance(seen: Evidence, name: str, random: np.random.Generator) -> float:
    """Return the p of a tuning to angles; phases, radii and signs are repeated measurements."""
    kind, axis, turns = {
        "orientation": ("grating", "orientation", 2), "edge": ("edge", "angle", 1),
        "edge_axis": ("edge", "angle", 2),
        "arc": ("arc", "angle", 1), "pair": ("pair", "angle", 1), "hue": ("hue", "angle", 1),
    }[name]  # fmt: skip
    found, axes = seen.tuning.sets[kind][..., seen.filter], seen.tuning.axes[kind]
    if kind == "grating":  # at the best frequency
        found = found[:, int(seen.tuning.curves["frequency"][:, seen.filter].argmax())]
    turned = np.moveaxis(found, list(axes).index(axis), 0)
    return circular.permuted(turned.reshape(len(turned), -1), axes[axis], turns, DRAWS, random)


def _told(length: float, chance: float) -> bool | None:
    """Return whether a mean vector is long, short or between."""
    if length < UNTUNED:
        return False
    return (length >= TUNED and chance < ALPHA) or None


def records(found: Sequence[Trait]) -> list[dict[str, object]]:
    """Return traits as the rows of a table."""
    return [asdict(trait) for trait in found]
