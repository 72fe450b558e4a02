"""The classes that photographs belong to, and WordNet's groups above those of ImageNet."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import TopologicalSorter
from importlib.resources import files


@dataclass(frozen=True)
class Taxonomy:
    """ImageNet's classes and WordNet above them, as a graph without cycles.

    Attributes:
        classes: the synsets of ImageNet's 1000 classes, in the order of its logits.
        words: {synset: its words, the usual one first}.
        hypernyms: {synset: those right above it}.
    """

    classes: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    hypernyms: Mapping[str, tuple[str, ...]]

    def name(self, wnid: str) -> str:
        """Return a synset's first word; where another has the same, with what it is a kind of."""
        word = self.words[wnid][0]
        if self._shared[word] == 1:
            return word
        return f"{word} ({self.words[self.hypernyms[wnid][0]][0]})"

    def leaves(self, wnid: str) -> frozenset[str]:
        """Return the classes of ImageNet at or below a synset."""
        return self._leaves[wnid]

    def groups(
        self, present: Collection[str], least: int = 8, share: float = 0.4
    ) -> dict[str, frozenset[str]]:
        """Return the present classes below each synset, the largest groups first.

        Synsets with the same present classes are one group, named by the most specific of them:
        the one with the fewest classes of ImageNet, then the deepest. A synset that holds all
        present classes is none: nothing is left to compare it with.

        Args:
            present: synsets of classes; others than ImageNet's count for nothing.
            least: classes of ImageNet that a synset must have.
            share: the largest share of ImageNet's classes that it may have.
        """
        here = frozenset(present) & frozenset(self.classes)
        most = share * len(self.classes)
        best: dict[frozenset[str], str] = {}
        for wnid in sorted(self.words, key=self._vagueness):
            below = self.leaves(wnid)
            inside = below & here
            if least <= len(below) <= most and inside and inside != here:
                best.setdefault(inside, wnid)
        ordered = sorted(best.items(), key=lambda group: (-len(group[0]), group[1]))
        return {wnid: inside for inside, wnid in ordered}

    @cached_property
    def above(self) -> dict[str, frozenset[str]]:
        """Each synset with all that stand above it; those above a synset come before it."""
        found: dict[str, frozenset[str]] = {}
        for wnid in TopologicalSorter(self.hypernyms).static_order():
            found[wnid] = frozenset({wnid}).union(*(found[one] for one in self.hypernyms[wnid]))
        return found

    @cached_property
    def _leaves(self) -> dict[str, frozenset[str]]:
        """The classes at or below each synset."""
        below: dict[str, set[str]] = {wnid: set() for wnid in self.words}
        for leaf in self.classes:
            for wnid in self.above[leaf]:
                below[wnid].add(leaf)
        return {wnid: frozenset(leaves) for wnid, leaves in below.items()}

    @cached_property
    def _shared(self) -> Counter[str]:
        """How many synsets have each first word."""
        return Counter(words[0] for words in self.words.values())

    @cached_property
    def _depths(self) -> dict[str, int]:
        """The most steps from the root to each synset."""
        depths: dict[str, int] = {}
        for wnid in self.above:
            depths[wnid] = 1 + max((depths[one] for one in self.hypernyms[wnid]), default=-1)
        return depths

    def _vagueness(self, wnid: str) -> tuple[int, int, str]:
        """Return what sorts the most specific synset first."""
        return len(self.leaves(wnid)), -self._depths[wnid], wnid


@cache
def taxonomy() -> Taxonomy:
    """Return ImageNet's classes and WordNet 3.0 above them, from the table in the package."""
    text = (files("convscope") / "data" / "imagenet_wordnet.json").read_text("utf-8")
    table = json.loads(text)
    synsets: dict[str, dict[str, list[str]]] = table["synsets"]
    return Taxonomy(
        classes=tuple(table["classes"]),
        words={wnid: tuple(entry["words"]) for wnid, entry in synsets.items()},
        hypernyms={wnid: tuple(entry["hypernyms"]) for wnid, entry in synsets.items()},
    )


@cache
def lin(one: str, other: str) -> float:
    """Return how alike two synsets are, from 0 to 1, by the classes of ImageNet below them.

    Source: Lin, "An Information-Theoretic Definition of Similarity", 1998.
    """
    known = taxonomy()

    def information(wnid: str) -> float:
        """Return -log of a synset's share of ImageNet's classes."""
        return -math.log(max(len(known.leaves(wnid)), 1) / len(known.classes))

    both = information(one) + information(other)
    shared = max(map(information, known.above[one] & known.above[other]), default=0.0)
    return 2 * shared / both if both else 1.0
