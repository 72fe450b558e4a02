"""Kernel slices of one filter: how strong each input is and its sign, and which filters read it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.models.backend import keras
from convscope.models.flatten import normalization
from convscope.models.graph import after, before, concatenates, keeps, sums
from convscope.models.linear import obstacle
from convscope.models.network import Network
from convscope.unit import Unit

EXCITATORY, INHIBITORY, MIXED, NEGLIGIBLE = "excitatory", "inhibitory", "mixed", "negligible"
LABELS = (EXCITATORY, INHIBITORY, MIXED, NEGLIGIBLE)


@dataclass(frozen=True)
class Kernels:
    """What the weights alone say about each of the C inputs of a filter; arrays `(C,)`.

    Attributes:
        l2: square root of the summed squares of the slice.
        l1: sum of the magnitudes.
        sum: sum of the weights; times the input's mean activation, the expected contribution.
        positive: sum of the positive weights.
        negative: sum of the magnitudes of the negative weights.
        sign_index: (positive - negative) / (positive + negative), from -1 to 1; 0 for no weights.
        label: excitatory, inhibitory, mixed or negligible.
        majority: share of the weights that are positive.
        share: squared L2 over the sum of all inputs' squared L2.
        rank_l2: 1 for the largest L2; ties go to the lower channel.
    """

    l2: np.ndarray
    l1: np.ndarray
    sum: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    sign_index: np.ndarray
    label: np.ndarray
    majority: np.ndarray
    share: np.ndarray
    rank_l2: np.ndarray

    @property
    def mostly(self) -> np.ndarray:
        """The plain words for each input, by the sign of its index even where that is small."""
        words = np.array(["neither", "mostly excitatory", "mostly inhibitory"])
        return words[np.sign(self.sign_index).astype(int)]


def sign_index(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return (up - down) / (up + down), from -1 to 1; 0 for neither."""
    total = up + down
    return np.divide(up - down, total, out=np.zeros_like(total), where=total > 0)


def label(sign: np.ndarray, mixed: float, negligible: np.ndarray) -> np.ndarray:
    """Return excitatory, inhibitory, mixed or negligible for each input.

    Args:
        sign: from -1 to 1.
        mixed: |sign| below this is neither excitatory nor inhibitory.
        negligible: which inputs count for nothing, whatever their sign.
    """
    signed = np.where(sign > 0, EXCITATORY, INHIBITORY)
    return np.select([negligible, np.abs(sign) < mixed], [NEGLIGIBLE, MIXED], signed)


def measure(kernel: np.ndarray, mixed: float, negligible: float) -> Kernels:
    """Return the table of one filter's kernel slices.

    Args:
        kernel: weights `(height, width, C)`, in the order Keras stores them (cross-correlation).
        mixed: |sign index| below this is neither excitatory nor inhibitory.
        negligible: L2 below this share of the largest is negligible, whatever its sign.
    """
    taps = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    l2 = np.sqrt(np.sum(taps**2, axis=0))
    positive = np.sum(np.maximum(taps, 0), axis=0)
    negative = np.sum(np.maximum(-taps, 0), axis=0)
    index = sign_index(positive, negative)
    weak = l2 <= negligible * l2.max() if negligible else l2 == 0
    total = np.sum(l2**2)
    return Kernels(
        l2=l2,
        l1=positive + negative,
        sum=np.sum(taps, axis=0),
        positive=positive,
        negative=negative,
        sign_index=index,
        label=label(index, mixed, weak),
        majority=np.mean(taps > 0, axis=0),
        share=l2**2 / total if total else np.zeros_like(l2),
        rank_l2=np.argsort(np.argsort(-l2, kind="stable")) + 1,
    )


UNIFORM, OPPONENT, SURROUND, OTHER = "uniform", "opponent", "centre-surround", "other"
EVEN = 0.6  # share of the energy in the mean from which a kernel is uniform


