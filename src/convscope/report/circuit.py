"""The page of a circuit run: a unit, its inputs and all that was measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convscope.circuits.attribution import LEAST
from convscope.circuits.edges import CircuitAnalysis, Edge
from convscope.circuits.effects import L2, TITLES
from convscope.circuits.multihop import FIRST, PathAnalysis
from convscope.circuits.weights import EXCITATORY, INHIBITORY, NEGLIGIBLE
from convscope.data.photograph import data_uri
from convscope.hypothesis.evaluation import Evaluation
from convscope.hypothesis.measurements import Measurements
from convscope.report.figures import canvas
from convscope.report.figures.charts import faithfulness_chart
from convscope.report.figures.explorer import (
    Arrow,
    Column,
    InputRow,
    Node,
    UnitPictures,
    diagram,
    explorer,
)
from convscope.report.figures.tuning import tuning_figure
from convscope.report.html import flat, picture, render
from convscope.text import aligned, number
from convscope.unit import Unit

WORDS = {"l2": "L2", "top_shift": "top shift", "covariance": "covariance share",
         "ablation": "ablation", "greedy": "greedy choice"}  # fmt: skip
"""What inputs may be chosen by, in words."""
SIGNIFICANT = 0.05
MANY = 20  # inputs that a row of the table of rankings names
DRAWN = 3  # paths into each input that the graph shows
UNEXPLAINED = 0.01  # of the rise, above which the remainder is mentioned
SIDE = 1560  # pixels of the graph on the page


@dataclass(frozen=True)
class Report:
    """All that a run has found out about a unit and its inputs, as it is shown.

    Attributes:
        measured: what was measured.
        evaluation: what became of a hypothesis; None: nothing was asked.
        crops: how many photograph crops each unit is shown with.
    """

    measured: Measurements
    evaluation: Evaluation | None = None
    crops: int = 0

    def pictures(self, unit: Unit) -> UnitPictures:
        """Return one unit as it is shown: no picture where its optimum is not alive."""
        best, crops = (
            self.measured.optima.get(unit),
            self.measured.recording.crops(unit, self.crops),
        )
        seen = self.measured.reliability.get(unit)
        return UnitPictures(
            name=str(unit),
            optimum=best.image if best and best.alive else None,
            activation=best.activation if best else None,
            activation_mean=best.activation_mean if best else None,
            alive=best.alive if best else None,
            crops=tuple(crop.pixels for crop in crops),
            crop_activations=tuple(crop.activation for crop in crops),
            evidence=seen.evidence if seen else None,
            standing=seen.reason if seen else "",
        )

    @cached_property
    def root(self) -> UnitPictures:
        """The unit itself."""
        return self.pictures(self.measured.unit)

    @cached_property
    def rows(self) -> tuple[InputRow, ...]:
        """Its strongest inputs, strongest first."""
        edges = self.measured.circuit.edges
        return tuple(InputRow(**vars(edge), unit=self.pictures(edge.source)) for edge in edges)

    @cached_property
    def tuning(self) -> np.ndarray | None:
        """What the unit is tuned to and what it ignores, as a picture; None: not measured."""
        profile = self.measured.character
        return tuning_figure(profile) if profile else None

    def explorer(self) -> np.ndarray:
        """Return the unit with each input and what that does to it: uint8 `(h, w, 3)`."""
        circuit = self.measured.circuit
        whole = len(self.rows) == len(circuit.sources)
        first = f"{len(self.rows)} {'strongest' if circuit.by == L2 else 'chosen'}"
        return explorer(
            self.root,
            self.rows,
            title=f"{circuit.root} and {'all its inputs' if whole else f'its {first} inputs'}",
            subtitle=self.measured.network.weights.source,
            limit=circuit.limit,
        )

    @cached_property
    def graph(self) -> np.ndarray:
        """The unit with its paths, inputs and readers: uint8 `(height, width, 3)`."""
        circuit, hops = self.measured.circuit, self.measured.hops
        alive = {unit: it.image for unit, it in self.measured.optima.items() if it.alive}
        root = str(circuit.root)
        paths = [it for it in hops.paths if it.depth == 2 and it.rank <= DRAWN] if hops else []
        behind = dict.fromkeys(path.source for path in paths)
        readers = hops.downstream.filters[:FIRST] if hops else ()
        inputs = tuple(
            Node(str(edge.source), alive.get(edge.source), edge.kernel,
                 f"{number(edge.top_shift, signed=True)} at strong responses")
            for edge in circuit.edges
        )  # fmt: skip
        after = tuple(
            Node(str(it.unit), None, it.kernel, f"sum {number(it.sum, signed=True)}")
            for it in readers
        )
        reads = tuple(Arrow(root, str(it.unit), it.l2 if it.sum >= 0 else -it.l2) for it in readers)
        feeds = tuple(Arrow(str(edge.source), root, edge.top_shift) for edge in circuit.edges)
        columns = [
            Column("inputs of the inputs", tuple(Node(str(unit)) for unit in behind),
                   tuple(Arrow(str(it.source), str(it.through), it.shift) for it in paths), True),
            Column("inputs", inputs, feeds),
            Column("unit", (Node(root, alive.get(circuit.root)),), reads),
            Column("read by", after),
        ]  # fmt: skip
        how = "arrows as wide as what flows to strong responses beyond the average"
        return diagram(
            columns,
            f"What leads to {root} and where it leads",
            f"{self.measured.network.weights.source}; red raises, blue lowers; {how}; to readers"
            " as wide as their kernel (L2)",
        )

    def page(self, made: Sequence[Mapping[str, object]], settings: Mapping[str, object]) -> str:
        """Return the report.

        Args:
            made: how each optimum was made, the rows of `optima.csv`.
            settings: the settings of the run.
        """
        circuit = self.measured.circuit
        order = circuit.orders[L2].tolist()
        shown = {edge.channel for edge in circuit.edges}
        return circuit_page(
            unit=self.root,
            rows=self.rows,
            table=[
                {**circuit.rows[at], "name": str(circuit.sources[at]), "in_ten": at in shown}
                for at in order
            ],
            kernel=circuit.kernel[..., order],
            facts=self.facts(),
            optima=made,
            settings=settings,
            by=WORDS[circuit.by],
            report=self,
        )

    def facts(self) -> dict[str, str]:
        """Return what the head of the page states."""
        measured, sample = self.measured, self.measured.findings.sample
        root, rest = measured.unit, sample.confirmation
        rate = measured.recording.observation.peaks[root.layer].firing_rate[root.filter]
        strong = len(set(rest.top_of.tolist()))
        halves = f", chosen on {sample.discovery.photographs} others" if sample.apart else ""
        return {
            "network": measured.network.name,
            "weights": measured.network.weights.source,
            "filter": f"{root.filter} of {root.layer}",
            "receptive field": measured.recording.fields[root.layer].words,
            "bias": number(measured.circuit.bias, signed=True),
            "fires at": f"{100 * rate:.1f} % of positions on the photographs",
            "photographs": str(len(measured.recording.paths)),
            "measured on": f"{rest.photographs} of them{halves}, "
            f"{sample.inside.count} positions each",
            "strong response": f"from {number(rest.threshold, signed=True)}: {len(rest.top)} "
            f"positions of {strong} photographs",
        }

    def sections(self) -> dict[str, object]:
        """Return what the sections after the inputs are filled with, beside the report itself."""
        hops = self.measured.hops
        return {
            "evidence": faithfulness_section(self.measured.findings),
            "hops": hops_section(hops) | {"graph": picture(self.graph, SIDE)} if hops else None,
            "tuning": self.tuning,
            "least": LEAST,
        }

    @property
    def disagreeing(self) -> list[Edge]:
        """The inputs whose effect has another sign than their weights."""
        signs = (EXCITATORY, INHIBITORY)
        return [
            edge
            for edge in self.measured.circuit.edges
            if edge.label in signs and edge.effect not in (edge.label, NEGLIGIBLE)
        ]

    @property
    def outside(self) -> tuple[float, float]:
        """The share of strongest positions that see beyond the edge of the image, and of all."""
        recording, inside = self.measured.recording, self.measured.findings.sample.inside
        unit = self.measured.unit
        peaks = recording.observation.peaks[unit.layer]
        rows, columns = peaks.rows[:, unit.filter], peaks.columns[:, unit.filter]
        within = (rows >= inside.rows[0]) & (rows <= inside.rows[-1])
        within &= (columns >= inside.columns[0]) & (columns <= inside.columns[-1])
        every = peaks.count / max(len(recording.paths), 1)
        return float(1 - within.mean()), 1 - inside.count / every


class NotebookCircuit(CircuitAnalysis):
    """A circuit that shows itself in a cell of a notebook: what it explains, and its edges."""

    def _repr_html_(self) -> str:
        tiles = [canvas.kernel_tile(edge.kernel, self.circuit.limit) for edge in self.circuit.edges]
        return render("notebook_circuit.html", found=self, tiles=tiles)


# Columns of the table of all inputs: key of a row, title, explanation, and kind: words, rank,
# percent, signed (numbers with a plus or minus) or plain numbers.
COLUMNS = (
    ("rank_l2", "#", "Rank by L2", "rank"),
    ("name", "input", "Layer and filter", "words"),
    ("label", "by weight", "Label, and the side the weights lean to", "words"),
    ("effect", "by effect", "Label by what the input does on the photographs", "words"),
    ("l2", "L2", "Root of the summed squared weights", ""),
    ("share", "share", "Part of the summed squared weights of all inputs", "percent"),
    ("mean", "mean", "Expected contribution over the photographs", "signed"),
    ("top_shift", "top shift", "How much more it contributes to strong responses", "signed"),
    ("drive", "drive", "The part of the shift from contributions above zero", "signed"),
    ("release", "release", "The part from contributions below zero that fall silent", "signed"),
    ("ablation", "ablation", "What the mean output loses with it held at its mean", "signed"),
    ("covariance_share", "covariance", "Its part of the variance; all sum to 100 %", "percent"),
    ("functional_sign", "effect sign", "Like the sign index, of its contributions", "signed"),
    ("rank_top_shift", "# shift", "Rank by the size of the top shift, other half", "rank"),
    ("rank_greedy", "# greedy", "Rank in the greedy set by activation, other half", "rank"),
    ("sign_index", "sign index", "(P - N) / (P + N), from -1 to +1", "signed"),
    ("majority", "majority", "Part of the weights that are positive", "percent"),
    ("l1", "L1", "Sum of the absolute weights", ""),
    ("sum", "sum", "Sum of the weights", "signed"),
    ("positive", "P", "Sum of the positive weights", ""),
    ("negative", "N", "Sum of the negative weights, without their sign", ""),
)


def circuit_page(
    rows: Sequence[InputRow],
    table: Sequence[Mapping[str, Any]],
    kernel: np.ndarray,
    settings: Mapping[str, object],
    report: Report | None = None,
    **names: object,
) -> str:
    """Return the report of a circuit run as one HTML page that makes no network request.

    Args:
        rows: the unit's strongest inputs, in the order to show.
        table: all inputs, with the keys of `COLUMNS` and `mostly` and `in_ten`.
        kernel: the weights of each row of `table` `(height, width, C)`.
        settings: the settings of the run; groups may be nested.
        report: what the sections after the inputs are about; None leaves them out.
        names: `unit`, as it is shown; `facts`, which the head of the page states; `optima`, how
            each was made; `by`, what the inputs shown were chosen by, in words.
    """
    limit = float(np.abs(kernel).max())
    return render(
        "circuit.html",
        rows=rows,
        columns=COLUMNS,
        table=_table(table),
        sprite=_sprite(kernel, limit),
        limit=limit,
        settings=flat(settings),
        report=report,
        **(report.sections() if report else {}),
        largest={
            name: max(abs(getattr(row, name) or 0) for row in rows) or 1.0
            for name in ("l2", "mean", "top_shift", "ablation")
        },
        effects=canvas.EFFECTS,
        swatches=canvas.SWATCHES,
        legend=data_uri(canvas.legend_bar(255, 1)),
        cells=_cells,
        **names,
    )


def _cells(kernel: np.ndarray, limit: float) -> list[tuple[int, int, str, float]]:
    """Return row, column, colour and weight of each square of a kernel's drawing."""
    colours = canvas.kernel_colours(kernel, limit)
    return [
        (row, column, "#" + colours[row, column].tobytes().hex(), float(weight))
        for (row, column), weight in np.ndenumerate(kernel)
    ]


