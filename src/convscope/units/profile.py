"""The profile of a unit: what it is tuned to, what it ignores, its relatives and its facets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.activations.dataset_examples import Exemplars
from convscope.models.graph import CONVOLUTIONS
from convscope.models.linear import linear, obstacle
from convscope.models.network import Network, inputs_of
from convscope.models.position import Probe, probe
from convscope.unit import IMAGE, Unit
from convscope.units import equivariance, invariance, polysemanticity, tuning
from convscope.units.equivariance import Family, Partner
from convscope.units.invariance import Invariance
from convscope.units.polysemanticity import Meaning, Split
from convscope.units.tuning import Tuning

MOVED = 12
"""The strongest exemplars that are moved; all of them count for facets."""


@dataclass(frozen=True)
class Property:
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
class Profile:
    """What was found out about a unit beyond its inputs.

    Attributes:
        unit: the unit.
        size: (height, width) in pixels of what one position was shown.
        natural: mean rise of its response above that to mid-grey on its exemplars, or None.
        tuning: responses of all filters of its layer to drawn stimuli.
        contrasts: of its best grating.
        contrast: its responses to those.
        half_contrast: the contrast of half the response to full contrast, or None.
        invariance: what moves of its exemplars leave, or None.
        partners: its copies by response, for each move.
        copies: its copies by weights, for each move that its kernel allows.
        family: it and its turned copies, or None.
        split: the best division of its exemplars into two groups, or None.
        meaning: how alike the classes of both are, or None.
        dimensionality: how much of a direction of its own the kernel of each filter of the layer
            has `(filters,)`; None: there are no kernels.
        properties: what may be said of it; see `properties.described`.
    """

    unit: Unit
    size: tuple[int, int]
    natural: float | None
    tuning: Tuning
    contrasts: np.ndarray
    contrast: np.ndarray
    half_contrast: float | None
    invariance: Invariance | None
    partners: tuple[Partner, ...]
    copies: tuple[Partner, ...]
    family: Family | None
    split: Split | None
    meaning: Meaning | None
    dimensionality: np.ndarray | None
    properties: tuple[Property, ...] = ()

    def measure(self, name: str) -> float | None:
        """Return one of the tuning's measures of the unit, or None."""
        value = float(self.tuning.measures[name][self.unit.filter])
        return value if np.isfinite(value) else None

    def percentile(self, name: str) -> float | None:
        """Return how many of 100 other filters have less of a measure."""
        return tuning.percentile(self.tuning.measures[name], self.unit.filter)

    def curve(self, name: str) -> np.ndarray:
        """Return one of the tuning's curves of the unit."""
        return self.tuning.curves[name][..., self.unit.filter]

    def best(self, kind: str) -> float:
        """Return the strongest response to a kind of drawn stimuli."""
        return float(self.tuning.sets[kind][..., self.unit.filter].max())

    def reached(self, kind: str) -> float | None:
        """Return the share of the response to exemplars that a kind of stimuli reaches."""
        return self.best(kind) / self.natural if self.natural else None


def study(
    network: Network, unit: Unit, exemplars: Exemplars, mean: np.ndarray, seed: int = 0
) -> Profile:
    """Return the profile of a unit, without the properties that its numbers make.

    It takes about ten seconds for block4_conv3 of VGG16 on two idle cores with twelve moved
    exemplars and twenty controls, three for block3; most of it is the layer's responses to drawn
    stimuli, which are the same for all its filters.

    Args:
        network: the network, in float32.
        unit: the unit.
        exemplars: what excites it most; 30 or more for facets. Of none, only what drawn stimuli
            tell is known.
        mean: each input's mean contribution over photographs `(C,)`.
        seed: of everything random.
    """
    position, layer = probe(network, unit.layer), network.find(unit.layer)
    tuned = tuning.measure(position.respond, position.size)
    contrasts, contrast, half = tuning.contrast(position.respond, tuned, unit.filter)
    random = np.random.default_rng(seed)
    partners, family = equivariance.relatives(tuned, unit.filter, random)
    natural, kept, split, meaning = None, None, None, None
    if len(exemplars.crops):
        answers = position.respond(exemplars.crops)
        natural = float(tuning.rise(answers, tuned.blank)[:, unit.filter].mean()) or None
        kept = invariance.measure(
            position.respond, unit.filter, exemplars.crops[:MOVED], seed, exemplars.controls
        )
        found = contributions(network, position, unit, exemplars.crops)
        split = polysemanticity.split(found - mean, seed) if found is not None else None
        if split is not None and exemplars.keys:
            meaning = polysemanticity.meaning(split.groups, exemplars.keys, seed)
    kernels = None
    copies: tuple[Partner, ...] = ()
    if type(layer) is CONVOLUTIONS[0] and layer.groups == 1:
        kernels = np.asarray(layer.kernel)
        if {source.layer for source in inputs_of(network, unit.layer)} == {IMAGE}:
            copies = equivariance.copies(kernels, unit.filter, random)
    return Profile(
        unit=unit,
        size=position.size,
        natural=natural,
        tuning=tuned,
        contrasts=contrasts,
        contrast=contrast,
        half_contrast=half,
        invariance=kept,
        partners=partners,
        copies=copies,
        family=family,
        split=split,
        meaning=meaning,
        dimensionality=polysemanticity.dimensionality(kernels) if kernels is not None else None,
    )


def contributions(
    network: Network, position: Probe, unit: Unit, crops: np.ndarray
) -> np.ndarray | None:
    """Return what each input adds to a unit's preactivation at each crop `(count, C)`, if known."""
    layer = network.find(unit.layer)
    if obstacle(layer) or position.feed is None:
        return None
    return position.contributions(crops, linear(layer, unit.filter))
