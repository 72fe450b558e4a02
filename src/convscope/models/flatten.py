"""A trained Keras model laid out flat: each operation does one thing, once, under its own name.

Nested models are unrolled, what is called several times stands there several times, activations
stand beside the layers that they were part of, BatchNorm is folded into the convolution before it,
and what does nothing outside training is left out. So every unit has one place and one kernel.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
from numpy.random import default_rng

from convscope.models.backend import keras, reason
from convscope.models.graph import (
    ELEMENTWISE,
    IDLE,
    LARGER,
    LINEAR,
    MERGES,
    SCALED_SUMS,
    SCALES,
    Applied,
    Enlarged,
    Spread,
    Value,
    activation_of,
    by_channel,
    filled,
    free,
    inputs,
    operations,
)
from convscope.text import by

L = keras.layers

ANY_SIZE = (
    *LINEAR, L.MaxPooling2D, L.AveragePooling2D, L.GlobalAveragePooling2D, L.GlobalMaxPooling2D,
    L.ZeroPadding2D, L.Cropping2D, *LARGER, L.Activation, L.ReLU, L.LeakyReLU, L.ELU,
    L.Softmax, L.BatchNormalization, L.GroupNormalization, L.Normalization, L.Rescaling, L.Add,
    L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Concatenate, L.LayerNormalization,
    L.PReLU,
)  # fmt: skip
"""Layers that compute the same whatever the size of the image, where their axes are channels."""


@dataclass(frozen=True)
class Call:
    """One use of an operation.

    Attributes:
        path: the names of the models around it and its own, outermost first.
        operation: what is used.
        args: what it is given, with a `Value` for each tensor.
        kwargs: likewise.
        inputs: the tensors among both, in order.
        outputs: the tensors it makes.
        scale: (factors, offsets), one for each filter, of a BatchNorm that is folded into it.
    """

    path: tuple[str, ...]
    operation: Any
    args: Any
    kwargs: Any
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    scale: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def plain(self) -> bool:
        """Whether it is a layer called with tensors alone, as one argument."""
        leaves = [leaf for leaf in keras.tree.flatten(self.kwargs) if leaf is not None]
        leaves += [leaf for leaf in keras.tree.flatten(self.args) if not isinstance(leaf, Value)]
        return isinstance(self.operation, keras.Layer) and len(self.args) == 1 and not leaves


def flat(
    model: keras.Model, dtype: str = "float32", size: Sequence[int | None] | None = None
) -> keras.Model:
    """Return the model laid out flat, with weights of its own.

    Args:
        model: a functional model of one image input `(samples, height, width, channels)`.
        dtype: number format of its layers and weights.
        size: (height, width) of its input, None for any; None altogether leaves it as it is. What
            cannot be computed at any size is left out then, with all that depends on it.

    Raises:
        ValueError: the model is no graph of one image input, or nothing of it is left.
    """
    calls, (source,), results = _unrolled(model)
    calls = _folded(calls, results)
    names = _names(calls)
    shape = tuple(model.inputs[0].shape[1:])
    taken = shape if size is None else (*size, shape[-1])
    image = keras.Input(taken, dtype="float32", name=free(model.inputs[0].name, names))
    made: dict[Value, Any] = {source: image}
    freed = tuple(taken[:2]) != tuple(shape[:2])
    used: set[Value] = set()
    for call, name in zip(calls, names, strict=True):
        known = all(value in made for value in call.inputs)
        if not known or (freed and not _any_size(call, made)):
            continue
        used.update(call.inputs)
        try:
            placed = _placed(call, name, dtype, made, names)
        except Exception as error:  # Keras, or code of the user's own, may fail in any way
            raise ValueError(
                f"The layer {name} ({type(call.operation).__name__}) of {model.name} cannot be laid"
                f" out: {str(error).strip().partition(chr(10))[0]}"
            ) from error
        made |= dict(zip(call.outputs, placed, strict=True))
    ends = [value for value in made if value not in used or value in results]
    if ends == [source]:
        raise ValueError("Nothing of the network can be computed on images of another size.")
    # All that no one uses is an output, so that no layer is lost; the model's own come last.
    place = {value: at for at, value in enumerate(results, 1)}
    ends.sort(key=lambda value: (place.get(value, 0), value))
    outputs = [made[value] for value in ends]
    found = keras.Model(image, outputs if len(outputs) > 1 else outputs[0], name=model.name)
    found.trainable = False
    return found


def absorbed(model: keras.Model) -> dict[str, str]:
    """Return the layers of a model that are no operations of their own once it is flat.

    These are {BatchNorm: the layer that it is folded into}, under the names they have there.
    """
    calls, _, results = _unrolled(model)
    kept = _folded(calls, results)
    names = dict(zip((call.outputs for call in kept), _names(kept), strict=True))
    gone = {call.path for call in calls} - {call.path for call in kept}
    return {call.path[-1]: names[call.outputs] for call in calls if call.path in gone}


def outputs(model: keras.Model, laid: keras.Model) -> dict[str, str]:
    """Return {each output of a model: the operation that gives it once the model is flat}.

    Args:
        model: the model.
        laid: the model laid out flat.
    """
    ends = (tensor._keras_history.operation.name for tensor in _own_outputs(model, laid))
    found: dict[str, str] = {}
    for name, end in zip(_output_names(model), ends, strict=True):
        found[free(name, found)] = end
    return found


def _own_outputs(model: keras.Model, laid: keras.Model) -> list[Any]:
    """Return the outputs of a flat model that are those of the model, in their order."""
    *_, results = _unrolled(model)
    values = list(dict.fromkeys(results))
    given = dict(zip(values, laid.outputs[-len(values) :], strict=True))
    return [given[value] for value in results]


def _output_names(model: keras.Model) -> list[str]:
    """Return what the outputs of a model are called: by their keys, or by their layers."""
    keys = getattr(model, "_outputs_struct", None)
    if isinstance(keys, dict) and len(keys) == len(model.outputs):
        return sorted(keys)  # the order in which Keras takes them
    return [tensor._keras_history.operation.name for tensor in model.outputs]


# Unrolling


def _unrolled(model: keras.Model) -> tuple[list[Call], list[Value], list[Value]]:
    """Return the calls of a model with its nested models unrolled, its inputs and its outputs."""
    if not isinstance(model, keras.Sequential) and not hasattr(model, "_nodes_by_depth"):
        raise ValueError(
            f"{model.name} is no graph of layers but code of its own ({type(model).__name__}),"
            " whose inside cannot be seen. Give a functional or sequential model."
        )
    if len(model.inputs) != 1:
        raise ValueError(
            f"{model.name} has {len(model.inputs)} inputs. Give a network with one, an image."
        )
    calls: list[Call] = []
    values = map(Value, count())
    idle: dict[int, bool] = {}

    def unroll(model: Any, given: Sequence[Value], path: tuple[str, ...]) -> list[Value]:
        """Add the calls of a model to `calls`, and return its outputs."""
        times: Counter[int] = Counter()

        def use(operation: Any, /, *args: Any, **kwargs: Any) -> list[Value]:
            """Add one call, and return its outputs."""
            times[id(operation)] += 1
            again = f".{times[id(operation)]}" if times[id(operation)] > 1 else ""
            here = (*path, operation.name + again)
            kwargs = {key: kwargs[key] for key in kwargs if key not in ("training", "mask")}
            leaves = keras.tree.flatten((args, kwargs))
            used = tuple(leaf for leaf in leaves if isinstance(leaf, Value))
            if isinstance(operation, keras.Sequential) or hasattr(operation, "_nodes_by_depth"):
                return unroll(operation, used, here)
            made = tuple(next(values) for _ in operation._inbound_nodes[0].output_tensors)
            if type(operation) is L.SpectralNormalization:
                operation = operation.layer  # its kernel was made in training
            if len(used) == 1 and idle.setdefault(id(operation), passes_on(operation)):
                return list(used)
            calls.append(Call(here, operation, args, kwargs, used, made))
            return list(made)

        inner = model._functional if isinstance(model, keras.Sequential) else model
        return list(keras.tree.flatten(inner._run_through_graph(given, call_fn=use)))

    given = [next(values)]
    results = unroll(model, given, ())
    return calls, given, results


def passes_on(operation: Any) -> bool:
    """Return whether an operation with one input gives just that, except in training.

    A layer that is told whether it trains is asked, with numbers small and large.
    """
    if isinstance(operation, IDLE):
        return True
    kind = isinstance(operation, L.Lambda) or _trains(operation) is None
    if kind or operation.weights or len(inputs(operation)) != 1:
        return False
    shape, generator = [side or 32 for side in inputs(operation)[0].shape[1:]], default_rng(0)
    scales = 10.0 ** generator.integers(-3, 7, (2, *shape))
    given = (scales * generator.normal(size=scales.shape)).astype(np.float32)
    with suppress(Exception):  # code of the user's own may fail in any way: then it is kept
        found = keras.ops.convert_to_numpy(operation(given, training=False))
        return np.array_equal(found, given)
    return False


def _trains(operation: Any) -> bool | None:
    """Return whether a layer trains where it is not told; None: it is nothing to be told."""
    if not isinstance(operation, keras.Layer):
        return None
    told = inspect.signature(operation.call).parameters.get("training")
    return None if told is None else told.default is True


def _names(calls: Sequence[Call]) -> list[str]:
    """Return a name for each call: its own, or with those of the models around it if need be.

    A name made here is never that of another layer.
    """
    shared = Counter(call.path[-1] for call in calls)
    names: list[str] = []
    for call in calls:
        own, whole = call.path[-1], ".".join(call.path)
        # The outermost layer of several of a name keeps it.
        others = shared.keys() - ({whole} if len(call.path) == 1 else set())
        names.append(own if shared[own] == 1 else free(whole, others | set(names)))
    return names


# Comparing


@dataclass(frozen=True)
class Difference:
    """How far what is computed here is from what Keras computes.

    Attributes:
        error: the largest difference, as a share of the largest number that Keras has there.
        layer: the first layer, in Keras' order, where it is as large as is not borne; "": none.
    """

    error: float
    layer: str = ""


BORNE = 1e-3
"""The share that rounding alone may make; networks differ by 1e-6 to 1e-4."""

NUMBERS = 3e7
"""Activations that are compared at the most, of an image."""


def difference(
    model: keras.Model, laid: keras.Model, freed: keras.Model, images: np.ndarray
) -> Difference:
    """Compare a model as Keras runs it with itself laid out flat, at its outputs and in between.

    In between those layers are compared that stand in both for themselves.

    Args:
        model: the model as Keras has it.
        laid: the model laid out flat.
        freed: the same for images of any size.
        images: what both are shown, as the model takes it.

    Raises:
        ValueError: Keras cannot run the model.
    """
    own, inner = operations(laid), []
    for layer in model.operations:
        alike = type(layer) is type(own.get(layer.name)) and type(layer) not in LINEAR
        inner += [layer] if alike and len(layer._inbound_nodes) == 1 else []
    inner = [layer for layer in inner if not isinstance(layer.output, list | tuple | dict)]
    numbers = [math.prod(side or 1 for side in own[layer.name].output.shape) for layer in inner]
    step = math.ceil(sum(numbers) / NUMBERS) if inner else 1
    inner = [layer for layer in inner[::step] if layer is not model.operations[0]]
    truth = keras.Model(model.inputs[0], [*(one.output for one in inner), *model.outputs])
    whole = keras.Model(
        laid.inputs[0], [*(own[one.name].output for one in inner), *_own_outputs(model, laid)]
    )
    try:
        wanted = [np.asarray(one) for one in keras.tree.flatten(truth(images, training=False))]
    except Exception as error:  # TensorFlow, or code of the user's own, may fail in any way
        raise ValueError(
            f"Keras itself cannot run {model.name} on images of {by(images.shape[1:3])} pixels:"
            f" {reason(error)}. Give a model that model(image) runs."
        ) from error
    found = [np.asarray(one) for one in keras.tree.flatten(whole(images))]
    errors = list(map(_apart, wanted, found))
    names = [one.name for one in inner] + _output_names(model)
    if freed is not laid:
        free_ones = operations(freed)
        there = [one for one in inner if one.name in free_ones]
        tapped = {one.name: free_ones[one.name].output for one in there}
        part = keras.Model(freed.inputs[0], tapped)(images) if there else {}
        errors += [_apart(wanted[inner.index(one)], np.asarray(part[one.name])) for one in there]
        names += [one.name for one in there]
    first = next((name for name, one in zip(names, errors, strict=True) if one > BORNE), "")
    return Difference(max(errors), first)


def _apart(wanted: np.ndarray, found: np.ndarray) -> float:
    """Return the largest difference as a share of the largest number; infinite beside NaN."""
    if wanted.shape != found.shape or (np.isnan(wanted) != np.isnan(found)).any():
        return math.inf
    largest = np.nanmax(np.abs(wanted), initial=0.0)
    return float(np.nanmax(np.abs(wanted - found), initial=0.0) / largest) if largest else 0.0


# Folding


def _folded(calls: Sequence[Call], results: Sequence[Value]) -> list[Call]:
    """Return the calls with each BatchNorm folded into the convolution whose only reader it is."""
    makers = {value: call for call in calls for value in call.outputs}
    readers = Counter(value for call in calls for value in call.inputs)
    folded: dict[Value, Call] = {}
    gone: set[int] = set()
    for call in calls:
        if type(call.operation) is not L.BatchNormalization or not call.plain:
            continue
        (value,) = call.inputs
        source = makers.get(value)
        if (
            source
            and source.plain
            and type(source.operation) in LINEAR
            and activation_of(source.operation) == "linear"
            and readers[value] == 1
            and value not in results
            and by_channel(call.operation)
        ):
            scale = normalization(call.operation)
            folded[value] = replace(source, outputs=call.outputs, scale=scale)
            gone.add(id(call))
    return [folded.get(call.outputs[0], call) for call in calls if id(call) not in gone]


def normalization(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Return the factor and the offset that a BatchNorm applies to each channel, in float64."""
    variance = np.asarray(layer.moving_variance, np.float64)
    factor = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        factor = factor * np.asarray(layer.gamma, np.float64)
    offset = -np.asarray(layer.moving_mean, np.float64) * factor
    if layer.center:
        offset = offset + np.asarray(layer.beta, np.float64)
    return factor, offset


