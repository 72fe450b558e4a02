"""Exact contributions two hops back and further: what each input's inputs add to a unit.

On one photograph a network of ReLUs, max-pools, sums and convolutions is affine. With its own
gates, z = sum over m, c of U_mc + rest, where U_mc is what channel m of a layer's input adds to the
unit through filter c of that layer, and the rest is what the biases add. U_mc is the sum over taps
of a weight times the gradient of z for that weight, since z is linear in the weights between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from convscope.models.backend import keras, tf
from convscope.models.graph import (
    ELEMENTWISE,
    Applied,
    before,
    behind,
    concatenates,
    keeps,
    kind_of,
    sums,
)
from convscope.models.linear import Linear, linear, obstacle
from convscope.models.network import Network, inputs_of, look, mapped
from convscope.unit import Unit

L = keras.layers
ZERO = tf.UnconnectedGradients.ZERO


@dataclass
class Contributions:
    """Contributions summed over positions, each with a weight.

    Attributes:
        upstream: the unit with the hops behind it.
        edges: for each hop {maker: what each of its input channels adds through each of its
            filters, float64 `(channels, filters)`}.
        biases: for each hop what the biases of its makers add.
        total: the unit's preactivation, summed likewise.
        own: the part of it that is the unit's own bias.
    """

    upstream: Upstream
    edges: tuple[dict[str, Any], ...] = field(init=False)
    biases: list[float] = field(init=False)
    total: float = 0.0
    own: float = 0.0

    def __post_init__(self) -> None:
        """Begin with no position."""
        self.edges = tuple(defaultdict(float) for _ in self.upstream.hops)
        self.biases = [0.0 for _ in self.upstream.hops]

    def add(self, values: Mapping[str, tf.Tensor], weights: np.ndarray) -> None:
        """Take in what flows along each edge of each hop at further positions.

        Args:
            values: what `upstream.body` gives for some photographs.
            weights: of each position of the unit's map `(photographs, rows, columns)`.
        """
        hops = self.upstream.hops
        self.own += self.upstream.linear.bias * float(weights.sum(dtype=np.float64))
        wanted: list[tf.Tensor] = []
        for at, hop in enumerate(hops):
            made = {maker.name: values[maker.name] for maker in hop.makers}
            with tf.GradientTape() as tape:
                tape.watch(made)
                ends = hop.onward(made)
                if not at:
                    ends = [tf.reduce_sum(self.upstream.answer(ends[0]) * weights)]
                    self.total += float(ends[0])
            gradients = tape.gradient(ends, made, wanted or None, ZERO)
            pulled: dict[str, tf.Tensor] = {}
            deeper = hops[at + 1 : at + 2]
            for maker in filter(readable, hop.makers):
                reads, gradient = hop.reads[maker.name], gradients[maker.name]
                given = [values[name] for name in reads]
                flows, bias, slopes = _edges(maker, given, gradient, deeper=bool(deeper))
                self.edges[at][maker.name] += flows
                self.biases[at] += bias
                for name, slope in zip(reads, slopes, strict=False):  # none at the last hop
                    pulled[name] = pulled[name] + slope if name in pulled else slope
            wanted = [pulled[name] for behind in deeper for name in behind.targets]

    def remainder(self, at: int) -> float:
        """Return what neither contributions nor biases explain; 0 where a network is affine.

        It holds the bends of activations that are not piecewise linear, the offsets of a BatchNorm
        on the way, and what comes through a maker that is not linear in its inputs.
        """
        rest = self.total - sum(float(values.sum()) for values in self.edges[at].values())
        return rest - self.own - sum(self.biases[: at + 1])


def _edges(
    maker: Any, given: Sequence[tf.Tensor], gradient: tf.Tensor, *, deeper: bool
) -> tuple[np.ndarray, float, list[tf.Tensor]]:
    """Return what flows from each input channel through each filter, the bias's part, gradients.

    The gradients are those for what the maker is given, none unless something is `deeper`.
    """
    weights, wanted = [], [tf.identity(it) for it in given]  # one tensor may be given twice
    if not sums(maker):
        separable = isinstance(maker, L.SeparableConv2D)
        weights = [(maker.pointwise_kernel if separable else maker.kernel).value]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch((weights, wanted))
        made = called(maker, wanted)
    slopes, pulled = tape.gradient(
        made, (weights, wanted if deeper or not weights else []), output_gradients=gradient
    )
    if not weights:
        flows = [
            tf.reduce_sum(tf.reshape(it * more, (-1, it.shape[-1])), 0).numpy().astype(np.float64)
            for it, more in zip(given, pulled, strict=True)
        ]
        return np.concatenate([np.diag(flow) for flow in flows]), 0.0, pulled
    flow = (weights[0] * tf.convert_to_tensor(slopes[0])).numpy().astype(np.float64)
    bias = 0.0
    if maker.use_bias:
        over = tf.reduce_sum(tf.reshape(gradient, (-1, gradient.shape[-1])), 0).numpy()
        bias = float(np.dot(np.asarray(maker.bias, np.float64), over))
    return _placed(maker, flow), bias, pulled


def _placed(maker: Any, flow: np.ndarray) -> np.ndarray:
    """Return flows in the shape of a layer's weights as `(channels, filters)`."""
    if isinstance(maker, L.Dense):
        return flow
    flow = flow.sum(axis=(0, 1))
    if isinstance(maker, L.SeparableConv2D):
        return flow.reshape(-1, maker.depth_multiplier, flow.shape[-1]).sum(axis=1)
    if isinstance(maker, L.DepthwiseConv2D):
        return block_diag(*flow[:, None])
    return block_diag(*np.split(flow, maker.groups, axis=1))


