"""All that photographs have told about one filter, drawn and put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from convscope.activations.dataset_examples import Example
from convscope.report.exhibit import rank_page
from convscope.report.figures.distribution import distribution_picture
from convscope.report.figures.quilt import Bin, quilt_picture, top_picture
from convscope.report.hypothesis import Claim, Generated, first
from convscope.unit import Unit
from convscope.units import selectivity
from convscope.units.responses import SCORES, Evidence
from convscope.units.selectivity import Selectivity

COLUMNS = (
    "rank", "image", "wnid", "label", "activation", "row", "column", "top", "left", "bottom",
    "right", "mean",
)  # fmt: skip
"""Of the table of the strongest positions."""

DRAWN = 100
"""Examples in the picture of the strongest; the table and the page have all."""


@dataclass(frozen=True)
class Account:
    """The findings about one filter, side by side.

    Attributes:
        evidence: the photographs and what they did.
        unit: the filter.
        study: which classes and groups it fires for and avoids.
        examples: its strongest positions.
        quilt: photographs from all parts of its range.
        claim: the user's own hypothesis; None: none was given.
        optimum: the activation on an image that was made for it; None: none was given.
        source: which weights these are.
    """

    evidence: Evidence
    unit: Unit
    study: Selectivity
    examples: tuple[Example, ...]
    quilt: Sequence[tuple[Bin, tuple[Example, ...]]]
    claim: Claim | None
    optimum: float | None
    source: str

    @cached_property
    def histogram(self) -> np.ndarray:
        """Positions in each bin of activations `(512,)`."""
        return self.evidence.index.histogram([self.unit.filter])[0]

    @cached_property
    def scores(self) -> np.ndarray:
        """The score of each photograph `(photographs,)`; NaN for those set aside."""
        return self.evidence.scores(self.unit.filter)

    @cached_property
    def generated(self) -> Generated:
        """The first hypothesis, made from what is significant."""
        evidence, view = self.evidence, self.evidence.index.manifest.request.size
        field = evidence.field
        return first(
            self.study,
            (min(field.rows.size, view), min(field.columns.size, view)),
            evidence.rate(self.unit.filter),
            evidence.seen,
            evidence.score,
        )

    def rows(self) -> list[list[object]]:
        """Return the rows of the table of the strongest positions."""
        paths = [one.path for one in self.examples]
        measured = self.evidence.measured(self.unit.filter, paths)
        return [
            [one.rank, one.image, one.wnid, one.label,
             one.activation if self.evidence.score == "peak" else peak,
             one.row, one.column, *one.box, mean]
            for one, (peak, mean) in zip(self.examples, measured, strict=True)
        ]  # fmt: skip

    def pictures(self) -> dict[str, np.ndarray]:
        """Return the pictures of the run by their names, uint8 `(height, width, 3)`."""
        name = str(self.unit)
        score, seen = SCORES[self.evidence.score], self.evidence.seen
        drawn = self.examples[:DRAWN]
        return {
            "top": top_picture(name, drawn, score, len(self.examples) - len(drawn)),
            "quantiles": quilt_picture(name, self.quilt, seen, score),
            "distribution": distribution_picture(name, self.histogram, self.scores, self.optimum),
        }

    def summary(self) -> dict[str, object]:
        """Return every scalar result."""
        filter, optimum, fires = self.unit.filter, self.optimum, self.study.fires
        below = None if optimum is None else self.evidence.index.quantile_of(filter, optimum)
        return {
            "filter": filter,
            "rank/activation": self.evidence.peak(filter),
            "rank/score": self.examples[0].activation,
            "rank/picture": "images/top.png",
            "rank/firing_rate": self.generated.rate,
            "rank/sparseness": selectivity.sparseness(self.scores),
            "rank/fires": [one.name for one in fires],
            "rank/avoids": [one.name for one in self.study.avoids],
            "rank/auroc": fires[0].auroc if fires else None,
            "rank/q": fires[0].q if fires else None,
            "rank/hypothesis": self.generated.text,
            "rank/optimum": optimum,
            "rank/optimum_quantile": below,
        }

    def page(self, settings: Mapping[str, object]) -> str:
        """Return the report of a run with these settings."""
        return rank_page(
            name=str(self.unit),
            examples=self.examples,
            quilt=self.quilt,
            histogram=self.histogram,
            scores=self.scores,
            optimum=self.optimum,
            score=SCORES[self.evidence.score],
            selectivity=self.study,
            generated=self.generated,
            own=self.claim,
            facts=self.evidence.facts(self.unit.filter, self.source),
            settings=settings,
            notes=self.evidence.notes(self.source),
        )
