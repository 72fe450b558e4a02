"""The graph of a flat Keras model: its operations, what goes into each and who reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np

from convscope.models.backend import keras, tf

L = keras.layers

LINEAR = (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D, L.Conv2DTranspose, L.Dense)
"""Layers whose output is linear in their input, but for an activation of their own.

Their types are compared, since a class made from one may compute something else.
"""

IDLE = (L.ActivityRegularization, L.Identity)
"""Layers that pass on what they get, and are not told whether they train."""

MERGES: Mapping[str, type[keras.Layer]] = {
    "Add": L.Add, "Subtract": L.Subtract, "Multiply": L.Multiply, "Maximum": L.Maximum,
    "Minimum": L.Minimum,
}  # fmt: skip
"""Operations on two tensors, like `x + y`, and the layers that do the same."""

ELEMENTWISE = frozenset(
    {
        *MERGES, "Divide", "TrueDivide", "Negative", "Abs", "Absolute", "Square", "Sqrt", "Exp",
        "Log", "Clip", "Relu", "Relu6", "Sigmoid", "HardSigmoid", "Silu", "Swish", "HardSilu",
        "HardSwish", "Gelu", "Elu", "Selu", "Celu", "Softplus", "Softsign", "Tanh", "HardTanh",
        "LeakyRelu", "Mish", "LogSigmoid", "Cast", "Power",
    }
)  # fmt: skip
"""Operations of Keras, by name, that take each number by itself."""


@dataclass(frozen=True, order=True)
class Value:
    """A tensor of a flat graph, by its number."""

    number: int


class Applied(keras.layers.Layer):
    """An operation that is no layer, like the one behind `x * 2`, or a layer that stays as it is.

    What it is applied to stands in `args` and `kwargs`, with a `Value` for each tensor.
    """

    def __init__(self, operation: Any, args: Any, kwargs: Any, values: Sequence[Value], **how: Any):
        """Keep the operation and how it is called; its weights stay its own."""
        super().__init__(**how)
        self.operation, self.values = operation, tuple(values)
        self._call = args, kwargs  # the underscore keeps Keras from tracking what is inside

    def call(self, *tensors: Any) -> Any:
        """Return the operation's result on tensors, in the order of `values`."""
        given = dict(zip(self.values, tensors, strict=True))
        args, kwargs = filled(self._call, given)
        return self.operation.call(*args, **kwargs)


class Enlarged(keras.layers.UpSampling2D):
    """A map made larger between its numbers; Keras' own layer does not know maps of any size."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the larger map."""
        size = tf.shape(inputs)[1:3] * tf.constant(self.size)
        return tf.cast(tf.image.resize(inputs, size, self.interpolation), inputs.dtype)


class Spread(keras.layers.Layer):
    """A map with zeros between its numbers and around them, as a transposed convolution reads it.

    Such a convolution is a plain one of what this gives, with its kernel turned by half a turn.
    """

    def __init__(self, size: Sequence[int], padding: Sequence[Sequence[int]], **how: Any):
        """Keep positions for each number, and zeros ((above, below), (left, right)).

        Below and on the right they may be less than none: then positions are left out.
        """
        super().__init__(**how)
        self.size = int(size[0]), int(size[1])
        self.padding = tuple((int(first), int(last)) for first, last in padding)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the same layer."""
        return {**super().get_config(), "size": self.size, "padding": self.padding}

    def compute_output_shape(self, given: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the larger map."""
        sides = [
            None if length is None else length * times + first + last
            for length, times, (first, last) in zip(
                given[1:3], self.size, self.padding, strict=True
            )
        ]
        return (given[0], *sides, given[3])

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the larger map."""
        samples, rows, columns, channels = tf.unstack(tf.shape(inputs))
        (down, across), ((above, below), (left, right)) = self.size, self.padding
        apart = tf.reshape(inputs, (samples, rows, 1, columns, 1, channels))
        apart = tf.pad(apart, [[0, 0], [0, 0], [0, down - 1], [0, 0], [0, across - 1], [0, 0]])
        found = tf.reshape(apart, (samples, rows * down, columns * across, channels))
        found = found[:, : rows * down + min(below, 0), : columns * across + min(right, 0)]
        zeros = [[0, 0], [above, max(below, 0)], [left, max(right, 0)], [0, 0]]
        found = tf.pad(found, zeros)
        return tf.ensure_shape(found, self.compute_output_shape(inputs.shape))


LARGER = (L.UpSampling2D, Enlarged, Spread)


def operations(model: keras.Model) -> dict[str, Any]:
    """Return the operations of a flat model by name, each after all that it depends on."""
    return behind([tensor._keras_history.operation for tensor in model.outputs])


def behind(ends: Sequence[Any]) -> dict[str, Any]:
    """Return all operations that some depend on, these too, in such an order, by name."""
    order: dict[str, Any] = {}
    # An own stack: graphs are deeper than Python's.
    waiting = [(operation, False) for operation in reversed(ends)]
    while waiting:
        operation, ready = waiting.pop()
        if operation.name in order:
            continue
        if ready:
            order[operation.name] = operation
            continue
        waiting.append((operation, True))
        waiting += [(source, False) for source in reversed(before(operation))]
    return order


def free(name: str, taken: Collection[str]) -> str:
    """Return a name, or with a number behind it where it is taken."""
    spellings = chain([name], (f"{name}.{number}" for number in count(2)))
    return next(one for one in spellings if one not in taken)


def inputs(operation: Any) -> list[Any]:
    """Return the symbolic tensors that go into an operation of a flat model."""
    return list(operation._inbound_nodes[0].input_tensors)


def before(operation: Any) -> list[Any]:
    """Return the operations right before one, in the order of its inputs."""
    return [tensor._keras_history.operation for tensor in inputs(operation)]


def after(graph: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the operations of a graph that use the output of each, by its name."""
    found: dict[str, list[Any]] = defaultdict(list)
    for operation in graph.values():
        for source in dict.fromkeys(before(operation)):
            found[source.name].append(operation)
    return found


