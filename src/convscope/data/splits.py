"""Labelled photographs made ready for the study of units: two halves, classes, groups of classes.

Each photograph belongs to one of two halves, by its content. What looks promising on the discovery
half is tested on the confirmation half.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import comb

import numpy as np
from scipy import sparse

from convscope.stats import roc

LEVEL = 0.05
LEAST = 3  # photographs of a class or group that either half needs, and photographs beside them
BLOCK = 2**22  # permuted numbers at a time: 32 MiB


@dataclass(frozen=True)
class Half:
    """The photographs of one half, ordered by class, and the ways to permute their classes.

    Attributes:
        places: the photographs `(n,)`.
        codes: the class of each, counted within the half.
        classes: the classes present, by their place in the panel `(classes,)`.
        counts: photographs of each class.
        alone: the tested classes, counted within the half.
        members: bool `(groups, classes)`, the tested groups.
        draws: permutations of the classes `(classes, permutations)`, the identity first.
    """

    places: np.ndarray
    codes: np.ndarray
    classes: np.ndarray
    counts: np.ndarray
    alone: np.ndarray
    members: np.ndarray
    draws: np.ndarray

    @cached_property
    def tested(self) -> np.ndarray:
        """The classes in each tested class and then in each tested group, bool."""
        single = np.arange(len(self.classes)) == self.alone[:, None]
        return np.concatenate([single, self.members])

    @cached_property
    def images(self) -> np.ndarray:
        """The photographs of each permuted group `(groups, permutations)`."""
        return self._permuted(self.counts)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of the photographs' values over each class."""
        return np.bincount(self.codes, values, minlength=len(self.classes))

    def statistics(self, order: roc.Ranking) -> np.ndarray:
        """Return how far each permuted group is from chance `(groups, permutations)`.

        It is the AUROC's distance from its mean over all permutations, in standard deviations, so
        that groups of all sizes may be compared.
        """
        areas = roc.aurocs(self._permuted(self.sums(order.midranks)), self.images, len(self.codes))
        areas -= areas.mean(axis=1, keepdims=True)
        spread = areas.std(axis=1, keepdims=True)
        # Equal scores leave no spread but what float64 rounds.
        return np.abs(np.divide(areas, spread, out=np.zeros_like(areas), where=spread > 1e-12))

    def _permuted(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of the classes' values over each permuted group, in bounded memory."""
        # Most groups have few of the classes. And no library of matrix products, whose threads
        # wait for each other where all cores are busy.
        members = sparse.csr_array(self.members.astype(np.float64))
        columns = max(1, BLOCK // len(values))
        starts = range(0, self.draws.shape[1], columns)
        blocks = [members @ values[self.draws[:, at : at + columns]] for at in starts]
        return np.concatenate(blocks, axis=1)


@dataclass(frozen=True)
class Panel:
    """Photographs with labels, made ready for any number of units.

    Attributes:
        codes: the class of each photograph `(N,)`, -1 for none.
        classes: the classes' keys.
        groups: {synset: the places of its classes}.
        names: {key or synset: readable name}.
        first: which photographs belong to the discovery half, bool `(N,)`.
        min_images: photographs that a class needs to be tested.
        permutations: of whole classes, for the groups.
        seed: of the permutations.
    """

    codes: np.ndarray
    classes: tuple[str, ...]
    groups: Mapping[str, np.ndarray]
    names: Mapping[str, str]
    first: np.ndarray
    min_images: int
    permutations: int
    seed: int

    @cached_property
    def counts(self) -> np.ndarray:
        """Photographs of each class in the discovery and the confirmation half `(2, classes)`."""
        parts = [self.codes[part & (self.codes >= 0)] for part in (self.first, ~self.first)]
        return np.stack([np.bincount(part, minlength=len(self.classes)) for part in parts])

    @cached_property
    def alone(self) -> np.ndarray:
        """The places of the classes that have photographs enough to be tested."""
        enough = self.counts.sum(axis=0) >= self.min_images
        beside = self.counts.sum(axis=1, keepdims=True) - self.counts
        return np.flatnonzero(enough & np.all((self.counts >= LEAST) & (beside >= LEAST), axis=0))

    @cached_property
    def together(self) -> tuple[str, ...]:
        """The groups that can be tested: enough photographs and two classes, inside and beside."""
        found = []
        for key, own in self.groups.items():
            inside = np.isin(np.arange(len(self.classes)), own)
            parts = (self.counts[:, inside], self.counts[:, ~inside])
            if all(
                np.all(part.sum(axis=1) >= LEAST) and np.all(np.count_nonzero(part, axis=1) >= 2)
                for part in parts
            ):
                found.append(key)
        return tuple(found)

    @cached_property
    def discovery(self) -> Half:
        """The half on which candidates are chosen."""
        return self._half(self.first, 0)

    @cached_property
    def confirmation(self) -> Half:
        """The half on which the chosen ones are tested."""
        return self._half(~self.first, 1)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the tested classes and then of the tested groups."""
        return tuple(self.classes[place] for place in self.alone) + self.together

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many classes with photographs each of `keys` has."""
        present = self.counts.sum(axis=0) > 0
        return (1,) * len(self.alone) + tuple(
            int(present[self.groups[key]].sum()) for key in self.together
        )

    @cached_property
    def shared(self) -> bool:
        """Whether any class has photographs in both halves."""
        return bool(np.any(self.counts.all(axis=0)))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What the photographs cannot carry, whatever the unit, in plain sentences."""
        counts = self.counts.sum(axis=0)
        labelled, present = int(counts.sum()), int(np.count_nonzero(counts))
        if not labelled:
            return ("The photographs have no labels, so classes and groups cannot be tested.",)
        found = []
        if labelled < len(self.codes):
            gone = len(self.codes) - labelled
            found.append(
                f"{gone:,} of {len(self.codes):,} photographs have no label, or could not be read:"
                " left out."
            )
        if present == 1:
            return (*found, "All photographs are of one class: there is nothing to compare.")
        return (*found, *self._about_classes(counts, present), *self._about_groups())

    def without(self, gone: np.ndarray) -> Panel:
        """Return the panel of the photographs that are not `gone`, bool `(N,)`."""
        return replace(self, codes=np.where(gone, -1, self.codes))

    def _half(self, part: np.ndarray, number: int) -> Half:
        places = np.flatnonzero(part & (self.codes >= 0))
        places = places[np.argsort(self.codes[places], kind="stable")]
        classes, codes, counts = np.unique(
            self.codes[places], return_inverse=True, return_counts=True
        )
        members = [np.isin(classes, self.groups[key]) for key in self.together]
        line = np.arange(len(classes), dtype=np.min_scalar_type(len(classes)))
        draws = np.tile(line, (1 + self.permutations * bool(members), 1))
        np.random.default_rng((self.seed, number)).permuted(draws[1:], axis=1, out=draws[1:])
        return Half(
            places,
            codes,
            classes,
            counts,
            np.searchsorted(classes, self.alone),
            np.array(members, bool).reshape(len(members), len(classes)),
            np.ascontiguousarray(draws.T),
        )

    def _about_classes(self, counts: np.ndarray, present: int) -> Iterator[str]:
        instead = "groups of classes are tested instead." if self.together else "nor can groups."
        if counts.max() == 1:
            yield f"With one photograph of each class no single class can be significant; {instead}"
        elif not len(self.alone):
            yield (
                f"No class has {self.min_images} photographs, {LEAST} of them in each half (the "
                f"largest has {counts.max():,}), so no single class can be tested; {instead}"
            )
        elif len(self.alone) < present:
            yield (
                f"{present - len(self.alone):,} of {present:,} classes have fewer than "
                f"{self.min_images} photographs, or fewer than {LEAST} in a half: not tested alone."
            )

    def _about_groups(self) -> Iterator[str]:
        if not self.groups:
            yield "No groups above the classes are known."
        elif not self.together:
            yield (
                f"No group has {LEAST} photographs of 2 classes in each half and as many beside "
                "it, so no group can be tested."
            )
        else:
            half = self.confirmation
            ways = [comb(len(half.classes), int(size)) for size in half.members.sum(axis=1)]
            ways.append(1 + self.permutations)
            if max(ways[:-1]) <= 1 / LEVEL or ways[-1] <= 1 / LEVEL:
                yield (
                    f"{len(half.classes)} classes in the confirmation half and {self.permutations} "
                    "permutations are too few for any group to be significant."
                )


def prepare(
    keys: Sequence[str | None],
    groups: Mapping[str, frozenset[str]],
    names: Mapping[str, str],
    first: np.ndarray,
    min_images: int = 10,
    permutations: int = 10_000,
    seed: int = 0,
) -> Panel:
    """Return photographs made ready for the study of units.

    Args:
        keys: the class of each photograph; None: unlabelled, left out.
        groups: {synset: its classes}.
        names: {key or synset: readable name}; others are shown as they are.
        first: which photographs belong to the discovery half, bool `(N,)`, as `halves` tells.
        min_images: photographs that a class needs to be tested.
        permutations: of whole classes, for the groups.
        seed: of the permutations.
    """
    if len(keys) != len(first):
        raise ValueError(f"{len(keys)} labels for {len(first)} photographs. Give one for each.")
    classes = tuple(sorted({key for key in keys if key is not None}))
    places = {key: place for place, key in enumerate(classes)}
    codes = np.array([-1 if key is None else places[key] for key in keys], int)
    own = {
        key: np.array(sorted(places[one] for one in inside if one in places), int)
        for key, inside in groups.items()
    }
    return Panel(
        codes, classes, own, names, np.asarray(first, bool), min_images, permutations, seed
    )
