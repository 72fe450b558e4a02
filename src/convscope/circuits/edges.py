"""A filter and the inputs that feed it, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from convscope import text
from convscope.circuits import effects, weights
from convscope.circuits.attribution import Sample
from convscope.circuits.effects import BEST, L2, RANDOM, Agreement, Effects, Veto
from convscope.circuits.faithfulness import INTERVALS, MEASURES, Curve, Faithfulness
from convscope.circuits.weights import Kernels, pattern
from convscope.text import share
from convscope.unit import Unit

RANKS = {
    "rank_top_shift": effects.TOP_SHIFT,
    "rank_covariance": effects.COVARIANCE,
    "rank_ablation": effects.ABLATION,
    "rank_greedy": effects.GREEDY,
    "rank_greedy_variance": effects.VARIANCE,
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
        measures[column] = effects.ranks(circuit.orders[name])
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


NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
           "eleven", "twelve")  # fmt: skip
BY = {
    "l2": "with the largest L2",
    "top_shift": "with the largest top shift",
    "covariance": "with the largest covariance share",
    "ablation": "whose ablation changes the output most",
    "greedy": "that explain the responses best together",
}


@dataclass(frozen=True)
class Findings:
    """A circuit and what was measured of it.

    Attributes:
        circuit: the unit with its inputs.
        sample: what was measured on.
        curves: how faithful the inputs are.
        agreements: how far each two rankings agree.
        vetoes: what the inhibitory inputs among those shown prevent.
        paths: the photographs of the confirmation half.
    """

    circuit: Circuit
    sample: Sample
    curves: Faithfulness
    agreements: tuple[Agreement, ...]
    vetoes: tuple[Veto, ...]
    paths: Sequence[Path]

    @property
    def shown(self) -> Curve:
        """The curve of the ranking that the inputs shown were chosen by."""
        return self.curves.curves[self.circuit.by]

    @property
    def sentence(self) -> str:
        """What the inputs shown recover, beside random ones and the best."""
        at, curves = self.curves.at, self.curves.curves
        count, own = self.counted, self.shown
        if not np.isfinite(own.recovery[at]):
            return f"{self.circuit.root} does not vary on these photographs: nothing to recover."
        if self.curves.count == len(self.circuit.sources):
            every = f"All {count} inputs are" if self.curves.count > 1 else "The only input is"
            return f"{every} shown: nothing is left that others could explain better."
        low, high = own.low["recovery"][at], own.high["recovery"][at]
        number = self.sample.confirmation.photographs
        half = f"{number} photographs that had no part in choosing"
        if not self.sample.apart:
            half = f"on the same {number} photographs that chose: too few to be halved"
        kernels = f"{count} kernels" if self.curves.count > 1 else "kernel"
        verb = "recover" if self.curves.count > 1 else "recovers"
        return (
            f"The {kernels} {BY[self.circuit.by]} {verb} {share(own.recovery[at])} "
            f"[{share(low)}, {share(high)}] of a strong activation, random {count} "
            f"{share(curves[RANDOM].recovery[at])}, the best {count} "
            f"{share(curves[BEST].recovery[at])} ({half})."
        )

    @property
    def counted(self) -> str:
        """How many inputs are shown, in words."""
        count = self.curves.count
        return NUMBERS[count] if count < len(NUMBERS) else str(count)

    def scalars(self) -> dict[str, object]:
        """Return every figure of the summary."""
        at, count, curves = self.curves.at, self.curves.count, self.curves.curves
        own, sample = self.shown, self.sample
        found: dict[str, object] = {
            "by": self.circuit.by,
            f"recovery_{count}": own.recovery[at],
            f"recovery_{count}_low": own.low["recovery"][at],
            f"recovery_{count}_high": own.high["recovery"][at],
            f"random_{count}": curves[RANDOM].recovery[at],
            f"best_{count}": curves[BEST].recovery[at],
        }
        for name in MEASURES[1:]:
            found[f"{name}_{count}"] = getattr(own, name)[at]
        for name, curve in curves.items():
            if name != RANDOM:
                found[f"normalized_{name}"] = curve.normalized
                found[f"normalized_{name}_low"] = curve.normalized_low
                found[f"normalized_{name}_high"] = curve.normalized_high
                found[f"half_{name}"] = curve.half
                found[f"recovery_{count}_{name}"] = curve.recovery[at]
        for one in self.agreements:
            if L2 in (one.one, one.other):
                other = one.other if one.one == L2 else one.one
                found[f"kendall_l2_{other}"] = one.kendall
                found[f"jaccard_l2_{other}"] = one.jaccard
        found |= {
            "threshold": sample.discovery.threshold,
            "apart": sample.apart,
            "discovery": sample.discovery.photographs,
            "confirmation": sample.confirmation.photographs,
            "positions": sample.inside.count,
            "strong": len(sample.confirmation.top),
            "exactness": sample.error,
        }
        return {name: _plain(value) for name, value in found.items()}

    def tables(self) -> dict[str, list[dict[str, object]]]:
        """Return the rows of each table that is written, none of them empty."""
        circuit = self.circuit
        found = {
            "faithfulness": self._faithfulness(),
            "agreement": [
                {"one": one.one, "other": one.other, "kendall": one.kendall, "jaccard": one.jaccard}
                for one in self.agreements
            ],
            "members": [
                {
                    "rank": edge.rank, "source": edge.source.layer, "filter": edge.source.filter,
                    "ablation_top": edge.ablation_top, "p": self.curves.p[at],
                    "p_holm": self.curves.p_holm[at],
                }
                for at, edge in enumerate(circuit.edges)
            ],
            "vetoes": [
                {
                    "source": circuit.sources[veto.channel].layer,
                    "filter": circuit.sources[veto.channel].filter,
                    "share": veto.share, "active": veto.active, "image": image,
                    "positions": positions,
                }
                for veto in self.vetoes
                for image, positions in self.silenced(veto)
            ],
        }  # fmt: skip
        return {name: rows for name, rows in found.items() if rows}

    def silenced(self, veto: Veto) -> list[tuple[str | None, int]]:
        """Return the photographs that an input silences, at how many positions; or (None, 0)."""
        pairs = zip(veto.photographs, veto.positions, strict=True)
        found: list[tuple[str | None, int]] = []
        found.extend((text.spelled(self.paths[place]), count) for place, count in pairs)
        return found or [(None, 0)]

    def _faithfulness(self) -> list[dict[str, object]]:
        """Return the rows of `faithfulness.csv`."""
        rows = []
        for name, curve in self.curves.curves.items():
            for at, size in enumerate(self.curves.sizes.tolist()):
                row = {"ranking": name, "k": size}
                for key in ("recovery", "r2", "necessity", "auroc", "zero_r2", "false_fire"):
                    row[key] = getattr(curve, key)[at]
                for key in INTERVALS:
                    row[f"{key}_low"] = curve.low[key][at]
                    row[f"{key}_high"] = curve.high[key][at]
                rows.append(row)
        return rows


def _plain(value: object) -> object:
    """Return a number as Python's own, None where it is not finite."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
