"""A claim is supported, refuted or open, by rules that are the same for all of them."""

import math
import re

import numpy as np
import pytest

from convscope.hypothesis.claims import (
    CircuitSufficient,
    Claim,
    Edit,
    GroupSelective,
    InputSign,
    Invariant,
    Monosemantic,
    Tuned,
)
from convscope.hypothesis.testing import COLUMNS, Effect, judge, refuted_by, rows
from convscope.stats.inference import holm

DOGS = GroupSelective("group_selective", ("n02084071",), 0.7)
FALLS = Edit("edit", (3,), "top", -2.0)


def found(value: float, low: float, high: float, p: float = 0.001, images: int = 50) -> Effect:
    return Effect(value, low, high, p, images, sesoi=0.7, null=0.5)


@pytest.mark.parametrize(
    ("effect", "verdict", "reason"),
    [
        (found(0.8, 0.70, 0.9), "supported", "All of the interval reaches 0.700."),
        (found(0.8, 0.70, 0.9, p=0.05), "inconclusive", "not significant among all claims"),
        (found(0.8, 0.69, 0.9), "inconclusive", "lies on both sides of 0.700"),
        (found(0.6, 0.5, 0.7), "inconclusive", "lies on both sides"),
        (found(0.6, 0.55, 0.69), "refuted", "No part of the interval reaches 0.700."),
        (found(0.3, 0.2, 0.4, p=0.99), "refuted", "other side of no effect"),
    ],
)
def test_the_interval_decides_and_supports_only_with_a_small_p(
    effect: Effect, verdict: str, reason: str
) -> None:
    (one,) = judge([DOGS], [effect], 0.05)
    assert one.verdict == verdict
    assert reason in one.reason


def test_a_fall_is_judged_downwards() -> None:
    def verdict(low: float, high: float) -> str:
        effect = Effect((low + high) / 2, low, high, 0.001, 9, sesoi=-2.0)
        return judge([FALLS], [effect], 0.05)[0].verdict

    assert verdict(-4, -2) == "supported"
    assert verdict(-4, -1) == "inconclusive"
    assert verdict(-1.9, -1) == "refuted"
    assert verdict(1, 4) == "refuted"


def test_p_is_adjusted_for_all_tested_claims_and_only_those() -> None:
    assert holm(np.array([0.04, 0.01, 0.03, 0.8])).tolist() == pytest.approx(
        [0.09, 0.04, 0.09, 0.8]
    )
    assert holm(np.zeros(0)).tolist() == []
    mirror, turn = (Invariant("invariant", name, 0.7) for name in ("mirror", "rotation"))
    good = found(0.9, 0.8, 0.95, p=0.03)
    alone = judge([DOGS, mirror], [good, "mirror was not measured."], 0.05)
    assert [one.verdict for one in alone] == ["supported", "not tested"]
    assert alone[0].p_holm == 0.03
    assert alone[1].p_holm is None and alone[1].reason == "mirror was not measured."
    three = judge([DOGS, mirror, turn], [good, "not measured", good], 0.05)
    assert [one.verdict for one in three] == ["inconclusive", "not tested", "inconclusive"]


def test_the_photographs_needed_grow_with_the_square_of_the_width() -> None:
    # 0.2 from the value to the end, 0.1 to what counts: four times the photographs.
    assert found(0.8, 0.6, 0.95).needed == 200
    assert found(0.6, 0.5, 0.8).needed == 200
    assert found(0.7, 0.6, 0.8).needed is None  # on the bound itself no number decides
    (one,) = judge([DOGS], [found(0.8, 0.6, 0.95)], 0.05)
    assert one.needed == 200
    assert judge([DOGS], [found(0.9, 0.8, 0.95)], 0.05)[0].needed is None


def test_one_kind_is_supported_by_equivalence_alone() -> None:
    nan, mono = math.nan, Monosemantic("monosemantic")

    def verdict(effect: Effect) -> str:
        return judge([mono], [effect], 0.05)[0].verdict

    found = {"images": 60, "sesoi": 0.3, "null": 1.0}
    assert verdict(Effect(nan, nan, nan, 1.0, against=0.6, **found)) == "inconclusive"
    assert verdict(Effect(nan, nan, nan, 1.0, against=0.01, **found)) == "refuted"
    assert verdict(Effect(0.1, 0.0, 0.2, 0.001, against=0.6, **found)) == "supported"
    assert verdict(Effect(0.2, 0.1, 0.4, 0.200, against=0.6, **found)) == "inconclusive"
    assert verdict(Effect(0.6, 0.4, 0.8, 1.000, against=0.6, **found)) == "refuted"


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (DOGS, "an AUROC whose 95 % interval lies below 0.7"),
        (Invariant("invariant", "mirror", 0.7), "a step of mirror at which .* lies below 0.7"),
        (Tuned("tuned", "hue", 0.3), "a selectivity index .* below 0.3"),
        (InputSign("input_sign", 3, "inhibitory", 0.02), "an input that excites, or .* than 0.02"),
        (InputSign("input_sign", 3, "excitatory", 0.02), "an input that inhibits"),
        (CircuitSufficient("circuit_sufficient", 5, "l2", 0.5), "a recovery .* below 0.5"),
        (Monosemantic("monosemantic"), "a split of its exemplars into kinds, p < 0.05"),
        (FALLS, "a change whose 95 % interval lies above -2"),
    ],
)
def test_what_would_refute_a_claim_is_said(claim: Claim, words: str) -> None:
    assert re.search(words, refuted_by(claim, 0.05))


def test_the_table_has_a_row_for_each_claim_tested_or_not() -> None:
    judged = judge([DOGS, FALLS], [found(0.8, 0.6, 0.95), "No contributions were sampled."], 0.05)
    first, second = (dict(zip(COLUMNS, row, strict=True)) for row in rows(judged))
    assert first == {
        "claim": "fires for dog", "effect": 0.8, "low": 0.6, "high": 0.95, "p": 0.001,
        "p_holm": 0.001, "sesoi": 0.7, "verdict": "inconclusive", "images": 50, "needed": 200,
        "refuted_by": "an AUROC whose 95 % interval lies below 0.7",
    }  # fmt: skip
    assert second["effect"] is None and second["verdict"] == "not tested"
    assert second["sesoi"] == -2.0
