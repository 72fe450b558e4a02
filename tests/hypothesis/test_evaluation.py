"""A hypothesis evaluated: its arguments by hand, and the stage on real photographs."""

import csv
import json
from types import SimpleNamespace

import asked
import numpy as np
import pytest

from convscope.hypothesis import evaluation
from convscope.hypothesis.claims import (
    CircuitSufficient,
    Claim,
    GroupSelective,
    InputSign,
    Monosemantic,
)
from convscope.hypothesis.evaluation import Evaluation, arguments
from convscope.hypothesis.preregistration import Preregistration
from convscope.hypothesis.testing import Effect, decide
from convscope.optvis.reliability import Reliability
from convscope.stages import circuit as stage
from convscope.unit import Unit


def test_the_first_group_claimed_guesses_the_stronger_of_two_photographs():
    keys = ["n02085620", "n02088364"] * 10 + ["n01440764"] * 80  # dogs and tenches
    claim = GroupSelective("group_selective", ("n02084071",), 0.7)
    scores = np.arange(100.0)[::-1]  # all dogs above all fish
    choice = evaluation.chosen([claim], scores, keys)
    assert choice.pairs == 10 and choice.accuracy > 0.7 and choice.p < 0.2
    turned = evaluation.chosen([claim], -scores, keys)
    assert turned.accuracy < choice.accuracy
    assert evaluation.chosen([], scores, keys) is None
    assert evaluation.chosen([claim], scores[:5], keys[:5]) is None
    assert evaluation.chosen([claim], scores, [None] * 100) is None


def test_the_strongest_readers_speak_of_a_units_use_without_deciding():
    readers = [SimpleNamespace(unit=Unit("next", n), label="excitatory") for n in range(5)]
    hops = SimpleNamespace(downstream=SimpleNamespace(filters=readers))
    said = evaluation.beside(SimpleNamespace(character=None, hops=hops))["feature use"]
    assert said.endswith("next:0 (excitatory), next:1 (excitatory), next:2 (excitatory).")
    hops.downstream.filters = ()
    assert evaluation.beside(SimpleNamespace(character=None, hops=hops)) == {}


DOGS = GroupSelective("group_selective", ("n02084071",), 0.7)
CIRCUIT = CircuitSufficient("circuit_sufficient", 5, "l2", 0.5)
SIGN = InputSign("input_sign", 3, "inhibitory", 0.02)
GOOD = Effect(0.84, 0.76, 0.9, 0.001, 103, 0.7, 0.5)
BAD = Effect(0.2, 0.1, 0.3, 0.2, 60, 0.5)


def speaking(*tested: tuple[Claim, Effect | str], **others: object) -> dict[str, str]:
    claims, effects = zip(*tested, strict=True) if tested else ((), ())
    given = {"optimum": None, "others": {}} | others
    found = arguments(decide(claims, effects, 0.05), **given)  # type: ignore[arg-type]
    assert len(found) == 7
    return {one.name: one.speaks for one in found if one.speaks != "absent"}


def test_without_evidence_all_seven_are_empty() -> None:
    found = arguments([], None, {})
    assert [one.name for one in found][:2] == ["feature visualization", "dataset examples"]
    assert {one.speaks for one in found} == {"absent"}
    assert {one.sentence for one in found} == {"Not measured."}


def test_claims_fill_the_arguments_that_they_belong_to() -> None:
    assert speaking((DOGS, GOOD), (CIRCUIT, BAD)) == {
        "dataset examples": "for",
        "feature implementation": "against",
    }
    assert speaking((DOGS, "No photographs with labels were scored.")) == {}
    assert speaking((Monosemantic("monosemantic"), GOOD)) == {}


def test_of_several_claims_the_one_that_refutes_counts() -> None:
    right = Effect(0.1, 0.05, 0.2, 0.001, 60, 0.02)
    assert speaking((SIGN, right), (CIRCUIT, BAD)) == {"feature implementation": "against"}
    assert speaking((SIGN, right)) == {"feature implementation": "for"}


def test_a_finding_is_one_sentence_with_its_numbers() -> None:
    found = {
        one.name: one for one in arguments(decide([DOGS, CIRCUIT], [GOOD, BAD], 0.05), None, {})
    }
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
    optimum = Reliability(Unit("top", 3), 17.0, below, ("low",), np.array([similarity]))
    assert speaking(optimum=optimum) == {"feature visualization": speaks}
    assert optimum.reason in arguments([], optimum, {})[0].sentence


def test_findings_from_elsewhere_fill_what_no_claim_does() -> None:
    use = "Ten filters of block5_conv1 read it."
    assert speaking((DOGS, GOOD), others={"feature use": use, "dataset examples": use}) == {
        "dataset examples": "for",
        "feature use": "undecided",
    }
    assert arguments([], None, {"feature use": use})[5].sentence == f"No claim was made. {use}"