def pattern(kernel: np.ndarray) -> tuple[str, float | None]:
    """Return what a kernel slice `(height, width)` looks like, and its angle where it has one.

    By its energy in the cosine basis: "uniform" where the mean holds 60 %; "opponent" where the
    two slowest waves hold most of the rest, with the angle in degrees, counterclockwise from the
    right, to the side of the larger weights; "centre-surround" where the middle has another sign
    than the mean around it; "other" otherwise. A kernel of zeros is "other".
    """
    height, width = kernel.shape
    waves = _cosines(height) @ kernel.astype(np.float64) @ _cosines(width).T
    energy = waves**2
    total = energy.sum()
    if not total:
        return OTHER, None
    if energy[0, 0] >= EVEN * total:
        return UNIFORM, None
    # The waves begin high at the top and at the left.
    up = waves[1, 0] if height > 1 else 0.0
    right = -waves[0, 1] if width > 1 else 0.0
    slow = up**2 + right**2
    if slow >= total - energy[0, 0] - slow:
        return OPPONENT, math.degrees(math.atan2(up, right)) % 360
    if height % 2 and width % 2:
        middle = kernel[height // 2, width // 2]
        around = kernel.sum(dtype=np.float64) - middle
        if middle * around < 0:
            return SURROUND, None
    return OTHER, None


def _cosines(length: int) -> np.ndarray:
    """Return the orthonormal cosine basis (DCT-II), a wave a row."""
    places = (np.arange(length) + 0.5) * np.pi / length
    waves = np.cos(np.arange(length)[:, None] * places) * math.sqrt(2 / length)
    waves[0] /= math.sqrt(2)
    return waves


L = keras.layers


@dataclass(frozen=True)
class DownstreamFilter:
    """A filter that reads a unit.

    Attributes:
        unit: the filter.
        channel: which of its layer's input channels the unit is.
        via: the joints and pools between, such as `add_3`; activations are not named.
        kernel: its weights over the unit `(height, width)`, times what the unit is multiplied by on
            the way, by a BatchNorm or in a difference.
        l2: their L2 norm.
        sum: their sum.
        sign_index: from -1, purely inhibitory, to 1, purely excitatory.
        label: excitatory, inhibitory, mixed, or negligible beside its layer's strongest reader.
        share: their part of all the squared weights of the filter.
    """

    unit: Unit
    channel: int
    via: tuple[str, ...]
    kernel: np.ndarray
    l2: float
    sum: float
    sign_index: float
    label: str
    share: float


@dataclass(frozen=True)
class Downstream:
    """All filters that read a unit.

    Attributes:
        filters: strongest first by L2; of equal ones the earlier layer's, then the lower.
        ends: operations at which the way on is no longer linear, so that no kernel reads the unit.
    """

    filters: tuple[DownstreamFilter, ...]
    ends: tuple[str, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that read the unit, that of the strongest filter first."""
        return tuple(dict.fromkeys(one.unit.layer for one in self.filters))

    def records(self) -> list[dict[str, object]]:
        """Return a row for each filter: what `clients.csv` says."""
        measures = ("l2", "sum", "sign_index", "label", "share")
        return [
            {"layer": one.unit.layer, "filter": one.unit.filter}
            | {name: getattr(one, name) for name in measures}
            | {"rank": rank, "channel": one.channel, "via": " ".join(one.via)}
            for rank, one in enumerate(self.filters, 1)
        ]


Ways = dict[int, tuple[float, tuple[str, ...]]]
"""{channel: what the unit is multiplied by on the way there, what lies between}."""


def downstream(network: Network, unit: Unit, mixed: float, negligible: float) -> Downstream:
    """Return the filters that read a unit, whose weights over it are not all zero.

    The walk goes on through activations, pools and BatchNorm, through sums, and through
    concatenations with the channel's new number. It ends at the first linear layers, so those that
    read a residual stream after later additions count too.

    Args:
        network: the network.
        unit: the filter that is read.
        mixed: |sign index| below this is neither excitatory nor inhibitory.
        negligible: L2 below this share of the layer's strongest is negligible.
    """
    graph, readers = network.graphs[-1], after(network.graphs[-1])
    found: list[DownstreamFilter] = []
    ends: list[str] = []
    reached: dict[str, Ways] = {unit.layer: {unit.filter: (1.0, ())}}
    for name in graph:
        for channel, (gain, via) in reached.pop(name, {}).items():
            for reader in readers.get(name, []):
                if not obstacle(reader):
                    filters, slices, whole = over(graph[reader.name], channel)
                    kernel = gain * slices
                    table = measure(kernel, mixed, negligible)
                    found += [
                        DownstreamFilter(
                            Unit(reader.name, int(filter)), channel, via, kernel[..., at],
                            float(table.l2[at]), float(table.sum[at]), float(table.sign_index[at]),
                            str(table.label[at]),
                            float((slices[..., at] ** 2).sum() / (whole[at] or 1)),
                        )
                        for at, filter in enumerate(filters)
                        if slices[..., at].any()
                    ]  # fmt: skip
                elif not (keeps(reader) or sums(reader) or concatenates(reader)):
                    ends.append(reader.name)
                else:
                    ways = reached.setdefault(reader.name, {})
                    for to, more in _on(reader, name, channel, gain):
                        already, passed = ways.get(to, (0.0, ()))  # the gains of two ways add up
                        between = via if isinstance(reader, SILENT) else (*via, reader.name)
                        ways[to] = already + more, tuple(dict.fromkeys((*passed, *between)))
    found.sort(key=lambda one: -one.l2)
    return Downstream(tuple(found), tuple(dict.fromkeys(ends)))


SILENT = (L.Activation, L.ReLU, L.LeakyReLU, L.PReLU, L.ELU, L.BatchNormalization)
"""Layers on the way that are not named."""


def _on(reader: Any, name: str, channel: int, gain: float) -> Iterator[tuple[int, float]]:
    """Yield where a channel of operation `name` goes on to in its reader's output, and its gain."""
    if type(reader) is L.BatchNormalization:
        gain *= float(normalization(reader)[0][channel])
    start = 0
    for place, source in enumerate(before(reader)):
        if source.name == name:
            if type(reader) is L.Subtract and place == 1:
                yield channel, -gain
            elif type(reader) is L.Average:
                yield channel, gain / len(before(reader))
            else:
                yield start + channel, gain
        if concatenates(reader):
            start += source.output.shape[-1]


def over(layer: Any, channel: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the filters of a linear layer give one of its input channels.

    Returns:
        The filters that read the channel `(F,)`, their weights over it `(height, width, F)`, and
        the sum of all the squared weights of each `(F,)`.
    """
    if isinstance(layer, L.SeparableConv2D):
        depthwise = np.asarray(layer.depthwise_kernel)
        pointwise = np.asarray(layer.pointwise_kernel)[0, 0]
        pointwise = pointwise.reshape(*depthwise.shape[2:], -1)
        slices = np.einsum("hwm,mf->hwf", depthwise[:, :, channel], pointwise[channel])
        gram = np.einsum("hwcm,hwcn->cmn", depthwise, depthwise)
        whole = np.einsum("cmf,cmn,cnf->f", pointwise, gram, pointwise)
        return np.arange(slices.shape[-1]), slices, whole
    kernel = np.asarray(layer.kernel)
    if by_channel := isinstance(layer, L.DepthwiseConv2D):  # a group for each channel
        kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    kernel = kernel.reshape((1,) * (4 - kernel.ndim) + kernel.shape)
    group, place = divmod(channel, kernel.shape[2])
    each = layer.depth_multiplier if by_channel else kernel.shape[3] // getattr(layer, "groups", 1)
    filters = group * each + np.arange(each)
    kernel = kernel[..., filters]
    return filters, kernel[:, :, place], (kernel**2).sum((0, 1, 2))
