"""What a run concludes, in one sentence, in figures, in tables and for the page."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from parts import part, random_part

from convscope.circuits.attribution import Sample
from convscope.models.linear import Linear
from convscope.models.receptive_field import Inside
from convscope.report.circuit import evidence
from convscope.stages.circuit import measure
from convscope.unit import Unit


def findings(given, apart=True, by="l2", inputs=10):
    """What is found where this part is both halves."""
    count = given.u.shape[1]
    kernel = np.random.default_rng(0).normal(size=(3, 3, count)).astype(np.float32)
    found = Linear(kernel, given.bias, np.arange(count), None)
    places = np.arange(given.photographs)
    sample = Sample(given, given, places, apart, Inside(range(5), range(6)), False, False, 1e-7)
    recording = SimpleNamespace(
        observation=SimpleNamespace(lowest=np.zeros(count)),
        paths=[Path(f"{number}.png") for number in places],
    )
    settings = SimpleNamespace(
        unit=Unit("b", 1), seed=0,
        stage=SimpleNamespace(mixed=0.2, negligible=0.05, inputs=inputs, by=by),
    )  # fmt: skip
    return measure(settings, [Unit("a", n) for n in range(count)], found, recording, sample)


FOUND = findings(random_part(), False)


def test_the_sentence_sets_the_ten_beside_random_ones_and_the_best():
    own = FOUND.scalars()
    for name in ("recovery_10", "recovery_10_low", "recovery_10_high", "random_10", "best_10"):
        assert f"{100 * own[name]:.0f} %" in FOUND.sentence
    assert FOUND.sentence.startswith("The ten kernels with the largest L2 recover ")
    assert FOUND.sentence.endswith("on the same 20 photographs that chose: too few to be halved).")
    apart = findings(random_part(), True, "greedy", 3)
    assert apart.sentence.startswith("The three kernels that explain the responses best together")
    assert apart.sentence.endswith("(20 photographs that had no part in choosing).")


def test_all_inputs_together_need_no_figures():
    found = findings(random_part(inputs=3), inputs=10)
    assert found.sentence.startswith("All three inputs are shown: nothing is left that others")
    found = findings(random_part(inputs=1), inputs=10)
    assert found.sentence.startswith("The only input is shown: ")
    found = findings(random_part(), inputs=1)
    assert found.sentence.startswith("The kernel with the largest L2 recovers ")


def test_a_unit_that_never_varies_says_so():
    found = findings(part(np.ones((9, 4))), inputs=2)
    assert found.sentence == "b:1 does not vary on these photographs: nothing to recover."
    assert found.scalars()["recovery_2"] is None
    assert evidence(found)["rankings"][0]["recovery"] == "\N{EN DASH}"


def test_the_figures_are_those_of_the_curves():
    own, at = FOUND.scalars(), FOUND.curves.at
    curve = FOUND.curves.curves["l2"]
    assert own["recovery_10"] == curve.recovery[at] and own["r2_10"] == curve.r2[at]
    assert own["necessity_10"] == curve.necessity[at] and own["auroc_10"] == curve.auroc[at]
    assert own["normalized_best"] == pytest.approx(1) and own["half_l2"] == curve.half.value
    assert own["recovery_10_low"] <= own["recovery_10"] <= own["recovery_10_high"]
    assert (own["apart"], own["positions"]) == (False, 30)
    assert own["strong"] == len(FOUND.sample.confirmation.top)


def test_the_tables_have_a_row_for_each_ranking_and_size_and_member():
    tables = FOUND.tables()
    rows = tables["faithfulness"]
    assert list(rows[0])[:7] == ["ranking", "k", "recovery", "r2", "necessity", "auroc", "zero_r2"]
    assert {row["k"] for row in rows} == {0, 1, 2, 5, 10, 20, 40}
    assert len(rows) == 8 * 7 and len(tables["agreement"]) == 21
    assert [row["rank"] for row in tables["members"]] == list(range(1, 11))
    assert all(row["p"] <= row["p_holm"] <= 1 for row in tables["members"])


def test_inputs_that_silence_the_unit_are_listed_with_their_photographs():
    given = part([[1, -3], [1, 0], [-1, 0], [2, -2], [9, 0], [9, 0]], of=[0, 0, 1, 1, 2, 2])
    found = findings(given, inputs=2)
    rows = found.tables()["vetoes"]
    assert [(row["filter"], row["image"], row["positions"]) for row in rows] == [
        (1, "0.png", 1), (1, "1.png", 1),
    ]  # fmt: skip
    (said,) = evidence(found)["vetoes"]
    assert said["name"] == "a:1" and "at 33 % of positions" in said["words"]
    assert said["photographs"] == "Most often on 0.png (1), 1.png (1)."


def test_the_page_gets_a_row_for_each_ranking_with_its_inputs():
    found = evidence(FOUND)
    assert [row["name"] for row in found["rankings"]][:2] == ["L2", "top shift"]
    first = found["rankings"][0]
    assert first["chosen"] and first["which"].startswith(f"{FOUND.circuit.orders['l2'][0]}, ")
    assert found["count"] == "Ten" and "\N{NO-BREAK SPACE}%" in found["sentence"]
    shared = {row["name"]: row["shared"] for row in found["rankings"]}
    ours, theirs = (set(FOUND.circuit.orders[name][:10]) for name in ("l2", "greedy"))
    assert shared["greedy, by activation"] == str(len(ours & theirs))


def test_the_inputs_that_the_response_needs_are_named():
    needed = replace(FOUND, curves=replace(FOUND.curves, p_holm=np.r_[0.01, np.ones(9)]))
    name = str(FOUND.circuit.edges[0].source)
    assert f"Left out alone, {name} matters more" in evidence(needed)["needed"]
    nothing = replace(FOUND, curves=replace(FOUND.curves, p_holm=np.ones(10)))
    assert evidence(nothing)["needed"] == ""