BENDS = (L.Activation, L.ReLU, L.LeakyReLU, L.PReLU, L.ELU)
"""Layers that are the identity in a linearised network."""


@dataclass(frozen=True)
class Hop:
    """What lies between the operations that make channels and those that are read.

    Attributes:
        targets: the names of the operations whose outputs are read.
        between: the operations on the way, which keep channels apart, each after its inputs.
        makers: the operations that make the channels; the network's input may be among them.
    """

    targets: tuple[str, ...]
    between: tuple[Any, ...]
    makers: tuple[Any, ...]

    @cached_property
    def reads(self) -> dict[str, list[str]]:
        """The operations that each maker reads that is linear in them; all by name."""
        return {
            maker.name: [source.name for source in before(maker)]
            for maker in filter(readable, self.makers)
        }

    def onward(
        self, given: Mapping[str, tf.Tensor], *, linearised: bool = False
    ) -> list[tf.Tensor]:
        """Return the targets that follow from what the makers give.

        Args:
            given: {maker: its output}; more is passed over.
            linearised: activations pass on what they get, and max-pools take the mean.
        """
        values = dict(given)
        for operation in self.between:
            how = _straight(operation) if linearised else operation
            values[operation.name] = called(how, [values[it.name] for it in before(operation)])
        return [values[target] for target in self.targets]


@dataclass(frozen=True)
class Upstream:
    """A unit and the hops behind it, the nearest first.

    Attributes:
        network: whose unit it is.
        unit: the unit.
        linear: how its preactivation follows from its layer's input.
        hops: one for each step back from there.
    """

    network: Network
    unit: Unit
    linear: Linear
    hops: tuple[Hop, ...]

    @cached_property
    def sources(self) -> list[dict[str, tuple[Unit, ...]]]:
        """For each hop the unit behind each input channel of its makers, by their names."""
        return [{name: inputs_of(self.network, name) for name in hop.reads} for hop in self.hops]

    @cached_property
    def body(self) -> keras.Model:
        """A model from images in [0, 1] to what makers give and read, by the operations' names."""
        tensors = {it.name: it.output for it in before(self.network.find(self.unit.layer))}
        for hop in self.hops:
            tensors |= {maker.name: maker.output for maker in hop.makers}
            for maker in filter(readable, hop.makers):
                tensors |= {source.name: source.output for source in before(maker)}
        return look(self.network, tensors)

    @property
    def read(self) -> str:
        """The name of the operation that the unit's layer reads."""
        return self.hops[0].targets[0]

    def answer(self, given: tf.Tensor) -> tf.Tensor:
        """Return the unit's preactivation `(samples, rows, columns)` on its layer's input."""
        return filtered(given, self.linear)[..., 0]


