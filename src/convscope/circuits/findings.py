"""All that photographs have shown about a circuit: figures, tables and the sentence they end in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.circuits.edges import Circuit
from convscope.circuits.faithfulness import INTERVALS, MEASURES, Curve, Faithfulness
from convscope.circuits.rankings import BEST, L2, RANDOM, TITLES, Agreement
from convscope.circuits.sample import Sample
from convscope.circuits.vetoes import Veto
from convscope.data import dataset
from convscope.report.figures.canvas import number
from convscope.report.figures.curves import chart

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
           "eleven", "twelve")  # fmt: skip
BY = {
    "l2": "with the largest L2",
    "top_shift": "with the largest top shift",
    "covariance": "with the largest covariance share",
    "ablation": "whose ablation changes the output most",
    "greedy": "that explain the responses best together",
}


SIGNIFICANT = 0.05
FIRST = 5  # photographs that are named of each input that silences the unit
MANY = 20  # inputs that a row of the table names
OTHERS = ("normalized", "half", "kendall", "shared")


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
            f"The {kernels} {BY[self.circuit.by]} {verb} {_percent(own.recovery[at])} "
            f"[{_percent(low)}, {_percent(high)}] of a strong activation, random {count} "
            f"{_percent(curves[RANDOM].recovery[at])}, the best {count} "
            f"{_percent(curves[BEST].recovery[at])} ({half})."
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
        found.extend((dataset.spelled(self.paths[place]), count) for place, count in pairs)
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


def evidence(found: Findings) -> dict[str, object]:
    """Return what the report says on faithfulness: numbers in words, and the drawing."""
    circuit, curves = found.circuit, found.curves
    needed = [
        str(edge.source)
        for edge, p in zip(circuit.edges, curves.p_holm, strict=True)
        if p < SIGNIFICANT
    ]
    words = f"{', '.join(needed)} matter" if len(needed) > 1 else f"{''.join(needed)} matters"
    most = f"Left out alone, {words} more to the strong responses than the other inputs do"
    return {
        "sentence": found.sentence.replace(" %", "\N{NO-BREAK SPACE}%"),
        "chart": chart(curves, circuit.by),
        "count": found.counted.capitalize(),
        "needed": f"{most} (p < {SIGNIFICANT:g} after Holm)." if needed else "",
        "rankings": [_ranking(found, name) for name in TITLES if name in curves.curves],
        "vetoes": [_veto(found, veto) for veto in found.vetoes if veto.share],
    }


def _ranking(found: Findings, name: str) -> dict[str, object]:
    """Return a row of the table of rankings."""
    at, curve = found.curves.at, found.curves.curves[name]
    row: dict[str, object] = dict.fromkeys(
        [f"{key}{end}" for key in (*MEASURES, *OTHERS) for end in ("", "_range")], ""
    )
    for key in ("recovery", "r2", "necessity"):
        row[key] = _percent(getattr(curve, key)[at])
        low, high = curve.low[key][at], curve.high[key][at]
        row[f"{key}_range"] = f"{_percent(low)} to {_percent(high)}"
    row |= {"name": TITLES[name], "chosen": name == found.circuit.by, "which": ""}
    row |= {"auroc": number(curve.auroc[at]), "false_fire": _percent(curve.false_fire[at])}
    row["half"] = _whole(curve.half)
    if name == RANDOM:
        return row
    row["normalized"] = number(curve.normalized, digits=2)
    low, high = (number(end, digits=2) for end in (curve.normalized_low, curve.normalized_high))
    row["normalized_range"] = f"{low} to {high}" if name != BEST else ""
    row["half_range"] = f"{_whole(curve.half_low)} to {_whole(curve.half_high)}"
    for one in found.agreements:
        if {one.one, one.other} == {L2, name}:
            row["kendall"] = number(one.kendall, digits=2)
            count = found.curves.count
            row["shared"] = str(round(2 * count * one.jaccard / (1 + one.jaccard)))
    first = found.circuit.orders[name][: found.curves.count].tolist()
    sources = [found.circuit.sources[channel] for channel in first]
    layers = {source.layer for source in sources}
    names = [str(source).rpartition(":")[2] if len(layers) == 1 else str(source)
             for source in sources]  # fmt: skip
    row["which"] = ", ".join(names[:MANY]) + (", ..." if len(names) > MANY else "")
    return row


def _veto(found: Findings, veto: Veto) -> dict[str, str]:
    """Return an entry of the list of vetoes."""
    pairs = [(Path(image).name, count) for image, count in found.silenced(veto) if image]
    shown = ", ".join(f"{name} ({count})" for name, count in pairs[:FIRST])
    more = f" and {len(pairs) - FIRST} more" if len(pairs) > FIRST else ""
    return {
        "name": str(found.circuit.sources[veto.channel]),
        "words": f"alone keeps the unit silent at {_percent(veto.share)} of positions, and at "
        f"{_percent(veto.active)} of those at which it inhibits most.",
        "photographs": f"Most often on {shown}{more}." if shown else "",
    }


def _whole(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "\N{EN DASH}"


def _percent(value: float) -> str:
    """Return a share in whole percent, with one decimal below ten."""
    if not np.isfinite(value):
        return "\N{EN DASH}"
    decimals = 0 if abs(value) >= 0.0995 or abs(value) < 0.0005 else 1
    return f"{round(100 * value, decimals) or 0.0:.{decimals}f} %".replace("-", "\N{MINUS SIGN}")


def _plain(value: object) -> object:
    """Return a number as Python's own, None where it is not finite."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
