"""A filter and the inputs that feed it, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from convscope.circuits import rankings, weights
from convscope.circuits.effects import Effects
from convscope.circuits.pattern import pattern
from convscope.circuits.weights import Kernels
from convscope.unit import Unit

RANKS = {
    "rank_top_shift": rankings.TOP_SHIFT,
    "rank_covariance": rankings.COVARIANCE,
    "rank_ablation": rankings.ABLATION,
    "rank_greedy": rankings.GREEDY,
    "rank_greedy_variance": rankings.VARIANCE,
}
"""The columns of ranks beside that by L2, and the rankings they are of."""

COLUMNS = (
    "source", "filter", "l2", "l1", "sum", "positive", "negative", "sign_index", "label",
    "majority", "share", "mean", "deviation", "covariance_share", "top_shift", "drive", "release",
    "ablation", "rank_l2", *tuple(RANKS)[:3], "mostly", "ablation_top", *tuple(RANKS)[3:],
    "effect", "functional_sign", "sign_low", "sign_high", "confidence", "pattern", "angle",
    "lowest",
)  # fmt: skip
"""The columns of `kernels.csv`, in order."""

EDGE = (
    "rank", "l2", "share", "sign_index", "label", "mostly", "pattern", "angle", "mean", "top_shift",
    "drive", "release", "ablation", "ablation_top", "effect", "functional_sign", "confidence",
)  # fmt: skip
"""What `circuit.json` says of an edge, beside its ends and its kernel."""

MEASURED = ("mean", "top_shift", "drive", "release", "ablation", "ablation_top", "effect",
            "functional_sign", "confidence")  # fmt: skip
"""What an edge repeats of `Effects`."""


@dataclass(frozen=True)
class Edge:
    """One input of a unit: a kernel slice and what it means.

    Attributes:
        source: the filter that feeds it, or a colour of the image.
        channel: which input channel of the kernel it is.
        rank: 1 for the first in the ranking that the edges were chosen by.
        kernel: the slice `(height, width)`.
        l2: its L2 norm.
        share: squared L2 over the sum of all inputs' squared L2.
        sign_index: from -1, purely inhibitory, to 1, purely excitatory.
        label: excitatory, inhibitory, mixed or negligible, by the weights.
        mostly: "mostly excitatory" or "mostly inhibitory", by the sign alone.
        pattern: how the weights are laid out: uniform, opponent, centre-surround or other.
        angle: of an opponent kernel, in degrees counterclockwise from the right; else None.
        mean: expected contribution to the preactivation over the photographs.
        top_shift: how much more it contributes to strong responses.
        drive: the part of the shift above zero.
        release: the part below zero.
        ablation: what the mean output loses with the contribution held at its mean.
        ablation_top: the same at strong responses.
        effect: like `label`, by what the input does.
        functional_sign: like `sign_index`, of the contributions.
        confidence: the share of draws of photographs in which `effect` is the same.
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
    pattern: str
    angle: float | None
    mean: float
    top_shift: float
    drive: float
    release: float
    ablation: float
    ablation_top: float
    effect: str
    functional_sign: float
    confidence: float


@dataclass(frozen=True)
class Circuit:
    """A unit with all its inputs measured and the strongest of them as edges.

    Attributes:
        root: the unit that is explained.
        kernel: its weights `(height, width, C)`.
        bias: its bias.
        sources: the unit behind each of the C channels.
        kernels: what the weights say about each channel.
        effects: what each channel does on the photographs.
        orders: {ranking: the channels in its order `(C,)`}.
        by: the ranking that the edges were chosen by.
        lowest: the smallest value of each channel's input `(C,)`.
        edges: the first inputs of that ranking, in its order.
    """

    root: Unit
    kernel: np.ndarray
    bias: float
    sources: tuple[Unit, ...]
    kernels: Kernels
    effects: Effects
    orders: Mapping[str, np.ndarray]
    by: str
    lowest: np.ndarray
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
    effects: Effects,
    orders: Mapping[str, np.ndarray],
    lowest: np.ndarray,
    by: str,
    count: int,
) -> Circuit:
    """Return the circuit of a unit, with the first `count` inputs of a ranking as edges.

    Args:
        root: the unit.
        kernel: its weights `(height, width, C)`.
        bias: its bias.
        sources: the unit behind each of the C channels.
        table: what the weights say about each channel.
        effects: what each channel does on the photographs.
        orders: {ranking: the channels in its order `(C,)`}.
        lowest: the smallest value of each channel's input `(C,)`.
        by: which of the rankings chooses.
        count: how many inputs become edges; all of them where there are fewer.
    """
    edges = []
    for rank, channel in enumerate(orders[by][:count].tolist(), 1):
        kind, angle = pattern(kernel[..., channel])
        edges.append(
            Edge(
                source=sources[channel],
                channel=channel,
                rank=rank,
                kernel=kernel[..., channel],
                l2=float(table.l2[channel]),
                share=float(table.share[channel]),
                sign_index=float(table.sign_index[channel]),
                label=str(table.label[channel]),
                mostly=table.mostly[channel],
                pattern=kind,
                angle=angle,
                **{name: getattr(effects, name)[channel].item() for name in MEASURED},
            )
        )
    return Circuit(
        root, kernel, bias, tuple(sources), table, effects, orders, by, lowest, tuple(edges)
    )


def records(circuit: Circuit) -> list[dict[str, object]]:
    """Return one record for each input channel, all of them: the rows of `kernels.csv`."""
    measures = {name: getattr(circuit.kernels, name) for name in weights.MEASURES}
    measures |= {field.name: getattr(circuit.effects, field.name) for field in fields(Effects)}
    for column, name in RANKS.items():
        measures[column] = rankings.ranks(circuit.orders[name])
    measures |= {"mostly": np.array(circuit.kernels.mostly), "lowest": circuit.lowest}
    found = []
    for channel, source in enumerate(circuit.sources):
        kind, angle = pattern(circuit.kernel[..., channel])
        own = {name: values[channel].item() for name, values in measures.items()}
        own |= {"pattern": kind, "angle": angle, "source": source.layer, "filter": source.filter}
        found.append({name: own[name] for name in COLUMNS})
    return found


def document(circuit: Circuit) -> dict[str, object]:
    """Return the circuit as plain values: the content of `circuit.json`."""
    return {
        "root": {"layer": circuit.root.layer, "filter": circuit.root.filter, "bias": circuit.bias},
        "by": circuit.by,
        "edges": [
            {
                "source": {"layer": edge.source.layer, "filter": edge.source.filter},
                "target": {"layer": circuit.root.layer, "filter": circuit.root.filter},
                **{name: getattr(edge, name) for name in EDGE},
                "kernel": edge.kernel.tolist(),
            }
            for edge in circuit.edges
        ],
    }
