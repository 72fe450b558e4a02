"""A trained Keras network: how its layers are found, tapped, cut apart and traced back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import numpy as np

from convscope.models.backend import keras, tf
from convscope.models.flatten import BORNE, absorbed, difference, flat, outputs
from convscope.models.graph import (
    CONVOLUTIONS,
    Applied,
    activation_of,
    after,
    before,
    behind,
    concatenates,
    inputs,
    keeps,
    kind_of,
    operations,
)
from convscope.models.zoo.checkpoints import Provenance
from convscope.unit import GREY, IMAGE, Unit

# ITU-R BT.601: how much of red, green and blue is in a grey; Pillow's mode L does the same.
LUMA = (0.299, 0.587, 0.114)


class Preprocess(keras.layers.Layer):
    """RGB images `(samples, height, width, 3)` in [0, 1] -> the input of a network, in float32."""

    def __init__(self, mode: str, grey: bool):
        """Keep which of `MODES` it is. `grey` makes one channel of three first."""
        super().__init__(dtype="float32", name="preprocess")
        self.mode, self.grey = mode, grey

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """Return the preprocessed image, `(samples, height, width, 3)`, or 1 channel of grey."""
        how = MODES[self.mode]
        if self.grey:
            image = keras.ops.sum(image * np.asarray(LUMA, np.float32), axis=-1, keepdims=True)
        mean, deviation = (np.asarray(part, np.float32) for part in (how.mean, how.deviation))
        image = (image * np.float32(how.scale) - mean) / deviation
        return keras.ops.flip(image, axis=-1) if how.reverse else image


@dataclass(frozen=True)
class Mode:
    """One way to preprocess: (scale * image - mean) / deviation.

    Attributes:
        scale: what an image in [0, 1] is multiplied by first.
        mean: taken off; one number, or one for each colour, red first.
        deviation: what it is then divided by, likewise.
        reverse: whether the network takes blue first.
    """

    scale: float = 1.0
    mean: float | tuple[float, float, float] = 0.0
    deviation: float | tuple[float, float, float] = 1.0
    reverse: bool = False


MODES: Mapping[str, Mode] = MappingProxyType(
    {
        # RGB in [0, 1], as it is; two names, since both are in use.
        "none": Mode(),
        "unit": Mode(),
        # RGB in [0, 255]: networks that bring their own scaling along.
        "byte": Mode(scale=255.0),
        # RGB in [-1, 1].
        "tf": Mode(scale=2.0, mean=1.0),
        # ImageNet's mean and deviation taken off, as torchvision's networks expect it.
        "torch": Mode(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
        # BGR in [0, 255] minus ImageNet's mean, as the first VGG and ResNet were trained.
        "caffe": Mode(scale=255.0, mean=(123.68, 116.779, 103.939), reverse=True),
        # RGB in [0, 255] minus 127, over 128: EfficientNet-Lite.
        "lite": Mode(scale=255.0, mean=127.0, deviation=128.0),
    }
)


def preprocess(mode: str, channels: int = 3) -> Preprocess:
    """Return the layer for a mode of `MODES` and a network that takes `channels` colours.

    Raises:
        ValueError: there is no such mode, or it is one of colours for a network that takes greys.
    """
    if mode not in MODES:
        raise ValueError(f"There is no preprocessing {mode!r}. It is one of {', '.join(MODES)}.")
    if channels not in (1, 3):
        raise ValueError(
            f"The network takes images of {channels} channels. Photographs have 3 colours or 1"
            " grey; give a network of such."
        )
    if channels == 1 and isinstance(MODES[mode].mean, tuple):
        raise ValueError(
            f"model.preprocess={mode} treats each colour by itself, but the network takes greys."
            " Take none, byte or tf."
        )
    return Preprocess(mode, grey=channels == 1)


def root(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """Return the model's input that a tensor depends on."""
    while sources := inputs(tensor._keras_history.operation):
        tensor = sources[0]
    return tensor


