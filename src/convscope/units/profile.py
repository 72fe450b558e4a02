"""The character of a unit: what it is tuned to, what it ignores, its relatives and its facets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.activations.dataset_examples import Exemplars
from convscope.models.graph import CONVOLUTIONS
from convscope.models.linear import linear, obstacle
from convscope.models.network import Network, inputs_of
from convscope.models.position import Probe, probe
from convscope.unit import IMAGE, Unit
from convscope.units import equivariance, invariance, polysemanticity, properties, tuning
from convscope.units.equivariance import Family, Partner
from convscope.units.invariance import Invariance
from convscope.units.polysemanticity import Meaning, Split
from convscope.units.properties import Evidence, Trait
from convscope.units.tuning import Tuning

MOVED = 12
"""The strongest exemplars that are moved; all of them count for facets."""


@dataclass(frozen=True)
class Character:
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
        traits: what may be said of it.
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
    traits: tuple[Trait, ...]

    def measure(self, name: str) -> float | None:
        """Return one of the tuning's measures of the unit, or None."""
        value = float(self.tuning.measures[name][self.unit.filter])
        return value if np.isfinite(value) else None

    def percentile(self, name: str) -> float | None:
        """Return how many of 100 other filters have less of a measure."""
        return self.tuning.percentile(name, self.unit.filter)

    def curve(self, name: str) -> np.ndarray:
        """Return one of the tuning's curves of the unit."""
        return self.tuning.curves[name][..., self.unit.filter]


def study(
    network: Network,
    layer: str,
    filter: int,
    exemplars: Exemplars | None = None,
    *,
    mean: np.ndarray | None = None,
    wiring: bool = False,
    seed: int = 0,
) -> Character:
    """Return the character of a unit.

    It takes about ten seconds for block4_conv3 of VGG16 on two idle cores with twelve moved
    exemplars and twenty controls, three for block3; most of it is the layer's responses to drawn
    stimuli, which are the same for all its filters.

    Args:
        network: the network, in float32.
        layer: the unit's layer.
        filter: its number.
        exemplars: what excites it most, see `gather`; 30 or more for facets. None tells only
            what drawn stimuli tell.
        mean: each input's mean contribution over photographs `(C,)`, as `Recording.contributions`
            gives it; None takes that on the exemplars of the controls.
        wiring: compare kernels too where the inputs are no colours, which needs the inputs' own
            tuning: about as long again.
        seed: of everything random.
    """
    position = probe(network, layer)
    tuned = tuning.measure(position.respond, position.size)
    contrasts, contrast, half = tuning.contrast(position.respond, tuned, filter)
    random = np.random.default_rng(seed)
    partners = equivariance.partners(tuned, filter, random)
    family = equivariance.family(tuned, filter, random)
    natural, kept, split, meaning = None, None, None, None
    if exemplars is not None and len(exemplars.crops):
        answers = position.respond(exemplars.crops)
        natural = float(tuning.rise(answers, tuned.blank)[:, filter].mean()) or None
        kept = invariance.measure(
            position.respond, filter, exemplars.crops[:MOVED], seed, exemplars.controls
        )
        vectors = mechanisms(network, position, Unit(layer, filter), exemplars, mean)
        split = polysemanticity.split(vectors, seed) if vectors is not None else None
        if split is not None and exemplars.keys:
            meaning = polysemanticity.meaning(split.groups, exemplars.keys, seed)
    kernels = _kernels(network, layer)
    own = properties.dimensionality(kernels) if kernels is not None else None
    evidence = Evidence(
        tuned, filter, natural, kept, partners, family, split, meaning,
        float(own[filter]) if own is not None else None,
        tuning.percentile(own, filter) if own is not None else None,
    )  # fmt: skip
    return Character(
        unit=Unit(layer, filter),
        size=position.size,
        natural=natural,
        tuning=tuned,
        contrasts=contrasts,
        contrast=contrast,
        half_contrast=half,
        invariance=kept,
        partners=partners,
        copies=_copies(network, Unit(layer, filter), kernels, wiring, random),
        family=family,
        split=split,
        meaning=meaning,
        traits=properties.traits(evidence, seed),
    )


def mechanisms(
    network: Network,
    position: Probe,
    unit: Unit,
    exemplars: Exemplars,
    mean: np.ndarray | None = None,
) -> np.ndarray | None:
    """Return how much more than usual each input adds at each exemplar `(count, C)`, if known.

    Args:
        network: the network.
        position: of the unit's layer.
        unit: the unit.
        exemplars: its exemplars; those of its controls say what is usual without a mean.
        mean: each input's mean contribution `(C,)`.
    """
    layer = network.find(unit.layer)
    if obstacle(layer) or position.feed is None:
        return None
    how = linear(layer, unit.filter)
    found = position.contributions(exemplars.crops, how)
    if found is None:
        return None
    if mean is None and exemplars.controls:
        usual = position.contributions(np.concatenate(list(exemplars.controls.values())), how)
        mean = usual.mean(axis=0) if usual is not None else None
    return found - mean if mean is not None else found


def _kernels(network: Network, layer: str) -> np.ndarray | None:
    """Return the weights of a plain convolution `(height, width, C, filters)`, or None."""
    found = network.find(layer)
    if type(found) is not CONVOLUTIONS[0] or found.groups > 1:
        return None
    return np.asarray(found.kernel)


def _copies(
    network: Network,
    unit: Unit,
    kernels: np.ndarray | None,
    wiring: bool,
    random: np.random.Generator,
) -> tuple[Partner, ...]:
    """Return the copies of a unit by weights, for each move that its kernel allows."""
    if kernels is None:
        return ()
    sources = inputs_of(network, unit.layer)
    layers = {source.layer for source in sources}
    colours = layers == {IMAGE}
    if not colours and (len(layers) > 1 or not wiring):
        return ()
    before = None
    if not colours:
        position = probe(network, layers.pop())
        before = tuning.measure(position.respond, position.size)
    found = []
    for move, angle in equivariance.MOVES.items():
        square, small = kernels.shape[0] == kernels.shape[1], kernels.shape[:2] == (3, 3)
        if angle is not None and not (small or (square and angle % 90 == 0)):
            continue
        pairs = np.arange(len(sources))
        if before is not None:
            pairs = equivariance.everyone(before, move)[[source.filter for source in sources]]
        found.append(equivariance.copies(kernels, unit.filter, move, pairs, random))
    return tuple(found)
