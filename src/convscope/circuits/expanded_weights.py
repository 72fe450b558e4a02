"""The weights of two hops as one kernel, as they stand and as photographs switch them on.

The static kernel is the Jacobian of a linearised network: activations pass on what they get and
max-pools take the mean. It misleads where gates shut or where signs cancel from one photograph to
the next, so it stands beside the mean Jacobian at strong responses. After "Visualizing Weights"
(Voss et al., Distill, 2021).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.circuits.paths import ZERO, Upstream, called
from convscope.models.backend import tf
from convscope.models.network import mapped
from convscope.models.position import receptive_field

CANCELS = 0.5
"""Half of a channel's influence is lost in the mean: the sign changes with the photograph."""
AGREES = 0.8
"""Correlation of both kernels from which the static one is taken at its word."""


@dataclass(frozen=True)
class Patch:
    """Which positions of what a maker reads one position of the unit's map sees, on each axis.

    Attributes:
        starts: of the patch of position 0.
        strides: between patches of neighbouring positions.
        extents: positions of a patch.
    """

    starts: Sequence[int]
    strides: Sequence[int]
    extents: Sequence[int]

    def of(self, maps: np.ndarray, row: int, column: int) -> np.ndarray:
        """Return the patch of a map `(rows, columns, channels)`, zero beyond its edge."""
        sides = [(extent, extent) for extent in self.extents]
        rows, columns = (
            slice(first := min(max(start + stride * at, -extent), length) + extent, first + extent)
            for at, start, stride, extent, length in zip(
                (row, column), self.starts, self.strides, self.extents, maps.shape, strict=False
            )
        )
        return np.pad(maps, [*sides, (0, 0)])[rows, columns]


@dataclass(frozen=True)
class Expansion:
    """The kernel of each channel that a maker reads, over both hops.

    Attributes:
        static: Jacobian of the linearised network `(height, width, channels)`.
        data: mean Jacobian at strong responses, likewise.
        size: mean over strong responses of the summed magnitudes of the Jacobian `(channels,)`.
    """

    static: np.ndarray
    data: np.ndarray
    size: np.ndarray

    @property
    def cancellation(self) -> np.ndarray:
        """1 - |E J|_1 / E|J|_1 `(channels,)`: 0 where signs agree, near 1 where they cancel."""
        mean = np.abs(self.data).sum(axis=(0, 1))
        share = np.divide(mean, self.size, out=np.ones_like(mean), where=self.size > 0)
        return np.clip(1 - share, 0, 1)

    @property
    def correlation(self) -> np.ndarray:
        """How the taps of both kernels correlate `(channels,)`; NaN for one tap or equal ones."""
        both = (values.reshape(-1, values.shape[-1]) for values in (self.static, self.data))
        one, other = (values - values.mean(axis=0) for values in both)
        size = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
        none = np.full(size.shape, np.nan)
        return np.divide((one * other).sum(axis=0), size, out=none, where=size > 0)

    def of(self, channel: int) -> tuple[float, float, float, float]:
        """Return the sums of both kernels of a channel, its cancellation and its correlation."""
        return (
            float(self.static[..., channel].sum()), float(self.data[..., channel].sum()),
            float(self.cancellation[channel]), float(self.correlation[channel]),
        )  # fmt: skip


