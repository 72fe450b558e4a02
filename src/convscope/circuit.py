"""A filter and the inputs that feed it, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convscope import kernels
from convscope.kernels import Kernels
from convscope.unit import Unit

COLUMNS = (
    "source", "filter", "l2", "l1", "sum", "positive", "negative", "sign_index", "label",
    "majority", "share", "mean", "rank_l2", "mostly",
)  # fmt: skip
"""The columns of `kernels.csv`, in order."""


@dataclass(frozen=True)
class Edge:
    """One input of a unit: a kernel slice and what it means.

    Attributes:
        source: the filter that feeds it, or a colour of the image.
        channel: which input channel of the kernel it is.
        rank: 1 for the strongest by L2.
        kernel: the slice `(height, width)`.
        l2: its L2 norm.
        share: squared L2 over the sum of all inputs' squared L2.
        sign_index: from -1, purely inhibitory, to 1, purely excitatory.
        label: excitatory, inhibitory, mixed or negligible.
        mostly: "mostly excitatory" or "mostly inhibitory", by the sign alone.
        mean: expected contribution to the preactivation over the photographs.
    """

    source: Unit
    channel: int
    rank: int
    kernel: np.ndarray
    l2: float
    share: float
    sign_index: float
    label: str
    mostly: str
    mean: float


@dataclass(frozen=True)
class Circuit:
    """A unit with all its inputs measured and the strongest of them as edges.

    Attributes:
        root: the unit that is explained.
        kernel: its weights `(height, width, C)`.
        bias: its bias.
        sources: the unit behind each of the C channels.
        kernels: what the weights say about each channel.
        mean: each channel's expected contribution `(C,)`.
        edges: the strongest inputs, strongest first.
    """

    root: Unit
    kernel: np.ndarray
    bias: float
    sources: tuple[Unit, ...]
    kernels: Kernels
    mean: np.ndarray
    edges: tuple[Edge, ...]

    @property
    def limit(self) -> float:
        """The largest magnitude among all the weights: the end of the shared colour scale."""
        return float(np.abs(self.kernel).max())


def trace(
    root: Unit,
    kernel: np.ndarray,
    bias: float,
    sources: Sequence[Unit],
    table: Kernels,
    mean: np.ndarray,
    count: int,
) -> Circuit:
    """Return the circuit of a unit, with its `count` strongest inputs by L2 as edges.

    Args:
        root: the unit.
        kernel: its weights `(height, width, C)`.
        bias: its bias.
        sources: the unit behind each of the C channels.
        table: what the weights say about each channel.
        mean: each channel's expected contribution `(C,)`.
        count: how many inputs become edges; all of them where there are fewer.
    """
    edges = tuple(
        Edge(
            source=sources[channel],
            channel=int(channel),
            rank=int(table.rank_l2[channel]),
            kernel=kernel[..., channel],
            l2=float(table.l2[channel]),
            share=float(table.share[channel]),
            sign_index=float(table.sign_index[channel]),
            label=str(table.label[channel]),
            mostly=table.mostly[channel],
            mean=float(mean[channel]),
        )
        for channel in table.strongest(count)
    )
    return Circuit(root, kernel, bias, tuple(sources), table, mean, edges)


def records(circuit: Circuit) -> list[dict[str, object]]:
    """Return one record for each input channel, all of them: the rows of `kernels.csv`."""
    measures = {name: getattr(circuit.kernels, name) for name in kernels.MEASURES}
    measures |= {"mean": circuit.mean, "mostly": np.array(circuit.kernels.mostly)}
    return [
        {
            "source": source.layer,
            "filter": source.filter,
            **{name: measures[name][channel].item() for name in COLUMNS[2:]},
        }
        for channel, source in enumerate(circuit.sources)
    ]


def document(circuit: Circuit) -> dict[str, object]:
    """Return the circuit as plain values: the content of `circuit.json`."""
    return {
        "root": {"layer": circuit.root.layer, "filter": circuit.root.filter, "bias": circuit.bias},
        "edges": [
            {
                "source": {"layer": edge.source.layer, "filter": edge.source.filter},
                "target": {"layer": circuit.root.layer, "filter": circuit.root.filter},
                **{
                    name: getattr(edge, name)
                    for name in ("rank", "l2", "share", "sign_index", "label", "mostly", "mean")
                },
                "kernel": edge.kernel.tolist(),
            }
            for edge in circuit.edges
        ],
    }
