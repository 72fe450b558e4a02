"""All that a run has found out about a unit and its inputs, drawn and put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from convscope import circuit as circuits
from convscope.album import Album
from convscope.ascent import Optimum
from convscope.circuit import Circuit
from convscope.explorer import explorer
from convscope.figures import InputRow, Portrait, kernel_tile, number
from convscope.findings import Findings
from convscope.kernels import MIXED
from convscope.network import Network
from convscope.report import circuit_page
from convscope.unit import IMAGE, Unit

FEW = 100
"""Photographs below which their crops and means are called examples."""


@dataclass(frozen=True)
class Dossier:
    """The findings about one unit, side by side.

    Attributes:
        network: whose unit it is.
        findings: the unit with its inputs, and what was measured of them.
        album: the photographs and what they did.
        optima: the image that excites each unit most; units without one are missing.
        crops: how many photograph crops each unit is shown with.
    """

    network: Network
    findings: Findings
    album: Album
    optima: Mapping[Unit, Optimum]
    crops: int

    @property
    def circuit(self) -> Circuit:
        """The unit with its inputs."""
        return self.findings.circuit

    def portrait(self, unit: Unit) -> Portrait:
        """Return one unit as it is shown: no picture where its optimum is not alive."""
        best, crops = self.optima.get(unit), self.album.crops(unit, self.crops)
        return Portrait(
            name=str(unit),
            optimum=best.image if best and best.alive else None,
            activation=best.activation if best else None,
            activation_mean=best.activation_mean if best else None,
            alive=best.alive if best else None,
            crops=tuple(crop.pixels for crop in crops),
            crop_activations=tuple(crop.activation for crop in crops),
        )

    @cached_property
    def root(self) -> Portrait:
        """The unit itself."""
        return self.portrait(self.circuit.root)

    @cached_property
    def rows(self) -> tuple[InputRow, ...]:
        """Its strongest inputs, strongest first."""
        names = ("kernel", "l2", "sign_index", "label", "mostly", "share", "mean")
        return tuple(
            InputRow(self.portrait(edge.source), **{name: getattr(edge, name) for name in names})
            for edge in self.circuit.edges
        )

    def picture(self) -> np.ndarray:
        """Return the explorer: uint8 `(height, width, 3)`."""
        whole = len(self.rows) == len(self.circuit.sources)
        which = "all its inputs" if whole else f"its {len(self.rows)} strongest inputs"
        return explorer(
            self.root,
            self.rows,
            title=f"{self.circuit.root} and {which}",
            subtitle=self.network.weights.source,
            limit=self.circuit.limit,
        )

    def page(self, made: Sequence[Mapping[str, object]], settings: Mapping[str, object]) -> str:
        """Return the report.

        Args:
            made: how each optimum was made, the rows of `optima.csv`.
            settings: the settings of the run.
        """
        circuit, records = self.circuit, circuits.records(self.circuit)
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
        )

    def facts(self) -> dict[str, str]:
        """Return what the head of the page states."""
        root, field = self.circuit.root, self.album.fields[self.circuit.root.layer]
        rate = self.album.observation.firing_rate[root.filter]
        return {
            "network": self.network.name,
            "weights": self.network.weights.source,
            "filter": f"{root.filter} of {root.layer}",
            "receptive field": field.words,
            "bias": number(self.circuit.bias, signed=True),
            "fires at": f"{100 * rate:.1f} % of positions on the photographs",
            "photographs": str(len(self.album.paths)),
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
                "compare its mean contribution."
            )
        if any(source.layer == IMAGE for source in self.circuit.sources):
            said.append(
                "The inputs are colours with their mean taken off, so they can be negative: a "
                "positive weight excites where its colour is brighter than average and inhibits "
                "where it is darker."
            )
        if (count := len(self.album.paths)) < FEW:
            said.append(
                f"{count} photographs are few: the crops and mean contributions are examples. Give "
                "more with images=folder images.root=PATH."
            )
        if silent := [str(unit) for unit, best in self.optima.items() if not best.alive]:
            said.append(
                f"Not alive from any start, so without a picture: {', '.join(silent)}. That no "
                "image was found is no proof that there is none."
            )
        if mixed := [str(edge.source) for edge in edges if edge.label == MIXED]:
            said.append(
                f"Mixed, with weights of both signs in near balance: {', '.join(mixed)}. Whether "
                "such an input excites or inhibits depends on the position."
            )
        if skipped := len(self.album.skipped):
            said.append(f"{skipped} files could not be read: tables/skipped.csv lists them.")
        return said
