"""A trained Keras network: how its layers are tapped, cut apart and traced back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from convscope import weights
from convscope.backend import keras, tf
from convscope.preprocess import preprocess
from convscope.unit import IMAGE, Unit

CONVOLUTIONS = (keras.layers.Conv2D,)
POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
POINTWISE = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.Dropout,
    keras.layers.Identity,
)


@dataclass(frozen=True)
class Network:
    """A trained network and all that is needed to ask it about photographs.

    Attributes:
        name: as in the config: `vgg16`.
        model: the Keras model; its input is what `preprocess` returns.
        preprocess: RGB images `(samples, height, width, 3)` in [0, 1] -> the model's input,
            differentiable. Nobody outside knows about means and ranges.
        weights: which trained weights the model holds.
        dtype: the number format of the model's arithmetic.
        classes: the class of each logit: a synset like n02130308, or a plain name; empty for a
            network without classifier.
        size: height and width in pixels of the images it was trained on; None where unknown.
    """

    name: str
    model: keras.Model
    preprocess: Callable[[tf.Tensor], tf.Tensor]
    weights: weights.Provenance
    dtype: str = "float32"
    classes: tuple[str, ...] = ()
    size: int | None = None


def build(
    name: str,
    model: keras.Model,
    mode: str,
    provenance: weights.Provenance,
    classes: Sequence[str] = (),
    size: int | None = None,
) -> Network:
    """Return a Keras model as a network.

    Args:
        name: what it is called in results.
        model: the trained model, with one input `(samples, height, width, 1 or 3)`.
        mode: the name of its preprocessing in `preprocess.MODES`.
        provenance: which weights it holds.
        classes: the class of each logit; none for a network without classifier.
        size: height and width in pixels of the images it was trained on, where it is known.

    Raises:
        ValueError: the mode does not fit to the model's input.
    """
    model.trainable = False
    made = preprocess(mode, model.inputs[0].shape[-1])
    return Network(name, model, made, provenance, classes=tuple(classes), size=size)


def cast(network: Network, dtype: str) -> Network:
    """Return the same network with its layers and weights in another number format."""
    if network.dtype == dtype:
        return network

    def rebuild(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": dtype})

    model = keras.models.clone_model(network.model, clone_function=rebuild)
    model.set_weights(network.model.get_weights())
    model.trainable = False
    return replace(network, model=model, dtype=dtype)


def layers(network: Network) -> dict[str, int]:
    """Return the filters of every convolution one may ask for, in the network's order."""
    return {
        layer.name: layer.filters
        for layer in network.model.layers
        if isinstance(layer, CONVOLUTIONS)
    }


def classifier(network: Network) -> str | None:
    """Return the layer that gives a logit for each class, or None if the network has none."""
    last = network.model.layers[-1]
    return last.name if isinstance(last, keras.layers.Dense) else None


def preactivation(layer: keras.layers.Layer) -> keras.KerasTensor:
    """Return what a convolution or classifier computes before its activation, symbolically.

    It shares the layer's weights. A unit behind a ReLU that is silent has no gradient; its
    preactivation has one, and it is exactly linear in the layer's inputs.
    """
    if getattr(layer, "activation", None) is keras.activations.linear:
        return layer.output
    # An operation outside a layer does not convert its inputs to the layer's format by itself.
    inputs = keras.ops.cast(layer.input, layer.compute_dtype)
    if isinstance(layer, keras.layers.Dense):
        result = keras.ops.matmul(inputs, layer.kernel)
    else:
        result = layer.convolution_op(inputs, layer.kernel)
    return result + layer.bias if layer.use_bias else result


def tap(network: Network, names: Sequence[str], *, pre: bool = False) -> keras.Model:
    """Return a model from images in [0, 1] to {layer: activations}, cut at the last layer.

    Args:
        network: the network to look into.
        names: layers of it; nothing beyond the deepest of them is computed.
        pre: take the preactivations of convolutions and classifiers, not their activations.

    Returns:
        A `keras.Model`: `(samples, height, width, 3)` float32 -> {name: `(samples, rows, columns,
        filters)` float32}.
    """
    found = [network.model.get_layer(name) for name in names]
    return look(
        network,
        {
            layer.name: preactivation(layer)
            if pre and isinstance(layer, (*CONVOLUTIONS, keras.layers.Dense))
            else layer.output
            for layer in found
        },
    )


def look(network: Network, tensors: Mapping[str, keras.KerasTensor]) -> keras.Model:
    """Return a model from images in [0, 1] to named symbolic tensors of the network, float32."""
    image = keras.Input((None, None, 3), dtype="float32", name=IMAGE)
    body = keras.Model(network.model.inputs, dict(tensors))
    values = body(network.preprocess(image))
    return keras.Model(
        image, {name: keras.ops.cast(value, "float32") for name, value in values.items()}
    )


def segment(network: Network, source: str, target: str, *, pre: bool = False) -> keras.Model:
    """Return a model from the activations of layer `source` to those of the later `target`.

    Args:
        network: the network to cut.
        source: the layer whose output goes in.
        target: the layer whose output, or preactivation, comes out.
        pre: take the target's preactivations.

    Raises:
        ValueError: `target` cannot be computed from `source` alone.
    """
    start, end = network.model.get_layer(source), network.model.get_layer(target)
    output = preactivation(end) if pre else end.output
    if start.name not in {layer.name for layer in _ancestors(output)}:
        raise ValueError(
            f"{target} of {network.name} does not come after {source}. Name the earlier layer "
            "first."
        )
    return keras.Model(start.output, output)


def inputs_of(network: Network, name: str) -> tuple[Unit, ...]:
    """Return the unit that makes each input channel of a convolution, in channel order.

    The walk goes back through activations and pooling, which leave channels apart, to the
    convolution that made them; at the network's input it ends in the colours.

    Raises:
        ValueError: a layer on the way mixes channels in a way that has no single source.
    """
    layer = network.model.get_layer(name)
    for previous in walk_back(layer.input):
        if isinstance(previous, keras.layers.InputLayer):
            return tuple(Unit(IMAGE, channel) for channel in range(layer.input.shape[-1]))
        if isinstance(previous, CONVOLUTIONS):
            return tuple(Unit(previous.name, channel) for channel in range(previous.filters))
        if not isinstance(previous, POOLINGS + POINTWISE):
            raise ValueError(
                f"The inputs of {name} cannot be named: {previous.name} "
                f"({type(previous).__name__}) lies between it and the convolutions before."
            )
    raise ValueError(f"The inputs of {name} cannot be named: nothing comes before it.")


def walk_back(tensor: keras.KerasTensor) -> Iterator[keras.layers.Layer]:
    """Yield the layers behind `tensor`, nearest first, as far as each has one input.

    Raises:
        ValueError: a layer has several inputs, so that the way back divides.
    """
    while True:
        operation, node, _ = tensor._keras_history
        yield operation
        sources = operation._inbound_nodes[node].input_tensors
        if not sources:
            return
        if len(sources) > 1:
            raise ValueError(
                f"The way back from here divides at {operation.name} "
                f"({type(operation).__name__}), which has {len(sources)} inputs; only chains of "
                "layers can be followed."
            )
        tensor = sources[0]


def _ancestors(tensor: keras.KerasTensor) -> Iterator[keras.layers.Layer]:
    """Yield every operation that `tensor` depends on."""
    seen, pending = set(), [tensor]
    while pending:
        operation, node, _ = pending.pop()._keras_history
        if (id(operation), node) in seen:
            continue
        seen.add((id(operation), node))
        yield operation
        pending.extend(operation._inbound_nodes[node].input_tensors)
