"""The seven arguments for what a filter is for: which there are, and what each of them says.

Source: Olah, Cammarata, Schubert, Goh, Petrov and Carter, Zoom In: an introduction to circuits,
Distill, 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from convscope.hypothesis.claims import (
    CircuitSufficient,
    Edit,
    GroupSelective,
    InputSelective,
    InputSign,
    Invariant,
    Tuned,
)
from convscope.hypothesis.verdict import Judged
from convscope.optvis.reliability import Witness
from convscope.report.figures.canvas import number

Name = Literal[
    "feature visualization",
    "dataset examples",
    "synthetic examples",
    "joint tuning",
    "feature implementation",
    "feature use",
    "handwritten circuit",
]
Speaks = Literal["for", "against", "undecided", "absent"]

QUESTIONS: Mapping[Name, str] = {
    "feature visualization": "Does the image that excites it most show the feature?",
    "dataset examples": "Do the photographs that excite it have the feature?",
    "synthetic examples": "Do made stimuli with the feature excite it?",
    "joint tuning": "Does it keep to the feature as its exemplars are turned and moved?",
    "feature implementation": "Do the weights from its inputs make the feature?",
    "feature use": "Do later filters use it as the feature?",
    "handwritten circuit": "Does a circuit set by hand do the same?",
}
KINDS: Mapping[type, Name] = {
    GroupSelective: "dataset examples",
    Tuned: "synthetic examples",
    Invariant: "joint tuning",
    InputSign: "feature implementation",
    InputSelective: "feature implementation",
    CircuitSufficient: "feature implementation",
    Edit: "feature implementation",
}
"""The argument that each kind of claim belongs to; that it is of one kind belongs to none."""


@dataclass(frozen=True)
class Finding:
    """What one piece of evidence says.

    Attributes:
        speaks: for the hypothesis, against it, or neither.
        sentence: what was found.
    """

    speaks: Speaks
    sentence: str


@dataclass(frozen=True)
class Argument:
    """One of the seven: filled with a finding, or empty.

    Attributes:
        name: as Zoom In has it.
        question: what it asks.
        speaks: for the hypothesis, against it, undecided, or absent: nothing was measured.
        sentence: its finding, or why there is none.
    """

    name: Name
    question: str
    speaks: Speaks
    sentence: str

    @property
    def filled(self) -> bool:
        """Whether it is an argument, for or against."""
        return self.speaks in ("for", "against")


def arguments(
    judged: Sequence[Judged] = (),
    witness: Witness | None = None,
    others: Mapping[Name, Finding] | None = None,
) -> tuple[Argument, ...]:
    """Return the seven arguments, in Zoom In's order.

    Args:
        judged: claims and what became of them; of several that belong to one argument, the one
            that refutes counts, or else the first that is decided.
        witness: the filter's optimum and whether it is evidence; None: there is none.
        others: findings from elsewhere, such as feature use; they count where no claim does.
    """
    found: dict[Name, Finding] = (
        {} if witness is None else {"feature visualization": _seen(witness)}
    )
    for one in sorted(judged, key=_urgency):
        if type(one.claim) in KINDS and one.verdict != "not tested":
            found.setdefault(KINDS[type(one.claim)], _told(one))
    for name, finding in (others or {}).items():
        found.setdefault(name, finding)
    absent = Finding("absent", "Not measured.")
    return tuple(
        Argument(name, QUESTIONS[name], said.speaks, said.sentence)
        for name in get_args(Name)
        for said in [found.get(name, absent)]
    )


def _seen(witness: Witness) -> Finding:
    """Return what an optimum says; one that is no evidence is kept out of the argument."""
    if not witness.evidence:
        return Finding("undecided", f"Its optimum is no evidence. {witness.reason}")
    return Finding("for", f"Its optimum is evidence of what it does. {witness.reason}")


def _told(one: Judged) -> Finding:
    speaks: Mapping[str, Speaks] = {"supported": "for", "refuted": "against"}
    effect, words = one.effect, f"It {one.words}"
    if one.words.startswith(("its", "input", "without")):
        words = one.words[0].upper() + one.words[1:]
    numbers = ""
    if effect:
        low, high = number(effect.low), number(effect.high)
        numbers = f" ({number(effect.value)}, {low} to {high})"
    return Finding(speaks.get(one.verdict, "undecided"), f"{words}: {one.verdict}{numbers}.")


def _urgency(one: Judged) -> int:
    order = ("refuted", "supported", "inconclusive")
    return order.index(one.verdict) if one.verdict in order else len(order)
