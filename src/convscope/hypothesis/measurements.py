"""All that a run has measured of a unit, and what claims are tested with, all of it arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from convscope.activations.recorder import Recording
from convscope.circuits.attribution import Part
from convscope.circuits.edges import Circuit, CircuitAnalysis
from convscope.circuits.multihop import PathAnalysis
from convscope.models.network import Network
from convscope.models.position import probe
from convscope.optvis.ascent import Optimum
from convscope.optvis.reliability import Reliability
from convscope.settings import ImageSettings
from convscope.stats import bootstrap, circular
from convscope.unit import IMAGE, Unit
from convscope.units import tuning
from convscope.units.profile import Profile


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

    def means(self, values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return means over chosen positions when photographs count as often as `counts` says.

        Args:
            values: `(n, K)`.
            chosen: bool `(n,)`.

        Returns:
            `(rows, K)`; NaN where none of the positions is left.
        """
        own, counts = self._codes[chosen], self.counts
        place = (own, np.arange(len(own)))
        size = counts.shape[1], len(own)
        sums = sparse.csr_array((np.ones(len(own)), place), size) @ values[chosen]
        sizes = counts @ np.bincount(own, minlength=counts.shape[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            return (counts @ sums) / sizes[:, None]

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each photograph counts, as `bootstrap.counts` has it."""
        return bootstrap.counts(int(self._codes.max()) + 1)

    @cached_property
    def typical(self) -> np.ndarray:
        """Each input's mean contribution, for each row of `counts` `(rows, C)`."""
        return self.means(self.u, np.ones(len(self.u), bool))

    @cached_property
    def shift(self) -> np.ndarray:
        """How each input differs where the response is strong `(rows, C)`."""
        return self.means(self.u, self.top) - self.typical

    def changed(self, channels: np.ndarray) -> np.ndarray:
        """Return how much the activation changes `(n,)` where inputs are held at their mean.

        It is exact, by algebra.
        """
        held = np.sum(self.mean[channels] - self.u[:, channels], axis=1, dtype=np.float64)
        return np.maximum(self.z + held, 0) - np.maximum(self.z, 0)


Tuning = tuple[bootstrap.Bootstrap, float]
"""How selective something is for a feature of synthetic stimuli, from 0 to 1, where independent
stimuli stand for photographs; and the p that it is not selective."""


@dataclass(frozen=True)
class Measurements:
    """All that a run knows about a unit.

    Attributes:
        network: the network, in float32.
        findings: the unit with its inputs, and what was measured of them.
        recording: the photographs and what they did.
        shown: how photographs are shown.
        keys: the class of each photograph; None: unlabelled.
        hops: what lies beyond the inputs; None: not looked at.
        optima: the image that excites each unit most; units without one are missing.
        reliability: {unit: whether its optimum is evidence}; those not alive are missing.
        character: what the unit is tuned to and what it ignores; None: not measured.
    """

    network: Network
    findings: CircuitAnalysis
    recording: Recording
    shown: ImageSettings
    keys: Sequence[str | None]
    hops: PathAnalysis | None = None
    optima: Mapping[Unit, Optimum] = field(default_factory=dict)
    reliability: Mapping[Unit, Reliability] = field(default_factory=dict)
    character: Profile | None = None

    @property
    def circuit(self) -> Circuit:
        """The unit with its inputs."""
        return self.findings.circuit

    @property
    def unit(self) -> Unit:
        """The unit."""
        return self.circuit.root

    @property
    def evidence(self) -> list[dict[str, object]]:
        """The table of optima as evidence."""
        return [one.row for one in self.reliability.values()]

    def scalars(self) -> dict[str, object]:
        """Return every figure of the summary."""
        good = [one.evidence for one in self.reliability.values()]
        peaks = self.recording.observation.peaks[self.unit.layer]
        found: dict[str, object] = {"evidence": sum(good), "no_evidence": len(good) - sum(good)}
        found |= {
            "firing_rate": float(peaks.firing_rate[self.unit.filter])
        } | self.findings.scalars()
        found |= self.hops.scalars() if self.hops else {}
        if best := self.optima.get(self.unit):
            found |= {
                "activation": best.activation,
                "activation_mean": best.activation_mean,
                "picture": f"images/unit-{self.unit.slug}.png" if best.alive else None,
                "alive": sum(optimum.alive for optimum in self.optima.values()),
                "optima": len(self.optima),
            }
        if self.character:
            split = self.character.split
            found |= {
                "osi": self.character.measure("osi"),
                "polysemantic_p": split.p if split else None,
                "traits": [trait.word for trait in self.character.properties if trait.holds],
            }
        return found

    @property
    def labels(self) -> list[str | None]:
        """The class of each photograph of the confirmation half; None: unlabelled."""
        return [self.keys[place] for place in self.findings.sample.places.tolist()]

    @property
    def scores(self) -> np.ndarray:
        """The unit's peak on each photograph of the confirmation half `(N,)`."""
        peaks = self.recording.observation.peaks[self.unit.layer]
        found: np.ndarray = peaks.values[self.findings.sample.places, self.unit.filter]
        return found

    @cached_property
    def positions(self) -> Positions:
        """The sampled positions of the confirmation half."""
        part, mean = self.findings.sample.confirmation, self.findings.sample.discovery.center
        keys = dict(enumerate(self.labels))
        return Positions(part.u, part.sampled, part.of, part.threshold, mean, keys)

    @cached_property
    def strong(self) -> Positions:
        """All positions of strong responses of the confirmation half."""
        return self.strong_of(self.findings.sample.confirmation)

    def strong_of(self, part: Part) -> Positions:
        """Return all positions of strong responses of one half of the photographs."""
        mean = self.findings.sample.discovery.center
        return Positions(part.top, part.strong, part.top_of, -np.inf, mean)

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """The share of its activation that each exemplar keeps under each step of a transform.

        `{transform: (exemplars, steps)}`, each exemplar of another photograph. Each kind of move is
        one, and so is `pose`: left and right exchanged, and small rotations.
        """
        found = self.character.invariance if self.character else None
        if found is None:
            return {}
        alive = found.kept[:, 0] > 0
        shares = found.kept[alive, 1:] / found.kept[alive, :1]
        return {kind: shares[:, found.of(kind)] for kind in {move.kind: 0 for move in found.moves}}

    @property
    def tunings(self) -> dict[str, Tuning]:
        """How selective the unit is, by feature."""
        return tunings(self.character.tuning, self.unit.filter) if self.character else {}

    def input_tunings(self, channel: int) -> dict[str, Tuning]:
        """Return how selective an input is, by feature; nothing for a colour of the image.

        The layer that it comes from is shown the drawn stimuli once, which takes some seconds.
        """
        source = self.circuit.sources[channel]
        if source.layer == IMAGE:
            return {}
        if source.layer not in self._tuned:
            position = probe(self.network, source.layer)
            self._tuned[source.layer] = tuning.measure(position.respond, position.size)
        return tunings(self._tuned[source.layer], source.filter)

    @cached_property
    def _tuned(self) -> dict[str, tuning.Tuning]:
        return {}


DRAWS = 999  # of phases, and exchanges of angles


def tunings(tuned: tuning.Tuning, filter: int) -> dict[str, Tuning]:
    """Return how selective a filter is for what drawn stimuli vary in, as far as it can be tested.

    Of orientation, the phases of the gratings are what is measured again and again: they are drawn
    anew for the interval, and exchange their angles by themselves for the p.
    """
    value = float(tuned.measures["osi"][filter])
    if not np.isfinite(value):
        return {}
    angles = tuned.axes["grating"]["orientation"]
    found = tuned.sets["grating"][..., 0, filter]  # (orientations, frequencies, phases)
    pace = int(np.unravel_index(found.mean(axis=2).argmax(), found.shape[:2])[1])
    curve = found[:, pace]
    random = np.random.default_rng(0)
    drawn = random.integers(0, curve.shape[1], (DRAWS, curve.shape[1]))
    again = np.abs(circular.resultant(curve[:, drawn].mean(axis=2), angles, 2))
    p = circular.permuted(curve, angles, 2, DRAWS, random)
    return {"orientation": (bootstrap.Bootstrap(np.asarray(value), again, curve.shape[1]), p)}
