"""Claims are typed, within their ranges, free of contradictions, and frozen by a hash."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from convscope.hypothesis.claims import (
    CircuitSufficient,
    Claim,
    Edit,
    GroupSelective,
    InputSelective,
    InputSign,
    Invariant,
    Monosemantic,
    Tuned,
)
from convscope.hypothesis.preregistration import HypothesisSettings, Preregistration, check
from convscope.settings import read

CONF = Path(__file__).resolve().parents[2] / "conf"
DOGS = {"type": "group_selective", "synsets": ["n02084071"], "sesoi": 0.7}


def made(*claims: dict[str, object], **others: object) -> HypothesisSettings:
    values = {"name": "own", "text": None, "alpha": 0.05, "sesoi": 0.7, "claims": list(claims)}
    return read(HypothesisSettings, values | others, "hypothesis")


def option(name: str) -> HypothesisSettings:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [f"hypothesis={name}"])
    values: Any = OmegaConf.to_container(cfg.hypothesis)
    return read(HypothesisSettings, values, "hypothesis")


def test_the_example_has_a_claim_of_each_kind_and_none_has_none() -> None:
    found = option("dog_heads")
    kinds = [type(claim) for claim in found.claims]
    assert kinds == [
        GroupSelective, Invariant, Tuned, InputSign, InputSelective, CircuitSufficient,
        Monosemantic, Edit,
    ]  # fmt: skip
    assert found.name == "dog_heads"
    assert option("none").empty and not option("none").tested


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (DOGS | {"sesoi": 0.5}, r"claims\[0\].sesoi=0.5 is too small. Above 0.5."),
        (DOGS | {"synsets": []}, r"claims\[0\].synsets=\[\] names nothing"),
        (DOGS | {"synsets": ["dog"]}, "'dog' is no synset .* Did you mean 'n02084071'"),
        (DOGS | {"synsets": ["n0208407"]}, "no synset .* Did you mean 'n"),
        (DOGS | {"synsets": ["n02084071"] * 2}, "names one twice. Keep one of them"),
        (DOGS | {"synsets": ["n00001740"]}, "holds all classes: nothing is left to compare"),
        (DOGS | {"sesio": 0.7}, r"no setting 'hypothesis.claims\[0\].sesio'.* Did you mean"),
        ({"type": "group_selective", "synsets": ["n02084071"]}, r"claims\[0\].sesoi is missing"),
        ({"type": "group_selektive"}, "type='group_selektive' .* Did you mean 'group_selective'"),
        ({"synsets": []}, "type=null does not fit. It takes group_selective, invariant, .* edit"),
        ({"type": "invariant", "transform": " ", "sesoi": 0.7}, "transform=' ' names nothing"),
        ({"type": "tuned", "feature": "hue", "sesoi": 1.5}, "sesoi=1.5 is too large. Below 1."),
        (
            {"type": "input_sign", "channel": -1, "sign": "inhibitory", "sesoi": 0.1},
            "channel=-1 is too small",
        ),
        (
            {"type": "input_sign", "channel": 1, "sign": "positive", "sesoi": 0.1},
            "It takes excitatory or inhibitory",
        ),
        (
            {"type": "circuit_sufficient", "count": 0, "by": "l2", "sesoi": 0.5},
            "count=0 is too small",
        ),
        (
            {"type": "edit", "silence": [3, 3], "among": "top", "rises_by": 1.0},
            r"silence=\[3, 3\] names one twice",
        ),
        ({"type": "edit", "silence": [3], "among": "top", "rises_by": 0.0}, "rises_by=0 predicts"),
        (
            {"type": "edit", "silence": "some", "among": "top", "rises_by": 1.0},
            "It takes inhibitory",
        ),
    ],
)
def test_a_claim_outside_its_range_is_refused(claim: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        made(claim)
    assert "\n" not in str(caught.value)


def test_claims_must_be_mappings() -> None:
    with pytest.raises(ValueError, match=r"claims\[0\]='dogs' does not fit. It takes a mapping"):
        made("dogs")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (DOGS, DOGS, "repeats"),
        (DOGS, DOGS | {"sesoi": 0.8}, "contradicts"),
        (
            {"type": "input_sign", "channel": 3, "sign": "inhibitory", "sesoi": 0.1},
            {"type": "input_sign", "channel": 3, "sign": "excitatory", "sesoi": 0.1},
            "contradicts",
        ),
        (
            {"type": "edit", "silence": [3, 5], "among": "top", "rises_by": 1.0},
            {"type": "edit", "silence": [5, 3], "among": "top", "rises_by": -1.0},
            "contradicts",
        ),
        ({"type": "monosemantic"}, {"type": "monosemantic"}, "repeats"),
    ],
)
def test_claims_that_say_the_same_or_the_opposite_are_refused(
    one: dict[str, object], other: dict[str, object], said: str
) -> None:
    invariant = {"type": "invariant", "transform": "mirror", "sesoi": 0.7}
    with pytest.raises(ValueError, match=rf"claims\[2\] \(\w+\) {said} .*claims\[0\]. Keep one"):
        made(one, invariant, other)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (InputSign("input_sign", 7, "inhibitory", 0.1), "channel=7 does not exist. .* 0 to 6"),
        (InputSelective("input_selective", 9, "hue", 0.1), "channel=9 does not exist"),
        (Edit("edit", (2, 8), "top", 1.0), "silence=8 does not exist. The filter has 7 inputs"),
        (CircuitSufficient("circuit_sufficient", 8, "l2", 0.5), "count=8 is too large"),
    ],
)
def test_an_input_that_the_filter_lacks_is_refused(claim: Claim, message: str) -> None:
    hypothesis = replace(made(), claims=(claim,))
    with pytest.raises(ValueError, match=rf"hypothesis.claims\[0\].{message}"):
        check(hypothesis, 7)
    check(hypothesis, 10)


def test_words_alone_claim_their_nouns_and_beside_claims_nothing() -> None:
    found = made(text="It fires for dogs and text.")
    assert found.tested == (GroupSelective("group_selective", ("n02084071",), 0.7),)
    record = Preregistration(found, "2024-05-01T12:00:00+0000").record()
    assert record["read"] == {"dogs": "n02084071"}
    assert record["untested"] == {"text": "not among the words of WordNet around ImageNet"}
    both = made({"type": "monosemantic"}, text="It fires for dogs.")
    assert both.tested == (Monosemantic("monosemantic"),) and both.read is None


def test_the_hash_is_of_everything_that_is_claimed() -> None:
    before = Preregistration(
        made(DOGS, text="dogs \N{HEAVY BLACK HEART}"), "2024-05-01T12:00:00+0000"
    )
    assert json.loads(before.json)["claims"] == [DOGS]
    assert before.sha256 == hashlib.sha256(before.json.encode()).hexdigest()
    assert Preregistration(before.hypothesis, "later").sha256 == before.sha256
    others = [
        made(DOGS, text="cats"),
        made(DOGS | {"sesoi": 0.71}, text=before.hypothesis.text),
        made(DOGS, text=before.hypothesis.text, alpha=0.01),
    ]
    assert len({before.sha256, *(Preregistration(other, "").sha256 for other in others)}) == 4
    assert before.record()["sha256"] == before.sha256
    assert before.record()["time"] == "2024-05-01T12:00:00+0000"


def test_a_hypothesis_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"hypothesis.text=' ' says nothing"):
        made(text=" ")
    with pytest.raises(ValueError, match=r"hypothesis.alpha=0.7 is too large. Below 0.5."):
        made(alpha=0.7)


def test_each_kind_is_said_in_words() -> None:
    assert [claim.words for claim in option("dog_heads").claims] == [
        "fires for dog",
        "keeps its activation under mirror",
        "is tuned to orientation",
        "input 124 is inhibitory",
        "input 244 is tuned to orientation",
        "its first 10 inputs by l2 suffice",
        "fires for one kind of thing",
        "without all inhibitory inputs it rises where it is strong",
    ]
    assert Edit("edit", (3,), ("n02084071",), -1.0).words == "without input 3 it falls on dog"
