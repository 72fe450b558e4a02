"""The circuit of a filter: a row of measures for each input, the strongest inputs as edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from convscope import text
from convscope.activations.recorder import Recording
from convscope.circuits import effects, weights
from convscope.circuits.attribution import Inputs, Sample
from convscope.circuits.effects import BEST, L2, RANDOM, Agreement, Effects, SilencingInput
from convscope.circuits.faithfulness import MEASURES, Curve, Faithfulness, faithfulness
from convscope.circuits.weights import Kernels, pattern
from convscope.settings import InputSettings
from convscope.stats import bootstrap
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
"""The columns of `kernels.csv`, in order. Fields of `Kernels` and of `Effects` need no more."""


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


EDGE = tuple(field.name for field in fields(Edge))[4:]
"""What an edge repeats of its row of the table, in `circuit.json` too."""


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
        lowest: the smallest value of each channel's input `(C,)`.
        by: the ranking that the edges are chosen by.
        count: how many inputs become edges; all of them where there are fewer.
    """

    root: Unit
    kernel: np.ndarray
    bias: float
    sources: Sequence[Unit]
    kernels: Kernels
    effects: Effects
    orders: Mapping[str, np.ndarray]
    lowest: np.ndarray
    by: str
    count: int

    @property
    def limit(self) -> float:
        """The largest magnitude among all the weights: the end of the shared colour scale."""
        return float(np.abs(self.kernel).max())

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One record for each input channel, all of them: the rows of `kernels.csv`."""
        measures = {
            field.name: getattr(table, field.name)
            for table in (self.kernels, self.effects)
            for field in fields(table)
        }
        measures |= {column: effects.ranks(self.orders[name]) for column, name in RANKS.items()}
        measures |= {"mostly": np.array(self.kernels.mostly), "lowest": self.lowest}
        found = []
        for channel, source in enumerate(self.sources):
            own = {name: values[channel].item() for name, values in measures.items()}
            own |= {"source": source.place, "filter": source.filter}
            own["pattern"], own["angle"] = pattern(self.kernel[..., channel])
            found.append({name: own[name] for name in COLUMNS})
        return found

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """The first inputs of the ranking that chooses, in its order."""
        found = []
        for rank, at in enumerate(self.orders[self.by][: self.count].tolist(), 1):
            own = {name: self.rows[at][name] for name in EDGE}
            found.append(Edge(self.sources[at], at, rank, self.kernel[..., at], **own))
        return tuple(found)

    def document(self) -> dict[str, object]:
        """Return the circuit as plain values: the content of `circuit.json`."""
        return {
            "root": {"layer": self.root.layer, "filter": self.root.filter, "bias": self.bias},
            "by": self.by,
            "edges": [
                {
                    "source": {"layer": edge.source.place, "filter": edge.source.filter},
                    "target": vars(self.root),
                    "rank": edge.rank,
                    **{name: getattr(edge, name) for name in EDGE},
                    "kernel": edge.kernel.tolist(),
                }
                for edge in self.edges
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
class CircuitAnalysis:
    """A circuit and what was measured of it.

    Attributes:
        circuit: the unit with its inputs.
        sample: what was measured on.
        curves: how faithful the inputs are.
        agreements: how far each two rankings agree.
        silencing: what the inhibitory inputs among those shown prevent.
        paths: the photographs of the confirmation half.
    """

    circuit: Circuit
    sample: Sample
    curves: Faithfulness
    agreements: tuple[Agreement, ...]
    silencing: tuple[SilencingInput, ...]
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
        found |= {f"{name}_{count}": getattr(own, name)[at] for name in MEASURES[1:]}
        for name, curve in curves.items():
            if name != RANDOM:
                found[f"normalized_{name}"] = curve.normalized.value
                found[f"normalized_{name}_low"] = curve.normalized.low
                found[f"normalized_{name}_high"] = curve.normalized.high
                found[f"half_{name}"] = curve.half.value
                found[f"recovery_{count}_{name}"] = curve.recovery[at]
        for one in self.agreements:
            if L2 in (one.one, one.other):
                other = one.other if one.one == L2 else one.one
                found[f"kendall_l2_{other}"] = one.kendall
                found[f"jaccard_l2_{other}"] = one.jaccard
        labels = [edge.label for edge in self.circuit.edges]
        found |= {word: labels.count(word) for word in weights.LABELS}
        return plain(found | {
            "bias": self.circuit.bias,
            "inputs": len(self.circuit.sources),
            "share_shown": sum(edge.share for edge in self.circuit.edges),
            "threshold": sample.discovery.threshold,
            "apart": sample.apart,
            "discovery": sample.discovery.photographs,
            "confirmation": sample.confirmation.photographs,
            "positions": sample.inside.count,
            "strong": len(sample.confirmation.top),
            "exactness": sample.error,
        })  # fmt: skip

    def tables(self) -> dict[str, list[dict[str, object]]]:
        """Return the rows of each table that is written, none of them empty."""
        sources, faithful = self.circuit.sources, self.curves
        found: dict[str, list[dict[str, object]]] = {
            "faithfulness": [
                {"ranking": name, "k": size} | curve.record(at)
                for name, curve in faithful.curves.items()
                for at, size in enumerate(faithful.sizes.tolist())
            ],
            "agreement": [dict(vars(one)) for one in self.agreements],
            "members": [
                {"rank": edge.rank, "source": edge.source.place, "filter": edge.source.filter,
                 "ablation_top": edge.ablation_top, "p": p, "p_holm": p_holm}
                for edge, p, p_holm in zip(
                    self.circuit.edges, faithful.p, faithful.p_holm, strict=True
                )
            ],
            "vetoes": [
                {"source": sources[one.channel].place, "filter": sources[one.channel].filter,
                 "share": one.share, "active": one.active, "image": image, "positions": positions}
                for one in self.silencing
                for image, positions in self.silenced(one)
            ],
        }  # fmt: skip
        return {name: rows for name, rows in found.items() if rows}

    def silenced(self, one: SilencingInput) -> list[tuple[str | None, int]]:
        """Return the photographs that an input silences, at how many positions; or (None, 0)."""
        pairs = zip(one.photographs, one.positions, strict=True)
        return [(text.spelled(self.paths[at]), count) for at, count in pairs] or [(None, 0)]


def analyze(
    inputs: Inputs, recording: Recording, sample: Sample, settings: InputSettings, seed: int
) -> CircuitAnalysis:
    """Return what each input of a unit does, which matter most, and how much of it they explain.

    Args:
        inputs: the unit with its inputs.
        recording: what the photographs did.
        sample: what the unit got from its inputs on them.
        settings: how the inputs are ranked and labelled, and how many become edges.
        seed: of the draws of photographs.
    """
    kernel, channels = inputs.linear.kernel, inputs.linear.channels
    first, rest = sample.discovery, sample.confirmation
    table = weights.measure(kernel, settings.mixed, settings.negligible)
    drawn = bootstrap.draws(rest.photographs, seed)
    known = reported = effects.measure(rest, settings.mixed, drawn)
    if sample.apart:
        others = bootstrap.draws(first.photographs, seed, 1)
        known = effects.measure(first, settings.mixed, others)
    circuit = Circuit(
        inputs.unit,
        kernel,
        inputs.linear.bias,
        inputs.sources,
        table,
        reported,
        effects.orders(table.l2, known, first, settings.inputs),
        recording.observation.lowest[channels],
        settings.by,
        settings.inputs,
    )
    shown = np.array([edge.channel for edge in circuit.edges])
    inhibitory = [edge.channel for edge in circuit.edges if edge.functional_sign < 0]
    return CircuitAnalysis(
        circuit,
        sample,
        faithfulness(rest, circuit.orders, shown, reported.ablation_top, drawn, seed),
        effects.agreements(circuit.orders, len(shown)),
        effects.silencing(rest, inhibitory),
        tuple(recording.paths[place] for place in sample.places),
    )


def plain(record: Mapping[str, object]) -> dict[str, object]:
    """Return a record whose numbers are Python's own, None where they are not finite."""
    return {
        name: (float(value) if np.isfinite(value) else None)
        if isinstance(value, float | np.floating)
        else value
        for name, value in record.items()
    }