def kind_of(operation: Any) -> str:
    """Return what an operation is called in Keras: `Conv2D`, `Divide`."""
    return type(operation.operation if isinstance(operation, Applied) else operation).__name__


def activation_of(layer: Any) -> str:
    """Return the name of the function that a layer applies, `linear` where it has none."""
    function = getattr(layer, "activation", None)
    if function is None:
        return "linear"
    return str(getattr(function, "__name__", None) or getattr(function, "name", "activation"))


def filled(structure: Any, given: Mapping[Value, Any]) -> Any:
    """Return a structure with the tensors in the place of their values."""
    fill: Callable[[Any], Any] = lambda leaf: given[leaf] if isinstance(leaf, Value) else leaf  # noqa: E731
    return keras.tree.map_structure(fill, structure)


CONVOLUTIONS = (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D)
POOLINGS = (L.MaxPooling2D, L.AveragePooling2D)
SHIFTS = (L.ZeroPadding2D, L.Cropping2D)
GLOBAL = (L.GlobalAveragePooling2D, L.GlobalMaxPooling2D)
SUMS = (L.Add, L.Subtract, L.Average)
POINTWISE = (
    *IDLE, L.Activation, L.ReLU, L.LeakyReLU, L.PReLU, L.ELU, L.BatchNormalization,
    L.Normalization, L.Rescaling,
)  # fmt: skip
"""Layers that change each number by itself, alike for all numbers of a channel."""

# Keras' own networks bring layers along that are no part of its public layers.
SCALES = ("LayerScale", "StochasticDepth")
SCALED_SUMS = ("CustomScaleLayer",)


