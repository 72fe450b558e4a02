"""Which classes of photographs, and which groups of classes, excite a unit or leave it cold.

What looks promising on the discovery half is tested on the confirmation half, and the figures are
those of the confirmation half alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special, stats

from convscope.data.splits import LEVEL, Half, Panel
from convscope.stats import roc


@dataclass(frozen=True)
class Association:
    """How a unit treats one class or group; figures of the confirmation half where not said.

    Attributes:
        wnid: its key: a synset, or the plain name of a class.
        name: its readable name.
        kind: whether it is a single class or a group of classes.
        classes: classes in it that have photographs in either half.
        images: photographs in it.
        mean: their mean score.
        auroc: the share of pairs of one of them and one other in which it scores higher.
        low: where the AUROC's 95 % interval begins.
        high: where it ends.
        effect: Hedges' g.
        p: two-sided; of a class Mann and Whitney's, of a group by permutation of whole classes.
        q: Benjamini-Hochberg's, among all that count and among those of its kind, the larger;
            None: not chosen on the discovery half.
        p_max: of a group, family-wise by the largest of all permuted statistics; None for classes
            and where not chosen.
        discovery: the AUROC on the discovery half.
        chosen: whether p was below 0.05 on the discovery half.
    """

    wnid: str
    name: str
    kind: Literal["class", "group"]
    classes: int
    images: int
    mean: float
    auroc: float
    low: float
    high: float
    effect: float
    p: float
    q: float | None
    p_max: float | None
    discovery: float
    chosen: bool

    @property
    def significant(self) -> bool:
        """Whether q is below 0.05 and both halves agree on the direction."""
        agree = (self.auroc - 0.5) * (self.discovery - 0.5) > 0
        return self.q is not None and self.q < LEVEL and agree

    @property
    def clear(self) -> float:
        """The end of the interval that is nearer to a half, as distance from it."""
        return self.low - 0.5 if self.auroc > 0.5 else 0.5 - self.high


@dataclass(frozen=True)
class Selectivity:
    """What can be said of one unit.

    Attributes:
        classes: all tested classes, highest AUROC first.
        groups: all tested groups, highest AUROC first.
        fires: the significant names left after pruning, clearest first.
        avoids: the same for what the unit avoids.
        discovery: labelled photographs in the discovery half.
        confirmation: labelled photographs in the confirmation half.
        notes: what stands in the way of more, in plain sentences.
        shared: whether classes have photographs in both halves; then every tested group counts in
            the family that q and p_max are adjusted for, chosen or not.
        min_images: photographs that a class needs to be tested.
        present: classes that have photographs.
    """

    classes: tuple[Association, ...]
    groups: tuple[Association, ...]
    fires: tuple[Association, ...]
    avoids: tuple[Association, ...]
    discovery: int
    confirmation: int
    notes: tuple[str, ...]
    shared: bool = False
    min_images: int = 10
    present: int = 0

    @property
    def tested(self) -> tuple[Association, ...]:
        """All tested classes and groups."""
        return self.classes + self.groups

    @property
    def family(self) -> tuple[Association, ...]:
        """Those that q is adjusted for."""
        return tuple(
            one for one in self.tested if one.chosen or (self.shared and one.kind == "group")
        )


def study(scores: np.ndarray, panel: Panel) -> Selectivity:
    """Return what a unit with these scores `(N,)` fires for and avoids; NaN is set aside."""
    gone = np.isnan(scores)
    if np.any(gone & (panel.codes >= 0)):
        panel = panel.without(gone)
    notes, known = list(panel.notes), scores[panel.codes >= 0]
    if len(known) > 1 and known.min() == known.max():
        notes.append("All scores are equal: the unit does not tell the photographs apart.")
    found: list[Association] = []
    kept: list[Association] = []
    if panel.keys:
        half = panel.discovery
        areas, p, _ = _tests(half, roc.ranking(scores[half.places]))
        found = _associations(panel, scores, areas, p < LEVEL)
        kept = _named(panel, scores, found)
    found.sort(key=lambda one: -one.auroc)
    kept.sort(key=lambda one: (-one.clear, one.classes))
    return Selectivity(
        classes=tuple(one for one in found if one.kind == "class"),
        groups=tuple(one for one in found if one.kind == "group"),
        fires=tuple(one for one in kept if one.auroc > 0.5),
        avoids=tuple(one for one in kept if one.auroc < 0.5),
        discovery=int(panel.counts[0].sum()),
        confirmation=int(panel.counts[1].sum()),
        notes=tuple(notes),
        shared=panel.shared,
        min_images=panel.min_images,
        present=int(np.count_nonzero(panel.counts.sum(axis=0))),
    )


def studies(columns: Iterable[np.ndarray], panel: Panel) -> Iterator[Selectivity]:
    """Yield what each of many units fires for and avoids.

    The photographs that one unit has no score for are mostly those of the next one, too, so the
    panel without them is kept as long as it fits.
    """
    gone, left = np.zeros(len(panel.codes), bool), panel
    for scores in columns:
        missing = np.isnan(scores)
        if not np.array_equal(missing, gone):
            gone, left = missing, panel.without(missing)
        yield study(scores, left)


COLUMNS = (
    "wnid", "name", "classes", "images", "mean", "auroc", "low", "high", "p", "q", "effect",
    "p_max", "discovery", "chosen", "significant",
)  # fmt: skip
"""Of the tables of classes and of groups."""


def rows(associations: Sequence[Association]) -> list[list[object]]:
    """Return the rows of a table of classes or groups."""
    return [[getattr(one, name) for name in COLUMNS] for one in associations]


def jointly(results: Sequence[Selectivity]) -> tuple[Association | None, ...]:
    """Return what each unit fires for, else avoids, most clearly; None for nothing.

    Its q is adjusted for the tests of all units together.
    """
    tests = [one for result in results for one in result.family]
    group = np.array([one.kind == "group" for one in tests], bool)
    adjusted = iter(_false_discovery(np.array([one.p for one in tests]), group))
    found = []
    for result in results:
        q = {(one.kind, one.wnid): float(next(adjusted)) for one in result.family}
        best = next(iter(result.fires + result.avoids), None)
        found.append(best and replace(best, q=q[best.kind, best.wnid]))
    return tuple(found)


def sparseness(scores: np.ndarray) -> float | None:
    """Return from 0 to 1 how few photographs carry the rectified scores; NaN is set aside.

    0: all alike; 1: a single one. None where the unit is silent or there is no second photograph.

    Source: Vinje and Gallant, Sparse coding and decorrelation in primary visual cortex during
    natural vision, Science 2000.
    """
    rates = np.maximum(scores[~np.isnan(scores)], 0).astype(np.float64)
    if len(rates) < 2 or not rates.any():
        return None
    rates /= rates.max()
    return float((1 - rates.mean() ** 2 / np.mean(rates**2)) / (1 - 1 / len(rates)))


def _tests(half: Half, order: roc.Ranking) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the AUROC and p of each tested class and group, and the permuted statistics.

    The statistics' first column is what was observed. It counts among the permutations: no p is 0.
    """
    members, total = half.tested.astype(np.float64), len(half.codes)
    areas = roc.aurocs(members @ half.sums(order.midranks), members @ half.counts, total)
    permuted = half.statistics(order)
    # What rounding makes of equal statistics still counts as reached.
    reached = permuted >= permuted[:, :1] * (1 - 1e-9)
    single = roc.mann_whitney(order, half.codes, half.alone)
    return areas, np.concatenate([single, reached.mean(axis=1)]), permuted


