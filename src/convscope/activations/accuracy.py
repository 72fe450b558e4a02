"""Accuracy: what counts as right, how often it was, and how sure one can be of that."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from convscope.data.labels import taxonomy

Z = 1.959963984540054  # of a normal distribution, 95 % lie within so many deviations


@dataclass(frozen=True)
class Rate:
    """How many of some photographs were right, with the 95 % interval of the share.

    Attributes:
        hits: photographs that were right.
        total: photographs that could be.
    """

    hits: int
    total: int

    @property
    def share(self) -> float | None:
        """The share of hits; None of no photographs."""
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of the share; None of no photographs."""
        return wilson(self.hits, self.total) if self.total else None

    def __str__(self) -> str:
        """Return it as a reader takes it in: `82 % (169 of 206; 95 % interval 76 to 87 %)`."""
        if self.share is None or self.interval is None:
            return "unknown"
        low, high = (100 * end for end in self.interval)
        return (
            f"{100 * self.share:.0f} % ({self.hits:,} of {self.total:,};"
            f" 95 % interval {low:.0f} to {high:.0f} %)"
        )


@dataclass(frozen=True)
class Target:
    """What a label stands for among the classes of a network.

    Attributes:
        places: the classes, as places among the logits.
        how: "key" where the class has the label's key, "name" where it has its name, "group" where
            the classes lie below it in WordNet.
    """

    places: frozenset[int]
    how: str


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of which `hits` of `total` were observed.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. It
    holds its level for few photographs too, and never leaves 0 to 1.

    Raises:
        ValueError: there are fewer than 0 hits, or more than there can be.
    """
    if not 0 <= hits <= total or total < 1:
        raise ValueError(f"{hits} of {total} is no share. Hits are 0 to the total, which is 1 up.")
    share, spread = hits / total, Z * Z / total
    middle = (share + spread / 2) / (1 + spread)
    reach = Z * math.sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    # What rounding leaves of nothing: the ends are exact where all or none are hits.
    low = 0.0 if hits == 0 else max(middle - reach, 0.0)
    return low, 1.0 if hits == total else min(middle + reach, 1.0)


def targets(
    keys: Iterable[str | None], names: Mapping[str, str], classes: Sequence[str]
) -> dict[str, Target]:
    """Return what labels stand for among the classes of a network.

    A label is a class with the same key; else every class with the same name (whatever the case,
    an underscore being a space; a synset has all of WordNet's words as names); else, if it is a
    group of WordNet or bears the name of one, every class below that. What is none of these is left
    out: the network does not know it.

    Args:
        keys: of photographs, synsets or plain names; None counts for nothing.
        names: {key: the name that is shown}.
        classes: the class of each logit, a synset or a plain name.
    """
    places: dict[str, set[int]] = {}
    named: dict[str, set[int]] = {}
    for place, one in enumerate(classes):
        places.setdefault(one, set()).add(place)
        for name in _spellings(one, one):
            named.setdefault(name, set()).add(place)
    found: dict[str, Target] = {}
    for key in sorted({key for key in keys if key is not None}):
        if key in places:
            found[key] = Target(frozenset(places[key]), "key")
        elif same := _union(named.get(name) for name in _spellings(key, names.get(key, key))):
            found[key] = Target(same, "name")
        elif below := _union(map(places.get, _leaves(key, names.get(key, key)))):
            found[key] = Target(below, "group")
    return found


def class_names(classes: Sequence[str]) -> list[str]:
    """Return the name of each class that is shown: of a synset WordNet's, else its own."""
    known = taxonomy()
    return [known.name(one) if one in known.words else one.replace("_", " ") for one in classes]


def _union(sets: Iterable[Collection[int] | None]) -> frozenset[int]:
    return frozenset(place for one in sets if one for place in one)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _spellings(key: str, name: str) -> set[str]:
    """Return the names of a class or label, as they are compared."""
    return {_plain(one) for one in (key, name, *taxonomy().words.get(key, ()))}


def _leaves(key: str, name: str) -> set[str]:
    """Return ImageNet's classes below a group of WordNet, given by its synset or its name."""
    known = taxonomy()
    if key in known.words:
        return set(known.leaves(key))
    wanted = _plain(name)
    groups = [wnid for wnid, words in known.words.items() if wanted in map(_plain, words)]
    return {leaf for wnid in groups for leaf in known.leaves(wnid)}
