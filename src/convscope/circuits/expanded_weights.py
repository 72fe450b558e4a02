"""The weights of two hops as one kernel, as they stand and as photographs switch them on.

The static kernel is the Jacobian of a linearised network: activations pass on what they get and
max-pools take the mean. It misleads where gates shut or where signs cancel from one photograph to
the next, so it stands beside the mean Jacobian at strong responses. After "Visualizing Weights"
(Voss et al., Distill, 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convscope.circuits.paths import ZERO, Upstream, called
from convscope.models.backend import tf
from convscope.models.position import receptive_field

CANCELS = 0.5
"""Half of a channel's influence is lost in the mean: the sign changes with the photograph."""
AGREES = 0.8
"""Correlation of both kernels from which the static one is taken at its word (circuits.md 2.9)."""


@dataclass(frozen=True)
class Patch:
    """Which positions of what a maker reads one position of the unit's map sees, on each axis.

    Attributes:
        starts: of the patch of position 0.
        strides: between patches of neighbouring positions.
        extents: positions of a patch.
    """

    starts: tuple[int, int]
    strides: tuple[int, int]
    extents: tuple[int, int]

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
        side: height and width of the photographs' views in pixels.
        count: strong responses so far.
    """

    upstream: Upstream
    side: int
    count: int = 0

    def __post_init__(self) -> None:
        """Begin with nothing summed up."""
        self._mean: dict[str, list[np.ndarray]] = {}
        self._size: dict[str, list[np.ndarray]] = {}
        self._patches: dict[str, list[Patch]] = {}
        self._static: dict[str, list[np.ndarray]] = {}

    def add(self, values: Mapping[str, tf.Tensor], places: np.ndarray) -> None:
        """Take in strong responses.

        Args:
            values: what `upstream.body` gives for some photographs.
            places: photograph, row and column of each response `(n, 3)`.
        """
        chosen = {name: tf.gather(value, places[:, 0]) for name, value in values.items()}
        shape = self.upstream.answer(values["read"]).shape
        if not self._patches:
            self._begin(values, (shape[1], shape[2]))
        weights = np.zeros((len(places), *shape[1:]), np.float32)
        weights[np.arange(len(places)), places[:, 1], places[:, 2]] = 1
        self.count += len(places)
        for name, slopes in jacobian(self.upstream, chosen, weights).items():
            for at, slope in enumerate(slopes):
                patch, maps = self._patches[name][at], _maps(slope)
                for one, (_, row, column) in zip(maps, places.tolist(), strict=True):
                    seen = patch.of(one, row, column)
                    self._mean[name][at] += seen
                    self._size[name][at] += np.abs(seen).sum(axis=(0, 1))

    def found(self) -> dict[str, Expansion]:
        """Return the kernels over all that each maker reads, none without strong responses."""
        return {
            name: Expansion(
                _joined(self._static[name]),
                _joined(self._mean[name]) / self.count,
                np.concatenate(self._size[name]) / self.count,
            )
            for name in self._mean
        }

    def _begin(self, values: Mapping[str, tf.Tensor], size: tuple[int, int]) -> None:
        """Find the patches, and the static kernels at the middle of the maps."""
        read = self.upstream.read(values, 0)
        middle = size[0] // 2, size[1] // 2
        weights = np.zeros((1, *size), np.float32)
        weights[0, *middle] = 1
        one = {name: value[:1] for name, value in values.items()}
        static = jacobian(self.upstream, one, weights, linearised=True)
        for name, tensors in read.items():
            symbols = self.upstream.hops[0].reads[name]
            self._patches[name] = [
                _patch(self.upstream, symbol._keras_history.operation.name, self.side, _maps(it))
                for symbol, it in zip(symbols, tensors, strict=True)
            ]
            pairs = list(zip(self._patches[name], static[name], strict=True))
            self._static[name] = [patch.of(_maps(it)[0], *middle) for patch, it in pairs]
            self._mean[name] = [np.zeros(it.shape) for it in self._static[name]]
            self._size[name] = [np.zeros(it.shape[-1]) for it in self._static[name]]


def jacobian(
    upstream: Upstream,
    values: Mapping[str, tf.Tensor],
    weights: np.ndarray,
    *,
    linearised: bool = False,
) -> dict[str, list[np.ndarray]]:
    """Return the gradient of the unit for what the makers of the first hop read, by their names.

    Args:
        upstream: the unit with the hops behind it.
        values: what `upstream.body` gives for some photographs.
        weights: of each position of the unit's map `(photographs, rows, columns)`.
        linearised: activations pass on what they get, and max-pools take the mean, so that the
            values count for nothing.
    """
    hop, made = upstream.hops[0], upstream.made(values, 0)
    # One tensor may be read twice.
    given = {
        name: [tf.identity(it) for it in its] for name, its in upstream.read(values, 0).items()
    }
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(given)
        made |= {it.name: called(it, given[it.name]) for it in hop.makers if it.name in given}
        (read,) = hop.onward(made, linearised=linearised)
        total = tf.reduce_sum(upstream.answer(read) * weights)
    slopes = tape.gradient(total, given, unconnected_gradients=ZERO)
    return {name: [it.numpy() for it in found] for name, found in slopes.items()}


def _maps(values: tf.Tensor | np.ndarray) -> np.ndarray:
    """Return values `(samples, rows, columns, channels)`, a row of numbers as one position."""
    found = np.asarray(values)
    return found[:, None, None] if found.ndim == 2 else found


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Return the kernels of several branches side by side, the smaller ones amid zeros."""
    extents = np.max([part.shape[:2] for part in parts], axis=0)
    padded = []
    for part in parts:
        before = (extents - part.shape[:2]) // 2
        after = extents - part.shape[:2] - before
        padded.append(np.pad(part, [*zip(before, after, strict=True), (0, 0)]))
    return np.concatenate(padded, axis=-1)


def _patch(upstream: Upstream, name: str, side: int, maps: np.ndarray) -> Patch:
    """Return which positions of an operation's output the unit's positions see."""
    network, size = upstream.network, (side, side)
    ours = receptive_field(network, upstream.unit.layer, size)
    its = receptive_field(network, name, size)
    whole = Patch((0, 0), (0, 0), (maps.shape[1], maps.shape[2]))
    if ours is None or its is None or ours.whole or its.whole:
        return whole
    starts, strides, extents = [], [], []
    for one, other in ((ours.rows, its.rows), (ours.columns, its.columns)):
        if one.stride % other.stride:
            return whole
        starts.append(-((one.padding - other.padding) // other.stride))
        strides.append(one.stride // other.stride)
        extents.append(-(-(one.size - other.size) // other.stride) + 1)
    return Patch((starts[0], starts[1]), (strides[0], strides[1]), (extents[0], extents[1]))
