"""All that photographs have shown about a circuit: figures, tables and the sentence they end in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope import images
from convscope.circuit import Circuit
from convscope.faithfulness import INTERVALS, MEASURES, Curve, Faithfulness
from convscope.rankings import BEST, L2, RANDOM, Agreement
from convscope.sample import Sample
from convscope.vetoes import Veto

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
        low, high = own.low["recovery"][at], own.high["recovery"][at]
        half = f"{self.sample.confirmation.photographs} photographs"
        half += " that had no part in choosing" if self.sample.apart else ", which also chose"
        return (
            f"The {count} kernels {BY[self.circuit.by]} recover {_percent(own.recovery[at])} "
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
        found = [(images.spelled(self.paths[place]), count) for place, count in pairs]
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


def _percent(value: float) -> str:
    """Return a share in whole percent, with one decimal below ten."""
    decimals = 0 if abs(value) >= 0.0995 or value == 0 else 1
    return f"{100 * value:.{decimals}f} %".replace("-", "\N{MINUS SIGN}")


def _plain(value: object) -> object:
    """Return a number as Python's own, None where it is not finite."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
