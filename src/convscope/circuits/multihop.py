"""A unit over several layers: the filters that read it, and the paths through its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File

import numpy as np

from convscope.circuits.ablation import InputMeans, Kept, Means, Reduction, reduced
from convscope.circuits.attribution import Part
from convscope.circuits.edges import CircuitAnalysis, plain
from convscope.circuits.expanded_weights import AGREES, CANCELS, Expander, Expansion
from convscope.circuits.paths import Contributions, Upstream, upstream
from convscope.circuits.weights import Downstream, downstream
from convscope.data import dataset
from convscope.models.backend import tf
from convscope.models.network import Network
from convscope.settings import ImageSettings, InputSettings
from convscope.stats import bootstrap
from convscope.text import fixed
from convscope.unit import Unit

RESPONSES = 64  # strong responses whose Jacobians are averaged: each takes a pass of its own
TOGETHER = 8  # of them at a time
RANDOM = 3  # draws of random paths, as many as are kept
FIRST = 10  # filters that read the unit, of those that are shown


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

    def measures(self, rise: float) -> dict[str, object]:
        """Return its figures, the share among them of what the preactivation rises by."""
        return plain({
            "rank": self.rank, "shift": self.shift, "mean": self.mean,
            "top": self.mean + self.shift, "shift_discovery": self.discovery,
            "share": self.shift / rise if rise else float("nan"), "static": self.static,
            "data": self.data, "cancellation": self.cancellation, "correlation": self.correlation,
        })  # fmt: skip


@dataclass(frozen=True)
class PathAnalysis:
    """What lies behind the inputs of a unit and after the unit.

    Attributes:
        root: the unit.
        downstream: the filters that read it.
        paths: what reaches it through its inputs, those that are kept, strongest first for each.
        rise: how much the preactivation rises at strong responses.
        remainder: for each hop what neither paths nor biases explain of it; empty: not asked for.
        reach: figures of the network really run with these paths alone; None where there are none.
        photographs: how many these figures are of.
    """

    root: Unit
    downstream: Downstream
    paths: tuple[CircuitPath, ...] = ()
    rise: float = float("nan")
    remainder: tuple[float, ...] = ()
    reach: Mapping[str, float] | None = None
    photographs: int = 0

    def tables(self) -> dict[str, list[dict[str, object]]]:
        """Return the rows of each table that is written, none of them empty."""
        paths = [
            {
                "depth": it.depth, "source": it.source.place, "filter": it.source.filter,
                "through": it.through.place, "through_filter": it.through.filter,
                **it.measures(self.rise),
            }
            for it in self.paths
        ]  # fmt: skip
        found = {"clients": self.downstream.records(), "paths": paths}
        return {name: rows for name, rows in found.items() if rows}

    def scalars(self) -> dict[str, object]:
        """Return the figures of the summary."""
        found: dict[str, object] = {"clients": len(self.downstream.filters)}
        if self.reach:
            found |= plain(self.reach)
            found["paths"] = len(self.paths)
            found["paths_remainder"] = max(map(abs, self.remainder)) / abs(self.rise)
        return found

    def document(self) -> dict[str, object]:
        """Return the paths as plain values, for `circuit.json`."""
        return {
            "paths": [
                {"depth": it.depth, "source": vars(it.source), "target": vars(it.through),
                 **it.measures(self.rise)}
                for it in self.paths
            ],
            "clients": [
                {**vars(it.unit), "l2": it.l2, "sum": it.sum, "sign_index": it.sign_index,
                 "label": it.label, "kernel": it.kernel.tolist()}
                for it in self.downstream.filters[:FIRST]
            ],
        }  # fmt: skip


def analyze(
    network: Network,
    analysis: CircuitAnalysis,
    photographs: Sequence[File],
    images: ImageSettings,
    settings: InputSettings,
    seed: int,
) -> PathAnalysis:
    """Return what lies behind the inputs of a unit and after the unit.

    Args:
        network: the network.
        analysis: the unit with its inputs, of which the edges are followed, on both halves.
        photographs: the readable photographs' files.
        images: how they are shown, and how many at a time.
        settings: how far the unit is followed.
        seed: of all that is drawn.
    """
    root = analysis.circuit.root
    readers = downstream(network, root, settings.mixed, settings.negligible)
    if settings.depth == 1:
        return PathAnalysis(root, readers)
    behind = upstream(network, root, settings.depth)
    walk = _Walk(behind, analysis, tuple(photographs), images, settings.branches, seed)
    first, rest, means, kernels = walk.measured()
    paths = tuple(walk.paths(first, rest, kernels))
    return PathAnalysis(
        root,
        readers,
        paths,
        rise=rest.top.total - rest.all.total,
        remainder=tuple(
            rest.top.remainder(at) - rest.all.remainder(at) for at in range(settings.depth - 1)
        ),
        reach=walk.run(paths, means) if paths else None,
        photographs=analysis.sample.confirmation.photographs,
    )


@dataclass(frozen=True)
class _Flows:
    """Mean contributions of one half: at strong responses and at all positions."""

    top: Contributions
    all: Contributions

    def shift(self, at: int, name: str) -> np.ndarray:
        """Return how much more flows at strong responses `(channels, filters)`."""
        return self.top.edges[at][name] - self.all.edges[at][name]


@dataclass(frozen=True)
class _Walk:
    """The photographs of both halves and the network before the unit."""

    upstream: Upstream
    analysis: CircuitAnalysis
    photographs: tuple[File, ...]
    images: ImageSettings
    branches: int
    seed: int

    def measured(self) -> tuple[_Flows, _Flows, Means, dict[str, Expansion]]:
        """Return what flows on each half, the means of the first, the second's Jacobians."""
        averager, expander = InputMeans(self.upstream), Expander(self.upstream, self.images.sides)
        sample, found = self.analysis.sample, []
        halves = [sample.discovery, sample.confirmation] if sample.apart else [sample.confirmation]
        for part in halves:
            strong = part.z >= part.threshold
            flows = _Flows(Contributions(self.upstream), Contributions(self.upstream))
            drawn = np.argwhere(strong)
            count, random = min(RESPONSES, len(drawn)), np.random.default_rng(self.seed)
            drawn = drawn[np.sort(random.choice(len(drawn), count, replace=False))]
            for which, values in self._seen(part):
                for kept, into in ((strong, flows.top), (np.ones_like(strong), flows.all)):
                    weights = self._weights(kept[which] / kept.sum(), values)
                    if weights.any():
                        into.add(values, weights)
                if part is halves[0]:
                    averager.add(values)
                if part is halves[-1]:
                    photographs, places = drawn[np.isin(drawn[:, 0], which)].T
                    seen = [np.searchsorted(which, photographs), *sample.inside.at(places)]
                    for start in range(0, len(places), TOGETHER):
                        expander.add(values, np.stack(seen, axis=1)[start : start + TOGETHER])
            found.append(flows)
        return found[0], found[-1], averager.means(), expander.found()

    def paths(
        self, first: _Flows, rest: _Flows, kernels: Mapping[str, Expansion]
    ) -> Iterator[CircuitPath]:
        """Yield the strongest paths through each of the circuit's inputs, and through theirs."""
        through = list(dict.fromkeys(edge.source for edge in self.analysis.circuit.edges))
        for at, sources in enumerate(self.upstream.sources):
            reached: list[Unit] = []
            for unit in through:
                if unit.layer not in sources:  # the image, or a layer not linear in its inputs
                    continue
                chosen = first.shift(at, unit.layer)[:, unit.filter]
                order = np.argsort(-np.abs(chosen), kind="stable")[: self.branches]
                shown = rest.shift(at, unit.layer)[:, unit.filter]
                mean = rest.all.edges[at][unit.layer][:, unit.filter]
                kernel = kernels.get(unit.layer) if not at else None
                for rank, channel in enumerate(order[chosen[order] != 0].tolist(), 1):
                    source = sources[unit.layer][channel]
                    reached.append(source)
                    flow = (float(values[channel]) for values in (shown, mean, chosen))
                    yield CircuitPath(
                        at + 2, source, unit, channel, rank, *flow,
                        *(kernel.of(channel) if kernel else ()),
                    )  # fmt: skip
            through = list(dict.fromkeys(reached))

    def run(self, paths: Sequence[CircuitPath], means: Means) -> dict[str, float]:
        """Return what the network with some paths alone gives on the confirmation half.

        A filter whose inputs are at their mean gives less than its own mean where its activation
        bends, so that with no path left the recovery may lie below 0.
        """
        part = self.analysis.sample.confirmation
        shown = [edge.channel for edge in self.analysis.circuit.edges]
        inputs = self.upstream.linear.channels[shown].tolist()
        others = float(np.delete(part.center, shown).sum())
        kept: dict[tuple[int, Unit], list[int]] = {}
        for path in paths:
            kept.setdefault((path.depth - 2, path.through), []).append(path.channel)
        none: Kept = {key: [] for key in kept}
        draw = np.random.default_rng(self.seed)
        random = [
            {
                (at, unit): draw.choice(len(means[unit.layer]), len(channels), replace=False)
                for (at, unit), channels in kept.items()
            }
            for _ in range(RANDOM)
        ]
        reductions: list[tuple[Kept, Reduction]] = [
            (one, Reduction(part.bias + float(part.center.sum())))
            for one in (kept, {}, none, *random)
        ]
        for which, values in self._seen(part):
            for one, reduction in reductions:
                z = reduced(self.upstream, values, means, inputs, one) + others
                inside = self.analysis.sample.inside.of(z)
                reduction.add(part.z[which], inside, part.threshold)
        weights = bootstrap.draws(part.photographs, self.seed)
        own = reductions[0][1]
        (share, low, high), whole, left, *chance = (one.recovery(weights) for _, one in reductions)
        return {
            "paths_recovery": share, "paths_recovery_low": low, "paths_recovery_high": high,
            "paths_r2": own.r2, "paths_false_fire": own.false_fire, "paths_whole": whole[0],
            "paths_none": left[0], "paths_random": float(np.mean([one[0] for one in chance])),
        }  # fmt: skip

    def _seen(self, part: Part) -> Iterator[tuple[np.ndarray, dict[str, tf.Tensor]]]:
        """Yield which photographs of a half come next, and what the network makes of them."""
        own = self.analysis.sample.places
        if part is not self.analysis.sample.confirmation:
            own = np.setdiff1d(np.arange(len(self.photographs)), own)
        files, images = [self.photographs[place] for place in own], self.images
        for batch in dataset.batches(files, images.sides, images.batch, images.fit):
            if batch.paths:
                yield np.array(batch.places), self.upstream.body(tf.constant(batch.pixels))

    def _weights(self, values: np.ndarray, seen: Mapping[str, tf.Tensor]) -> np.ndarray:
        """Return weights `(photographs, positions)` as maps of the unit's layer."""
        inside = self.analysis.sample.inside
        found = np.zeros(self.upstream.answer(seen[self.upstream.read]).shape, np.float32)
        rows, columns = inside.at(np.arange(inside.count))
        found[:, rows, columns] = values
        return found