@dataclass(frozen=True)
class Window:
    """Which positions of its input one position of an operation's output looks at.

    All are pairs for rows and columns.

    Attributes:
        taps: positions looked at along each axis.
        strides: input positions between neighbouring windows.
        rates: input positions between neighbouring taps.
        padding: "same", "valid", or the zeros before and behind, ((above, below), (left, right)).
    """

    taps: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    rates: tuple[int, int] = (1, 1)
    padding: str | tuple[tuple[int, int], tuple[int, int]] = "valid"

    @property
    def extents(self) -> tuple[int, int]:
        """Input positions from the first tap to the last."""
        (high, wide), (down, across) = self.taps, self.rates
        return (high - 1) * down + 1, (wide - 1) * across + 1

    def spans(self, size: Sequence[int]) -> list[tuple[int, int, int]]:
        """Return, for rows and columns, how many windows an input of `size` has and its padding.

        Each is (windows, zeros before, zeros behind). "same" splits an odd number of zeros as
        TensorFlow does: the odd one comes behind.
        """
        found = []
        for axis, (length, extent) in enumerate(zip(size, self.extents, strict=True)):
            first, last, stride = 0, 0, self.strides[axis]
            if self.padding == "same":
                zeros = max(-(-length // stride) * stride - stride + extent - length, 0)
                first, last = zeros // 2, zeros - zeros // 2
            elif not isinstance(self.padding, str):
                first, last = self.padding[axis]
            found.append(((length + first + last - extent) // stride + 1, first, last))
        return found


def window(operation: Any) -> Window | None:
    """Return the window of an operation; None where a position may see all of its input."""
    kind = type(operation)
    if kind in POOLINGS:
        return Window(operation.pool_size, operation.strides, padding=operation.padding)
    if kind in CONVOLUTIONS:
        taps, rates = operation.kernel_size, operation.dilation_rate
        return Window(taps, operation.strides, rates, operation.padding)
    if kind in SHIFTS:
        if kind is L.ZeroPadding2D:
            return Window(padding=operation.padding)
        (above, below), (left, right) = operation.cropping
        return Window(padding=((-above, -below), (-left, -right)))
    if kind in (L.Flatten, L.Reshape):
        return Window() if keeps(operation) else None
    alone = by_position(operation) or kind is L.Dense or _joins(operation)
    return Window() if alone else None


def by_channel(operation: Any) -> bool:
    """Return whether the axes of a layer are its channels, so that all positions are alike."""
    if type(operation) is L.PReLU:
        return tuple(operation.shared_axes or ()) == (1, 2)
    rank = len(inputs(operation)[0].shape)
    return {int(axis) % rank for axis in np.atleast_1d(operation.axis)} <= {rank - 1}


def by_position(operation: Any) -> bool:
    """Return whether an operation with one input changes each position by itself.

    GroupNormalization counts too, though its scale comes from all of the image.
    """
    if type(operation) in (L.LayerNormalization, L.PReLU):
        return by_channel(operation)
    kinds = (*POINTWISE, L.Softmax, L.GroupNormalization)
    return type(operation) in kinds or _small(operation)


def keeps(operation: Any) -> bool:
    """Return whether each channel of the output comes from the channel of the same number alone."""
    kind = type(operation)
    if len(inputs(operation)) != 1:
        return False
    if kind is L.Activation:
        return activation_of(operation) not in ("softmax", "log_softmax", "sparsemax", "glu")
    if kind in (L.BatchNormalization, L.Normalization, L.PReLU):
        return by_channel(operation)
    if kind in (L.Flatten, L.Reshape):
        # A row of numbers that becomes a map of one position, or the other way round.
        ends = (inputs(operation)[0].shape, operation.output.shape)
        return all(len(end) == 2 or (len(end) == 4 and end[1:3] == (1, 1)) for end in ends)
    kinds = (*POINTWISE, *POOLINGS, *SHIFTS, *GLOBAL, *LARGER)
    return kind in kinds or _small(operation)


def transposed(operation: Any) -> bool:
    """Return whether an operation is a convolution of a map with zeros between its numbers."""
    return type(operation) is L.Conv2D and type(before(operation)[0]) is Spread


def sums(operation: Any) -> bool:
    """Return whether an operation adds its inputs, channel by channel."""
    return type(operation) in SUMS or type(operation).__name__ in SCALED_SUMS


def concatenates(operation: Any) -> bool:
    """Return whether an operation lays the channels of its inputs side by side."""
    return type(operation) is L.Concatenate and by_channel(operation)


def sizes(graph: Mapping[str, Any], size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Return the rows and columns of every operation's output on an image of `size`.

    A row of numbers without places counts as one position.

    Args:
        graph: operations by name, each after all that it depends on.
        size: rows and columns of the image.

    Raises:
        ValueError: the image is too small for an operation; the message names it first.
    """
    shapes: dict[str, tuple[int | None, ...]] = {}
    found: dict[str, tuple[int, int]] = {}
    for name, operation in graph.items():
        given = [shapes[tensor._keras_history.operation.name] for tensor in inputs(operation)]
        try:
            shapes[name] = _shape(operation, given, size)
        except ValueError as error:
            raise ValueError(f"{name} has no position left on an image of {size}") from error
        rows, columns = shapes[name][1:3] if len(shapes[name]) == 4 else (1, 1)
        if rows is None or columns is None or min(rows, columns) < 1:
            raise ValueError(f"{name} has no position left on an image of {size}")
        found[name] = rows, columns
    return found


def _shape(
    operation: Any, given: Sequence[tuple[int | None, ...]], size: tuple[int, int]
) -> tuple[int | None, ...]:
    """Return the shape of an operation's output, the first axis left open."""
    if not given:  # the image itself
        return (None, *size, operation.output.shape[-1])
    if _small(operation):
        return given[0]
    tensors = [keras.KerasTensor(shape, operation.compute_dtype) for shape in given]
    several = not isinstance(operation, Applied) and len(tensors) > 1
    made = operation.compute_output_spec(*([tensors] if several else tensors))
    return tuple(keras.tree.flatten(made)[0].shape)


def _joins(operation: Any) -> bool:
    """Return whether an operation joins several inputs position by position."""
    if isinstance(operation, Applied):  # like a quotient of two maps
        maps = all(len(tensor.shape) == 4 for tensor in inputs(operation))
        return kind_of(operation) in ELEMENTWISE and maps
    products = type(operation) in (L.Multiply, L.Maximum, L.Minimum)
    return products or sums(operation) or concatenates(operation)


def _small(operation: Any) -> bool:
    """Return whether it is one of the small things that are no public layers of Keras."""
    if isinstance(operation, Applied):
        return kind_of(operation) in ELEMENTWISE and len(operation.values) == 1
    own = type(operation).__module__.startswith("keras.")
    return own and type(operation).__name__ in SCALES


Sizes = Mapping[str, tuple[int, int]]
"""Rows and columns of each operation's output, by its name."""
