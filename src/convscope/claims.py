"""Claims that can fail: what a filter is said to do, each with the smallest effect that counts.

They are written down, hashed and given a time before the photographs that test them are looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from convscope.labels import taxonomy
from convscope.nouns import Reading, reading
from convscope.settings import closest


@dataclass(frozen=True)
class GroupSelective:
    """It fires more for photographs of some synsets than for others: their AUROC is at least so."""

    type: Literal["group_selective"]
    synsets: tuple[str, ...]
    sesoi: float

    def __post_init__(self) -> None:
        """Raise ValueError for synsets that are not known and an AUROC that is none."""
        _synsets("synsets", self.synsets)
        _between(0.5, 1, sesoi=self.sesoi)

    @property
    def subject(self) -> Hashable:
        """What it is about."""
        return frozenset(self.synsets)


@dataclass(frozen=True)
class Invariant:
    """Its exemplars keep this share of their activation under every step of a transform."""

    type: Literal["invariant"]
    transform: str
    sesoi: float

    def __post_init__(self) -> None:
        """Raise ValueError for a transform without name and a share that is none."""
        _named(transform=self.transform)
        _between(0, 1, sesoi=self.sesoi)

    @property
    def subject(self) -> Hashable:
        """What it is about."""
        return self.transform


@dataclass(frozen=True)
class Tuned:
    """It is tuned to a feature of synthetic stimuli: its selectivity index is at least so."""

    type: Literal["tuned"]
    feature: str
    sesoi: float

    def __post_init__(self) -> None:
        """Raise ValueError for a feature without name and an index outside 0 to 1."""
        _named(feature=self.feature)
        _between(0, 1, sesoi=self.sesoi)

    @property
    def subject(self) -> Hashable:
        """What it is about."""
        return self.feature


@dataclass(frozen=True)
class InputSign:
    """One input excites or inhibits it, and makes this share of the shift to a strong response."""

    type: Literal["input_sign"]
    channel: int
    sign: Literal["excitatory", "inhibitory"]
    sesoi: float

    def __post_init__(self) -> None:
        """Raise ValueError for a channel below 0 and a share that is none."""
        _channels("channel", [self.channel])
        _between(0, 1, sesoi=self.sesoi)

    @property
    def subject(self) -> Hashable:
        """What it is about: both signs of one input cannot be true."""
        return self.channel


@dataclass(frozen=True)
class InputSelective:
    """One input is itself tuned to a feature of synthetic stimuli."""

    type: Literal["input_selective"]
    channel: int
    tuning: str
    sesoi: float

    def __post_init__(self) -> None:
        """Raise ValueError for a channel below 0, a tuning without name, an index that is none."""
        _channels("channel", [self.channel])
        _named(tuning=self.tuning)
        _between(0, 1, sesoi=self.sesoi)

    @property
    def subject(self) -> Hashable:
        """What it is about."""
        return self.channel, self.tuning


@dataclass(frozen=True)
class CircuitSufficient:
    """The first inputs of a ranking alone recover this share of a strong response."""

    type: Literal["circuit_sufficient"]
    count: int
    by: str
    sesoi: float

    def __post_init__(self) -> None:
        """Raise ValueError for a count below 1, a ranking without name, a share that is none."""
        if self.count < 1:
            raise ValueError(f"count={self.count} is too small. It must be at least 1.")
        _named(by=self.by)
        _between(0, 1, sesoi=self.sesoi)

    @property
    def subject(self) -> Hashable:
        """What it is about."""
        return self.count, self.by


@dataclass(frozen=True)
class Monosemantic:
    """What it fires for most is of one kind."""

    type: Literal["monosemantic"]

    @property
    def subject(self) -> Hashable:
        """What it is about: the filter itself."""
        return ()


@dataclass(frozen=True)
class Edit:
    """With some inputs held at their mean, its activation on some photographs rises by so much.

    A fall is a rise below 0.
    """

    type: Literal["edit"]
    silence: Literal["inhibitory"] | tuple[int, ...]
    among: Literal["top"] | tuple[str, ...]
    rises_by: float

    def __post_init__(self) -> None:
        """Raise ValueError for channels below 0, unknown synsets and a rise that is none."""
        if not isinstance(self.silence, str):
            _channels("silence", self.silence)
        if not isinstance(self.among, str):
            _synsets("among", self.among)
        if not self.rises_by:
            raise ValueError("rises_by=0 predicts nothing. Above 0 it rises, below 0 it falls.")

    @property
    def subject(self) -> Hashable:
        """What it is about."""
        silence = self.silence if isinstance(self.silence, str) else frozenset(self.silence)
        return silence, self.among if isinstance(self.among, str) else frozenset(self.among)


Claim = (
    GroupSelective
    | Invariant
    | Tuned
    | InputSign
    | InputSelective
    | CircuitSufficient
    | Monosemantic
    | Edit
)


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
    alpha: float
    sesoi: float
    claims: tuple[Claim, ...]

    def __post_init__(self) -> None:
        """Raise ValueError for values outside their ranges, and claims that cannot both be true."""
        if self.text is not None and not self.text.strip():
            raise ValueError(f"text={self.text!r} says nothing. Give a sentence, or leave it out.")
        _between(0, 0.5, alpha=self.alpha)
        _between(0.5, 1, sesoi=self.sesoi)
        seen: dict[Hashable, int] = {}
        for at, claim in enumerate(self.claims):
            first = seen.setdefault((claim.type, claim.subject), at)
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
class Registered:
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


def check(hypothesis: HypothesisSettings, channels: int) -> None:
    """Raise for a claim on an input that the filter does not have.

    Args:
        hypothesis: what is claimed.
        channels: how many inputs the filter reads.

    Raises:
        ValueError: a channel is out of range, or a circuit has more inputs than there are.
    """
    for at, claim in enumerate(hypothesis.claims):
        place = f"hypothesis.claims[{at}]"
        for name, channel in _asked(claim):
            if channel >= channels:
                raise ValueError(
                    f"{place}.{name}={channel} does not exist. The filter has {channels} inputs, 0"
                    f" to {channels - 1}."
                )
        if isinstance(claim, CircuitSufficient) and claim.count > channels:
            raise ValueError(
                f"{place}.count={claim.count} is too large. The filter has {channels} inputs."
            )


def words(claim: Claim) -> str:
    """Return what is claimed, in words."""
    match claim:
        case GroupSelective():
            return f"fires for {named(claim.synsets)}"
        case Invariant():
            return f"keeps its activation under {claim.transform}"
        case Tuned():
            return f"is tuned to {claim.feature}"
        case InputSign():
            return f"input {claim.channel} is {claim.sign}"
        case InputSelective():
            return f"input {claim.channel} is tuned to {claim.tuning}"
        case CircuitSufficient():
            return f"its first {claim.count} inputs by {claim.by} suffice"
        case Monosemantic():
            return "fires for one kind of thing"
        case Edit():
            inputs = (
                "all inhibitory inputs"
                if isinstance(claim.silence, str)
                else f"input{'s' * (len(claim.silence) > 1)} {', '.join(map(str, claim.silence))}"
            )
            where = (
                "where it is strong" if isinstance(claim.among, str) else f"on {named(claim.among)}"
            )
            return f"without {inputs} it {'rises' if claim.rises_by > 0 else 'falls'} {where}"


def named(synsets: Sequence[str]) -> str:
    """Return some synsets in words."""
    return " or ".join(taxonomy().name(synset) for synset in synsets)


def _asked(claim: Claim) -> list[tuple[str, int]]:
    """Return the channels that a claim is about, each with the setting that names it."""
    if isinstance(claim, InputSign | InputSelective):
        return [("channel", claim.channel)]
    if isinstance(claim, Edit) and not isinstance(claim.silence, str):
        return [("silence", channel) for channel in claim.silence]
    return []


def _synsets(name: str, synsets: Collection[str]) -> None:
    known = taxonomy()
    if not synsets:
        raise ValueError(f"{name}=[] names nothing. Give synsets, like [n02084071] for dogs.")
    for synset in synsets:
        if synset not in known.words:
            near = closest(synset, list(known.words)) if synset[1:].isdigit() else None
            named = [key for key, words in known.words.items() if words[0] == synset]
            hint = named[0] if named else near
            raise ValueError(
                f"{name}={synset!r} is no synset above or among ImageNet's classes, like n02084071"
                f" for dogs." + (f" Did you mean '{hint}'?" if hint else "")
            )
    if len(set(synsets)) < len(synsets):
        raise ValueError(f"{name}={list(synsets)} names a synset twice. Keep one of them.")
    if frozenset(known.classes) <= frozenset().union(*map(known.leaves, synsets)):
        raise ValueError(f"{name}={list(synsets)} holds all classes: nothing is left to compare.")


def _channels(name: str, channels: Collection[int]) -> None:
    if not channels:
        raise ValueError(f"{name}=[] names no input. Give channels, like [17,42].")
    if min(channels) < 0:
        raise ValueError(f"{name}={min(channels)} is too small. Channels count from 0.")
    if len(set(channels)) < len(channels):
        raise ValueError(f"{name}={list(channels)} names a channel twice. Keep one of them.")


def _named(**values: str) -> None:
    for name, value in values.items():
        if not value.strip():
            raise ValueError(f"{name}={value!r} names nothing. Give its name.")


def _between(least: float, most: float, **values: float) -> None:
    for name, value in values.items():
        if not least < value < most:
            raise ValueError(f"{name}={value} does not fit. It lies between {least} and {most}.")
