"""A whole layer on one page: what excites each filter, in nine crops and a few figures."""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convscope.activations.dataset_examples import CROPS, Example
from convscope.data import dataset
from convscope.data.photograph import data_uri
from convscope.data.splits import LEVEL, Panel
from convscope.data.wordnet import taxonomy
from convscope.report.figures.grids import WIDE, contact_sheet, mosaic
from convscope.report.html import flat, render
from convscope.text import by, number, precise, sortable
from convscope.units import selectivity
from convscope.units.responses import SCORES, Responses
from convscope.units.selectivity import Selectivity

PIXELS = 27_000_000
"""That the mosaics of a page have in all: about 6.4 MB where 512 filters share them."""
FEW = 16
"""Filters on a page whose mosaics are kept finer."""
CELL = 192
"""Pixels of a crop's side on a page at most."""
TINY = 16
"""Pixels of a crop's longer side up to which its mosaic is saved without loss."""
CHIPS = 8
"""Groups that a page offers to look for, those that are the best of most filters."""

COLUMNS = (
    "layer", "filter", "firing_rate", "sparseness", "activation", "group", "side", "auroc", "low",
    "high", "q", "avoids",
)  # fmt: skip
# What the filters can be sorted by: words, and whether the largest comes first.
ORDERS = (
    ("filter number", False),
    ("firing rate", True),
    ("AUROC", True),
    ("q", False),
    ("sparseness", True),
    ("activation", True),
)


