"""What may be said of a unit, in the words of the Circuits articles, each with its rule.

A word holds, does not hold, or cannot be told; the numbers that decided stand beside it.

Source of the vocabulary: Olah et al., "Zoom In: An Introduction to Circuits", Distill, 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from convscope.stats import circular
from convscope.text import number
from convscope.units.equivariance import ALIKE
from convscope.units.invariance import KEPT
from convscope.units.polysemanticity import POLY, UNDECIDED, verdict
from convscope.units.profile import Profile, Property
from convscope.units.tuning import percentile

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


Finding = tuple[bool | None, str]
"""Whether a word holds, None where that cannot be told, and the numbers in words."""

Values = Callable[[str], float]
"""a measure's name -> that of the unit; NaN for none."""

Chance = Callable[..., float]
"""kind of stimuli, turns of an angle -> p of the tuning to it."""


def described(profile: Profile, seed: int) -> Profile:
    """Return a profile with what may be said of its unit; the seed is that of permutations."""
    random = np.random.default_rng(seed)
    drawn = (_drawn(profile, random, *rule) for rule in DRAWN)
    found = (*drawn, *_invariances(profile), *_relatives(profile), *_facets(profile))
    return replace(profile, properties=found)


def _oriented(values: Values, chance: Chance) -> Finding:
    osi, p = values("osi"), chance("grating", 2)
    words = f"OSI {osi:.2f} at {values('orientation'):.0f} degrees, p = {p:.3g}"
    if np.isfinite(width := values("half_width")):
        words += f", half-width {width:.0f} degrees"
    return _tuned(osi, p), words


def _phased(values: Values, chance: Chance) -> Finding:
    ratio = values("modulation")
    return ratio > 1, f"F1/F0 {ratio:.2f}"


def _edged(values: Values, chance: Chance) -> Finding:
    size, axis = values("polarity"), values("edge_axis")
    p, same = chance("edge"), chance("edge", 2)
    if axis > size:
        at = f"at {values('edge_orientation'):.0f} degrees, p = {same:.3g}"
        return _tuned(axis, same), f"of either polarity: mean axis {axis:.2f}, {at}"
    at = f"bright towards {values('edge'):.0f} degrees, p = {p:.3g}"
    return _tuned(size, p), f"of one polarity: mean vector {size:.2f}, {at}"


def _curved(values: Values, chance: Chance) -> Finding:
    index, size, echo = (values(name) for name in ("curve", "curve_r", "echo"))
    p = chance("arc")
    words = f"index {index:+.2f}, mean vector {size:.2f}, echo {echo:.2f}, p = {p:.3g}"
    clear = index >= MORE and size >= TUNED and echo < 0.5 and p < ALPHA
    return _told(clear, index < 0 or echo > 0.8), words


def _angular(values: Values, chance: Chance) -> Finding:
    index = values("corner")
    return _told(index >= MORE, index < 0), f"index {index:+.2f}"


def _paired(values: Values, chance: Chance) -> Finding:
    index, p = values("high_low"), chance("pair")
    words = f"index {index:+.2f}, p of the direction = {p:.3g}"
    return _told(index >= MORE and p < ALPHA, index < 0), words


def _coloured(values: Values, chance: Chance) -> Finding:
    index, p = values("colour"), chance("hue")
    words = f"index {index:+.2f}, hue {values('hue'):.0f} degrees, p = {p:.3g}"
    return _told(index >= COLOURED and p < ALPHA, index < 0), words


def _surrounded(values: Values, chance: Chance) -> Finding:
    index, osi = values("suppression"), values("osi")
    words = f"suppression {index:.2f}, OSI {osi:.2f}"
    return _told(osi < UNTUNED, index < TUNED or osi >= TUNED), words


VECTOR = f"mean vector of {TUNED} or more (below {UNTUNED} it is not), p < {ALPHA}"
ARCS = f"arcs over lines by an index of {MORE}, mean vector {TUNED}, echo below 0.5, p < {ALPHA}"
PAIRS = f"fast beside slow textures over either by an index of {MORE}, p < {ALPHA}"
DISKS = f"a growing disk loses {TUNED} of its response, OSI below {UNTUNED}"
FAMILY = f"""three turned copies or more in the layer, evenly spread: Rayleigh p above {ALPHA}, \
largest gap below two mean gaps"""
DRAWN = (
    ("orientation-tuned", "grating", VECTOR, "osi", _oriented),
    ("phase-sensitive", "grating", "F1/F0 above 1", "modulation", _phased),
    ("edge detector", "edge", VECTOR, "edge_axis", _edged),
    ("curve detector", "arc", ARCS, "curve", _curved),
    ("corner detector", "corner", f"corners over arcs and lines by an index of {MORE}", "corner",
     _angular),
    ("high-low frequency detector", "pair", PAIRS, "high_low", _paired),
    ("colour detector", "hue", f"hues over greys by an index of {COLOURED:.2f}, p < {ALPHA}",
     "colour", _coloured),
    ("center-surround", "disk", DISKS, "suppression", _surrounded),
)  # fmt: skip
"""Word, stimuli, rule, measure of the percentile, test."""


