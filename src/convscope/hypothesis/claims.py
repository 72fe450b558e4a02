"""Claims that can fail: what a filter is said to do, each with the smallest effect that counts."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from convscope.data.wordnet import taxonomy
from convscope.text import closest


@dataclass(frozen=True)
class GroupSelective:
    """It fires more for photographs of some synsets than for others: their AUROC is at least so."""

    type: Literal["group_selective"]
    synsets: tuple[str, ...]
    sesoi: float

    def __post_init__(self) -> None:
        """Raise ValueError for synsets that are not known and an AUROC that is none."""
        _synsets("synsets", self.synsets)
        between(0.5, 1, sesoi=self.sesoi)

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
        between(0, 1, sesoi=self.sesoi)

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
        between(0, 1, sesoi=self.sesoi)

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
        between(0, 1, sesoi=self.sesoi)

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
        between(0, 1, sesoi=self.sesoi)

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
        between(0, 1, sesoi=self.sesoi)

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


def between(least: float, most: float, **values: float) -> None:
    """Raise ValueError for a value that does not lie between two others."""
    for name, value in values.items():
        if not least < value < most:
            raise ValueError(f"{name}={value} does not fit. It lies between {least} and {most}.")
