"""What the packaged networks are made of, as far as it is asked before TensorFlow is loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple


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


HALVE = Step(1, 2)  # a stride of two with the padding that TensorFlow calls "same"
MEAN = Step(1, sys.maxsize)  # over all positions: one is left, whatever the size

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


LITE0_STEM, LITE0_TOP = 32, 1280
CLASSIFIER = "predictions"
LITE0_BLOCKS = tuple(_lite0_blocks())
LITE0: Mapping[str, Map] = dict(_lite0())
