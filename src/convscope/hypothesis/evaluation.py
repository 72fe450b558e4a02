"""The case for a hypothesis: what was claimed of a unit, what was found, and what may be argued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.activations.album import Album
from convscope.circuits import intervention
from convscope.circuits.clients import Client
from convscope.circuits.findings import Findings
from convscope.circuits.sample import Part
from convscope.data.labels import taxonomy
from convscope.hypothesis import testing, verdict
from convscope.hypothesis.arguments import Argument, Finding, Name, arguments
from convscope.hypothesis.claims import Claim, Edit, GroupSelective, InputSelective, words
from convscope.hypothesis.measurements import Curve, Material, Photographs, Positions, Split, Tuning
from convscope.hypothesis.preregistration import Registered
from convscope.hypothesis.verdict import Judged
from convscope.models.network import Network
from convscope.models.probe import probe
from convscope.optvis import reliability
from convscope.optvis.reliability import Witness
from convscope.optvis.testimony import pixels_of
from convscope.settings import ImageSettings
from convscope.stats import circular
from convscope.stats.inference import Game, pairs, play
from convscope.unit import IMAGE, Unit
from convscope.units import tuning
from convscope.units.profile import Character

DRAWS = 999  # of phases, and exchanges of angles
FEWEST = 20  # labelled photographs: with fewer there is hardly a pair to guess


@dataclass(frozen=True)
class Case:
    """What became of a hypothesis.

    Attributes:
        registered: what was claimed, and when.
        judged: each claim with its verdict; the first decides.
        edits: of each claim about an edit, what was foretold and what the edited network did.
        witnesses: {unit: whether its optimum is evidence}; those not alive are missing.
        arguments: the seven of Zoom In.
        game: how the first claim on groups guesses which of two photographs excites the unit more;
            None: there is none, or too few photographs.
    """

    registered: Registered
    judged: tuple[Judged, ...]
    edits: tuple[Mapping[str, object], ...]
    witnesses: Mapping[Unit, Witness]
    arguments: tuple[Argument, ...]
    game: Game | None = None

    @property
    def record(self) -> dict[str, object]:
        """The hypothesis as plain values, its edits among them."""
        return {**self.registered.record(), "edits": list(self.edits)}

    def tables(self) -> dict[str, tuple[Sequence[str], list[list[object]]]]:
        """Return {name: its columns and rows}."""
        seen = reliability.rows(list(self.witnesses.values()))
        found: dict[str, tuple[Sequence[str], list[list[object]]]] = {}
        if seen:
            found["evidence"] = reliability.COLUMNS, seen
        if self.judged:
            found["hypothesis"] = (verdict.COLUMNS, verdict.rows(self.judged))
        return found

    def scalars(self) -> dict[str, object]:
        """Return the figures of the summary."""
        good = [one.evidence for one in self.witnesses.values()]
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
    findings: Findings,
    album: Album,
    keys: Sequence[str | None],
    shown: ImageSettings,
    seen: Mapping[Unit, Witness],
    *,
    character: Character | None = None,
    others: Mapping[Name, Finding] | None = None,
) -> Case:
    """Return what becomes of a hypothesis.

    Args:
        registered: what was claimed, before any photograph was looked at.
        network: the network, in float32.
        findings: what was measured of the unit and its inputs.
        album: the photographs.
        keys: the class of each photograph of the album; None: unlabelled.
        shown: how photographs are shown.
        seen: whether the optima are evidence.
        character: what the unit is tuned to and what it ignores; None: not measured.
        others: arguments from elsewhere, beside those that its character makes.
    """
    circuit, sample = findings.circuit, findings.sample
    unit, places = circuit.root, sample.places.tolist()
    scores = album.observation.peaks[unit.layer].values[places, unit.filter]
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
    judged = verdict.judge(claims, testing.effects(claims, material), registered.hypothesis.alpha)
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


def guessed(claims: Sequence[Claim], given: Photographs | None) -> Game | None:
    """Return how the first claim on groups guesses the stronger of two photographs."""
    groups = [claim for claim in claims if isinstance(claim, GroupSelective)]
    if not groups or given is None:
        return None
    inside = {leaf for synset in groups[0].synsets for leaf in taxonomy().leaves(synset)}
    expected = np.array([key in inside for key in given.keys], float)
    known = np.array([key is not None for key in given.keys])
    scores = np.where(known, given.scores, np.nan)
    if known.sum() < FEWEST or not len(found := pairs(scores)):
        return None
    return play(expected, found)


def curves(character: Character) -> dict[str, Curve]:
    """Return {transform: the share of its response that each exemplar keeps under it}.

    Each kind of move is one, and so is `pose`: left and right exchanged, and small rotations.
    """
    found = character.invariance
    if found is None:
        return {}
    alive = found.kept[:, 0] > 0
    shares = found.kept[alive, 1:] / found.kept[alive, :1]
    kinds = dict.fromkeys(move.kind for move in found.moves)
    return {kind: Curve(shares[:, found.of(kind)]) for kind in kinds}


def tunings(tuned: tuning.Tuning, filter: int) -> dict[str, Tuning]:
    """Return how selective a filter is for what drawn stimuli vary in, as far as it can be tested.

    Of orientation, the phases of the gratings are what is measured again and again: they are drawn
    anew for the interval, and exchange their angles by themselves for the p.
    """
    value = float(tuned.measures["osi"][filter])
    if not np.isfinite(value):
        return {}
    angles = tuned.axes["grating"]["orientation"]
    found = tuned.sets["grating"][..., 0, filter]  # (orientations, frequencies, phases)
    pace = int(np.unravel_index(found.mean(axis=2).argmax(), found.shape[:2])[1])
    curve = found[:, pace]
    random = np.random.default_rng(0)
    drawn = random.integers(0, curve.shape[1], (DRAWS, curve.shape[1]))
    again = np.abs(circular.resultant(curve[:, drawn].mean(axis=2), angles, 2))
    p = circular.permuted(curve, angles, 2, DRAWS, random)
    return {"orientation": Tuning(value, again, p, curve.shape[1])}


def selective(
    claims: Sequence[Claim], network: Network, sources: Sequence[Unit]
) -> dict[tuple[int, str], Tuning]:
    """Return {(channel, feature): how selective an input is} of the inputs that claims are about.

    Each layer that they come from is shown the drawn stimuli once, which takes some seconds.
    """
    found: dict[tuple[int, str], Tuning] = {}
    known: dict[str, tuning.Tuning] = {}
    for claim in claims:
        if not isinstance(claim, InputSelective) or sources[claim.channel].layer == IMAGE:
            continue
        source = sources[claim.channel]
        if source.layer not in known:
            position = probe(network, source.layer)
            known[source.layer] = tuning.measure(position.respond, position.size)
        for feature, one in tunings(known[source.layer], source.filter).items():
            found[claim.channel, feature] = one
    return found


def split(character: Character) -> Split | None:
    """Return whether the exemplars of a unit fall into two kinds, as it is tested."""
    found = character.split
    return None if found is None else Split(found.p, len(found.groups))


def drawn(character: Character) -> dict[Name, Finding]:
    """Return the arguments that drawn stimuli and moved exemplars make."""
    told = [trait for trait in character.traits if trait.holds is not None]
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


def used(clients: Sequence[Client]) -> dict[Name, Finding]:
    """Return what the filters that read a unit say of its use, the strongest first."""
    if not clients:
        return {}
    some = ", ".join(f"{client.unit} ({client.label})" for client in clients[:3])
    return {"feature use": Finding("undecided", f"No claim was made. It is read most by {some}.")}


def positions(part: Part, mean: np.ndarray, keys: Sequence[str | None]) -> Positions:
    """Return the sampled positions of one half of the photographs, as claims are tested on them."""
    return Positions(part.u, part.sampled, part.of, part.threshold, mean, dict(enumerate(keys)))


def strong(part: Part, mean: np.ndarray) -> Positions:
    """Return all positions of strong responses of one half of the photographs."""
    return Positions(part.top, part.strong, part.top_of, -np.inf, mean)


def edited(
    claim: Edit,
    network: Network,
    findings: Findings,
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
        masked = intervention.masked(network, unit.layer, unit.filter, mean, channels.tolist())
        plain = intervention.masked(network, unit.layer, unit.filter, mean, [])
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