def _sprite(kernel: np.ndarray, limit: float) -> dict[str, object]:
    """Return all slices of a kernel `(height, width, C)` in one image, a pixel for each weight.

    Each has a border that repeats its edge, so that a page zoomed to a fraction shows nothing of
    its neighbours.
    """
    (height, width, count), columns = kernel.shape, 32
    sheet = np.full((-(-count // columns) * (height + 2), columns * (width + 2), 3), 255, np.uint8)
    for index in range(count):
        colours = canvas.kernel_colours(kernel[..., index], limit)
        top, left = index // columns * (height + 2), index % columns * (width + 2)
        edged = np.pad(colours, ((1, 1), (1, 1), (0, 0)), mode="edge")
        sheet[top : top + height + 2, left : left + width + 2] = edged
    size = {"tall": sheet.shape[0], "wide": sheet.shape[1], "columns": columns}
    zoom = max(2, 30 // max(height, width))
    return size | {"uri": data_uri(sheet), "height": height, "width": width, "zoom": zoom}


def _table(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return `table` with the words of each cell."""
    columns = {
        key: [entry[key] for entry in table]
        if kind == "words"
        else aligned([entry[key] for entry in table], kind)
        for key, _, _, kind in COLUMNS
    }
    return [
        {
            "words": {key: words[row] for key, words in columns.items()},
            "mostly": entry["mostly"],
            "ten": entry["in_ten"],
        }
        for row, entry in enumerate(table)
    ]


def hops_section(found: PathAnalysis) -> dict[str, object]:
    """Return what the section on paths and readers shows beside these themselves."""
    readers, paths = found.downstream.filters[:FIRST], found.paths
    left = max(map(abs, found.remainder), default=0.0) / abs(found.rise) if found.rise else 0.0
    return {
        "found": found,
        "readers": readers,
        "limit": max((float(np.abs(it.kernel).max()) for it in readers), default=0.0),
        "misleading": {str(it.source): it.misleads for it in paths if it.misleads},
        "agreeing": any(np.isfinite(it.cancellation) for it in paths),
        "sources": len({it.source for it in paths if it.depth == 2}),
        "unexplained": left if paths and left > UNEXPLAINED else None,
    }


def faithfulness_section(found: CircuitAnalysis) -> dict[str, object]:
    """Return what the section on faithfulness shows beside the findings themselves."""
    circuit, curves = found.circuit, found.curves
    agreements = {one.other if one.one == L2 else one.one: one for one in found.agreements
                  if L2 in (one.one, one.other)}  # fmt: skip
    return {
        "found": found,
        "chart": faithfulness_chart(curves, circuit.by),
        "significant": SIGNIFICANT,
        "needed": [
            str(edge.source)
            for edge, p in zip(circuit.edges, curves.p_holm, strict=True)
            if p < SIGNIFICANT
        ],
        "rankings": {name: words for name, words in TITLES.items() if name in curves.curves},
        "agreements": agreements,
        "members": {name: _members(found, order) for name, order in circuit.orders.items()},
    }


def _members(found: CircuitAnalysis, order: np.ndarray) -> str:
    """Return the first inputs of a ranking, without their layer where it is the same for all."""
    sources = [found.circuit.sources[at] for at in order[: found.curves.count].tolist()]
    alike = len({source.layer for source in sources}) == 1
    names = [str(source).rpartition(":")[2] if alike else str(source) for source in sources]
    return ", ".join(names[:MANY]) + (", ..." if len(names) > MANY else "")
