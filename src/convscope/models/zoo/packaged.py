"""The networks whose trained weights install as packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from convscope.data.wordnet import taxonomy
from convscope.models.backend import keras
from convscope.models.network import Network, build
from convscope.models.zoo import checkpoints
from convscope.models.zoo.checkpoints import (
    ALEXNET,
    CLASSIFIER,
    LITE0,
    LITE0_BLOCKS,
    LITE0_STEM,
    LITE0_TOP,
    Block,
)

L = keras.layers
EPSILON = 1e-3  # added to each variance that is divided by


def vgg16(path: Path | None = None) -> Network:
    """Return VGG16's thirteen convolutions with the packaged torchvision weights.

    The graph and the layer names are those of `keras.applications.VGG16(include_top=False)`, for
    images of any size.

    Args:
        path: a copy of the packaged checkpoint; None takes the installed one.

    Raises:
        FileNotFoundError, ValueError: see `weights.load`.
    """
    model = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=(None, None, 3), name="vgg16"
    )
    return _filled(model, path, "torch")


def alexnet(path: Path | None = None) -> Network:
    """Return AlexNet's five convolutions with the packaged torchvision weights.

    Args:
        path: a copy of the packaged checkpoint; None takes the installed one.

    Raises:
        FileNotFoundError, ValueError: see `weights.load`.
    """
    filters = {name: made.filters for name, made in ALEXNET.items()}

    def convolution(
        name: str, size: int, strides: int = 1, padding: str = "same"
    ) -> keras.layers.Layer:
        return L.Conv2D(filters[name], size, strides, padding, activation="relu", name=name)

    image = value = keras.Input((None, None, 3), name="image")
    for layer in (
        # With a stride "same" pads less on one side.
        L.ZeroPadding2D(2, name="conv1_pad"),
        convolution("conv1", 11, 4, "valid"),
        L.MaxPooling2D(3, 2, name="pool1"),
        convolution("conv2", 5),
        L.MaxPooling2D(3, 2, name="pool2"),
        convolution("conv3", 3),
        convolution("conv4", 3),
        convolution("conv5", 3),
    ):
        value = layer(value)
    return _filled(keras.Model(image, value, name="alexnet"), path, "torch")


def efficientnet_lite0(path: Path | None = None) -> Network:
    """Return EfficientNet-Lite0 with the packaged weights; it ends in the logits of 1000 classes.

    The layer names are those of `keras.applications.EfficientNetB0`, of which this is the form
    without squeeze-and-excitation, and with ReLU6 for swish.

    Args:
        path: a copy of the packaged checkpoint; None takes the installed one.

    Raises:
        FileNotFoundError, ValueError: see `weights.load`.
    """
    image = keras.Input((None, None, 3), name="image")
    value = L.Conv2D(LITE0_STEM, 3, 2, "same", use_bias=False, name="stem_conv")(image)
    value = _normalized(value, "stem_")
    for block in LITE0_BLOCKS:
        value = _block(value, block)
    value = L.Conv2D(LITE0_TOP, 1, use_bias=False, name="top_conv")(value)
    value = L.GlobalAveragePooling2D(name="avg_pool")(_normalized(value, "top_"))
    value = L.Dense(LITE0[CLASSIFIER].filters, name=CLASSIFIER)(value)
    model = keras.Model(image, value, name="efficientnet_lite0")
    return _filled(model, path, "lite", taxonomy().classes)


def _block(inputs: keras.KerasTensor, block: Block) -> keras.KerasTensor:
    """Return what an inverted residual block makes of its inputs."""
    name, value = block.name, inputs
    if block.expansion > 1:
        value = L.Conv2D(block.width, 1, use_bias=False, name=f"{name}_expand_conv")(value)
        value = _normalized(value, f"{name}_expand_")
    value = L.DepthwiseConv2D(
        block.kernel, block.stride, "same", use_bias=False, name=f"{name}_dwconv"
    )(value)
    value = _normalized(value, f"{name}_")
    value = L.Conv2D(block.filters, 1, use_bias=False, name=f"{name}_project_conv")(value)
    value = L.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(value)
    return L.Add(name=f"{name}_add")([value, inputs]) if block.adds else value


def _normalized(value: keras.KerasTensor, prefix: str) -> keras.KerasTensor:
    """Return values normalized and cut to 0 to 6."""
    value = L.BatchNormalization(epsilon=EPSILON, name=f"{prefix}bn")(value)
    return L.ReLU(6.0, name=f"{prefix}activation")(value)


def _filled(
    model: keras.Model, path: Path | None, mode: str, classes: Sequence[str] = ()
) -> Network:
    """Return a model as a network once it holds the packaged weights of its name.

    Raises:
        FileNotFoundError: the file or its package is missing.
        ValueError: the file is damaged, or holds an array that does not fit.
    """
    checkpoint = checkpoints.PACKAGED[model.name]
    arrays = checkpoints.load(checkpoint, path)
    for layer in model.layers:
        values = arrays.get(layer.name, ())
        takes, has = ([tuple(part.shape) for part in parts] for parts in (layer.weights, values))
        if takes != has:
            raise ValueError(
                f"The weight file has arrays of {_shapes(has)} for {layer.name}, which takes"
                f" {_shapes(takes)}."
            )
        layer.set_weights(values)
    return build(model.name, model, mode, checkpoint.provenance, classes, checkpoint.size)


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    """Return shapes in words."""
    return ", ".join(" x ".join(map(str, shape)) for shape in shapes) or "nothing"


LOADERS: dict[str, Callable[[Path | None], Network]] = {
    "vgg16": vgg16,
    "alexnet": alexnet,
    "efficientnet_lite0": efficientnet_lite0,
}
