"""Claims that can fail: what a filter is said to do, each with the smallest effect that counts.

A new kind of claim is a class here that `Claim` names, and its effect in testing.py.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from convscope.data.wordnet import taxonomy
from convscope.settings import Count, Range
from convscope.text import closest

Area = Annotated[float, Range(gt=0.5, lt=1)]
"""The smallest AUROC that counts."""
Fraction = Annotated[float, Range(gt=0, lt=1)]
"""The smallest effect that counts."""
Channel = Annotated[int, Range(ge=0)]
"""One of a filter's inputs."""

GIVE = {
    "synsets": "synsets, like [n02084071] for dogs",
    "among": "top, or synsets, like [n02084071] for dogs",
    "silence": "inhibitory, or channels, like [17,42]",
}
"""What a field takes that names nothing."""


class _Kind:
    """What every kind of claim says of itself; fields of these names are checked alike in all.

    Attributes:
        WORDS: what is claimed, with fields in braces.
        REFUTER: what would refute it, with fields and `alpha` in braces.
        SUBJECT: the fields that say what it is about: only one claim may be about the same.
        ARGUMENT: which of Zoom In's seven arguments it belongs to; None: to none of them.
    """

    WORDS: ClassVar[str]
    REFUTER: ClassVar[str]
    SUBJECT: ClassVar[tuple[str, ...]]
    ARGUMENT: ClassVar[str | None] = "feature implementation"

    def __post_init__(self) -> None:
        """Raise ValueError for a field that names nothing, or the same twice."""
        for name, value in vars(self).items():
            if value == () or (isinstance(value, str) and not value.strip()):
                named = repr(value) if value else "[]"
                raise ValueError(f"{name}={named} names nothing. Give {GIVE.get(name, 'a name')}.")
            if isinstance(value, tuple):
                if len(set(value)) < len(value):
                    raise ValueError(f"{name}={list(value)} names one twice. Keep one of them.")
                if name in ("synsets", "among"):
                    _check_synsets(name, value)
            if name == "rises_by" and not value:
                raise ValueError("rises_by=0 predicts nothing. Above 0 it rises, below 0 it falls.")

    @property
    def words(self) -> str:
        """What is claimed, in words."""
        return self.WORDS.format_map(self._values())

    def refuted_by(self, alpha: float) -> str:
        """Return what would refute it, in words."""
        return self.REFUTER.format_map({**self._values(), "alpha": alpha})

    @property
    def subject(self) -> Hashable:
        """What it is about."""
        values = [getattr(self, name) for name in self.SUBJECT]
        return (type(self), *(frozenset(it) if isinstance(it, tuple) else it for it in values))

    @property
    def bound(self) -> float | None:
        """The smallest effect that counts; None: its measurement has one."""
        values = vars(self)
        return values.get("sesoi", values.get("rises_by"))

    def _values(self) -> Mapping[str, object]:
        """Return what its sentences are filled with."""
        return vars(self)


@dataclass(frozen=True)
class GroupSelective(_Kind):
    """It fires more for photographs of some synsets than for others: their AUROC is at least so."""

    type: Literal["group_selective"]
    synsets: tuple[str, ...]
    sesoi: Area

    WORDS = "fires for {named}"
    REFUTER = "an AUROC whose 95 % interval lies below {sesoi:g}"
    SUBJECT = ("synsets",)
    ARGUMENT = "dataset examples"

    def _values(self) -> Mapping[str, object]:
        return {**vars(self), "named": named(self.synsets)}


@dataclass(frozen=True)
class Invariant(_Kind):
    """Its exemplars keep this share of their activation under every step of a transform."""

    type: Literal["invariant"]
    transform: str
    sesoi: Fraction

    WORDS = "keeps its activation under {transform}"
    REFUTER = (
        "a step of {transform} at which the interval of the activation that is left lies below"
        " {sesoi:g}"
    )
    SUBJECT = ("transform",)
    ARGUMENT = "joint tuning"


