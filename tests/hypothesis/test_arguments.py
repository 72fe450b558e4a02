"""The seven arguments are filled from what there is, and an optimum that fools is none of them."""

import numpy as np
import pytest

from convscope.hypothesis.claims import (
    CircuitSufficient,
    Claim,
    GroupSelective,
    InputSign,
    Monosemantic,
)
from convscope.hypothesis.evaluation import KINDS, Finding, arguments
from convscope.hypothesis.testing import Effect, judge
from convscope.optvis.reliability import Reliability
from convscope.unit import Unit

DOGS = GroupSelective("group_selective", ("n02084071",), 0.7)
CIRCUIT = CircuitSufficient("circuit_sufficient", 5, "l2", 0.5)
SIGN = InputSign("input_sign", 3, "inhibitory", 0.02)
GOOD = Effect(0.84, 0.76, 0.9, 0.001, 103, 0.7, 0.5)
BAD = Effect(0.2, 0.1, 0.3, 0.2, 60, 0.5)


def speaking(*tested: tuple[Claim, Effect | str], **others: object) -> dict[str, str]:
    claims, effects = zip(*tested, strict=True) if tested else ((), ())
    found = arguments(judge(claims, effects, 0.05), **others)  # type: ignore[arg-type]
    assert len(found) == 7
    return {one.name: one.speaks for one in found if one.speaks != "absent"}


def test_without_evidence_all_seven_are_empty() -> None:
    found = arguments()
    assert [one.name for one in found][:2] == ["feature visualization", "dataset examples"]
    assert not any(one.filled for one in found)
    assert {one.sentence for one in found} == {"Not measured."}


def test_claims_fill_the_arguments_that_they_belong_to() -> None:
    assert speaking((DOGS, GOOD), (CIRCUIT, BAD)) == {
        "dataset examples": "for",
        "feature implementation": "against",
    }
    assert speaking((DOGS, "No photographs with labels were scored.")) == {}
    assert speaking((Monosemantic("monosemantic"), GOOD)) == {}
    assert len(KINDS) == 7


def test_of_several_claims_the_one_that_refutes_counts() -> None:
    right = Effect(0.1, 0.05, 0.2, 0.001, 60, 0.02)
    assert speaking((SIGN, right), (CIRCUIT, BAD)) == {"feature implementation": "against"}
    assert speaking((SIGN, right)) == {"feature implementation": "for"}


def test_a_finding_is_one_sentence_with_its_numbers() -> None:
    found = {one.name: one for one in arguments(judge([DOGS, CIRCUIT], [GOOD, BAD], 0.05))}
    assert found["dataset examples"].sentence == (
        "It fires for dog: supported (0.840, 0.760 to 0.900)."
    )
    assert found["feature implementation"].sentence == (
        "Its first 5 inputs by l2 suffice: refuted (0.200, 0.100 to 0.300)."
    )


@pytest.mark.parametrize(
    ("below", "similarity", "speaks"),
    [(1.0, 0.9, "for"), (0.99, 0.9, "undecided"), (1.0, 0.2, "undecided")],
)
def test_an_optimum_counts_only_as_evidence(below: float, similarity: float, speaks: str) -> None:
    reliability = Reliability(Unit("top", 3), 17.0, below, ("low",), np.array([similarity]))
    assert speaking(reliability=reliability) == {"feature visualization": speaks}
    assert reliability.reason in arguments(reliability=reliability)[0].sentence


def test_findings_from_elsewhere_fill_what_no_claim_does() -> None:
    use = Finding("for", "Ten filters of block5_conv1 read it.")
    assert speaking((DOGS, GOOD), others={"feature use": use, "dataset examples": use}) == {
        "dataset examples": "for",
        "feature use": "for",
    }
    assert arguments(others={"feature use": use})[5].sentence == use.sentence
