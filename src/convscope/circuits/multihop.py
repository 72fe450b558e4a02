"""A unit beyond its inputs: who reads it, and the paths that reach it through its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File

import numpy as np

from convscope.circuits.ablation import Averager, Kept, Means, Truth, reduced
from convscope.circuits.attribution import Part, Sample
from convscope.circuits.edges import Circuit
from convscope.circuits.expanded_weights import AGREES, CANCELS, Expander, Expansion
from convscope.circuits.paths import Cascade, Tally, cascade, tally
from convscope.circuits.weights import Clients, clients
from convscope.data import dataset
from convscope.data.views import Fit
from convscope.models.backend import tf
from convscope.models.network import Network
from convscope.stats import bootstrap
from convscope.text import fixed
from convscope.unit import Unit

RESPONSES = 64  # strong responses whose Jacobians are averaged: each takes a pass of its own
TOGETHER = 8  # of them at a time
RANDOM = 3  # draws of random paths, as many as are kept
FIRST = 10  # clients that are shown

PATHS = (
    "depth", "source", "filter", "through", "through_filter", "rank", "shift", "mean", "top",
    "shift_discovery", "share", "static", "data", "cancellation", "correlation",
)  # fmt: skip
"""The columns of `paths.csv`, in order."""


@dataclass(frozen=True)
class CircuitPath:
    """What flows from one filter through another to the unit, on the confirmation half.

    Attributes:
        depth: 2 for an input of an input, 3 for an input of that.
        source: where it begins.
        through: the filter that it goes through next.
        channel: which input channel of that filter's layer the source is.
        rank: 1 for the strongest of all that goes through that filter.
        shift: how much more it adds to strong responses than on average.
        mean: what it adds on average.
        discovery: the shift on the other half, which chose.
        static: sum of the source's expanded weights, over all ways; NaN beyond two hops.
        data: the same of the mean Jacobian at strong responses.
        cancellation: the part of the Jacobian that is lost in this mean.
        correlation: how the taps of both correlate.
    """

    depth: int
    source: Unit
    through: Unit
    channel: int
    rank: int
    shift: float
    mean: float
    discovery: float
    static: float = float("nan")
    data: float = float("nan")
    cancellation: float = float("nan")
    correlation: float = float("nan")

    @property
    def misleads(self) -> str:
        """Why the expanded weights cannot be taken at their word, "" where they can."""
        if self.cancellation >= CANCELS:
            return f"{100 * self.cancellation:.0f} % of its influence cancels between photographs"
        if self.correlation < AGREES:
            return f"its weights correlate by {fixed(self.correlation)} with what they do"
        return ""


@dataclass(frozen=True)
class Reach:
    """What the paths that are kept carry.

    Attributes:
        truth: the network with these paths alone.
        whole: the network with the inputs shown and all that feeds them.
        none: the network with none of these paths: a filter whose inputs are at their mean gives
            less than its own mean where its activation bends, so this may recover less than 0.
        random: the network with as many random paths, for each draw.
        weights: draws of photographs.
    """

    truth: Truth
    whole: Truth
    none: Truth
    random: tuple[Truth, ...]
    weights: np.ndarray

    @property
    def scalars(self) -> dict[str, float]:
        """The figures of the summary."""
        share, low, high = self.truth.recovery(self.weights)
        chance = [one.recovery(self.weights)[0] for one in self.random]
        return {
            "paths_recovery": share, "paths_recovery_low": low, "paths_recovery_high": high,
            "paths_r2": self.truth.r2, "paths_false_fire": self.truth.false_fire,
            "paths_whole": self.whole.recovery(self.weights)[0],
            "paths_none": self.none.recovery(self.weights)[0],
            "paths_random": float(np.mean(chance)),
        }  # fmt: skip


@dataclass(frozen=True)
class Hops:
    """All that lies beyond the inputs of a unit.

    Attributes:
        root: the unit.
        clients: who reads it.
        paths: what reaches it through its inputs, those that are kept, strongest first for each.
        rise: how much the preactivation rises at strong responses.
        rest: for each hop what the biases add to that rise by opening and shutting gates.
        remainder: for each hop what neither paths nor biases explain of it.
        agreement: how static and mean Jacobian of each layer two hops back correlate.
        reach: what the paths carry when the network with nothing else is run; None where there
            are none.
    """

    root: Unit
    clients: Clients
    paths: tuple[CircuitPath, ...] = ()
    rise: float = float("nan")
    rest: tuple[float, ...] = ()
    remainder: tuple[float, ...] = ()
    agreement: Mapping[str, float] = field(default_factory=dict)
    reach: Reach | None = None

    def tables(self) -> dict[str, list[dict[str, object]]]:
        """Return the rows of each table that is written, none of them empty."""
        found = {"clients": self.clients.records(), "paths": [self._row(it) for it in self.paths]}
        return {name: rows for name, rows in found.items() if rows}

    def scalars(self) -> dict[str, object]:
        """Return the figures of the summary."""
        found: dict[str, object] = {"clients": len(self.clients.found)}
        if self.reach:
            found |= {name: value if np.isfinite(value) else None
                      for name, value in self.reach.scalars.items()}  # fmt: skip
            found |= {
                "paths": len(self.paths),
                "paths_remainder": max(map(abs, self.remainder)) / abs(self.rise),
            }
        return found

    def document(self) -> dict[str, object]:
        """Return the paths as plain values, for `circuit.json`."""
        return {
            "paths": [
                {
                    "depth": it.depth,
                    "source": {"layer": it.source.layer, "filter": it.source.filter},
                    "target": {"layer": it.through.layer, "filter": it.through.filter},
                    **{key: value for key, value in self._row(it).items() if key in PATHS[5:]},
                }
                for it in self.paths
            ],
            "clients": [
                {"layer": it.unit.layer, "filter": it.unit.filter, "l2": it.l2, "sum": it.sum,
                 "sign_index": it.sign_index, "label": it.label, "kernel": it.kernel.tolist()}
                for it in self.clients.found[:FIRST]
            ],
        }  # fmt: skip

    def _row(self, path: CircuitPath) -> dict[str, object]:
        values = (
            path.depth, path.source.layer, path.source.filter, path.through.layer,
            path.through.filter, path.rank, path.shift, path.mean, path.mean + path.shift,
            path.discovery, path.shift / self.rise if self.rise else float("nan"), path.static,
            path.data, path.cancellation, path.correlation,
        )  # fmt: skip
        plain = (None if isinstance(it, float) and not np.isfinite(it) else it for it in values)
        return dict(zip(PATHS, plain, strict=True))


def hops(
    network: Network,
    circuit: Circuit,
    sample: Sample,
    photographs: Sequence[File],
    view: tuple[int, int, Fit],
    depth: int,
    branches: int,
    limits: tuple[float, float],
    seed: int,
) -> Hops:
    """Return what lies beyond the inputs of a unit.

    Args:
        network: the network.
        circuit: the unit with its inputs, of which the edges are followed.
        sample: where it responds strongly, on both halves.
        photographs: the readable photographs' files.
        view: pixels of a view, photographs at a time, and how those that are no squares are shown.
        depth: 1 for the clients alone; 2 or 3 follow paths back so far.
        branches: paths that each filter keeps.
        limits: where the labels "mixed" and "negligible" begin.
        seed: of all that is drawn.
    """
    readers = clients(network, circuit.root, *limits)
    if depth == 1:
        return Hops(circuit.root, readers)
    walk = _Walk(cascade(network, circuit.root, depth), sample, tuple(photographs), view, seed)
    first, rest, means, kernels = walk.measured()
    paths = tuple(_paths(walk, circuit, first, rest, kernels, branches))
    each = range(depth - 1)
    return Hops(
        circuit.root,
        readers,
        paths,
        rise=rest.top.total - rest.all.total,
        rest=tuple(rest.top.rest(at) - rest.all.rest(at) for at in each),
        remainder=tuple(rest.top.remainder(at) - rest.all.remainder(at) for at in each),
        agreement={name: one.agreement for name, one in kernels.items()},
        reach=walk.run(circuit, paths, means) if paths else None,
    )


@dataclass(frozen=True)
class _Flows:
    """Mean contributions of one half: at strong responses and at all positions."""

    top: Tally
    all: Tally

    def shift(self, at: int, name: str) -> np.ndarray:
        """Return how much more flows at strong responses `(channels, filters)`."""
        return self.top.edges[at][name] - self.all.edges[at][name]


@dataclass(frozen=True)
class _Walk:
    """The photographs of both halves and the network before the unit."""

    cascade: Cascade
    sample: Sample
    photographs: tuple[File, ...]
    view: tuple[int, int, Fit]
    seed: int

    def measured(self) -> tuple[_Flows, _Flows, Means, dict[str, Expansion]]:
        """Return what flows on each half, the means of the first, the second's Jacobians."""
        averager, expander = Averager(self.cascade), Expander(self.cascade, self.view[0])
        sample, found = self.sample, []
        halves = [sample.discovery, sample.confirmation] if sample.apart else [sample.confirmation]
        for part in halves:
            strong = part.z >= part.threshold
            flows = _Flows(Tally(), Tally())
            chosen = self._drawn(strong)
            for which, values in self._seen(part):
                for kept, into in ((strong, flows.top), (np.ones_like(strong), flows.all)):
                    weights = self._weights(kept[which] / kept.sum(), values)
                    if weights.any():
                        into.add(tally(self.cascade, values, weights))
                if part is halves[0]:
                    averager.add(values)
                if part is halves[-1]:
                    for places in self._places(chosen[which]):
                        expander.add(values, places)
            found.append(flows)
        return found[0], found[-1], averager.means(), expander.found()

    def run(self, circuit: Circuit, paths: Sequence[CircuitPath], means: Means) -> Reach:
        """Return what the network with some paths alone gives on the confirmation half."""
        part = self.sample.confirmation
        channels = self.cascade.linear.channels
        shown = [edge.channel for edge in circuit.edges]
        others = float(np.delete(part.center, shown).sum())
        kept = kept_of(paths)
        none = {key: np.array([], int) for key in kept}
        draw = np.random.default_rng(self.seed)
        random = [self._random(kept, means, draw) for _ in range(RANDOM)]
        base = part.bias + float(part.center.sum())
        truths = [Truth(base) for _ in range(3 + RANDOM)]
        for which, values in self._seen(part):
            for truth, one in zip(truths, (kept, {}, none, *random), strict=True):
                z = reduced(self.cascade, values, means, channels[shown].tolist(), one) + others
                truth.add(part.z[which], self.sample.inside.of(z), part.threshold)
        weights = bootstrap.draws(part.photographs, self.seed)
        return Reach(truths[0], truths[1], truths[2], tuple(truths[3:]), weights)

    def _seen(self, part: Part) -> Iterator[tuple[np.ndarray, dict[str, tf.Tensor]]]:
        """Yield which photographs of a half come next, and what the network makes of them."""
        own = self.sample.places
        if part is not self.sample.confirmation:
            own = np.setdiff1d(np.arange(len(self.photographs)), own)
        files, (side, together, fit) = [self.photographs[place] for place in own], self.view
        for batch in dataset.batches(files, side, together, fit):
            if batch.paths:
                yield np.array(batch.places), self.cascade.body(tf.constant(batch.pixels))

    def _weights(self, values: np.ndarray, seen: Mapping[str, tf.Tensor]) -> np.ndarray:
        """Return weights `(photographs, positions)` as maps of the unit's layer."""
        shape = self.cascade.answer(seen["read"]).shape
        inside = self.sample.inside
        found = np.zeros(shape, np.float32)
        rows, columns = inside.at(np.arange(inside.count))
        found[:, rows, columns] = values
        return found

    def _drawn(self, strong: np.ndarray) -> np.ndarray:
        """Return some of the strong responses, the same array with the others taken out."""
        places = np.argwhere(strong)
        count = min(RESPONSES, len(places))
        some = np.random.default_rng(self.seed).choice(len(places), count, replace=False)
        found = np.zeros_like(strong)
        found[tuple(places[some].T)] = True
        return found

    def _places(self, chosen: np.ndarray) -> Iterator[np.ndarray]:
        """Yield photograph, row and column of responses `(n, 3)`, a few at a time."""
        which, places = np.nonzero(chosen)
        found = np.stack([which, *self.sample.inside.at(places)], axis=1)
        for start in range(0, len(found), TOGETHER):
            yield found[start : start + TOGETHER]

    def _random(self, kept: Kept, means: Means, draw: np.random.Generator) -> Kept:
        """Return as many channels as are kept, drawn from all that each filter is given."""
        return {
            (at, unit): draw.choice(len(means[at][unit.layer]), len(channels), replace=False)
            for (at, unit), channels in kept.items()
        }


