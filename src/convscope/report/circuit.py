"""All that a run has found out about a unit and its inputs, drawn and put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from convscope.activations.recorder import Recording
from convscope.circuits.attribution import LEAST
from convscope.circuits.edges import Circuit, CircuitAnalysis
from convscope.circuits.effects import BEST, L2, RANDOM, TITLES, SilencingInput
from convscope.circuits.faithfulness import MEASURES
from convscope.circuits.multihop import FIRST, CircuitPath, PathAnalysis
from convscope.circuits.weights import EXCITATORY, INHIBITORY, MIXED, NEGLIGIBLE, DownstreamFilter
from convscope.data.photograph import data_uri
from convscope.hypothesis.evaluation import Case
from convscope.models.network import Network
from convscope.optvis.ascent import Optimum
from convscope.report.figures import canvas
from convscope.report.figures.canvas import kernel_tile
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
from convscope.report.html import flat, picture, render
from convscope.text import aligned, fixed, number, share
from convscope.unit import IMAGE, Unit
from convscope.units.profile import Profile

WORDS = {"l2": "L2", "top_shift": "top shift", "covariance": "covariance share",
         "ablation": "ablation", "greedy": "greedy choice"}  # fmt: skip
"""What inputs may be chosen by, in words."""
FEW = 100
"""Photographs below which their crops and means are called examples."""
ENOUGH = 5
"""Photographs with strong responses below which these are called few."""
HALF = 0.5
"""Of the peaks that positions away from the border should have: with fewer, that is said."""


@dataclass(frozen=True)
class Dossier:
    """The findings about one unit, side by side.

    Attributes:
        network: whose unit it is.
        findings: the unit with its inputs, and what was measured of them.
        recording: the photographs and what they did.
        optima: the image that excites each unit most; units without one are missing.
        crops: how many photograph crops each unit is shown with.
        case: what became of a hypothesis, and which optima are evidence.
        character: what the unit is tuned to and what it ignores; None: not measured.
        likeness: that as a picture, uint8 `(height, width, 3)`.
        hops: what lies beyond the inputs; None: not looked at.
    """

    network: Network
    findings: CircuitAnalysis
    recording: Recording
    optima: Mapping[Unit, Optimum]
    crops: int
    case: Case | None = None
    character: Profile | None = None
    likeness: np.ndarray | None = None
    hops: PathAnalysis | None = None

    @property
    def circuit(self) -> Circuit:
        """The unit with its inputs."""
        return self.findings.circuit

    def pictures(self, unit: Unit) -> UnitPictures:
        """Return one unit as it is shown: no picture where its optimum is not alive."""
        best, crops = self.optima.get(unit), self.recording.crops(unit, self.crops)
        seen = self.case.reliabilities.get(unit) if self.case else None
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
        return self.pictures(self.circuit.root)

    @cached_property
    def rows(self) -> tuple[InputRow, ...]:
        """Its strongest inputs, strongest first."""
        return tuple(
            InputRow(**vars(edge), unit=self.pictures(edge.source)) for edge in self.circuit.edges
        )

    def picture(self) -> np.ndarray:
        """Return the explorer: uint8 `(height, width, 3)`."""
        whole = len(self.rows) == len(self.circuit.sources)
        first = f"{len(self.rows)} {'strongest' if self.circuit.by == L2 else 'chosen'}"
        which = "all its inputs" if whole else f"its {first} inputs"
        return explorer(
            self.root,
            self.rows,
            title=f"{self.circuit.root} and {which}",
            subtitle=self.network.weights.source,
            limit=self.circuit.limit,
        )

    def graph(self, hops: PathAnalysis) -> np.ndarray:
        """Return the unit amid what leads to it and what it leads to: uint8 `(h, w, 3)`."""
        alive = {unit: best.image for unit, best in self.optima.items() if best.alive}
        return graph(hops, self.circuit, alive, self.network.weights.source)

    def page(self, made: Sequence[Mapping[str, object]], settings: Mapping[str, object]) -> str:
        """Return the report.

        Args:
            made: how each optimum was made, the rows of `optima.csv`.
            settings: the settings of the run.
        """
        circuit = self.circuit
        order = circuit.orders[L2]
        shown = {edge.channel for edge in circuit.edges}
        return circuit_page(
            unit=self.root,
            rows=self.rows,
            table=[
                {**circuit.rows[at], "name": str(circuit.sources[at]), "in_ten": at in shown}
                for at in order
            ],
            limit=circuit.limit,
            tiles=[kernel_tile(circuit.kernel[..., at], circuit.limit) for at in order],
            facts=self.facts(),
            optima=made,
            settings=settings,
            notes=self.notes(),
            evidence=evidence(self.findings),
            by=WORDS[circuit.by],
            case=self.case,
            character=self.character,
            likeness=self.likeness,
            hops=section(self.hops, circuit, self.graph(self.hops)) if self.hops else None,
        )

    def facts(self) -> dict[str, str]:
        """Return what the head of the page states."""
        root, field = self.circuit.root, self.recording.fields[self.circuit.root.layer]
        rate = self.recording.observation.firing_rate[root.filter]
        sample = self.findings.sample
        rest = sample.confirmation
        strong = len(set(rest.top_of.tolist()))
        halves = f", chosen on {sample.discovery.photographs} others" if sample.apart else ""
        return {
            "network": self.network.name,
            "weights": self.network.weights.source,
            "filter": f"{root.filter} of {root.layer}",
            "receptive field": field.words,
            "bias": number(self.circuit.bias, signed=True),
            "fires at": f"{100 * rate:.1f} % of positions on the photographs",
            "photographs": str(len(self.recording.paths)),
            "measured on": f"{rest.photographs} of them{halves}, "
            f"{sample.inside.count} positions each",
            "strong response": f"from {number(rest.threshold, signed=True)}: {len(rest.top)} "
            f"positions of {strong} photographs",
        }

    def notes(self) -> list[str]:
        """Return what a reader should keep in mind, as far as these findings themselves say so."""
        edges, inputs = self.circuit.edges, len(self.circuit.sources)
        share = sum(edge.share for edge in edges)
        said = [
            f"These are the weights '{self.network.weights.source}'. A filter's number means "
            "nothing beyond one set of weights."
        ]
        if len(edges) < inputs:
            said.append(
                f"The {len(edges)} inputs shown hold {100 * share:.0f} % of the squared weights; "
                f"the table has all {inputs}. A strong kernel is not yet a strong influence: "
                "compare its top shift."
            )
        said.extend(self._about_inputs())
        said.extend(self._about_photographs())
        seen = self.case.reliabilities if self.case else {}
        if doubtful := [str(unit) for unit, one in seen.items() if not one.evidence]:
            said.append(
                f"No evidence of what units do on photographs are the optima of {_some(doubtful)}:"
                " they excite them less than photographs do, or through other channels. They count"
                " in no argument; tables/evidence.csv has the figures."
            )
        if silent := [str(unit) for unit, best in self.optima.items() if not best.alive]:
            said.append(
                f"Not alive from any start, so without a picture: {', '.join(silent)}. That no "
                "image was found is no proof that there is none."
            )
        if skipped := len(self.recording.skipped):
            said.append(f"{skipped} files could not be read: tables/skipped.csv lists them.")
        return said

    def _about_inputs(self) -> Iterator[str]:
        circuit, edges = self.circuit, self.circuit.edges
        if any(source.layer == IMAGE for source in circuit.sources):
            yield (
                "The inputs are colours with their mean taken off, so they can be negative: a "
                "positive weight excites where its colour is brighter than average and inhibits "
                "where it is darker."
            )
        elif below := int(np.count_nonzero(circuit.lowest < 0)):
            yield (
                f"{below} of the {len(circuit.sources)} inputs can be negative, so the sign of a "
                "weight does not say whether it excites or inhibits: go by the effect."
            )
        if mixed := [str(edge.source) for edge in edges if edge.label == MIXED]:
            yield (
                f"Mixed, with weights of both signs in near balance: {', '.join(mixed)}. Whether "
                "such an input excites or inhibits depends on the position."
            )
        signs = (EXCITATORY, INHIBITORY)
        if apart := [
            f"{edge.source} ({edge.label} by weight, {edge.effect} by effect)"
            for edge in edges
            if edge.label != edge.effect and edge.label in signs and edge.effect != NEGLIGIBLE
        ]:
            yield f"Weights and effect disagree: {', '.join(apart)}. The context decides."
        if dead := [str(edge.source) for edge in edges if edge.effect == NEGLIGIBLE]:
            yield (
                f"Strong by weight, negligible by effect: {', '.join(dead)}. These inputs hardly "
                "vary on the photographs, or do so alike whether the unit responds or not."
            )

    def _about_photographs(self) -> Iterator[str]:
        sample, count = self.findings.sample, len(self.recording.paths)
        if not sample.apart:
            yield (
                "Ranked and measured on the same photographs, as a half of them would have fewer "
                f"than {LEAST} or no strong response: the figures flatter the rankings by an "
                "unknown amount."
            )
        strong = len(set(sample.confirmation.top_of.tolist()))
        if strong < ENOUGH:
            yield (
                f"The strong responses come from only {strong} photograph{'s' * (strong != 1)}: "
                "shifts, recovery and necessity may be different on others."
            )
        if count < FEW:
            yield (
                f"{count} photographs are few: the crops and mean contributions are examples. Give "
                "more with images=folder images.root=PATH."
            )
        if sample.whole:
            yield (
                "Every position sees beyond the edge of the image, so all of them were measured, "
                "with the zeros that the network puts there."
            )
        if sample.thinned:
            yield "Only some positions of each photograph were measured, for want of memory."
        beyond, area = self._outside()
        if not sample.whole and 1 - beyond < (1 - area) * HALF:
            yield (
                f"On {100 * beyond:.0f} % of the photographs the unit responds most where it sees "
                f"beyond their edge, which {100 * area:.0f} % of positions do: it may respond to "
                "the edge itself. Such positions show in the crops and count in no figure."
            )

    def _outside(self) -> tuple[float, float]:
        """Return the share of strongest positions that see beyond the edge, and of all."""
        root, inside = self.circuit.root, self.findings.sample.inside
        peaks = self.recording.observation.peaks[root.layer]
        rows, columns = peaks.rows[:, root.filter], peaks.columns[:, root.filter]
        within = (rows >= inside.rows[0]) & (rows <= inside.rows[-1])
        within &= (columns >= inside.columns[0]) & (columns <= inside.columns[-1])
        every = self.recording.observation.count / max(len(self.recording.paths), 1)
        return float(1 - within.mean()), 1 - inside.count / every


def _some(names: Sequence[str], most: int = 4) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
    *,
    unit: UnitPictures,
    rows: Sequence[InputRow],
    table: Sequence[Mapping[str, object]],
    limit: float,
    tiles: Sequence[np.ndarray],
    facts: Mapping[str, str],
    optima: Sequence[Mapping[str, object]],
    settings: Mapping[str, object],
    notes: Sequence[str],
    evidence: Mapping[str, object] | None = None,
    by: str = "L2",
    case: object = None,
    character: object = None,
    likeness: np.ndarray | None = None,
    hops: Mapping[str, object] | None = None,
) -> str:
    """Return the report of a circuit run as one HTML page that makes no network request.

    Args:
        unit: the unit explained.
        rows: its strongest inputs, in the order to show.
        table: all inputs, with the keys of `COLUMNS` and `mostly` and `in_ten`.
        limit: the weight at both ends of the colour scale of all kernels.
        tiles: the kernel tile of each row of `table`, all of one shape.
        facts: what the head of the page states, label to value.
        optima: how each optimum was made, one mapping for each.
        settings: the settings of the run; groups may be nested.
        notes: what to keep in mind, one sentence or two each.
        evidence: how faithful the inputs are: `sentence`, `chart`, `rankings`, `needed`, `vetoes`;
            None: not measured.
        by: what the inputs shown were chosen by, in words.
        case: what became of a hypothesis, as case.py has it; None: nothing was asked.
        character: what the unit is tuned to and ignores, as character.py has it; None: unknown.
        likeness: the drawing of that, uint8 `(height, width, 3)`.
        hops: what lies beyond the inputs, as `beyond.section` says it; None: not looked at.

    Raises:
        ValueError: there is no input, or `tiles` do not fit to `table` or to the kernels.
    """
    if not rows or len(tiles) != len(table):
        message = "A report needs at least one input, and a tile for each row of its table."
        received = f"{len(rows)} inputs, {len(tiles)} tiles, {len(table)} rows"
        raise ValueError(f"{message} Received: {received}.")
    return render(
        "circuit.html",
        unit=unit,
        rows=rows,
        columns=COLUMNS,
        table=_table(table),
        sprite=_sprite(tiles, rows[0].kernel.shape),
        limit=limit,
        facts=facts,
        optima=optima,
        settings=flat(settings),
        notes=notes,
        evidence=evidence,
        by=by,
        case=case,
        character=character,
        likeness=likeness,
        hops=hops,
        largest={
            name: max(abs(getattr(row, name) or 0) for row in rows) or 1.0
            for name in ("l2", "mean", "top_shift", "ablation")
        },
        effects=canvas.EFFECTS,
        swatches=canvas.SWATCHES,
        legend=data_uri(canvas.legend_bar(255, 1)),
        cells=_cells,
    )


def _cells(kernel: np.ndarray, limit: float) -> list[tuple[int, int, str, float]]:
    """Return row, column, colour and weight of each square of a kernel's drawing."""
    colours = canvas.kernel_colours(kernel, limit)
    return [
        (row, column, "#" + colours[row, column].tobytes().hex(), float(weight))
        for (row, column), weight in np.ndenumerate(kernel)
    ]