def upstream(network: Network, unit: Unit, depth: int) -> Upstream:
    """Return a unit with the hops behind it: one for depth 2, two for depth 3.

    Raises:
        ValueError: the unit's layer is not linear in its input.
    """
    layer = network.find(unit.layer)
    found = linear(layer, unit.filter)
    hops, targets = [], before(layer)
    for _ in range(depth - 1):
        hops.append(_hop(targets))
        makers = filter(readable, hops[-1].makers)
        targets = list(dict.fromkeys(source for maker in makers for source in before(maker)))
    return Upstream(network, unit, found, tuple(hops))


def readable(operation: Any) -> bool:
    """Return whether an operation is a linear sum of its inputs."""
    return sums(operation) or not obstacle(operation)


def called(operation: Any, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return what an operation of a flat graph makes of tensors."""
    if operation is None:
        return tensors[0]
    if isinstance(operation, Applied):
        return operation(*tensors)
    if type(operation) is L.Conv2D:
        tensors = [_reached(tensors[0], operation.kernel_size, operation.strides)]
    if getattr(operation, "groups", 1) > 1:
        return _grouped(operation, tensors[0])
    return operation(tensors[0] if len(tensors) == 1 else list(tensors))


def _reached(given: tf.Tensor, taps: tuple[int, int], strides: tuple[int, int]) -> tf.Tensor:
    """Return a map without the last rows and columns where a kernel of one tap steps over them.

    With them TensorFlow 2.21's gradient for such a kernel writes beside its memory on a CPU.
    """
    if taps != (1, 1):
        return given
    rows, columns = (
        (length - 1) // stride * stride + 1
        for length, stride in zip(given.shape[1:3], strides, strict=True)
    )
    return given[:, :rows, :columns]


def filtered(given: tf.Tensor, one: Linear) -> tf.Tensor:
    """Return one filter's preactivation `(samples, rows, columns, 1)` on its layer's input."""
    given, window = mapped(given), one.window
    if len(one.channels) < given.shape[-1]:
        given = tf.gather(given, one.channels, axis=-1)
    kernel = tf.constant(one.kernel[..., None], tf.float32)
    padding = str(window.padding).upper()
    given = _reached(given, window.taps, window.strides)
    return tf.nn.conv2d(given, kernel, window.strides, padding, dilations=window.rates) + one.bias


def single(maker: Any, filter: int, given: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return one channel of what a maker gives, of the same rank as all of it."""
    if sums(maker):
        return called(maker, [it[..., filter : filter + 1] for it in given])
    found = filtered(given[0], linear(maker, filter))
    return found if len(maker.output.shape) == 4 else found[:, 0, 0]


def _hop(targets: Sequence[Any]) -> Hop:
    """Return the hop that ends at some operations."""
    reached = {target.name for target in targets}
    between: list[Any] = []
    makers: list[Any] = []
    for name, operation in reversed(behind(targets).items()):
        if name in reached:
            passes = before(operation) and (keeps(operation) or concatenates(operation))
            (between if passes else makers).append(operation)
            reached |= {source.name for source in before(operation) if passes}
    return Hop(tuple(it.name for it in targets), tuple(between[::-1]), tuple(makers[::-1]))


def _straight(operation: Any) -> Any:
    """Return what an operation is in a linearised network; None: it does nothing."""
    if isinstance(operation, BENDS):
        return None
    if isinstance(operation, Applied) and kind_of(operation) in ELEMENTWISE:
        return None if len(operation.values) == 1 else operation
    if type(operation) is L.MaxPooling2D:
        return L.AveragePooling2D(operation.pool_size, operation.strides, operation.padding)
    if type(operation) is L.GlobalMaxPooling2D:
        return L.GlobalAveragePooling2D(keepdims=operation.keepdims)
    return operation


def _grouped(layer: Any, given: tf.Tensor) -> tf.Tensor:
    """Return what a grouped convolution gives; on a CPU TensorFlow has no gradient of its own."""
    kernel = tf.convert_to_tensor(layer.kernel)
    parts = zip(tf.split(given, layer.groups, -1), tf.split(kernel, layer.groups, -1), strict=True)
    how = {"strides": layer.strides, "padding": layer.padding.upper(),
           "dilations": layer.dilation_rate}  # fmt: skip
    found = tf.concat([tf.nn.conv2d(part, own, **how) for part, own in parts], -1)
    return found + layer.bias if layer.use_bias else found
