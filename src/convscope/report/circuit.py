"""All that a run has found out about a unit and its inputs, drawn and put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from convscope.activations.album import Album
from convscope.circuits import edges as edgess
from convscope.circuits.edges import Circuit
from convscope.circuits.findings import Findings, evidence
from convscope.circuits.multihop import Hops
from convscope.circuits.rankings import L2
from convscope.circuits.sample import LEAST
from convscope.circuits.weights import EXCITATORY, INHIBITORY, MIXED, NEGLIGIBLE
from convscope.hypothesis.evaluation import Case
from convscope.models.network import Network
from convscope.optvis.ascent import Optimum
from convscope.report import beyond as beyonds
from convscope.report.figures.canvas import InputRow, Portrait, kernel_tile, number
from convscope.report.figures.explorer import explorer
from convscope.report.report import circuit_page
from convscope.unit import IMAGE, Unit
from convscope.units.profile import Character

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
        album: the photographs and what they did.
        optima: the image that excites each unit most; units without one are missing.
        crops: how many photograph crops each unit is shown with.
        case: what became of a hypothesis, and which optima are evidence.
        character: what the unit is tuned to and what it ignores; None: not measured.
        likeness: that as a picture, uint8 `(height, width, 3)`.
        hops: what lies beyond the inputs; None: not looked at.
    """

    network: Network
    findings: Findings
    album: Album
    optima: Mapping[Unit, Optimum]
    crops: int
    case: Case | None = None
    character: Character | None = None
    likeness: np.ndarray | None = None
    hops: Hops | None = None

    @property
    def circuit(self) -> Circuit:
        """The unit with its inputs."""
        return self.findings.circuit

    def portrait(self, unit: Unit) -> Portrait:
        """Return one unit as it is shown: no picture where its optimum is not alive."""
        best, crops = self.optima.get(unit), self.album.crops(unit, self.crops)
        seen = self.case.witnesses.get(unit) if self.case else None
        return Portrait(
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
    def root(self) -> Portrait:
        """The unit itself."""
        return self.portrait(self.circuit.root)

    @cached_property
    def rows(self) -> tuple[InputRow, ...]:
        """Its strongest inputs, strongest first."""
        names = [field.name for field in fields(InputRow)[1:]]
        return tuple(
            InputRow(self.portrait(edge.source), **{name: getattr(edge, name) for name in names})
            for edge in self.circuit.edges
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

    def graph(self, hops: Hops) -> np.ndarray:
        """Return the unit amid what leads to it and what it leads to: uint8 `(h, w, 3)`."""
        alive = {unit: best.image for unit, best in self.optima.items() if best.alive}
        return beyonds.graph(hops, self.circuit, alive, self.network.weights.source)

    def page(self, made: Sequence[Mapping[str, object]], settings: Mapping[str, object]) -> str:
        """Return the report.

        Args:
            made: how each optimum was made, the rows of `optima.csv`.
            settings: the settings of the run.
        """
        circuit, records = self.circuit, edgess.records(self.circuit)
        order = circuit.kernels.strongest(len(circuit.sources))
        shown = {edge.channel for edge in circuit.edges}
        return circuit_page(
            unit=self.root,
            rows=self.rows,
            table=[
                {**records[at], "name": str(circuit.sources[at]), "in_ten": at in shown}
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
            hops=beyonds.section(self.hops, circuit, self.graph(self.hops)) if self.hops else None,
        )

    def facts(self) -> dict[str, str]:
        """Return what the head of the page states."""
        root, field = self.circuit.root, self.album.fields[self.circuit.root.layer]
        rate = self.album.observation.firing_rate[root.filter]
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
            "photographs": str(len(self.album.paths)),
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
        seen = self.case.witnesses if self.case else {}
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
        if skipped := len(self.album.skipped):
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
        sample, count = self.findings.sample, len(self.album.paths)
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
        peaks = self.album.observation.peaks[root.layer]
        rows, columns = peaks.rows[:, root.filter], peaks.columns[:, root.filter]
        within = (rows >= inside.rows[0]) & (rows <= inside.rows[-1])
        within &= (columns >= inside.columns[0]) & (columns <= inside.columns[-1])
        every = self.album.observation.count / max(len(self.album.paths), 1)
        return float(1 - within.mean()), 1 - inside.count / every


def _some(names: Sequence[str], most: int = 4) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
