"""A hypothesis evaluated: what was claimed of a unit, what was found, and what may be argued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.circuits import ablation
from convscope.data.dataset import pixels_of
from convscope.data.wordnet import taxonomy
from convscope.hypothesis import testing
from convscope.hypothesis.claims import Claim, Edit, GroupSelective
from convscope.hypothesis.measurements import Measurements
from convscope.hypothesis.preregistration import Preregistration
from convscope.hypothesis.testing import ClaimResult
from convscope.optvis.reliability import Reliability
from convscope.stats.inference import ForcedChoice, forced_choice
from convscope.text import number

FEWEST = 20  # labelled photographs: with fewer there is hardly a pair to guess

QUESTIONS: Mapping[str, str] = {
    "feature visualization": "Does the image that excites it most show the feature?",
    "dataset examples": "Do the photographs that excite it have the feature?",
    "synthetic examples": "Do made stimuli with the feature excite it?",
    "joint tuning": "Does it keep to the feature as its exemplars are turned and moved?",
    "feature implementation": "Do the weights from its inputs make the feature?",
    "feature use": "Do later filters use it as the feature?",
    "handwritten circuit": "Does a circuit set by hand do the same?",
}
"""The seven arguments of Zoom In (Olah et al., 2020), and what each asks."""

SPEAKS = {"refuted": "against", "supported": "for", "inconclusive": "undecided"}
"""What the verdict of a claim says of the argument that it belongs to; the first one counts."""


@dataclass(frozen=True)
class Argument:
    """One of the seven arguments: filled with a finding, or empty.

    Attributes:
        name: as Zoom In has it.
        speaks: for the hypothesis, against it, undecided, or absent: nothing was measured.
        sentence: its finding, or why there is none.
    """

    name: str
    speaks: str = "absent"
    sentence: str = "Not measured."

    @property
    def question(self) -> str:
        """What it asks."""
        return QUESTIONS[self.name]


@dataclass(frozen=True)
class Evaluation:
    """What became of a hypothesis.

    Attributes:
        registered: what was claimed, and when.
        results: each claim with its verdict; the first decides.
        edits: of each claim about an edit, what was foretold and what the edited network did.
        arguments: the seven of Zoom In.
        choice: how the first claim on groups guesses which of two photographs excites the unit
            more; None: there is none, or too few photographs.
    """

    registered: Preregistration
    results: tuple[ClaimResult, ...] = ()
    edits: tuple[Mapping[str, object], ...] = ()
    arguments: tuple[Argument, ...] = ()
    choice: ForcedChoice | None = None

    @property
    def record(self) -> dict[str, object]:
        """The hypothesis as plain values, its edits among them."""
        return {**self.registered.record(), "edits": list(self.edits)}

    @property
    def rows(self) -> list[dict[str, object]]:
        """The table of claims, the one that decides first."""
        return [one.row for one in self.results]

    def scalars(self) -> dict[str, object]:
        """Return the figures of the summary."""
        found: dict[str, object] = {}
        if self.results:
            found["hypothesis"] = self.results[0].verdict
            found["hypothesis_sha256"] = self.registered.sha256
        if self.choice:
            found |= {"game_accuracy": self.choice.accuracy, "game_p": self.choice.p}
        return found

    @property
    def sentence(self) -> str:
        """What became of the hypothesis, "" where none was made."""
        if not self.results:
            unread = "No word of the hypothesis names a group of photographs: nothing was tested."
            return unread if self.registered.hypothesis.text else ""
        first = self.results[0]
        more = f"; {len(self.results) - 1} further claims are listed" * (len(self.results) > 1)
        return f"Hypothesis ({first.claim.words}): {first.verdict}{more}. {first.reason}"


def evaluate(registered: Preregistration, measured: Measurements) -> Evaluation:
    """Return what becomes of a hypothesis that was registered before anything was measured."""
    claims = registered.hypothesis.tested
    effects = [testing.effect(claim, measured) for claim in claims]
    results = testing.decide(claims, effects, registered.hypothesis.alpha)
    edits = tuple(edited(claim, measured) for claim in claims if isinstance(claim, Edit))
    said = arguments(results, measured.reliability.get(measured.unit), beside(measured))
    choice = chosen(claims, measured.scores, measured.labels)
    return Evaluation(registered, results, edits, said, choice)


def chosen(
    claims: Sequence[Claim], scores: np.ndarray, labels: Sequence[str | None]
) -> ForcedChoice | None:
    """Return how the first claim on groups guesses the stronger of two photographs."""
    group = next((claim for claim in claims if isinstance(claim, GroupSelective)), None)
    known = np.array([label is not None for label in labels])
    if group is None or known.sum() < FEWEST:
        return None
    inside = frozenset().union(*map(taxonomy().leaves, group.synsets))
    expected = np.array([label in inside for label in labels], float)
    return forced_choice(expected, np.where(known, scores, np.nan))


def edited(claim: Edit, measured: Measurements) -> dict[str, object]:
    """Return what the discovery half foretells of an edit, and what the edited network does."""
    network, unit, sample = measured.network, measured.unit, measured.findings.sample
    top = claim.among == "top"
    rest = measured.strong if top else measured.positions
    first, channels = measured.strong_of(sample.discovery), testing.silenced(claim, rest.mean)
    record: dict[str, object] = {
        "claim": claim.words,
        "channels": channels.tolist(),
        "foretold": float(first.changed(channels).mean()) if top else None,
        "done": None,
        "photographs": 0,
    }
    where = testing.concerned(claim, rest)
    paths = [measured.findings.paths[place] for place in np.unique(rest.images[where]).tolist()]
    try:
        plain, masked = (
            ablation.masked(network, unit.layer, unit.filter, rest.mean, held)
            for held in (channels[:0], channels)
        )
    except ValueError as error:
        return record | {"reason": str(error)}
    changes: list[np.ndarray] = []
    for pixels in pixels_of(paths, measured.shown):
        before, after = plain(pixels), masked(pixels)
        if before.ndim == 3:
            before, after = sample.inside.of(before), sample.inside.of(after)
        least = sample.confirmation.threshold if top else -np.inf
        changes.append((np.maximum(after, 0) - np.maximum(before, 0))[before >= least])
    together = np.concatenate(changes) if changes else np.zeros(0)
    done = float(together.mean()) if len(together) else None
    return record | {"done": done, "photographs": len(paths)}


def beside(measured: Measurements) -> dict[str, str]:
    """Return {argument: what stimuli, moved exemplars and readers say, whatever was claimed}."""
    found, profile = {}, measured.character
    if profile and (held := [one for one in profile.properties if one.holds]):
        words = "; ".join(f"{one.word} ({one.numbers})" for one in held[:2])
        found["synthetic examples"] = f"It is {words}."
    if profile and profile.invariance:
        scores = profile.invariance.scores
        kinds = [kind for kind in ("mirror", "rotation", "scale") if kind in scores]
        kept = ", ".join(f"{kind} {100 * scores[kind].mean:.0f} %" for kind in kinds)
        found["joint tuning"] = f"Of its response to exemplars is left: {kept}."
    readers = measured.hops.downstream.filters[:3] if measured.hops else ()
    if some := ", ".join(f"{one.unit} ({one.label})" for one in readers):
        found["feature use"] = f"It is read most by {some}."
    return found


def arguments(
    results: Sequence[ClaimResult], optimum: Reliability | None, others: Mapping[str, str]
) -> tuple[Argument, ...]:
    """Return the seven arguments, in Zoom In's order.

    Args:
        results: claims and what became of them; of several that belong to one argument, the one
            that refutes counts, or else the first that is decided.
        optimum: the filter's optimum and whether it is evidence; None: there is none.
        others: {argument: what was found beside all claims}; they count where no claim does.
    """
    found = []
    if optimum is not None:  # one that is no evidence is kept out of the argument
        speaks = "for" if optimum.evidence else "undecided"
        words = "evidence of what it does" if optimum.evidence else "no evidence"
        sentence = f"Its optimum is {words}. {optimum.reason}"
        found.append(Argument("feature visualization", speaks, sentence))
    for verdict, speaks in SPEAKS.items():
        decided = [one for one in results if one.verdict == verdict and one.claim.ARGUMENT]
        found += [Argument(str(one.claim.ARGUMENT), speaks, _told(one)) for one in decided]
    for name, words in others.items():
        found.append(Argument(name, "undecided", f"No claim was made. {words}"))
    first = {one.name: one for one in reversed(found)}
    return tuple(first.get(name, Argument(name)) for name in QUESTIONS)


def _told(one: ClaimResult) -> str:
    """Return a claim, its verdict and its numbers in one sentence."""
    words = one.claim.words
    if words.startswith(("its", "input", "without")):
        words = words[0].upper() + words[1:]
    else:
        words = f"It {words}"
    numbers = ""
    if one.effect:
        value, low, high = map(number, (one.effect.value, one.effect.low, one.effect.high))
        numbers = f" ({value}, {low} to {high})"
    return f"{words}: {one.verdict}{numbers}."