@dataclass(frozen=True)
class Tuned(_Kind):
    """It is tuned to a feature of synthetic stimuli: its selectivity index is at least so."""

    type: Literal["tuned"]
    feature: str
    sesoi: Fraction

    WORDS = "is tuned to {feature}"
    REFUTER = "a selectivity index whose 95 % interval lies below {sesoi:g}"
    SUBJECT = ("feature",)
    ARGUMENT = "synthetic examples"


@dataclass(frozen=True)
class InputSign(_Kind):
    """One input excites or inhibits it, and makes this share of the shift to a strong response."""

    type: Literal["input_sign"]
    channel: Channel
    sign: Literal["excitatory", "inhibitory"]
    sesoi: Fraction

    WORDS = "input {channel} is {sign}"
    REFUTER = "an input that {other}, or makes less than {sesoi:g} of the shift (95 % interval)"
    SUBJECT = ("channel",)  # both signs of one input cannot be true

    def _values(self) -> Mapping[str, object]:
        return {**vars(self), "other": "excites" if self.sign == "inhibitory" else "inhibits"}


@dataclass(frozen=True)
class InputSelective(_Kind):
    """One input is itself tuned to a feature of synthetic stimuli."""

    type: Literal["input_selective"]
    channel: Channel
    tuning: str
    sesoi: Fraction

    WORDS = "input {channel} is tuned to {tuning}"
    REFUTER = Tuned.REFUTER
    SUBJECT = ("channel", "tuning")


@dataclass(frozen=True)
class CircuitSufficient(_Kind):
    """The first inputs of a ranking alone recover this share of a strong response."""

    type: Literal["circuit_sufficient"]
    count: Count
    by: str
    sesoi: Fraction

    WORDS = "its first {count} inputs by {by} suffice"
    REFUTER = "a recovery whose 95 % interval lies below {sesoi:g}"
    SUBJECT = ("count", "by")


@dataclass(frozen=True)
class Monosemantic(_Kind):
    """What it fires for most is of one kind."""

    type: Literal["monosemantic"]

    WORDS = "fires for one kind of thing"
    REFUTER = "a split of its exemplars into kinds, p < {alpha:g}"
    SUBJECT = ()
    ARGUMENT = None


@dataclass(frozen=True)
class Edit(_Kind):
    """With some inputs held at their mean, its activation on some photographs rises by so much.

    A fall is a rise below 0.
    """

    type: Literal["edit"]
    silence: Literal["inhibitory"] | tuple[Channel, ...]
    among: Literal["top"] | tuple[str, ...]
    rises_by: float

    WORDS = "without {inputs} it {moves} {where}"
    REFUTER = "a change whose 95 % interval lies {side} {rises_by:g}"
    SUBJECT = ("silence", "among")

    def _values(self) -> Mapping[str, object]:
        inputs = "all inhibitory inputs"
        if self.silence != "inhibitory":
            plural = "s" * (len(self.silence) > 1)
            inputs = f"input{plural} {', '.join(map(str, self.silence))}"
        return {
            "rises_by": self.rises_by,
            "inputs": inputs,
            "moves": "rises" if self.rises_by > 0 else "falls",
            "side": "below" if self.rises_by > 0 else "above",
            "where": "where it is strong" if self.among == "top" else f"on {named(self.among)}",
        }


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


def named(synsets: Sequence[str]) -> str:
    """Return some synsets in words."""
    return " or ".join(taxonomy().name(synset) for synset in synsets)


def _check_synsets(name: str, synsets: Sequence[str]) -> None:
    known = taxonomy()
    for synset in synsets:
        if synset not in known.words:
            near = closest(synset, list(known.words)) if synset[1:].isdigit() else None
            hint = next((key for key, words in known.words.items() if words[0] == synset), near)
            raise ValueError(
                f"{name}={synset!r} is no synset above or among ImageNet's classes, like n02084071"
                f" for dogs." + (f" Did you mean '{hint}'?" if hint else "")
            )
    if frozenset(known.classes) <= frozenset().union(*map(known.leaves, synsets)):
        raise ValueError(f"{name}={list(synsets)} holds all classes: nothing is left to compare.")
