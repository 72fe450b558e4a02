"""A hypothesis, written down before it is tested: words and claims, frozen by a hash and a time."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated

from convscope.data.wordnet import taxonomy
from convscope.hypothesis.claims import Area, Claim, GroupSelective
from convscope.settings import Range


@dataclass(frozen=True)
class HypothesisSettings:
    """What a filter is for: in words, and as claims, the first of which decides.

    Attributes:
        name: of the hypothesis, as the option is called.
        text: in words; claims on its nouns are made where no claims are given. None: no words.
        alpha: the rate of errors that all claims together may have.
        sesoi: the AUROC that a claim read from the words must reach.
        claims: what is tested.
    """

    name: str
    text: str | None
    alpha: Annotated[float, Range(gt=0, lt=0.5)]
    sesoi: Area
    claims: tuple[Claim, ...]

    def __post_init__(self) -> None:
        """Raise ValueError for empty words, and for claims that cannot both be true."""
        if self.text is not None and not self.text.strip():
            raise ValueError(f"text={self.text!r} says nothing. Give a sentence, or leave it out.")
        seen: dict[Hashable, int] = {}
        for at, claim in enumerate(self.claims):
            first = seen.setdefault(claim.subject, at)
            if first != at:
                said = "repeats" if self.claims[first] == claim else "contradicts"
                raise ValueError(
                    f"claims[{at}] ({claim.type}) {said} claims[{first}]. Keep one of them."
                )

    @property
    def read(self) -> Reading | None:
        """How the words were read; None where claims are given, or no words."""
        return reading(self.text) if self.text and not self.claims else None

    @property
    def tested(self) -> tuple[Claim, ...]:
        """The claims, or those that the words make."""
        if self.read is None:
            return self.claims
        return tuple(
            GroupSelective("group_selective", (synset,), self.sesoi)
            for synset in self.read.synsets.values()
        )

    @property
    def empty(self) -> bool:
        """Whether nothing is said at all."""
        return not self.text and not self.claims


@dataclass(frozen=True)
class Preregistration:
    """A hypothesis as it stood before it was tested.

    Attributes:
        hypothesis: what is said.
        time: when, in ISO 8601; before any photograph that tests it was looked at.
    """

    hypothesis: HypothesisSettings
    time: str

    @property
    def json(self) -> str:
        """Words, alpha and claims as canonical JSON: the same hypothesis gives the same text."""
        said = self.hypothesis
        values = {
            "text": said.text,
            "alpha": said.alpha,
            "claims": [asdict(claim) for claim in said.tested],
        }
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the JSON in UTF-8: another hypothesis would have another."""
        return hashlib.sha256(self.json.encode()).hexdigest()

    def record(self) -> dict[str, object]:
        """Return it as plain values, for a JSON file."""
        read = self.hypothesis.read
        return {
            **json.loads(self.json),
            "sha256": self.sha256,
            "time": self.time,
            "read": {} if read is None else dict(read.synsets),
            "untested": [] if read is None else dict(read.untested),
        }


def check(hypothesis: HypothesisSettings, inputs: int) -> None:
    """Raise ValueError for a claim on an input that a filter with so many does not have."""
    for at, claim in enumerate(hypothesis.claims):
        for name, value in vars(claim).items():
            place = f"hypothesis.claims[{at}].{name}"
            if name == "count" and value > inputs:
                raise ValueError(f"{place}={value} is too large. The filter has {inputs} inputs.")
            if name in ("channel", "silence") and not isinstance(value, str):
                last = max(value) if isinstance(value, tuple) else value
                if last >= inputs:
                    has = f"The filter has {inputs} inputs, 0 to {inputs - 1}."
                    raise ValueError(f"{place}={last} does not exist. {has}")


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