@pytest.fixture(scope="module")
def made(tmp_path_factory, photographs):
    """A whole run on sixty photographs, small and short, with a claim of most kinds."""
    home = tmp_path_factory.mktemp("case")
    folder = home / "photographs"
    folder.mkdir()
    for path in photographs[::3]:
        (folder / path.name).symlink_to(path)
    words = (
        "layer=block2_conv1", "filter=17", "images=folder", f"images.root={folder}",
        "images.size=64", "ascent.steps=4", "ascent.size=24", "hypothesis=dog_heads",
        "stage.inputs=3",
        "hypothesis.claims=[{type:circuit_sufficient,count:64,by:l2,sesoi:0.5},"
        "{type:group_selective,synsets:[n02084071],sesoi:0.7},"
        "{type:edit,silence:inhibitory,among:top,rises_by:5.0},"
        "{type:invariant,transform:mirror,sesoi:0.99},{type:tuned,feature:smell,sesoi:0.3},"
        "{type:input_selective,channel:5,tuning:orientation,sesoi:0.3}]",
    )  # fmt: skip
    return asked.run(stage, home / "run", *words), asked.settings(stage, *words)


def rows(folder, name):
    with (folder / "tables" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_judges_each_claim_and_says_what_it_could_not_test(made):
    folder, settings = made
    found = {row["claim"]: row for row in rows(folder, "hypothesis")}
    assert len(found) == len(settings.hypothesis.claims) == 6
    whole = found["its first 64 inputs by l2 suffice"]
    assert float(whole["effect"]) == pytest.approx(1, abs=1e-4)
    assert found["is tuned to smell"]["verdict"] == "not tested"
    assert found["input 5 is tuned to orientation"]["verdict"] != "not tested"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["circuit/hypothesis"] == whole["verdict"]
    record = json.loads((folder / "hypothesis.json").read_text())
    assert record["sha256"] == Preregistration(settings.hypothesis, "whenever").sha256
    assert summary["circuit/hypothesis_sha256"] == record["sha256"]


@pytest.mark.slow
def test_the_edited_network_does_what_the_algebra_says(made):
    folder, _ = made
    (edit,) = json.loads((folder / "hypothesis.json").read_text())["edits"]
    row = next(row for row in rows(folder, "hypothesis") if "inhibitory" in row["claim"])
    worked_out, done = float(row["effect"]), edit["done"]
    # Every photograph counts alike in one, every position in the other.
    assert done == pytest.approx(worked_out, rel=1e-3)
    assert np.sign(edit["foretold"]) == np.sign(done)
    assert edit["photographs"] >= 5


@pytest.mark.slow
def test_each_living_optimum_is_examined_and_named_on_the_page(made):
    folder, _ = made
    seen, optima = rows(folder, "evidence"), rows(folder, "optima")
    assert len(seen) == sum(row["alive"] == "true" for row in optima)
    by_unit = {(row["layer"], row["filter"]): row for row in optima}
    for row in seen:
        assert float(row["below"]) == float(by_unit[row["layer"], row["filter"]]["quantile"])
    page = (folder / "report.html").read_text()
    doubtful = [row for row in seen if row["verdict"] == "no evidence"]
    assert page.count(">no evidence</span>") == len(doubtful)
    assert "Seven arguments" in page and "Hypothesis" in page and "Character" in page


@pytest.mark.slow
def test_a_run_writes_traits_readers_and_the_graph(made):
    folder, _ = made
    assert {row["word"] for row in rows(folder, "traits")} >= {"orientation-tuned", "edge detector"}
    assert rows(folder, "clients")[0]["layer"] == "block2_conv2"
    for name in ("character", "graph", "faithfulness", "explorer"):
        assert (folder / "images" / f"{name}.png").stat().st_size > 1000


def test_a_sentence_without_a_known_word_is_said_to_be_untested():
    words = asked.hypothesis(text="It likes zzz"), asked.hypothesis()
    said = [Evaluation(Preregistration(one, "now")).sentence for one in words]
    assert said == [
        "No word of the hypothesis names a group of photographs: nothing was tested.", ""
    ]  # fmt: skip


def test_a_claim_on_an_input_that_is_not_there_is_refused_before_the_run():
    words = ("layer=block1_conv1", "filter=3", "hypothesis=dog_heads")
    with pytest.raises(ValueError, match=r"channel"):
        stage.check(asked.settings(stage, *words))
    both = ("layer=block1_conv1", "filter=3", "hypothesis.text=dogs", "stage.hypothesis=cats")
    with pytest.raises(ValueError, match=r"^stage\.hypothesis and hypothesis\.text are both given"):
        stage.check(asked.settings(stage, *both))
