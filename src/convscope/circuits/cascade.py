"""The layers behind a unit, hop by hop: from a linear layer back to those that make its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from convscope.models.backend import keras, tf
from convscope.models.flow import concatenates, keeps, sums
from convscope.models.graph import ELEMENTWISE, Applied, behind, inputs, kind_of
from convscope.models.linear import Linear, linear, obstacle
from convscope.models.network import Network, inputs_of, look
from convscope.unit import Unit

L = keras.layers

BENDS = (L.Activation, L.ReLU, L.LeakyReLU, L.PReLU, L.ELU)
"""Layers that are the identity in a linearised network."""


@dataclass(frozen=True)
class Hop:
    """What lies between the layers that make channels and the tensors that are read.

    Attributes:
        targets: the tensors that are read.
        between: the operations on the way, which keep channels apart, each after its inputs.
        makers: the operations that make the channels; the network's input may be among them.
    """

    targets: tuple[keras.KerasTensor, ...]
    between: tuple[Any, ...]
    makers: tuple[Any, ...]

    @cached_property
    def reads(self) -> dict[str, list[keras.KerasTensor]]:
        """The input tensors of each maker that is linear in them, by its name."""
        return {maker.name: inputs(maker) for maker in self.makers if readable(maker)}

    def onward(
        self, given: Mapping[str, tf.Tensor], *, linearised: bool = False
    ) -> list[tf.Tensor]:
        """Return the targets that follow from what the makers give.

        Args:
            given: {maker: its output}.
            linearised: activations pass on what they get, and max-pools take the mean.
        """
        values = dict(given)
        for operation in self.between:
            sources = [values[it._keras_history.operation.name] for it in inputs(operation)]
            values[operation.name] = called(_straight(operation) if linearised else operation,
                                            sources)  # fmt: skip
        return [values[target._keras_history.operation.name] for target in self.targets]


@dataclass(frozen=True)
class Cascade:
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
        """A model from images in [0, 1] to all that is made and read, see `made` and `read`."""
        tensors = {"read": inputs(self.network.find(self.unit.layer))[0]}
        for at, hop in enumerate(self.hops):
            tensors |= {f"{at}/{maker.name}": maker.output for maker in hop.makers}
            for name, reads in hop.reads.items():
                tensors |= {f"{at}/{name}/{place}": it for place, it in enumerate(reads)}
        return look(self.network, tensors)

    def made(self, values: Mapping[str, tf.Tensor], at: int) -> dict[str, tf.Tensor]:
        """Return what the makers of a hop give, by their names."""
        return {maker.name: values[f"{at}/{maker.name}"] for maker in self.hops[at].makers}

    def read(self, values: Mapping[str, tf.Tensor], at: int) -> dict[str, list[tf.Tensor]]:
        """Return what the makers of a hop are given, by their names."""
        reads = self.hops[at].reads
        return {
            name: [values[f"{at}/{name}/{place}"] for place in range(len(tensors))]
            for name, tensors in reads.items()
        }

    def answer(self, given: tf.Tensor) -> tf.Tensor:
        """Return the unit's preactivation `(samples, rows, columns)` on its layer's input."""
        return filtered(given, self.linear)[..., 0]


def cascade(network: Network, unit: Unit, depth: int) -> Cascade:
    """Return a unit with the hops behind it: one for depth 2, two for depth 3.

    Raises:
        ValueError: the unit's layer is not linear in its input.
    """
    layer = network.find(unit.layer)
    found = linear(layer, unit.filter)
    hops, targets = [], tuple(inputs(layer))
    for _ in range(depth - 1):
        hops.append(_hop(targets))
        reads = hops[-1].reads.values()
        targets = tuple({id(it): it for every in reads for it in every}.values())
    return Cascade(network, unit, found, tuple(hops))


def readable(operation: Any) -> bool:
    """Return whether an operation is a linear sum of its inputs."""
    if isinstance(operation, L.InputLayer):
        return False
    return sums(operation) or not obstacle(operation)


def called(operation: Any, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return what an operation of a flat graph makes of tensors."""
    if operation is None:
        return tensors[0]
    if isinstance(operation, Applied):
        return operation(*tensors)
    if getattr(operation, "groups", 1) > 1:
        return _grouped(operation, tensors[0])
    return operation(tensors[0] if len(tensors) == 1 else list(tensors))


def filtered(given: tf.Tensor, one: Linear) -> tf.Tensor:
    """Return one filter's preactivation `(samples, rows, columns, 1)` on its layer's input."""
    given = given[:, None, None, :] if len(given.shape) == 2 else given
    if len(one.channels) < given.shape[-1]:
        given = tf.gather(given, one.channels, axis=-1)
    kernel = tf.constant(one.kernel[..., None], tf.float32)
    return _convolved(given, kernel, one.window) + one.bias


def single(maker: Any, filter: int, given: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return one channel of what a maker gives, of the same rank as all of it."""
    if sums(maker):
        return called(maker, [it[..., filter : filter + 1] for it in given])
    found = filtered(given[0], linear(maker, filter))
    return found if len(maker.output.shape) == 4 else found[:, 0, 0]


def _hop(targets: Sequence[keras.KerasTensor]) -> Hop:
    """Return the hop that ends at some tensors."""
    between, makers = set(), set()
    ends = [target._keras_history.operation for target in targets]
    waiting = list(ends)
    while waiting:
        operation = waiting.pop()
        if operation.name in between or operation.name in makers:
            continue
        if inputs(operation) and (keeps(operation) or concatenates(operation)):
            between.add(operation.name)
            waiting += [it._keras_history.operation for it in inputs(operation)]
        else:
            makers.add(operation.name)
    order = behind(ends)
    return Hop(
        tuple(targets),
        tuple(operation for name, operation in order.items() if name in between),
        tuple(operation for name, operation in order.items() if name in makers),
    )


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


def _convolved(given: tf.Tensor, kernel: tf.Tensor, window: Any) -> tf.Tensor:
    if isinstance(window.padding, str):
        padding: Any = window.padding.upper()
    else:
        padding = [[0, 0], *window.padding, [0, 0]]
    return tf.nn.conv2d(given, kernel, window.strides, padding, dilations=window.rates)
