"""How many samples fit into memory, and how many are worth a batch."""

from __future__ import annotations

import math
from pathlib import Path

from convscope.models.flow import POINTWISE, sizes
from convscope.models.graph import before
from convscope.models.network import Network

MEMINFO = Path("/proc/meminfo")

# More gain nothing: on two cores of an AMD EPYC with AVX-512 BF16, VGG16 forward and back to the
# image at 96 x 96 pixels took 29.9 ms a sample alone, 23.8 in fours, 22.2 in eights, 20.9 in
# sixteens; in float32 the curve is flatter still.
WORTH = 16
SHARE = 0.25  # of the free memory, for what a batch keeps on the way back
COPIES = 3  # of every activation: itself, its gradient, and what a kernel rearranges


def batch(network: Network, layer: str, height: int, width: int, views: int, meminfo: str) -> int:
    """Return how many samples ascend together: `WORTH` of them, fewer where memory is short.

    Args:
        network: the network.
        layer: the deepest layer it is computed to.
        height: rows that the network sees.
        width: columns that the network sees.
        views: draws of the transforms at each step; each counts like a sample.
        meminfo: the text of Linux's /proc/meminfo; "" elsewhere, which limits nothing.
    """
    words = meminfo.split()
    free = int(words[words.index("MemAvailable:") + 1]) * 1024 if "MemAvailable:" in words else 0
    each = COPIES * 4 * views * numbers(network, layer, height, width)
    return WORTH if not free else max(1, min(WORTH, int(SHARE * free) // each))


def numbers(network: Network, layer: str, height: int, width: int) -> int:
    """Return how many activations an image makes on its way to a layer.

    What an activation function makes of a map counts with the map.
    """
    graph, total = network.until(layer), 0
    for name, (rows, columns) in sizes(graph, (height, width)).items():
        if before(graph[name]) and type(graph[name]) in POINTWISE:
            continue
        shape = graph[name].output.shape
        total += rows * columns * (shape[-1] if len(shape) in (2, 4) else math.prod(shape[1:]))
    return total