def sheet(units: Sequence[UnitSummary]) -> np.ndarray:
    """Return the mosaics of all filters on one page, uint8 `(height, width, 3)`.

    Below each stand the filter's number, the AUROC of its best group, and the group where it is
    significant. Hundreds of filters make a page about as tall as wide.

    Raises:
        ValueError: there are no filters.
    """
    if not units:
        raise ValueError("A contact sheet needs at least one filter. Received: none.")
    columns = min(len(units), max(3, math.ceil(math.sqrt(1.2 * len(units)))))
    side = min(max(WIDE // columns - 12, 96), 384)
    captions = [f"{unit.filter}\t{_auroc(unit)}\n{_clipped(unit, side // 6)}" for unit in units]
    mosaics = [mosaic(unit.crops, side) for unit in units]
    return contact_sheet(mosaics, captions, columns, side=side, gap=12)


def cell(count: int) -> int:
    """Return the side in pixels of a crop on a page that `count` filters share."""
    return min(CELL, math.isqrt(PIXELS // count) // 3)


def layer_page(
    units: Sequence[UnitSummary],
    facts: Mapping[str, str],
    settings: Mapping[str, object],
    notes: Sequence[str],
    asked: Sequence[str] = (),
    tested: bool = True,
) -> str:
    """Return the filters of a layer as one HTML page that makes no network request.

    They are a gallery to search and sort, each a mosaic of the crops that excite it most; a click
    opens one large, and `#` with the layer, a hyphen and the filter's number links to it.

    Args:
        units: the filters, in the order to show.
        facts: what the head of the page states, label to value.
        settings: the settings of the run; groups may be nested.
        notes: what to keep in mind, one sentence or two each.
        asked: what the command of this run said beside the layer and the filters; the page repeats
            it in the command for one filter.
        tested: whether any class or group could be tested.

    Raises:
        ValueError: there are no filters, one is there twice, or its crops, their labels and
            activations are not equally many.
    """
    _check(units)
    side = 3 * cell(len(units))
    layers = ", ".join(dict.fromkeys(unit.layer for unit in units))
    marks = {word: sum(word in unit.marks for unit in units) for word in MARKS}
    return render(
        "filters.html",
        units=[_view(unit, side, len(units), asked) for unit in units],
        subject=units[0].name if len(units) == 1 else f"{len(units)} filters of {layers}",
        count=len(units),
        marks=marks,
        chips=_chips(units),
        orders=ORDERS,
        tested=tested,
        least=LEVEL,
        facts=facts,
        settings=flat(settings),
        notes=notes,
    )


def _check(units: Sequence[UnitSummary]) -> None:
    """Refuse what a page cannot show."""
    slugs = {unit.slug for unit in units}
    if not units or len(slugs) < len(units):
        message = "A page of a layer needs filters, each of them once."
        received = f"{len(units)} filters, {len(slugs)} of them different"
        raise ValueError(f"{message} Received: {received}.")
    for unit in units:
        counts = len(unit.crops), len(unit.labels), len(unit.activations)
        if len(set(counts)) > 1:
            message = "Each crop has one label and one activation."
            received = "{} crops, {} labels and {} activations".format(*counts)
            raise ValueError(f"{message} Received for {unit.name}: {received}.")


def _view(unit: UnitSummary, side: int, count: int, asked: Sequence[str]) -> dict[str, object]:
    """Return one filter as the template shows it; `count` filters share the page."""
    values = (
        unit.filter, unit.firing_rate, unit.auroc, unit.q, unit.sparseness, unit.activation
    )  # fmt: skip
    auroc = f"AUROC {_auroc(unit)}"
    shown = (
        auroc,
        f"fires {precise(unit.firing_rate)}",
        auroc,
        f"q {_q(unit)}",
        f"sparse {number(unit.sparseness, digits=2)}",
        f"peak {number(unit.activation)}",
    )
    command = ["stage=rank", f"layer={unit.layer}", f"filter={unit.filter}", *asked]
    return {
        "unit": unit,
        "uri": _uri(unit.crops, side, count),
        "group": _group(unit),
        "words": " ".join(unit.marks),
        "fields": {
            "fires": _lines(unit.groups),
            "avoids": _lines([unit.avoids]),
            "class": _lines(unit.labels),
        },
        "numbers": json.dumps([sortable(value) for value in values]),
        "shown": _lines(shown),
        "facts": _facts(unit),
        "interval": _interval(unit),
        "command": f"python run.py {shlex.join(command)}",
    }


def _lines(names: Sequence[str | None]) -> str:
    """Return the names as lines of their own, for an attribute that the script reads."""
    return "\n".join(" ".join(name.splitlines()) for name in names if name)


def _uri(crops: Sequence[np.ndarray], side: int, count: int) -> str:
    """Return the mosaic of a filter that shares the page with `count` - 1 others."""
    largest = max((max(crop.shape[:2]) for crop in crops), default=1)
    if largest <= TINY:
        return data_uri(_open(crops, 9 * TINY))
    # Beyond the crops' own pixels there is nothing to see, but for the few shown as pixels.
    picture = _open(crops, min(side, 3 * max(largest, 3 * TINY)))
    return data_uri(picture, format="WEBP", quality=85 if count <= FEW else 50, method=4)


def _open(crops: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Return the mosaic, through which the page is seen where there is no crop."""
    picture = mosaic(crops, side)
    if len(crops) == CROPS:
        return picture
    # A mosaic of what is covered and what is not.
    cover = [np.full((1, 1, 3), 255 * (place < len(crops)), np.uint8) for place in range(CROPS)]
    return np.dstack([picture, mosaic(cover, side)[..., 0]])


def _chips(units: Sequence[UnitSummary]) -> list[tuple[str, int]]:
    """Return the groups to offer, and how many filters fire for each."""
    best = Counter(unit.best for unit in units if unit.selective and unit.best)
    found = Counter(group for unit in units for group in unit.groups)
    chosen = sorted(best, key=lambda group: (-best[group], -found[group], group))[:CHIPS]
    return sorted(((group, found[group]) for group in chosen), key=lambda pair: (-pair[1], pair[0]))


def _group(unit: UnitSummary) -> str:
    """Return the best group of a filter in a few words, with q where that is no evidence."""
    if unit.best is None:
        return ""
    name = unit.best if unit.side == "fires" else f"avoids {unit.best}"
    return name if unit.significant else f"{name}, q {_q(unit)}"


def _clipped(unit: UnitSummary, letters: int) -> str:
    """Return the best group in so many letters if it is significant; a space holds its place."""
    group = " ".join(_group(unit).split()) if unit.significant else ""
    return (
        group if len(group) <= letters else f"{group[: letters - 1]}\N{HORIZONTAL ELLIPSIS}"
    ) or " "


def _facts(unit: UnitSummary) -> dict[str, str]:
    """Return what is known about a filter, label to words."""
    said = {}
    if unit.best is not None:
        label = ("fires for" if unit.side == "fires" else "avoids") if unit.significant else "group"
        said[label] = unit.best if unit.significant else f"{unit.best}: not significant"
        said["AUROC"] = _auroc(unit)
        if unit.low is not None and unit.high is not None:
            said["AUROC"] += (
                f", 95\N{NO-BREAK SPACE}% interval {_share(unit.low)} to {_share(unit.high)}"
            )
        said["q"] = "not tested" if unit.q is None else _q(unit)
    else:
        said["group"] = "none stands out"
    if others := [word for word in unit.groups if word != unit.best]:
        said["also fires for"] = ", ".join(others)
    if unit.avoids is not None:
        said["avoids"] = unit.avoids
    said["firing rate"] = f"{precise(unit.firing_rate)} of positions above zero"
    said["sparseness"] = number(unit.sparseness, digits=2)
    said["activation"] = f"{number(unit.activation, digits=4)}, the largest on any photograph"
    return said


def _interval(unit: UnitSummary) -> dict[str, str] | None:
    """Return the AUROC and its interval as places on a line from 0 to 1, in percent."""
    places = {"low": unit.low, "auroc": unit.auroc, "high": unit.high}
    known = {name: value for name, value in places.items() if value is not None}
    if len(known) < len(places) or not all(map(math.isfinite, known.values())):
        return None
    return {name: f"{100 * min(max(value, 0), 1):.1f}" for name, value in known.items()}


def _auroc(unit: UnitSummary) -> str:
    return _share(unit.auroc)


def _share(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return number(None)
    return f"{value:.2f}"


def _q(unit: UnitSummary) -> str:
    return number(unit.q, digits=2)


def rows(units: Sequence[UnitSummary]) -> list[dict[str, object]]:
    """Return the rows of `units.csv`."""
    found = []
    for unit in units:
        own = vars(unit) | {"group": unit.best, "side": unit.side if unit.best else None}
        found.append({name: own[name] for name in COLUMNS})
    return found


MARKS = ("selective", "avoiding", "silent")
"""What can be said about a filter in a word."""


@dataclass(frozen=True)
class UnitSummary:
    """One filter among all of its layer.

    Attributes:
        layer: its layer.
        filter: its number.
        firing_rate: share of the positions on photographs whose preactivation is above zero.
        sparseness: from 0, where it responds alike to all photographs, to 1, where to few; None:
            to none.
        activation: its largest peak on any photograph.
        best: the class or group that stands out most; None: there is none. The figures below are
            about it.
        side: whether the filter fires for `best` or avoids it.
        auroc: chance that a photograph of `best` excites the filter more than another does.
        low: lower end of its 95 % interval.
        high: upper end.
        q: its false discovery rate; None: not tested.
        avoids: what the filter avoids most; None: nothing.
        words: names of all groups that it fires for, those above them in the taxonomy included.
        crops: the receptive fields that excite it most, one of each photograph, strongest first,
            uint8 `(height, width, 3)` of any size; nine at most.
        labels: the class of each crop's photograph, where it is known.
        activations: the preactivation at each crop.
    """

    layer: str
    filter: int
    firing_rate: float
    sparseness: float | None
    activation: float
    best: str | None
    side: Literal["fires", "avoids"]
    auroc: float | None
    low: float | None
    high: float | None
    q: float | None
    avoids: str | None
    words: tuple[str, ...]
    crops: tuple[np.ndarray, ...]
    labels: tuple[str | None, ...]
    activations: tuple[float, ...]

    @property
    def name(self) -> str:
        """The unit, such as `block4_conv3:17`."""
        return f"{self.layer}:{self.filter}"

    @property
    def slug(self) -> str:
        """What a link to this filter is called."""
        return f"{self.layer}-{self.filter}"

    @property
    def significant(self) -> bool:
        """Whether its best group is more than chance would find."""
        return self.best is not None and self.q is not None and self.q < LEVEL

    @property
    def selective(self) -> bool:
        """Whether it fires for its best group."""
        return self.significant and self.side == "fires"

    @property
    def silent(self) -> bool:
        """Whether no photograph excites it anywhere."""
        return not self.firing_rate > 0

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups that it fires for, the best first, each once."""
        best = (self.best,) if self.selective and self.best else ()
        return tuple(dict.fromkeys((*best, *self.words)))

    @property
    def marks(self) -> tuple[str, ...]:
        """What a search finds it by beside its number and its groups."""
        found = self.selective, self.avoids is not None, self.silent
        return tuple(word for word, holds in zip(MARKS, found, strict=True) if holds)


def summaries(
    responses: Responses, crops: Mapping[int, Sequence[Example]], studies: Sequence[Selectivity]
) -> list[UnitSummary]:
    """Return what is said about each of some filters among all of their layer.

    Args:
        responses: what photographs did to the layer.
        crops: the strongest of each filter.
        studies: what each fires for and avoids, in the same order.
    """
    rates, found = responses.index.firing_rate(), []
    tests = selectivity.jointly(studies)
    for (filter, shown), study, one in zip(crops.items(), studies, tests, strict=True):
        ranked = sorted(shown, key=lambda example: example.rank)
        found.append(
            UnitSummary(
                layer=responses.layer,
                filter=filter,
                firing_rate=float(rates[filter]),
                sparseness=selectivity.sparseness(responses.scores(filter)),
                activation=responses.peak(filter),
                best=one.name if one else None,
                side="avoids" if one and one.auroc < 0.5 else "fires",
                auroc=one.auroc if one else None,
                low=one.low if one else None,
                high=one.high if one else None,
                q=one.q if one else None,
                avoids=study.avoids[0].name if study.avoids else None,
                words=tuple(
                    name for fired in study.fires for name in _above(responses.panel, fired.wnid)
                ),
                crops=tuple(example.crop for example in ranked),
                labels=tuple(example.label for example in ranked),
                activations=tuple(example.activation for example in ranked),
            )
        )
    return found


def _above(panel: Panel, key: str) -> list[str]:
    """Return the name of a class or group and the names of the tested groups around it."""
    around = [wnid for wnid in panel.together if key in taxonomy().words and wnid != key]
    inside = [wnid for wnid in around if taxonomy().leaves(key) <= taxonomy().leaves(wnid)]
    return [panel.names.get(name, name) for name in (key, *inside)]


def facts(responses: Responses, filter: int | None, source: str) -> dict[str, str]:
    """Return what the head of a page on photographs and filters states.

    Args:
        responses: what photographs did to the layer.
        filter: the filter that the page is about; None: several.
        source: which weights these are.
    """
    manifest, field = responses.index.manifest, responses.field
    request, own = manifest.request, {}
    if filter is not None:
        sparse = selectivity.sparseness(responses.scores(filter))
        own = {
            "filter": f"{filter} of {responses.layer}",
            "fires at": f"{100 * responses.rate(filter):.1f} % of positions on the photographs",
            "sparseness": number(sparse, digits=2),
        }
    said = {
        "network": request.model,
        "weights": source,
        "filter": "",
        "receptive field": field.words
        if manifest.rows * manifest.columns > 1
        else f"{field.rows.pixels} x {field.columns.pixels} pixels{field.besides}",
        "photographs": f"{responses.seen:,} at {by(request.sides)} ({request.fit})",
        "fires at": "",
        "sparseness": "",
        "score of a photograph": SCORES[responses.score],
        "classes": f"from {responses.labels.source}" if responses.labelled else "none known",
    }
    return {name: words for name, words in (said | own).items() if words}


def notes(responses: Responses, source: str) -> list[str]:
    """Return what a reader should keep in mind, as far as the photographs themselves say so.

    Args:
        responses: what photographs did to the layer.
        source: which weights these are.
    """
    said = [
        f"These are the weights '{source}'. A filter's number means nothing beyond one set of"
        " weights."
    ]
    if responses.labelled:
        said.append(
            "Names are chosen on one half of the photographs and tested on the other; a hash"
            " of each file decides which half it is in. What is not tested may still be true."
        )
    if responses.index.manifest.request.fit == "pad":
        said.append(
            "Positions above the grey padding count too. Where the field of one lies on padding"
            " alone, the nearest pixels are shown, which had no part in the activation."
        )
    if skipped := len(responses.skipped):
        said.append(f"{dataset.aside(skipped)}: tables/skipped.csv says why.")
    if clipped := responses.index.clipped():
        many = "1 activation lies" if clipped == 1 else f"{clipped:,} activations lie"
        said.append(f"{many} beyond what the index can hold: kept as 65504.")
    return said