def _drawn(
    profile: Profile,
    random: np.random.Generator,
    word: str,
    kind: str,
    rule: str,
    measure: str,
    test: Callable[[Values, Chance], Finding],
) -> Property:
    """Return a property told from drawn stimuli, which must excite the unit to say anything."""
    rule = f"{rule}, at {100 * DRIVEN:.0f} % of the response to exemplars or more"
    if profile.best(kind) <= 0:
        return Property(word, None, rule, "these stimuli do not excite it")
    tuning, filter = profile.tuning, profile.unit.filter
    holds, numbers = test(
        lambda name: float(tuning.measures[name][filter]),
        lambda kind, turns=1: _chance(profile, kind, turns, random),
    )
    reached = profile.reached(kind)
    if reached is not None:
        numbers += f"; reaches {100 * reached:.0f} % of exemplars"
        holds = holds if reached >= DRIVEN else None
    return Property(word, holds, rule, numbers, profile.percentile(measure))


def _invariances(profile: Profile) -> Iterator[Property]:
    kept = profile.invariance
    if kept is None:
        return
    least = f"lower end of the interval of the least share left, {KEPT} or more"
    for word, kind, what in (
        ("pose-invariant", "pose", "mirror and rotations up to 30 degrees"),
        ("rotation-invariant", "rotation", "rotations by any angle"),
        ("hue-invariant", "hue", "hues turned by any angle"),
    ):
        score = kept.scores[kind]
        numbers = f"least {score.least:.2f} ({score.least_low:.2f} to {score.least_high:.2f})"
        numbers += f", mean {score.mean:.2f} over {kept.count} exemplars"
        holds = _told(score.least_low >= KEPT, score.least_high < KEPT)
        yield Property(word, holds, f"{what}: {least}", numbers, kept.percentiles.get(kind))


def _relatives(profile: Profile) -> Iterator[Property]:
    word, rule = "member of an equivariant family", FAMILY
    found = profile.family
    if found is None:
        yield Property(word, None, rule, "turned stimuli do not excite it")
        return
    kinds = ("grating", "edge", "arc", "line", "corner", "pair")
    driven = not profile.natural or max(profile.reached(kind) or 0 for kind in kinds) >= DRIVEN
    weak = "" if driven else "; drawn stimuli excite it too little to tell"
    count, even = len(found.filters), False
    numbers = f"{count - 1} turned copies with correlation {found.threshold:.2f} or more"
    if found.rayleigh is not None and found.gap is not None:
        numbers += f", Rayleigh p = {found.rayleigh:.3g}, largest gap {found.gap:.1f}"
        even = found.rayleigh > ALPHA and found.gap < 2 and count > 3
    holds = _told(even, found.rayleigh is None)
    yield Property(word, holds if driven else None, rule, numbers + weak)
    one = next(one for one in profile.partners if one.move == "mirror")
    word = "mirror-symmetric" if one.filter == profile.unit.filter else "has a mirror image"
    numbers = f"filter {one.filter}: {one.score:.2f}, chance {one.null:.2f}, p = {one.p:.3g}"
    rule = f"correlation of {ALIKE} with its responses mirrored, p < {ALPHA}"
    holds = _told(one.score >= ALIKE and one.p < ALPHA, one.p >= ALPHA)
    yield Property(word, holds if driven else None, rule, numbers + weak)


def _facets(profile: Profile) -> Iterator[Property]:
    word, numbers = verdict(profile.split, profile.meaning)
    rule = "2-means of exemplars against one Gaussian, after SigClust; classes by Lin similarity"
    told = word != UNDECIDED
    yield Property(word if told else POLY, True if told else None, rule, numbers)
    if word == POLY and profile.dimensionality is not None:
        rule = "polysemantic, and its kernel's direction is half shared or more"
        filter = profile.unit.filter
        own, place = (
            float(profile.dimensionality[filter]),
            percentile(profile.dimensionality, filter),
        )
        numbers = f"dimensionality {number(own)}"
        yield Property("consistent with superposition", own < 0.5, rule, numbers, place)


def _chance(profile: Profile, kind: str, turns: int, random: np.random.Generator) -> float:
    """Return the p of a tuning to angles; phases, radii and signs are repeated measurements."""
    found, axes = profile.tuning.sets[kind][..., profile.unit.filter], profile.tuning.axes[kind]
    axis = "angle"
    if kind == "grating":  # at the best frequency
        axis = "orientation"
        found = found[:, int(profile.curve("frequency").argmax())]
    turned = np.moveaxis(found, list(axes).index(axis), 0)
    return circular.permuted(turned.reshape(len(turned), -1), axes[axis], turns, DRAWS, random)


def _told(yes: bool, no: bool) -> bool | None:
    """Return whether a word holds, where its rule tells; None where it lies between."""
    return False if no else True if yes else None


def _tuned(length: float, p: float) -> bool | None:
    return _told(length >= TUNED and p < ALPHA, length < UNTUNED)
