"""The nouns of a sentence that WordNet knows among ImageNet's classes and above them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from convscope.data.labels import taxonomy

SHARE = 0.4
"""The largest share of ImageNet's classes that a noun may stand for, as in `Taxonomy.groups`."""

EMPTY = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be both by can fire fires firing for from has have in is it its likes"
        " may of on one or other prefers respond responds seems some that the their these they"
        " this those to unit units filter filters which with",
    )
)
"""Words that claim nothing."""

DENIALS = frozenset(("avoids", "except", "never", "no", "nor", "not", "unlike", "without"))
"""Words after which a noun is no claim that the filter fires for it."""

PARTS = frozenset(
    re.findall(
        r"\w+",
        "body ear eye face feather fur hair hand head leg mouth muzzle neck nose paw tail wing",
    )
)
"""Parts of animals, which no class is about; among ImageNet's words some mean another thing."""

ENDINGS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man"), ("es", ""), ("s", ""))
"""Of plurals, and what the singular has in their place."""


@dataclass(frozen=True)
class Reading:
    """What a sentence says of groups of photographs.

    Attributes:
        synsets: {noun as written: the synset it was read as}.
        untested: {word as written: why it is not tested}.
    """

    synsets: Mapping[str, str]
    untested: Mapping[str, str]


def reading(text: str) -> Reading:
    """Return the synsets that a sentence names, and the words that it leaves untested.

    From the left, the longest run of words that WordNet has counts, as it stands or else as the
    plural of its last word. Of several meanings the one counts whose usual word it is.
    """
    synsets: dict[str, str] = {}
    untested: dict[str, str] = {}
    for said, denied in _runs(text):
        found = _meanings(said.lower())
        if denied and found:
            untested[said] = "denied"
        elif not found:
            untested[said] = "not among the words of WordNet around ImageNet"
        elif len(found) > 1:
            untested[said] = f"means several things: {', '.join(found)}"
        elif len(taxonomy().leaves(found[0])) > SHARE * len(taxonomy().classes):
            untested[said] = "too wide: little is left to compare"
        elif found[0] not in synsets.values():
            synsets[said] = found[0]
    return Reading(synsets, untested)


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the words that count, runs that WordNet has together, and whether they are denied."""
    for clause in re.split(r"[.,;:!?()]|\bbut\b", text):
        parts, at, denied = re.findall(r"[\w'-]+", clause), 0, False
        while at < len(parts):
            most = min(4, len(parts) - at)
            runs = [" ".join(parts[at : at + size]) for size in range(most, 0, -1)]
            run = next((run for run in runs if _meanings(run.lower())), runs[-1])
            at += run.count(" ") + 1
            if run.lower() in DENIALS:
                denied = True
            elif run.lower() not in EMPTY:
                yield run, denied


def _meanings(noun: str) -> tuple[str, ...]:
    """Return the synsets of a noun in small letters, or else of what it is the plural of."""
    for form in (noun, *(noun[: -len(a)] + b for a, b in ENDINGS if noun.endswith(a))):
        if form in EMPTY or form in DENIALS or form in PARTS:
            return ()
        if every := _index().get(form):
            usual = [synset for synset in every if taxonomy().words[synset][0].lower() == form]
            return tuple(usual or every)
    return ()


@cache
def _index() -> dict[str, tuple[str, ...]]:
    """Return the synsets that have each word, in small letters."""
    found: dict[str, tuple[str, ...]] = {}
    for synset, entries in taxonomy().words.items():
        for entry in entries:
            found[entry.lower()] = (*found.get(entry.lower(), ()), synset)
    return found
