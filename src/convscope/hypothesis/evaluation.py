"""The case for a hypothesis: what was claimed of a unit, what was found, and what may be argued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from convscope.activations.recorder import Recording
from convscope.circuits import ablation
from convscope.circuits.edges import CircuitAnalysis
from convscope.circuits.weights import DownstreamFilter
from convscope.data.dataset import pixels_of
from convscope.data.wordnet import taxonomy
from convscope.hypothesis import testing
from convscope.hypothesis.claims import (
    CircuitSufficient,
    Claim,
    Edit,
    GroupSelective,
    InputSelective,
    InputSign,
    Invariant,
    Tuned,
    words,
)
from convscope.hypothesis.measurements import (
    Material,
    Photographs,
    Positions,
    curves,
    positions,
    selective,
    split,
    strong,
    tunings,
)
from convscope.hypothesis.preregistration import Registered
from convscope.hypothesis.testing import Judged
from convscope.models.network import Network
from convscope.optvis import reliability
from convscope.optvis.reliability import Reliability
from convscope.settings import ImageSettings
from convscope.stats.inference import ForcedChoice, forced_choice
from convscope.text import number
from convscope.unit import Unit
from convscope.units.profile import Profile

FEWEST = 20  # labelled photographs: with fewer there is hardly a pair to guess


@dataclass(frozen=True)
class Case:
    """What became of a hypothesis.

    Attributes:
        registered: what was claimed, and when.
        judged: each claim with its verdict; the first decides.
        edits: of each claim about an edit, what was foretold and what the edited network did.
        reliabilities: {unit: whether its optimum is evidence}; those not alive are missing.
        arguments: the seven of Zoom In.
        game: how the first claim on groups guesses which of two photographs excites the unit more;
            None: there is none, or too few photographs.
    """

    registered: Registered
    judged: tuple[Judged, ...]
    edits: tuple[Mapping[str, object], ...]
    reliabilities: Mapping[Unit, Reliability]
    arguments: tuple[Argument, ...]
    game: ForcedChoice | None = None

    @property
    def record(self) -> dict[str, object]:
        """The hypothesis as plain values, its edits among them."""
        return {**self.registered.record(), "edits": list(self.edits)}

    def tables(self) -> dict[str, tuple[Sequence[str], list[list[object]]]]:
        """Return {name: its columns and rows}."""
        seen = reliability.rows(list(self.reliabilities.values()))
        found: dict[str, tuple[Sequence[str], list[list[object]]]] = {}
        if seen:
            found["evidence"] = reliability.COLUMNS, seen
        if self.judged:
            found["hypothesis"] = (testing.COLUMNS, testing.rows(self.judged))
        return found

    def scalars(self) -> dict[str, object]:
        """Return the figures of the summary."""
        good = [one.evidence for one in self.reliabilities.values()]
        found: dict[str, object] = {"evidence": sum(good), "no_evidence": len(good) - sum(good)}
        if self.judged:
            found |= {
                "hypothesis": self.judged[0].verdict,
                "hypothesis_sha256": self.registered.sha256,
            }
        if self.game:
            found |= {"game_accuracy": self.game.accuracy, "game_p": self.game.p}
        return found

    @property
    def sentence(self) -> str:
        """What became of the hypothesis, "" where none was made."""
        if not self.judged:
            unread = "No word of the hypothesis names a group of photographs: nothing was tested."
            return unread if self.registered.hypothesis.text else ""
        first = self.judged[0]
        more = f"; {len(self.judged) - 1} further claims are listed" * (len(self.judged) > 1)
        return f"Hypothesis ({first.words}): {first.verdict}{more}. {first.reason}"


def hear(
    registered: Registered,
    network: Network,
    findings: CircuitAnalysis,
    recording: Recording,
    keys: Sequence[str | None],
    shown: ImageSettings,
    seen: Mapping[Unit, Reliability],
    *,
    character: Profile | None = None,
    others: Mapping[Name, Finding] | None = None,
) -> Case:
    """Return what becomes of a hypothesis.

    Args:
        registered: what was claimed, before any photograph was looked at.
        network: the network, in float32.
        findings: what was measured of the unit and its inputs.
        recording: the photographs.
        keys: the class of each photograph of the recording; None: unlabelled.
        shown: how photographs are shown.
        seen: whether the optima are evidence.
        character: what the unit is tuned to and what it ignores; None: not measured.
        others: arguments from elsewhere, beside those that its character makes.
    """
    circuit, sample = findings.circuit, findings.sample
    unit, places = circuit.root, sample.places.tolist()
    scores = recording.observation.peaks[unit.layer].values[places, unit.filter]
    labels = [keys[place] for place in places]
    rest = positions(sample.confirmation, sample.discovery.center, labels)
    most = strong(sample.confirmation, sample.discovery.center)
    material = Material(
        photographs=Photographs(scores, labels) if any(labels) else None,
        positions=rest,
        strong=most,
        orders={name: order.tolist() for name, order in circuit.orders.items()},
        curves=curves(character) if character else {},
        tunings=tunings(character.tuning, unit.filter) if character else {},
        inputs=selective(registered.hypothesis.tested, network, circuit.sources),
        split=split(character) if character else None,
    )
    claims = registered.hypothesis.tested
    judged = testing.judge(claims, testing.effects(claims, material), registered.hypothesis.alpha)
    first = strong(sample.discovery, sample.discovery.center)
    edits = [
        edited(claim, network, findings, first, most if claim.among == "top" else rest, shown)
        for claim in claims
        if isinstance(claim, Edit)
    ]
    elsewhere = drawn(character) | dict(others or {}) if character else dict(others or {})
    said = arguments(judged, seen.get(unit), elsewhere)
    played = guessed(claims, material.photographs)
    return Case(registered, judged, tuple(edits), seen, said, played)


def guessed(claims: Sequence[Claim], given: Photographs | None) -> ForcedChoice | None:
    """Return how the first claim on groups guesses the stronger of two photographs."""
    groups = [claim for claim in claims if isinstance(claim, GroupSelective)]
    if not groups or given is None:
        return None
    inside = {leaf for synset in groups[0].synsets for leaf in taxonomy().leaves(synset)}
    expected = np.array([key in inside for key in given.keys], float)
    known = np.array([key is not None for key in given.keys])
    scores = np.where(known, given.scores, np.nan)
    return None if known.sum() < FEWEST else forced_choice(expected, scores)


def drawn(character: Profile) -> dict[Name, Finding]:
    """Return the arguments that drawn stimuli and moved exemplars make."""
    told = [trait for trait in character.properties if trait.holds is not None]
    held = [trait for trait in told if trait.holds]
    found: dict[Name, Finding] = {}
    if held:
        words = "; ".join(f"{trait.word} ({trait.numbers})" for trait in held[:2])
        found["synthetic examples"] = Finding("undecided", f"No claim was made. It is {words}.")
    if character.invariance is not None:
        scores = character.invariance.scores
        kept = ", ".join(
            f"{kind} {100 * scores[kind].mean:.0f} %"
            for kind in ("mirror", "rotation", "scale")
            if kind in scores
        )
        found["joint tuning"] = Finding(
            "undecided", f"No claim was made. Of its response to exemplars is left: {kept}."
        )
    return found


def used(clients: Sequence[DownstreamFilter]) -> dict[Name, Finding]:
    """Return what the filters that read a unit say of its use, the strongest first."""
    if not clients:
        return {}
    some = ", ".join(f"{client.unit} ({client.label})" for client in clients[:3])
    return {"feature use": Finding("undecided", f"No claim was made. It is read most by {some}.")}


def edited(
    claim: Edit,
    network: Network,
    findings: CircuitAnalysis,
    first: Positions,
    rest: Positions,
    shown: ImageSettings,
) -> dict[str, object]:
    """Return what an edit was foretold to do, and what the edited network really does.

    Args:
        claim: the edit.
        network: the network, in float32.
        findings: what was measured of the unit.
        first: the strong responses of the discovery half, which foretell.
        rest: positions of the confirmation half, of the photographs that the edit is about.
        shown: how photographs are shown.
    """
    unit, mean = findings.circuit.root, rest.mean
    channels = testing.silenced(claim, mean)
    record: dict[str, object] = {
        "claim": words(claim),
        "channels": channels.tolist(),
        "foretold": testing.predicted(claim, first) if claim.among == "top" else None,
        "done": None,
        "photographs": 0,
    }
    where = testing.concerned(claim, rest)
    paths = [findings.paths[place] for place in np.unique(rest.images[where]).tolist()]
    try:
        masked = ablation.masked(network, unit.layer, unit.filter, mean, channels.tolist())
        plain = ablation.masked(network, unit.layer, unit.filter, mean, [])
    except ValueError as error:
        return record | {"reason": str(error)}
    changes: list[np.ndarray] = []
    inside = findings.sample.inside
    for pixels in pixels_of(paths, shown):
        before, after = plain(pixels), masked(pixels)
        if before.ndim == 3:
            before, after = inside.of(before), inside.of(after)
        least = findings.sample.confirmation.threshold if claim.among == "top" else -np.inf
        changes.append((np.maximum(after, 0) - np.maximum(before, 0))[before >= least])
    together = np.concatenate(changes) if changes else np.zeros(0)
    done = float(together.mean()) if len(together) else None
    return record | {"done": done, "photographs": len(paths)}


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
    reliability: Reliability | None = None,
    others: Mapping[Name, Finding] | None = None,
) -> tuple[Argument, ...]:
    """Return the seven arguments, in Zoom In's order.

    Args:
        judged: claims and what became of them; of several that belong to one argument, the one
            that refutes counts, or else the first that is decided.
        reliability: the filter's optimum and whether it is evidence; None: there is none.
        others: findings from elsewhere, such as feature use; they count where no claim does.
    """
    found: dict[Name, Finding] = (
        {} if reliability is None else {"feature visualization": _seen(reliability)}
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


def _seen(reliability: Reliability) -> Finding:
    """Return what an optimum says; one that is no evidence is kept out of the argument."""
    if not reliability.evidence:
        return Finding("undecided", f"Its optimum is no evidence. {reliability.reason}")
    return Finding("for", f"Its optimum is evidence of what it does. {reliability.reason}")


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