def kept_of(paths: Sequence[CircuitPath]) -> dict[tuple[int, Unit], np.ndarray]:
    """Return which channels each filter keeps, by hop."""
    found: dict[tuple[int, Unit], list[int]] = {}
    for path in paths:
        found.setdefault((path.depth - 2, path.through), []).append(path.channel)
    return {key: np.array(channels) for key, channels in found.items()}


def _paths(
    walk: _Walk,
    circuit: Circuit,
    first: _Flows,
    rest: _Flows,
    kernels: Mapping[str, Expansion],
    branches: int,
) -> Iterator[CircuitPath]:
    """Yield the strongest paths through each of the circuit's inputs, and through theirs."""
    through = list(dict.fromkeys(edge.source for edge in circuit.edges))
    for at, sources in enumerate(walk.cascade.sources):
        reached: list[Unit] = []
        for unit in through:
            if unit.layer not in sources:  # the image, or a layer that is not linear in its inputs
                continue
            chosen = first.shift(at, unit.layer)[:, unit.filter]
            order = np.argsort(-np.abs(chosen), kind="stable")[:branches]
            order = order[chosen[order] != 0]
            shown = rest.shift(at, unit.layer)[:, unit.filter]
            mean = rest.all.edges[at][unit.layer][:, unit.filter]
            for rank, channel in enumerate(order.tolist(), 1):
                source = sources[unit.layer][channel]
                reached.append(source)
                yield CircuitPath(
                    at + 2, source, unit, channel, rank, float(shown[channel]),
                    float(mean[channel]), float(chosen[channel]),
                    *(_expanded(kernels[unit.layer], channel)
                      if not at and unit.layer in kernels else ()),
                )  # fmt: skip
        through = list(dict.fromkeys(reached))


def _expanded(kernel: Expansion, channel: int) -> tuple[float, float, float, float]:
    """Return what a path says of its source's expanded weights."""
    return (
        float(kernel.static[..., channel].sum()), float(kernel.data[..., channel].sum()),
        float(kernel.cancellation[channel]), float(kernel.correlation[channel]),
    )  # fmt: skip
