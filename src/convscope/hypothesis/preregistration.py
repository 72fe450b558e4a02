"""A hypothesis, written down before it is tested: words and claims, frozen by a hash and a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable
from dataclasses import asdict, dataclass

from convscope.hypothesis.claims import (
    CircuitSufficient,
    Claim,
    Edit,
    GroupSelective,
    InputSelective,
    InputSign,
    between,
)
from convscope.hypothesis.nouns import Reading, reading


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
        between(0, 0.5, alpha=self.alpha)
        between(0.5, 1, sesoi=self.sesoi)
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


def _asked(claim: Claim) -> list[tuple[str, int]]:
    """Return the channels that a claim is about, each with the setting that names it."""
    if isinstance(claim, InputSign | InputSelective):
        return [("channel", claim.channel)]
    if isinstance(claim, Edit) and not isinstance(claim.silence, str):
        return [("silence", channel) for channel in claim.silence]
    return []