def _sprite(tiles: Sequence[np.ndarray], kernel: tuple[int, ...]) -> dict[str, object]:
    """Return all tiles in one image, a pixel for each weight.

    Each has a border that repeats its edge, so that a page zoomed to a fraction shows nothing of
    its neighbours. `kernel` is the shape of the kernels that `figures.kernel_tile` drew.
    """
    (height, width), columns = kernel, 32
    sheet = np.full((-(-len(tiles) // columns) * (height + 2), columns * (width + 2), 3), 255)
    for index, tile in enumerate(tiles):
        side = tile.shape[0] // height
        small = tile[side // 2 :: side, side // 2 :: side]
        if small.shape != (height, width, 3):
            message = f"Tiles of a {height}x{width} kernel have a multiple of its shape."
            raise ValueError(f"{message} Received: {tile.shape} in row {index}.")
        top, left = index // columns * (height + 2), index % columns * (width + 2)
        edged = np.pad(small, ((1, 1), (1, 1), (0, 0)), mode="edge")
        sheet[top : top + height + 2, left : left + width + 2] = edged
    size = {"tall": sheet.shape[0], "wide": sheet.shape[1], "columns": columns}
    zoom = max(2, 30 // max(height, width))
    uri = data_uri(sheet.astype(np.uint8))
    return size | {"uri": uri, "height": height, "width": width, "zoom": zoom}


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


DRAWN = 3  # paths into each input that the graph shows
NAMED = 6  # sources whose weights mislead that are named
SIDE = 1560  # pixels of the graph on the page
UNEXPLAINED = 0.01  # of the rise, above which the remainder is mentioned


def section(found: PathAnalysis, circuit: Circuit, drawing: np.ndarray) -> dict[str, object]:
    """Return what the report says beyond the inputs.

    Args:
        found: what lies there.
        circuit: the unit with its inputs.
        drawing: the graph.
    """
    first = found.downstream.filters[:FIRST]
    return {
        "depth": max((path.depth for path in found.paths), default=1),
        "graph": picture(drawing, SIDE),
        "clients": [_client(client) for client in first],
        "limit": max((float(np.abs(client.kernel).max()) for client in first), default=0.0),
        "reading": _reading(found),
        "carried": _carried(found, circuit),
        "trust": _trust(found),
        "paths": [_path(found, path) for path in found.paths],
    }


def graph(
    found: PathAnalysis, circuit: Circuit, optima: Mapping[Unit, np.ndarray], source: str
) -> np.ndarray:
    """Return the drawing of a unit with its paths, inputs and clients, uint8 RGB.

    Args:
        found: what lies beyond the inputs.
        circuit: the unit with its inputs.
        optima: the image that excites each unit most; units without one are missing.
        source: the weights it is of.
    """
    root = str(circuit.root)
    paths = [path for path in found.paths if path.depth == 2 and path.rank <= DRAWN]
    behind = dict.fromkeys(path.source for path in paths)
    inputs = tuple(
        Node(str(edge.source), optima.get(edge.source), edge.kernel,
             f"{number(edge.top_shift, signed=True)} at strong responses")
        for edge in circuit.edges
    )  # fmt: skip
    clients = found.downstream.filters[:FIRST]
    after = tuple(
        Node(str(client.unit), None, client.kernel, f"sum {number(client.sum, signed=True)}")
        for client in clients
    )
    reads = tuple(Arrow(root, str(it.unit), it.l2 if it.sum >= 0 else -it.l2) for it in clients)
    feeds = tuple(Arrow(str(edge.source), root, edge.top_shift) for edge in circuit.edges)
    columns = [
        Column("inputs of the inputs", tuple(Node(str(unit)) for unit in behind),
               tuple(Arrow(str(it.source), str(it.through), it.shift) for it in paths), True),
        Column("inputs", inputs, feeds),
        Column("unit", (Node(root, optima.get(circuit.root)),), reads),
        Column("read by", after),
    ]  # fmt: skip
    how = "arrows as wide as what flows to strong responses beyond the average"
    return diagram(
        columns,
        f"What leads to {root} and where it leads",
        f"{source}; red raises, blue lowers; {how}; to readers as wide as their kernel (L2)",
    )


def _client(client: DownstreamFilter) -> dict[str, object]:
    return {
        "name": str(client.unit),
        "kernel": client.kernel,
        "l2": number(client.l2),
        "sum": number(client.sum, signed=True),
        "sign": fixed(client.sign_index),
        "label": client.label,
        "share": _percent(client.share),
        "via": ", ".join(client.via),
    }


def _reading(found: PathAnalysis) -> str:
    """Return who reads the unit, in a sentence or two."""
    clients = found.downstream
    words = (
        f"Behind {', '.join(clients.ends)} the way on is not linear, so that no kernel reads it."
    )
    more = f" {words}" if clients.ends else ""
    if not clients.filters:
        return f"No linear layer of this network reads {found.root}.{more}"
    count = len(clients.filters)
    filters = f"{count} filter{'s' * (count != 1)}"
    return f"{found.root} is read by {filters} of {_listed(clients.layers)}.{more}"


def _carried(found: PathAnalysis, circuit: Circuit) -> str:
    """Return how much the paths that are kept carry, in a sentence."""
    if not found.remainder:  # not asked for
        return ""
    if found.reach is None:
        return (
            "Behind these inputs lies no layer that is linear in its own inputs: no path to show."
        )
    figures = found.reach
    paths = f"{len(found.paths)} path{'s' * (len(found.paths) != 1)}"
    return (
        f"The network run with these {paths} alone, all else held at its mean, recovers "
        f"{_percent(figures['paths_recovery'])} [{_percent(figures['paths_recovery_low'])}, "
        f"{_percent(figures['paths_recovery_high'])}] of a strong activation; with all that feeds "
        f"the {len(circuit.edges)} inputs {_percent(figures['paths_whole'])}, with as many random "
        f"paths {_percent(figures['paths_random'])}, with none {_percent(figures['paths_none'])} "
        f"({found.photographs} photographs)."
    )


def _trust(found: PathAnalysis) -> str:
    """Return where the expanded weights mislead, and what no path explains."""
    if not found.paths:
        return ""
    said = []
    wrong = {str(path.source): path.misleads for path in found.paths if path.misleads}
    two = {str(path.source) for path in found.paths if path.depth == 2}
    if wrong:
        few = "; ".join(f"{name}: {why}" for name, why in list(wrong.items())[:NAMED])
        more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        said.append(
            f"Multiplied out over two hops, the weights alone mislead for {len(wrong)} of "
            f"{len(two)} sources ({few}{more})."
        )
    elif any(np.isfinite(path.cancellation) for path in found.paths):
        said.append("Multiplied out over two hops, the weights alone agree with what they do.")
    left = max(map(abs, found.remainder)) / abs(found.rise) if found.rise else 0.0
    if left > UNEXPLAINED:
        said.append(
            f"{_percent(left)} of the rise is explained neither by paths nor by biases: a layer "
            "between is not piecewise linear, or shifts what passes it."
        )
    return " ".join(said)


def _path(found: PathAnalysis, path: CircuitPath) -> dict[str, object]:
    return {
        "depth": path.depth,
        "name": str(path.source),
        "through": str(path.through),
        "side": "excitatory" if path.shift > 0 else "inhibitory",
        "shift": number(path.shift, signed=True),
        "mean": number(path.mean, signed=True),
        "share": _percent(path.shift / found.rise if found.rise else float("nan")),
        "static": number(path.static, signed=True),
        "data": number(path.data, signed=True),
        "cancellation": number(path.cancellation, digits=2),
        "correlation": number(path.correlation, digits=2),
        "misleads": path.misleads,
    }


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _percent(value: float) -> str:
    """Return a share in percent, which never breaks from its sign."""
    if not np.isfinite(value):
        return "\N{EN DASH}"
    decimals = 0 if abs(value) >= 0.0995 else 1
    words = f"{100 * value:.{decimals}f}\N{NO-BREAK SPACE}%"
    return words.replace("-", "\N{MINUS SIGN}")


SIGNIFICANT = 0.05
FIRST_NAMED = 5  # photographs that are named of each input that silences the unit
MANY = 20  # inputs that a row of the table names
OTHERS = ("normalized", "half", "kendall", "shared")


def evidence(found: CircuitAnalysis) -> dict[str, object]:
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
        "chart": faithfulness_chart(curves, circuit.by),
        "count": found.counted.capitalize(),
        "needed": f"{most} (p < {SIGNIFICANT:g} after Holm)." if needed else "",
        "rankings": [_ranking(found, name) for name in TITLES if name in curves.curves],
        "vetoes": [_silencing(found, one) for one in found.silencing if one.share],
    }


def _ranking(found: CircuitAnalysis, name: str) -> dict[str, object]:
    """Return a row of the table of rankings."""
    at, curve = found.curves.at, found.curves.curves[name]
    row: dict[str, object] = dict.fromkeys(
        [f"{key}{end}" for key in (*MEASURES, *OTHERS) for end in ("", "_range")], ""
    )
    for key in ("recovery", "r2", "necessity"):
        row[key] = share(getattr(curve, key)[at])
        low, high = curve.low[key][at], curve.high[key][at]
        row[f"{key}_range"] = f"{share(low)} to {share(high)}"
    row |= {"name": TITLES[name], "chosen": name == found.circuit.by, "which": ""}
    row |= {"auroc": number(curve.auroc[at]), "false_fire": share(curve.false_fire[at])}
    row["half"] = _whole(curve.half.value)
    if name == RANDOM:
        return row
    row["normalized"] = number(curve.normalized.value, digits=2)
    low, high = (number(end, digits=2) for end in curve.normalized[1:])
    row["normalized_range"] = f"{low} to {high}" if name != BEST else ""
    row["half_range"] = f"{_whole(curve.half.low)} to {_whole(curve.half.high)}"
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


def _silencing(found: CircuitAnalysis, one: SilencingInput) -> dict[str, str]:
    """Return an entry of the list of inputs that silence the unit."""
    pairs = [(Path(image).name, count) for image, count in found.silenced(one) if image]
    shown = ", ".join(f"{name} ({count})" for name, count in pairs[:FIRST_NAMED])
    more = f" and {len(pairs) - FIRST_NAMED} more" if len(pairs) > FIRST_NAMED else ""
    return {
        "name": str(found.circuit.sources[one.channel]),
        "words": f"alone keeps the unit silent at {share(one.share)} of positions, and at "
        f"{share(one.active)} of those at which it inhibits most.",
        "photographs": f"Most often on {shown}{more}." if shown else "",
    }


def _whole(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "\N{EN DASH}"
