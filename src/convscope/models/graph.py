"""The graph of a flat Keras model: its operations, what goes into each and who reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convscope.models.backend import keras

L = keras.layers

LINEAR = (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D, L.Conv2DTranspose, L.Dense)
"""Layers whose output is linear in their input, but for an activation of their own.

Their types are compared, since a class made from one may compute something else.
"""

IDLE = (
    L.Dropout, L.SpatialDropout2D, L.GaussianDropout, L.GaussianNoise, L.AlphaDropout,
    L.ActivityRegularization, L.Identity,
)  # fmt: skip
"""Layers that pass on what they get, except in training."""

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


@dataclass(frozen=True)
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


def inputs(operation: Any) -> list[Any]:
    """Return the symbolic tensors that go into an operation of a flat model."""
    return list(operation._inbound_nodes[0].input_tensors)


def before(operation: Any) -> list[Any]:
    """Return the operations right before one, in the order of its inputs."""
    return [tensor._keras_history.operation for tensor in inputs(operation)]


def after(model: keras.Model) -> dict[str, list[Any]]:
    """Return the operations of a flat model that use the output of each, by its name."""
    found: dict[str, list[Any]] = defaultdict(list)
    for operation in operations(model).values():
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