# Placing


def _any_size(call: Call, made: Mapping[Value, Any]) -> bool:
    """Return whether a call gives the same on images of another size than the model's own."""
    operation, shapes = call.operation, [made[value].shape for value in call.inputs]
    if not any(None in shape[1:] for shape in shapes):
        return True
    kind, maps = type(operation), all(len(shape) == 4 for shape in shapes)
    if not isinstance(operation, keras.Layer):  # like x + y: they see neither rows nor columns
        return kind.__name__ in ELEMENTWISE and maps
    if kind.__name__ in (*SCALES, *SCALED_SUMS):
        return kind.__module__.startswith("keras.")
    fixed = hasattr(operation, "axis") or kind is L.PReLU
    return kind in ANY_SIZE and maps and (not fixed or by_channel(operation))


def _placed(
    call: Call, name: str, dtype: str, made: Mapping[Value, Any], names: Collection[str]
) -> list[Any]:
    """Return the symbolic outputs of a call, made by layers of its own.

    Args:
        call: the call.
        name: what its layer is called.
        dtype: number format of that.
        made: the symbolic tensors so far.
        names: what all calls are called.
    """
    if _trains(call.operation) is True:
        call = replace(call, kwargs={**call.kwargs, "training": False})
    operation, given = call.operation, [made[value] for value in call.inputs]
    merge = MERGES.get(type(operation).__name__)
    if merge and not isinstance(operation, keras.Layer) and len(given) == 2:
        return [merge(name=name, dtype=dtype)(given)]
    if isinstance(operation, Applied) or not call.plain:
        how = operation, call.args, call.kwargs, call.inputs
        if isinstance(operation, Applied):  # of a model that was flat already
            how = operation.operation, *operation._call, operation.values
        return list(keras.tree.flatten(Applied(*how, name=name, dtype=dtype)(*given)))
    linear, activation = type(operation) in LINEAR, activation_of(operation)
    config = {**operation.get_config(), "name": name, "dtype": dtype}
    if linear:
        config |= {"activation": "linear", "use_bias": operation.use_bias or bool(call.scale)}
        config = {key: value for key, value in config.items() if not key.startswith("lora_")}
        for key in config:
            if key.endswith("_initializer"):
                config[key] = "zeros"  # the weights are set below
    weights = _weights(operation)
    weights = _scaled(operation, weights, call.scale) if call.scale else weights
    arguments = filled((call.args, {}), made)[0]
    if type(operation) is L.Conv2DTranspose:
        spread = _spread(operation, free(f"{name}.spread", names), dtype)
        arguments, weights = (spread(*arguments),), [_turned(weights[0]), *weights[1:]]
        layer = L.Conv2D(**{key: config[key] for key in TRANSPOSED}, padding="valid")
    else:
        layer = _from_config(operation, config)
    outputs = keras.tree.flatten(layer(*arguments))
    if weights:
        layer.set_weights(weights)
        settle(layer)
    if linear and activation != "linear":
        called = free(f"{name}.{activation}", names)
        outputs = [L.Activation(operation.activation, name=called, dtype=dtype)(outputs[0])]
    return list(outputs)


