"""Each kind of claim has its effect, and planted truths get the verdict that they deserve."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from convscope.data.wordnet import taxonomy
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
from convscope.hypothesis.measurements import Measurements, Positions
from convscope.hypothesis.testing import (
    Effect,
    concerned,
    decide,
    effect,
    silenced,
)
from convscope.stats.bootstrap import Bootstrap
from convscope.stats.inference import holm

DOG = "n02084071"
DOGS = sorted(taxonomy().leaves(DOG))
OTHERS = sorted(set(taxonomy().classes) - set(DOGS))
RUNS = pytest.mark.parametrize("runs", [20, pytest.param(200, marks=pytest.mark.exhaustive)])


def known(**found: Any) -> Measurements:
    """What a run has measured: these values, and nothing else."""
    nothing = {
        "scores": np.zeros(0), "labels": (), "curves": {}, "tunings": {}, "character": None,
        "input_tunings": lambda channel: {}, "circuit": SimpleNamespace(orders={}),
        "strong": found.get("positions"),
    }  # fmt: skip
    made: Any = SimpleNamespace(**nothing | found)
    return made


def said(claim: Claim, given: Measurements) -> str:
    return decide([claim], [effect(claim, given)], 0.05)[0].verdict


def measured(claim: Claim, **material: object) -> Effect:
    result = effect(claim, known(**material))
    assert isinstance(result, Effect), result
    return result


# Groups of classes


def group(sesoi: float = 0.7) -> GroupSelective:
    return GroupSelective("group_selective", (DOG,), sesoi)


def test_a_group_is_measured_by_its_auroc_with_equal_scores_counted_half() -> None:
    scores = np.array([5, 4, 3, 3, 2, np.nan, 9, 1], np.float32)
    keys = [DOGS[0], DOGS[1], DOGS[0], OTHERS[0], OTHERS[1], OTHERS[2], None, OTHERS[3]]
    found = measured(group(), scores=scores, labels=keys)
    assert found.value == pytest.approx((3 + 3 + 2.5) / 9)
    assert (found.images, found.null, found.sesoi) == (6, 0.5, 0.7)
    assert found.low < found.value < found.high
    # Of the ten pairs of five classes no other does as well.
    assert found.p == pytest.approx(0.1, abs=0.02)


def test_one_class_is_tested_by_its_photographs() -> None:
    random = np.random.default_rng(0)
    scores, keys = random.normal(size=40), [DOGS[3]] * 12 + OTHERS[:28]
    claim = GroupSelective("group_selective", (DOGS[3],), 0.7)
    for shift in (1.0, -1.0):
        moved = scores + shift * (np.arange(40) < 12)
        found = measured(claim, scores=moved, labels=keys)
        reference = stats.mannwhitneyu(
            moved[:12], moved[12:], alternative="greater", method="asymptotic"
        )
        assert found.value == pytest.approx(reference.statistic / 12 / 28)
        assert found.p == pytest.approx(reference.pvalue, rel=0.05)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([*DOGS[:2], *OTHERS[:6]], "2 photographs of these synsets are too few. It takes 3."),
        ([*DOGS[:6], *OTHERS[:2]], "2 photographs beside them are too few. It takes 3."),
        ([*DOGS[:4], *[OTHERS[0]] * 4], "Photographs of one class beside these synsets are too"),
        ([None] * 8, "No photographs with labels were scored."),
    ],
)
def test_a_group_with_too_few_photographs_is_not_tested(
    keys: list[str | None], reason: str
) -> None:
    found = effect(group(), known(scores=np.arange(8.0), labels=keys))
    assert isinstance(found, str) and found.startswith(reason)


# Contributions


OWN = np.array([3, 2, *[0.0] * 16, -2])


def positions(seed: int, images: int = 120, each: int = 20) -> Positions:
    """Contributions of inputs, three of which matter, in skewed amounts that photographs share."""
    random = np.random.default_rng(seed)
    codes = np.repeat(np.arange(images), each)
    shared = random.exponential(1, (images, len(OWN)))[codes]
    active = 0.5 * shared + random.exponential(1, (len(codes), len(OWN)))
    u = active * OWN + 0.1 * random.normal(size=active.shape)
    z = u.sum(axis=1) - 4
    keys = {
        image: DOGS[image % 3] if image < images // 3 else OTHERS[image % 800]
        for image in range(images)
    }
    mean = OWN * 1.5
    return Positions(u, z, codes, threshold=9.0, mean=mean, keys=keys)


def test_the_shares_of_the_shift_are_those_of_a_plain_loop() -> None:
    given = positions(0)
    top = given.z >= 9
    shift = given.u[top].mean(axis=0) - given.u.mean(axis=0)
    assert given.shift.shape == (1121, 19)
    assert np.allclose(given.shift[0], shift)
    assert np.allclose(shift.sum(), given.z[top].mean() - given.z.mean())
    claim = InputSign("input_sign", 0, "excitatory", 0.2)
    assert measured(claim, positions=given).value == pytest.approx(shift[0] / shift.sum())
    drawn = given.counts[7][given.images]
    weights = [drawn * top, drawn]
    means = [(weight @ given.u) / weight.sum() for weight in weights]
    assert np.allclose(given.shift[7], means[0] - means[1])


def test_an_input_has_the_sign_of_what_it_adds_even_where_it_helps_by_falling_silent() -> None:
    material = known(positions=positions(1))
    assert said(InputSign("input_sign", 0, "excitatory", 0.2), material) == "supported"
    assert said(InputSign("input_sign", 0, "inhibitory", 0.2), material) == "refuted"
    released = measured(InputSign("input_sign", 18, "inhibitory", 0.02), positions=positions(1))
    assert released.value > 0.02  # and its own shift is upwards
    assert said(InputSign("input_sign", 18, "inhibitory", 0.02), material) == "supported"
    assert said(InputSign("input_sign", 18, "excitatory", 0.02), material) == "refuted"
    assert said(InputSign("input_sign", 3, "excitatory", 0.02), material) == "refuted"  # no effect


def test_a_circuit_recovers_the_share_of_its_inputs_and_random_ones_do_not() -> None:
    given = positions(2)
    shift, l2 = [0, 1, 18, *range(2, 18)], [3, 4, 0, 1, *range(5, 19), 2]
    orders = {"shift": np.array(shift), "l2": np.array(l2)}
    material = known(positions=given, circuit=SimpleNamespace(orders=orders))

    def circuit(count: int, by: str) -> CircuitSufficient:
        return CircuitSufficient("circuit_sufficient", count, by, 0.7)

    found = effect(circuit(2, "shift"), material)
    assert isinstance(found, Effect)
    assert found.value == pytest.approx(given.shift[0, :2].sum() / given.shift[0].sum())
    assert found.p < 0.02  # one of the 171 pairs is as good
    assert said(circuit(2, "l2"), material) == "refuted"
    assert effect(circuit(2, "greedy"), material) == (
        "greedy was not measured. Measured: shift, l2."
    )


def test_an_edit_changes_what_a_plain_loop_says_and_where_it_says() -> None:
    given = positions(3)
    claim = Edit("edit", "inhibitory", "top", 0.5)
    assert silenced(claim, given.mean).tolist() == [18]
    top = given.z >= 9
    before = np.maximum(given.z, 0)
    after = np.maximum(given.z - given.u[:, 18] + given.mean[18], 0)
    assert measured(claim, positions=given).value == pytest.approx((after - before)[top].mean())
    dogs = Edit("edit", (0,), (DOG,), -0.5)
    inside = concerned(dogs, given)
    assert np.unique(given.images[inside]).tolist() == list(range(40))
    found = measured(dogs, positions=given)
    after = np.maximum(given.z - given.u[:, 0] + given.mean[0], 0)
    assert found.value == pytest.approx((after - before)[inside].mean())
    assert found.images == 40


def test_an_edit_is_predicted_from_other_photographs_than_those_that_confirm_it() -> None:
    claim = Edit("edit", (18,), "top", -0.5)
    first = positions(4, images=400)
    said = first.changed(np.array([18]))[first.top].mean()
    found = measured(claim, positions=positions(5, images=400))
    assert found.low < said < found.high


def test_too_few_photographs_are_said_and_not_judged() -> None:
    given = positions(0)
    few = Positions(given.u, given.z, given.images, float(np.sort(given.z)[-3]), given.mean)
    sign = InputSign("input_sign", 0, "excitatory", 0.2)
    found = effect(sign, known(positions=few))
    assert isinstance(found, str) and "with a strong response are too few. It takes 10." in found
    edit = effect(Edit("edit", (0,), (DOG,), 1.0), known(positions=few))
    assert edit == "0 photographs that it is about are too few. It takes 3."
    none = Positions(given.u, given.z, given.images, 9.0, np.abs(given.mean))
    edit = effect(Edit("edit", "inhibitory", "top", 1.0), known(positions=none))
    assert edit == "No input is inhibitory on average."


# Curves, tunings and kinds


def test_invariance_is_decided_at_the_worst_step_in_either_direction() -> None:
    random = np.random.default_rng(0)
    kept = random.normal([1, 0.9, 0.85], 0.1, (30, 3))
    claim = Invariant("invariant", "rotation", 0.7)
    found = measured(claim, curves={"rotation": kept})
    assert found.value == pytest.approx(kept.mean(axis=0).min())
    assert said(claim, known(curves={"rotation": kept})) == "supported"
    for worse in (0.4, 2.5):
        other = np.column_stack([kept, random.normal(worse, 0.1, 30)])
        assert said(claim, known(curves={"rotation": other})) == "refuted"
    loose = np.column_stack([kept, random.normal(0.75, 0.8, 30)])
    assert said(claim, known(curves={"rotation": loose})) == "inconclusive"
    assert "4 exemplars are too few" in effect(claim, known(curves={"rotation": kept[:4]}))


def test_a_tuning_takes_its_own_draws() -> None:
    draws = np.random.default_rng(0).normal(0.5, 0.05, 1000)
    tuning = Bootstrap(np.array(0.5), draws, 48), 0.001
    claim = Tuned("tuned", "orientation", 0.3)
    assert said(claim, known(tunings={"orientation": tuning})) == "supported"
    assert said(Tuned("tuned", "orientation", 0.8), known(tunings={"orientation": tuning})) == (
        "refuted"
    )
    assert effect(claim, known(tunings={"hue": tuning})) == (
        "orientation was not measured. Measured: hue."
    )
    own = InputSelective("input_selective", 3, "hue", 0.3)
    assert said(own, known(input_tunings={3: {"hue": tuning}}.get)) == "supported"
    assert effect(own, known()) == "The tuning of input 3 to hue was not measured."


def test_a_split_that_was_not_found_supports_nothing() -> None:
    claim = Monosemantic("monosemantic")
    found = SimpleNamespace(p=0.6, groups=np.zeros(60))
    assert said(claim, known(character=SimpleNamespace(split=found))) == "inconclusive"
    found.p = 0.01
    assert said(claim, known(character=SimpleNamespace(split=found))) == "refuted"


def test_a_claim_without_its_input_is_kept_with_the_reason() -> None:
    claims: list[Claim] = [
        group(),
        Invariant("invariant", "mirror", 0.7),
        CircuitSufficient("circuit_sufficient", 3, "l2", 0.5),
        Monosemantic("monosemantic"),
    ]
    results = decide(claims, [effect(claim, known()) for claim in claims], 0.05)
    assert [one.verdict for one in results] == ["not tested"] * 4
    assert [one.reason for one in results] == [
        "No photographs with labels were scored.",
        "mirror was not measured. Measured: nothing of the kind.",
        "l2 was not measured. Measured: nothing of the kind.",
        "Whether its exemplars fall into kinds was not tested.",
    ]


# Verdicts


FIRES = GroupSelective("group_selective", ("n02084071",), 0.7)
FALLS = Edit("edit", (3,), "top", -2.0)


def held(value: float, low: float, high: float, p: float = 0.001, images: int = 50) -> Effect:
    return Effect(value, low, high, p, images, sesoi=0.7, null=0.5)


@pytest.mark.parametrize(
    ("effect", "verdict", "reason"),
    [
        (held(0.8, 0.70, 0.9), "supported", "All of the interval reaches 0.700."),
        (held(0.8, 0.70, 0.9, p=0.05), "inconclusive", "not significant among all claims"),
        (held(0.8, 0.69, 0.9), "inconclusive", "lies on both sides of 0.700"),
        (held(0.6, 0.5, 0.7), "inconclusive", "lies on both sides"),
        (held(0.6, 0.55, 0.69), "refuted", "No part of the interval reaches 0.700."),
        (held(0.3, 0.2, 0.4, p=0.99), "refuted", "other side of no effect"),
    ],
)
def test_the_interval_decides_and_supports_only_with_a_small_p(
    effect: Effect, verdict: str, reason: str
) -> None:
    (one,) = decide([FIRES], [effect], 0.05)
    assert one.verdict == verdict
    assert reason in one.reason


def test_a_fall_is_results_downwards() -> None:
    def verdict(low: float, high: float) -> str:
        effect = Effect((low + high) / 2, low, high, 0.001, 9, sesoi=-2.0)
        return decide([FALLS], [effect], 0.05)[0].verdict

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
    good = held(0.9, 0.8, 0.95, p=0.03)
    alone = decide([FIRES, mirror], [good, "mirror was not measured."], 0.05)
    assert [one.verdict for one in alone] == ["supported", "not tested"]
    assert alone[0].p_holm == 0.03
    assert alone[1].p_holm is None and alone[1].reason == "mirror was not measured."
    three = decide([FIRES, mirror, turn], [good, "not measured", good], 0.05)
    assert [one.verdict for one in three] == ["inconclusive", "not tested", "inconclusive"]


def test_the_photographs_needed_grow_with_the_square_of_the_width() -> None:
    # 0.2 from the value to the end, 0.1 to what counts: four times the photographs.
    assert held(0.8, 0.6, 0.95).needed == 200
    assert held(0.6, 0.5, 0.8).needed == 200
    assert held(0.7, 0.6, 0.8).needed is None  # on the bound itself no number decides
    (one,) = decide([FIRES], [held(0.8, 0.6, 0.95)], 0.05)
    assert one.needed == 200
    assert decide([FIRES], [held(0.9, 0.8, 0.95)], 0.05)[0].needed is None


def test_an_effect_without_a_value_can_be_refuted_alone() -> None:
    nan, mono = math.nan, Monosemantic("monosemantic")

    def verdict(against: float) -> str:
        effect = Effect(nan, nan, nan, 1.0, 60, 0.0, 1.0, against)
        return decide([mono], [effect], 0.05)[0].verdict

    assert verdict(0.6) == "inconclusive"
    assert verdict(0.01) == "refuted"


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (FIRES, "an AUROC whose 95 % interval lies below 0.7"),
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
    assert re.search(words, claim.refuted_by(0.05))


def test_the_table_has_a_row_for_each_claim_tested_or_not() -> None:
    results = decide([FIRES, FALLS], [held(0.8, 0.6, 0.95), "No contributions were sampled."], 0.05)
    first, second = (one.row for one in results)
    assert first == {
        "claim": "fires for dog", "effect": 0.8, "low": 0.6, "high": 0.95, "p": 0.001,
        "p_holm": 0.001, "sesoi": 0.7, "verdict": "inconclusive", "images": 50, "needed": 200,
        "refuted_by": "an AUROC whose 95 % interval lies below 0.7",
    }  # fmt: skip
    assert second["effect"] is None and second["verdict"] == "not tested"
    assert second["sesoi"] == -2.0


# How often planted truths get the verdict that they deserve


@pytest.fixture(scope="module")
def scores(vgg16, photographs) -> np.ndarray:
    """Real peaks of a real filter, in ascending order."""
    from convscope.activations.recorder import summarizer
    from convscope.data import dataset

    summarize = summarizer(vgg16, "block2_conv2")
    found = [
        summarize(batch.pixels).values[:, 17] for batch in dataset.batches(photographs, 48, 32)
    ]
    return np.sort(np.concatenate(found))


def tilted(scores: np.ndarray, truth: float) -> tuple[np.ndarray, float]:
    """Return chances to draw each score at which drawn ones beat the others with this AUROC."""
    ranks = (stats.rankdata(scores) - 0.5) / len(scores)
    wins = (np.sum(scores[:, None] > scores, 1) + 0.5 * np.sum(scores[:, None] == scores, 1)) / len(
        scores
    )
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        chances = np.exp(middle * ranks)
        chances /= chances.sum()
        low, high = (middle, high) if chances @ wins < truth else (low, middle)
    return chances, float(chances @ wins)


def groups(
    scores: np.ndarray, truth: float, inside: int, outside: int, runs: int
) -> Iterator[Measurements]:
    chances, real = tilted(scores, truth)
    assert abs(real - truth) < 1e-3
    keys = [*np.resize(DOGS, inside).tolist(), *np.resize(OTHERS, outside).tolist()]
    for seed in range(runs):
        random = np.random.default_rng(seed)
        drawn = [random.choice(scores, inside, p=chances), random.choice(scores, outside)]
        yield known(scores=np.concatenate(drawn), labels=keys)


def rates(claim: Claim, every: Iterator[Measurements]) -> dict[str, float]:
    found = Counter(said(claim, material) for material in every)
    return {verdict: count / found.total() for verdict, count in found.items()}


@RUNS
@pytest.mark.slow
def test_groups_that_are_preferred_or_not_are_told_apart_on_real_scores(
    scores: np.ndarray, runs: int
) -> None:
    assert rates(group(), groups(scores, 0.88, 60, 140, runs))["supported"] >= 0.95
    assert rates(group(), groups(scores, 0.50, 60, 140, runs))["refuted"] >= 0.95
    assert rates(group(), groups(scores, 0.74, 8, 16, runs)).get("refuted", 0) <= 0.05
    assert rates(group(), groups(scores, 0.66, 8, 16, runs)).get("supported", 0) <= 0.05


def circuits(images: int, each: int, runs: int) -> Iterator[Measurements]:
    for seed in range(runs):
        circuit = SimpleNamespace(orders={"shift": np.arange(19)})
        yield known(positions=positions(seed, images, each), circuit=circuit)


@pytest.fixture(scope="module")
def many() -> Positions:
    """So many photographs that they tell the truth."""
    return positions(999, 4000)


@RUNS
def test_circuits_that_suffice_or_do_not_are_told_apart(many: Positions, runs: int) -> None:
    share = many.u[many.top].mean(axis=0) - many.u.mean(axis=0)
    truth = float(share[:2].sum() / share.sum())

    def claim(sesoi: float) -> CircuitSufficient:
        return CircuitSufficient("circuit_sufficient", 2, "shift", sesoi)

    assert rates(claim(truth - 0.08), circuits(300, 20, runs))["supported"] >= 0.95
    assert rates(claim(truth + 0.08), circuits(300, 20, runs))["refuted"] >= 0.95
    assert rates(claim(truth - 0.01), circuits(60, 6, runs)).get("refuted", 0) <= 0.05
    assert rates(claim(truth + 0.01), circuits(60, 6, runs)).get("supported", 0) <= 0.05


@RUNS
def test_edits_that_matter_or_do_not_are_told_apart(many: Positions, runs: int) -> None:
    moved = np.maximum(many.z + many.mean[18] - many.u[:, 18], 0) - np.maximum(many.z, 0)
    truth = float(moved[many.top].mean())

    def claim(rise: float) -> Edit:
        return Edit("edit", (18,), "top", rise)

    assert rates(claim(0.5 * truth), circuits(300, 20, runs))["supported"] >= 0.95
    assert rates(claim(1.5 * truth), circuits(300, 20, runs))["refuted"] >= 0.95
    assert rates(claim(0.95 * truth), circuits(60, 6, runs)).get("refuted", 0) <= 0.05
    assert rates(claim(1.05 * truth), circuits(60, 6, runs)).get("supported", 0) <= 0.05