@dataclass(frozen=True)
class Network:
    """A trained network and all that is needed to ask it about photographs.

    Attributes:
        name: as in the config: `vgg16`.
        model: the Keras model, laid out flat; its input is what `preprocess` returns.
        preprocess: RGB images `(samples, height, width, 3)` in [0, 1] -> the model's input,
            differentiable. Nobody outside knows about means and ranges.
        weights: which trained weights the model holds.
        dtype: the number format of the model's arithmetic.
        classes: the class of each logit: a synset like n02130308, or a plain name; empty for a
            network without classifier.
        size: height and width in pixels of the images it was trained on; None where unknown.
        fixed: all of the network, for images of that size alone; None where `model` is all of it.
        absorbed: layers of the original that are part of another: {BatchNorm: its convolution}.
        ends: {each of the network's own outputs: the operation that gives it}; none where they
            are all that nothing reads.
        output: the one of these that was chosen; None: whichever classifies.
        error: how far it is from the model as Keras runs it, as a share; None: not compared.
    """

    name: str
    model: keras.Model
    preprocess: Callable[[tf.Tensor], tf.Tensor]
    weights: Provenance
    dtype: str = "float32"
    classes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    fixed: keras.Model | None = None
    absorbed: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)
    output: str | None = None
    error: float | None = None

    @cached_property
    def graphs(self) -> tuple[dict[str, Any], ...]:
        """The operations by name, each after all that it depends on: of `model`, of `fixed`."""
        return tuple(operations(model) for model in (self.model, self.fixed) if model is not None)

    def graph(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the operations of the model that has all these layers, free in size if it can be.

        Raises:
            ValueError: the network has no such layer.
        """
        for found in self.graphs:
            if all(name in found for name in names):
                return found
        absent = [name for name in names if name not in self.graphs[-1]]
        raise ValueError(f"{self.name} has no layer {absent[0]!r}.")

    def find(self, name: str) -> Any:
        """Return a layer by its name; see `graph` for which model it is of."""
        return self.graph([name])[name]

    def until(self, name: str) -> dict[str, Any]:
        """Return the operations that a layer depends on, itself the last."""
        return behind([self.find(name)])

    def demands(self, name: str) -> tuple[int, int] | None:
        """Return the only size of images that a layer can be asked about; None: any."""
        rows, columns = root(self.find(name).output).shape[1:3]
        return None if rows is None or columns is None else (rows, columns)

    @property
    def mode(self) -> str:
        """The name of the preprocessing, as it stands in `preprocess.MODES`."""
        return str(getattr(self.preprocess, "mode", "none"))

    @property
    def colours(self) -> tuple[int, ...]:
        """The colour that each channel of the model's input is, as a number of `unit.COLOURS`."""
        if self.model.inputs[0].shape[-1] == 1:
            return (GREY,)
        return (2, 1, 0) if MODES[self.mode].reverse else (0, 1, 2)


def layers(network: Network) -> dict[str, int]:
    """Return the filters of every layer one may ask for, in the network's order.

    These are the layers that make channels: convolutions, sums, whatever mixes channels, and the
    dense layers. One that only passes on the channels of another is asked about under its name.
    """
    found = {}
    for operation in network.graphs[-1].values():
        if isinstance(operation, L.InputLayer) or isinstance(operation.output, list | tuple):
            continue
        shape = operation.output.shape
        spatial = len(shape) == 4 or (len(shape) == 2 and type(operation) is L.Dense)
        if spatial and shape[-1] is not None and not keeps(operation):
            found[operation.name] = int(shape[-1])
    return found


L = keras.layers
ACTIVATIONS = (L.Activation, L.ReLU, L.LeakyReLU, L.PReLU, L.ELU)


def build(
    name: str,
    model: keras.Model,
    mode: str,
    provenance: Provenance,
    classes: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    output: str | None = None,
    check: bool = True,
) -> Network:
    """Return a Keras model as a network, laid out flat and for images of any size if it can be.

    Args:
        name: what it is called in results.
        model: the trained model, with one input `(samples, height, width, 1 or 3)`.
        mode: the name of its preprocessing in `preprocess.MODES`.
        provenance: which weights it holds.
        classes: the class of each logit; none for a network without classifier.
        size: height and width in pixels of the images it was trained on, where it is known.
        output: the name of the output that is asked, of a model with several.
        check: whether it is compared with the model as Keras runs it.

    Raises:
        ValueError: the mode does not fit to the model's input, the model is no graph of one
            image, has no such output, or computes otherwise than it does in Keras.
    """
    made = preprocess(mode, model.inputs[0].shape[-1])
    body, fixed = flat(model), None
    ends = outputs(model, body)
    if output is not None and output not in ends:
        raise ValueError(
            f"model.output={output} is no output of {name}. Those are {', '.join(ends)}."
        )
    if None not in model.inputs[0].shape[1:3]:
        # If nothing of it can be freed, it stays as it is.
        with suppress(ValueError):
            body, fixed = flat(body, size=(None, None)), body
        if fixed and operations(body).keys() == operations(fixed).keys():
            fixed = None
    _spare(fixed or body)
    error = _verified(name, model, fixed or body, body, made) if check else None
    return Network(
        name, body, made, provenance, "float32", tuple(classes), size, fixed, absorbed(model),
        ends, ends[output] if output else None, error,
    )  # fmt: skip


def _spare(model: keras.Model) -> None:
    """Keep TensorFlow from joining operations where that would end the process.

    On a CPU TensorFlow 2.21 reads beside its memory where a kernel of one tap and something else
    read the same padded map, once both are joined with what adds them.
    """
    graph = operations(model)
    for name, readers in after(graph).items():
        taps = [one for one in readers if getattr(one, "kernel_size", None) == (1, 1)]
        if taps and len(readers) > 1 and type(graph[name]) is L.ZeroPadding2D:
            tf.config.optimizer.set_experimental_options({"remapping": False})


SIDE = 96
"""Pixels of a side of the images that a network of any size is compared on."""


def _verified(
    name: str, model: keras.Model, laid: keras.Model, freed: keras.Model, prepare: Preprocess
) -> float:
    """Return how far a network is from the model as Keras runs it, as a share.

    It is shown noise, and noise as smooth as photographs are.

    Raises:
        ValueError: it is farther than rounding explains.
    """
    rows, columns = (side or SIDE for side in model.inputs[0].shape[1:3])
    random = np.random.default_rng(0)
    noise = random.random((2, rows, columns, 3), np.float32)
    steps = (np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None])
    falling = 1 / np.maximum(np.hypot(*steps), 1 / max(rows, columns))
    smooth = np.fft.ifft2(np.fft.fft2(noise[1], axes=(0, 1)) * falling[..., None], axes=(0, 1)).real
    low, high = smooth.min(), smooth.max()
    noise[1] = (smooth - low) / (high - low or 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the model is, which is not news
        found = difference(model, laid, freed, np.asarray(prepare(noise)))
    if found.error > BORNE:
        raise ValueError(
            f"{name} computes otherwise here than in Keras: at {found.layer}, the first of its"
            f" layers that does, by {found.error:.2g} of its largest value. So nothing was"
            " answered. Please report it; model.check=false answers all the same."
        )
    return found.error


def cast(network: Network, dtype: str) -> Network:
    """Return the same network with its layers and weights in another number format."""
    if network.dtype == dtype:
        return network
    fixed = None if network.fixed is None else flat(network.fixed, dtype)
    return replace(network, model=flat(network.model, dtype), fixed=fixed, dtype=dtype)


def maker(operation: Any) -> Any:
    """Return the operation whose channels this one passes on; itself, if it makes its own."""
    while before(operation) and keeps(operation):
        (operation,) = before(operation)
    return operation


@dataclass(frozen=True)
class Head:
    """How a network says what an image shows.

    Attributes:
        layer: the layer whose filters are the classes.
        logits: the operation that gives a number for each of them, the last one before the
            probabilities.
        output: the network's own output behind it.
        kind: what that is: "softmax", one choice; "sigmoid", each class by itself, or "binary" if
            it is one number; "linear": logits, so that a softmax has to be taken here.
        filters: of the layer. A single sigmoid chooses between two classes, the first at 0.
    """

    layer: str
    logits: str
    output: str
    kind: str
    filters: int

    @property
    def classes(self) -> int:
        """How many classes there are to choose from; 0 where a single number is no choice."""
        if self.filters > 1:
            return self.filters
        return 2 if self.kind == "binary" else 0


def head(network: Network) -> Head | None:
    """Return how a network classifies, None if it does not.

    Of a network with several outputs that classify none is the one, unless it was chosen.
    """
    found = heads(network)
    return next(iter(found.values())) if len(set(found.values())) == 1 else None


def heads(network: Network) -> dict[str, Head]:
    """Return how each output of a network that classifies does, or the chosen one alone."""
    every = [tensor._keras_history.operation.name for tensor in _last(network)]
    ends = network.ends or dict(zip(every, every, strict=True))
    chosen = {name: end for name, end in ends.items() if network.output in (None, end)}
    found = {name: _head(network.graphs[-1][end]) for name, end in chosen.items()}
    return {name: one for name, one in found.items() if one}


def classifier(network: Network) -> str | None:
    """Return the layer whose filters are the classes, or None if the network has none."""
    found = head(network)
    return found.layer if found else None


def _last(network: Network) -> list[keras.KerasTensor]:
    return list((network.fixed or network.model).outputs)


def _head(output: Any) -> Head | None:
    """Return how an output of a network classifies, None if it does not."""
    logits = output
    while before(logits) and (_reshapes(logits) and not (_chooses(logits))):
        (logits,) = before(logits)
    kind = _chooses(logits) or "linear"
    logits = before(logits)[0] if kind != "linear" else output
    if not _pooled(logits):
        return None
    layer, affine = logits, True
    while before(layer) and keeps(layer):
        affine = affine and type(layer) in AFFINE
        (layer,) = before(layer)
    # A linear end may be anything, features for instance, unless it is what classifiers end in.
    ends = type(layer) in (L.Dense, L.Conv2D) and _pooled(layer) and affine
    if kind == "linear" and not ends:
        return None
    filters = int(logits.output.shape[-1])
    kind = "binary" if kind == "sigmoid" and filters == 1 else kind
    return Head(layer.name, logits.name, output.name, kind, filters)


AFFINE = (L.Flatten, L.Reshape, L.Rescaling, L.BatchNormalization)


def _pooled(operation: Any) -> bool:
    """Return whether an output has no places left, but a number for each channel."""
    shape = operation.output.shape
    return len(shape) == 2 or (len(shape) == 4 and shape[1:3] == (1, 1))


def _reshapes(operation: Any) -> bool:
    """Return whether an operation gives the very numbers that it gets."""
    same = type(operation) in (L.Flatten, L.Reshape) or kind_of(operation) == "Cast"
    return (same and keeps(operation)) or activation_is(operation, "linear")


def _chooses(operation: Any) -> str:
    """Return how an operation makes probabilities of logits, "softmax" or "sigmoid"; "": not."""
    own = operation.operation if isinstance(operation, Applied) else operation
    if kind_of(operation) == "Softmax":
        rank = len(inputs(operation)[0].shape)
        return "softmax" if own.axis in (-1, rank - 1) else ""
    if kind_of(operation) == "Sigmoid":
        return "sigmoid"
    return next((name for name in ("softmax", "sigmoid") if activation_is(operation, name)), "")


def activation_is(operation: Any, name: str) -> bool:
    """Return whether an operation is the activation of a name and nothing else."""
    return type(operation) is L.Activation and activation_of(operation) == name


def preactivation(layer: Any) -> keras.KerasTensor:
    """Return what a layer computes before its activation, symbolically.

    It shares the layer's weights. A unit behind a ReLU that is silent has no gradient; its
    preactivation has one, and it is exactly linear in the layer's inputs.
    """
    linear = type(layer) in (*CONVOLUTIONS, L.Dense)
    if not linear or activation_of(layer) == "linear":
        return layer.output
    return Preactivation(layer)(layer.input)


class Preactivation(keras.layers.Layer):
    """A linear layer without the activation of its own, with its weights."""

    def __init__(self, layer: Any):
        """Keep the layer."""
        # By chance no layer of a user's is called so.
        super().__init__(name=f"preactivation.{uuid4().hex}", dtype=layer.dtype_policy)
        self.layer = layer

    def compute_output_spec(self, values: keras.KerasTensor) -> keras.KerasTensor:
        """Return the shape of the preactivations, which is that of the layer's output."""
        return keras.KerasTensor(self.layer.compute_output_shape(values.shape), self.compute_dtype)

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Return the preactivations `(samples, rows, columns, filters)`."""
        layer = self.layer
        if isinstance(layer, L.Dense):
            result = keras.ops.matmul(values, layer.kernel)
        else:
            result = layer.convolution_op(values, layer.kernel)
        return result + layer.bias if layer.use_bias else result


def activation(network: Network, name: str) -> keras.KerasTensor:
    """Return what later layers get of a layer: its output behind the activation of its own."""
    graph = network.graph([name])
    readers = after(graph).get(name, [])
    if len(readers) == 1 and type(readers[0]) in ACTIVATIONS:
        return readers[0].output
    return graph[name].output


def tap(network: Network, names: Sequence[str], *, pre: bool = False) -> keras.Model:
    """Return a model from images in [0, 1] to {layer: activations}, cut at the last layer.

    Args:
        network: the network to look into.
        names: layers of it; nothing beyond the deepest of them is computed.
        pre: take the preactivations, not what later layers get.

    Returns:
        A `keras.Model`: `(samples, height, width, 3)` float32 -> {name: `(samples, rows, columns,
        filters)` float32}.
    """
    graph = network.graph(names)
    return look(
        network,
        {name: preactivation(graph[name]) if pre else activation(network, name) for name in names},
    )


def look(network: Network, tensors: Mapping[str, keras.KerasTensor]) -> keras.Model:
    """Return a model from images in [0, 1] to named symbolic tensors of one graph, float32."""
    source = root(next(iter(tensors.values())))
    image = keras.Input((*source.shape[1:3], 3), dtype="float32", name="image")
    body = keras.Model(source, dict(tensors))
    values = body(network.preprocess(image))
    return keras.Model(
        image, {name: keras.ops.cast(value, "float32") for name, value in values.items()}
    )


def inputs_of(network: Network, name: str) -> tuple[Unit, ...]:
    """Return the unit that makes each input channel of a layer, in channel order.

    The walk goes back through what leaves channels apart, like activations and pooling, and through
    concatenations into the branch that a channel comes from. It ends at the layer that made the
    channel: a convolution, a sum, whatever mixes channels. At the network's input these are the
    colours.
    """

    @cache
    def channels(operation: Any) -> tuple[Unit, ...]:
        if isinstance(operation, L.InputLayer):
            return tuple(Unit(IMAGE, colour) for colour in network.colours)
        if keeps(operation) or concatenates(operation):
            return sum(map(channels, before(operation)), ())
        return tuple(Unit(operation.name, number) for number in range(operation.output.shape[-1]))

    return sum(map(channels, before(network.find(name))), ())


def mapped(values: tf.Tensor) -> tf.Tensor:
    """Return a layer's values as a map; a classifier's, `(samples, classes)`, as one of 1 x 1."""
    return values[:, None, None, :] if len(values.shape) == 2 else values