TRANSPOSED = ("filters", "kernel_size", "dilation_rate", "use_bias", "activation", "name", "dtype")
"""What a transposed convolution and the plain one in its place have in common."""


def _spread(layer: Any, name: str, dtype: str) -> Spread:
    """Return what a transposed convolution does to a map before it is a plain convolution."""
    length = 64  # what is padded does not depend on it
    made = layer.compute_output_shape((1, length, length, layer.kernel.shape[-1]))
    padding = []
    for at, stride in enumerate(layer.strides):
        reach = (layer.kernel_size[at] - 1) * layer.dilation_rate[at]
        more = int(made[1 + at]) - length * stride
        cut = max(reach + 1 - stride - more, 0) // 2 if layer.padding == "same" else 0
        padding.append((reach - cut, more + cut))
    return Spread(layer.strides, padding, name=name, dtype=dtype)


def _turned(kernel: np.ndarray) -> np.ndarray:
    """Return a transposed kernel `(height, width, filters, C)` as a plain one."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _weights(layer: keras.Layer) -> list[np.ndarray]:
    """Return the weights that a layer computes with: what LoRA adds is in its kernel."""
    if not getattr(layer, "lora_enabled", False):
        found: list[np.ndarray] = layer.get_weights()
        return found
    return [np.asarray(part) for part in (layer.kernel, *([layer.bias] if layer.use_bias else []))]


def settle(model: keras.Layer) -> None:
    """Let layers make of their weights what they compute with: Normalization, once adapted."""
    for layer in model._flatten_layers():
        if finish := getattr(layer, "finalize_state", None):
            finish()


def _from_config(operation: Any, config: dict[str, Any]) -> Any:
    """Return a layer of the same kind; the code of a Lambda was agreed to when it was loaded."""
    if isinstance(operation, L.Lambda):
        return L.Lambda(
            operation.function, output_shape=operation._output_shape, mask=operation.mask,
            arguments=operation.arguments, name=config["name"], dtype=config["dtype"],
        )  # fmt: skip
    if type(operation) is L.UpSampling2D and operation.interpolation != "nearest":
        return Enlarged.from_config(config)
    return type(operation).from_config(config)


def _scaled(
    layer: Any, weights: Sequence[np.ndarray], scale: tuple[np.ndarray, np.ndarray]
) -> list[np.ndarray]:
    """Return the weights of a linear layer with a BatchNorm behind it folded in."""
    factor, offset = scale
    *kernels, bias = weights if layer.use_bias else [*weights, np.zeros(len(factor))]
    kernel = kernels[-1].astype(np.float64)
    # The axes along which the kernel has its filters.
    shapes = {L.DepthwiseConv2D: kernel.shape[-2:], L.Conv2DTranspose: (-1, 1)}
    kernel = kernel * factor.reshape(shapes.get(type(layer), -1))
    bias = bias.astype(np.float64) * factor + offset
    return [*kernels[:-1], kernel.astype(np.float32), bias.astype(np.float32)]