def _associations(
    panel: Panel, scores: np.ndarray, discovery: np.ndarray, chosen: np.ndarray
) -> list[Association]:
    """Return the figures of each tested class and group on the confirmation half."""
    half = panel.confirmation
    order = roc.ranking(scores[half.places])
    areas, p, permuted = _tests(half, order)
    q, p_max = _adjusted(panel, p, permuted, chosen)
    low, high = _intervals(half, order)
    images, mean, effect = _sizes(half, scores[half.places])
    figures = {
        "images": images, "mean": mean, "auroc": areas, "low": low, "high": high,
        "effect": effect, "p": p, "discovery": discovery, "chosen": chosen,
    }  # fmt: skip
    table = zip(*(values.tolist() for values in figures.values()), strict=True)
    return [
        Association(
            wnid=key,
            name=panel.names.get(key, key),
            kind="class" if place < len(half.alone) else "group",
            classes=panel.sizes[place],
            q=float(q[place]) if chosen[place] else None,
            p_max=float(p_max[place]) if chosen[place] and place >= len(half.alone) else None,
            **dict(zip(figures, row, strict=True)),
        )
        for place, (key, row) in enumerate(zip(panel.keys, table, strict=True))
    ]


def _adjusted(
    panel: Panel, p: np.ndarray, permuted: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return q and p_max of all that count in the family; 1 for the others.

    Where each class lies in one half, a group's two halves are independent, and those chosen are
    the family. Otherwise they share their classes: a group that is high by the chance of its
    classes is so in both, and to choose is to look at the same twice. Then all groups count.

    Source of p_max: Westfall and Young, Resampling-based multiple testing, 1993 (single step).
    """
    group = np.arange(len(p)) >= len(panel.alone)
    family = chosen | (group & panel.shared)
    q, p_max = np.ones(len(p)), np.ones(len(p))
    q[family] = _false_discovery(p[family], group[family])
    inside = permuted[family[group]]
    if inside.size:
        largest = np.sort(inside.max(axis=0))
        below = np.searchsorted(largest, inside[:, 0] * (1 - 1e-9))
        p_max[family & group] = (len(largest) - below) / len(largest)
    return q, p_max


def _false_discovery(p: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return q of a family of classes and groups: among all, and not below that among its kind.

    Where many classes differ, as they mostly do, they would leave room for as many false groups as
    5 % of all that is found, which may be all the groups that are.

    Source: Benjamini and Hochberg, Controlling the false discovery rate, Journal of the Royal
    Statistical Society B 1995.
    """
    q = stats.false_discovery_control(p) if len(p) else p.copy()
    for kind in (group, ~group):
        if kind.any():
            q[kind] = np.maximum(q[kind], stats.false_discovery_control(p[kind]))
    return q


def _intervals(half: Half, order: roc.Ranking) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % intervals of the tested classes and then groups."""
    parts = [roc.by_class(order, half.codes, half.members)]
    if len(half.alone):
        parts.insert(0, roc.by_image(order, half.codes).of(half.alone))
    low, high = (np.concatenate(ends) for ends in zip(*map(roc.interval, parts), strict=True))
    return low, high


def _sizes(half: Half, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each tested class and group how many photographs, their mean score, Hedges' g."""
    limit = np.finfo(np.float32).max
    values = np.clip(scores.astype(np.float64), -limit, limit)
    centre = values.mean()  # squares of what is far from 0 would cancel
    totals, squares = half.sums(values - centre), half.sums((values - centre) ** 2)
    images = half.tested @ half.counts
    mean = centre + half.tested @ totals / images
    return images, mean, roc.hedges(half.counts, totals, squares, half.tested)


def _named(panel: Panel, scores: np.ndarray, found: Sequence[Association]) -> list[Association]:
    """Return the significant ones that remain when nested names are pruned."""
    places = [place for place, one in enumerate(found) if one.significant]
    if not places:
        return []
    candidates, moments = [found[place] for place in places], []
    for half in (panel.discovery, panel.confirmation):
        normal = roc.ranking(scores[half.places]).normal
        sums = half.sums(normal), half.sums(normal**2)
        moments.append(Moments(half.tested[places], half.counts, *sums))
    return [candidates[at] for at in pruned(candidates, *moments)]


TAIL = 0.975  # one end of a two-sided test at 5 %


@dataclass(frozen=True)
class Moments:
    """Normal scores of images, summed by class, and the classes of the candidates for a name.

    Attributes:
        members: the classes in each candidate, bool `(candidates, classes)`.
        counts: images of each class `(classes,)`.
        totals: the sum of their scores, likewise.
        squares: the sum of the squares of their scores.
    """

    members: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    squares: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """The mean score of each class."""
        return self.totals / self.counts

    def remains(self, place: int, others: list[int], sign: int) -> bool:
        """Return whether a name without the others' classes differs from what none of them has."""
        own, covered = self.members[place], self.members[others].any(axis=0)
        return self.differ(own & ~covered, ~own & ~covered, sign)

    def shorter(
        self, rest: np.ndarray, outside: np.ndarray, covered: np.ndarray, names: int
    ) -> bool:
        """Return whether a parent with exceptions takes fewer words than the names inside it."""
        if names < 2 or not outside.any():
            return False
        near, far = self.means[covered].mean(), self.means[outside].mean()
        exceptions = np.abs(self.means[rest] - near) >= np.abs(self.means[rest] - far)
        return 1 + int(exceptions.sum()) < names

    def differ(
        self, own: np.ndarray, others: np.ndarray, sign: int, *, images: bool = True
    ) -> bool:
        """Return whether scores of `own` classes lie above (sign 1) or below those of others."""
        single = images and own.sum() == 1 and self.counts[own][0] > 1
        means = np.ones(len(self.counts)), self.means, self.means**2
        sums = (self.counts, self.totals, self.squares) if single else means
        (n, total, square), (m, rest, rest_square) = (
            [values[part].sum() for values in sums] for part in (own, others)
        )
        freedom = n + m - 2
        if not (n and m and freedom):
            return False
        gap = sign * (total / n - rest / m)
        left = max(square - total**2 / n + rest_square - rest**2 / m, 0)
        reach = special.stdtrit(freedom, TAIL) * np.sqrt(left / freedom * (1 / n + 1 / m))
        # Beyond what float64 leaves of equal scores.
        return bool(gap > max(reach, 1e-9))


def pruned(
    candidates: Sequence[Association], discovery: Moments, confirmation: Moments
) -> list[int]:
    """Return the places of the candidates that deserve to be named.

    From the most specific to the most general, separately for what fires and what is avoided, on
    the discovery half:

    - What shares no class with a name kept so far is kept.
    - A parent is kept if what is left of it without the kept names still differs from all other
      classes; then the names inside it are kept only where they differ from the rest of it, and
      otherwise said by the parent.
    - Where the rest does not differ, or is too little to tell, the names inside explain the parent
      and it is dropped, unless it is the shorter description: the parent with an exception for
      each remaining class that looks more like the outside takes fewer words than the names inside.

    Then the strongest go first, and each must show on both halves that it is more than a stronger
    name of the other sign and the names inside it: without all of those it still differs from the
    others. Where a filter fires for half of the images, it need not avoid the other half.

    To differ is Student's t at 5 %, two-sided, in the direction in question, on normal scores. The
    unit is the class and not the image, because a name speaks of classes; only for a single class
    against what lies outside its parent it is the image. An AUROC's interval would say the same for
    many classes and nothing for two or three.
    """
    members, signs = discovery.members, [1 if one.discovery > 0.5 else -1 for one in candidates]
    sizes = [(own.sum(), one.classes) for own, one in zip(members, candidates, strict=True)]

    def within(places: list[int], parent: int) -> list[int]:
        same = [at for at in places if at != parent and signs[at] == signs[parent]]
        return [at for at in same if not np.any(members[at] & ~members[parent])]

    kept: list[int] = []
    for place in sorted(range(len(candidates)), key=lambda at: (*sizes[at], at)):
        own, sign = members[place], signs[place]
        covered = members[[at for at in kept if signs[at] == sign]].any(axis=0)
        rest, outside, inside = own & ~covered, ~own & ~covered, within(kept, place)
        if (
            not np.any(own & covered)
            or discovery.differ(rest, outside, sign)
            or discovery.shorter(rest, outside, own & covered, len(inside))
        ):
            said = [
                at
                for at in inside
                if not discovery.differ(members[at], own & ~members[at], sign, images=False)
            ]
            kept = [at for at in kept if at not in said] + [place]
    named: list[int] = []
    for place in sorted(kept, key=lambda at: (-abs(candidates[at].discovery - 0.5), at)):
        sign = signs[place]
        others = [at for at in named if signs[at] != sign] + within(kept, place)
        if not others or all(
            half.remains(place, others, sign) for half in (discovery, confirmation)
        ):
            named.append(place)
    return sorted(named)