@dataclass
class Expander:
    """Jacobians that are summed up over strong responses.

    Attributes:
        upstream: the unit with the hops behind it.
        sides: height and width of the photographs' views in pixels.
        count: strong responses so far.
        patches: {maker: what the unit sees of each operation that it reads}.
        static: {maker: the Jacobian of the linearised network}.
        sums: {maker: the sum of Jacobians, and of their magnitudes over a patch}; float64.
    """

    upstream: Upstream
    sides: tuple[int, int]
    count: int = 0
    patches: dict[str, list[Patch]] = field(default_factory=dict)
    static: dict[str, np.ndarray] = field(default_factory=dict)
    sums: dict[str, list[Any]] = field(
        default_factory=lambda: defaultdict(lambda: [np.float64(), np.float64()])
    )

    def add(self, values: Mapping[str, tf.Tensor], places: np.ndarray) -> None:
        """Take in strong responses.

        Args:
            values: what `upstream.body` gives for some photographs.
            places: photograph, row and column of each response `(n, 3)`.
        """
        chosen = {name: tf.gather(value, places[:, 0]) for name, value in values.items()}
        shape = self.upstream.answer(values[self.upstream.read]).shape
        if not self.patches:
            self._begin(values, shape[1:])
        weights = np.zeros((len(places), *shape[1:]), np.float32)
        weights[np.arange(len(places)), places[:, 1], places[:, 2]] = 1
        self.count += len(places)
        for name, slopes in jacobian(self.upstream, chosen, weights).items():
            for at, (_, row, column) in enumerate(places.tolist()):
                seen = self._seen(name, [slope[at] for slope in slopes], row, column)
                self.sums[name][0] += seen
                self.sums[name][1] += np.abs(seen).sum(axis=(0, 1))

    def found(self) -> dict[str, Expansion]:
        """Return the kernels over all that each maker reads, none without strong responses."""
        return {
            name: Expansion(self.static[name], mean / self.count, size / self.count)
            for name, (mean, size) in self.sums.items()
        }

    def _begin(self, values: Mapping[str, tf.Tensor], size: Sequence[int]) -> None:
        """Find the patches, and the static kernels at the middle of the maps."""
        middle = size[0] // 2, size[1] // 2
        weights = np.zeros((1, *size), np.float32)
        weights[0, *middle] = 1
        one = {name: value[:1] for name, value in values.items()}
        for name, slopes in jacobian(self.upstream, one, weights, linearised=True).items():
            self.patches[name] = [
                _patch(self.upstream, read, self.sides, slope.shape[1:3])
                for read, slope in zip(self.upstream.hops[0].reads[name], slopes, strict=True)
            ]
            self.static[name] = self._seen(name, [slope[0] for slope in slopes], *middle)

    def _seen(self, name: str, maps: Sequence[np.ndarray], row: int, column: int) -> np.ndarray:
        """Return what a position sees of maps that a maker reads, the smaller ones amid zeros."""
        pairs = zip(self.patches[name], maps, strict=True)
        parts, padded = [patch.of(one, row, column) for patch, one in pairs], []
        extents = np.max([part.shape[:2] for part in parts], axis=0)
        for part in parts:
            before = (extents - part.shape[:2]) // 2
            after = extents - part.shape[:2] - before
            padded.append(np.pad(part, [*zip(before, after, strict=True), (0, 0)]))
        return np.concatenate(padded, axis=-1)


def jacobian(
    upstream: Upstream,
    values: Mapping[str, tf.Tensor],
    weights: np.ndarray,
    *,
    linearised: bool = False,
) -> dict[str, list[np.ndarray]]:
    """Return the gradient of the unit for the maps that each maker of the first hop reads.

    Args:
        upstream: the unit with the hops behind it.
        values: what `upstream.body` gives for some photographs.
        weights: of each position of the unit's map `(photographs, rows, columns)`.
        linearised: activations pass on what they get, and max-pools take the mean, so that the
            values count for nothing.
    """
    hop = upstream.hops[0]
    # One tensor may be read twice.
    given = {name: [tf.identity(values[it]) for it in its] for name, its in hop.reads.items()}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(given)
        made = {it.name: called(it, given[it.name]) for it in hop.makers if it.name in given}
        (read,) = hop.onward({**values, **made}, linearised=linearised)
        total = tf.reduce_sum(upstream.answer(read) * weights)
    slopes = tape.gradient(total, given, unconnected_gradients=ZERO)
    return {name: [mapped(it).numpy() for it in found] for name, found in slopes.items()}


def _patch(upstream: Upstream, name: str, sides: tuple[int, int], extents: Sequence[int]) -> Patch:
    """Return which positions of an operation's output, of this size, the unit's positions see."""
    network = upstream.network
    ours = receptive_field(network, upstream.unit.layer, sides)
    its = receptive_field(network, name, sides)
    if ours is None or its is None or ours.whole or its.whole:
        return Patch((0, 0), (0, 0), extents)
    axes = [(ours.rows, its.rows), (ours.columns, its.columns)]
    whole = all(axis.whole for pair in axes for axis in pair)
    if not whole or any(one.stride % other.stride for one, other in axes):
        return Patch((0, 0), (0, 0), extents)
    return Patch(
        starts=[-((one.padding - other.padding) // other.stride) for one, other in axes],
        strides=[one.stride // other.stride for one, other in axes],
        extents=[-(-(one.size - other.size) // other.stride) + 1 for one, other in axes],
    )
