"""The case for a hypothesis: its parts by hand, and the stage on real photographs."""

import csv
import json
from types import SimpleNamespace

import asked
import numpy as np
import pytest

from convscope.hypothesis import evaluation, measurements
from convscope.hypothesis.claims import GroupSelective
from convscope.hypothesis.measurements import Photographs
from convscope.hypothesis.preregistration import Registered
from convscope.optvis import reliability
from convscope.stages import circuit as stage
from convscope.unit import Unit


def test_a_window_mirrors_what_lies_beyond_the_edges():
    view = np.arange(5 * 7 * 3).reshape(5, 7, 3)
    padded = np.pad(view, ((4, 4), (4, 4), (0, 0)), mode="symmetric")
    for top, left in ((-4, -4), (-1, 3), (0, 0), (2, 4), (3, -2)):
        found = reliability._window(view, (top, left), (6, 5))
        np.testing.assert_array_equal(found, padded[top + 4 : top + 10, left + 4 : left + 9])


def test_a_view_far_larger_than_the_photograph_repeats_it_back_and_forth():
    places = reliability._mirrored(np.arange(-7, 8), 3)
    assert places.tolist() == [0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]


def test_the_share_that_each_exemplar_keeps_is_its_own():
    moves = [SimpleNamespace(kind=kind) for kind in ("mirror", "scale", "scale")]
    kept = np.array([[2.0, 1.0, 4.0, 0.0], [0.0, 5.0, 5.0, 5.0], [10.0, 5.0, 1.0, 2.0]])
    found = SimpleNamespace(
        moves=moves, kept=kept, of=lambda kind: [i for i, m in enumerate(moves) if m.kind == kind]
    )
    curves = measurements.curves(SimpleNamespace(invariance=found))
    assert curves["mirror"].kept.tolist() == [[0.5], [0.5]]  # the silent one is left out
    assert curves["scale"].kept.tolist() == [[2.0, 0.0], [0.1, 0.2]]
    assert measurements.curves(SimpleNamespace(invariance=None)) == {}


def test_the_orientation_of_a_filter_is_drawn_anew_by_phases():
    angles = np.arange(0, 180, 45.0)
    grating = np.zeros((4, 2, 3, 1, 2))
    grating[1, 1, :, 0, 0] = (1, 2, 3)  # one orientation at one frequency: an index of 1
    measures = {"osi": np.array([1.0, np.nan])}
    tuned = SimpleNamespace(
        axes={"grating": {"orientation": angles}}, sets={"grating": grating}, measures=measures
    )
    found = measurements.tunings(tuned, 0)["orientation"]
    assert found.stimuli == 3 and found.value == 1.0
    np.testing.assert_allclose(found.draws, 1.0)
    assert found.p < 0.1
    assert measurements.tunings(tuned, 1) == {}


def test_the_first_group_claimed_guesses_the_stronger_of_two_photographs():
    keys = ["n02085620", "n02088364"] * 10 + ["n01440764"] * 80  # dogs and tenches
    claim = GroupSelective("group_selective", ("n02084071",), 0.7)
    scores = np.arange(100.0)[::-1]  # all dogs above all fish
    game = evaluation.guessed([claim], Photographs(scores, keys))
    assert game.pairs == 10 and game.accuracy > 0.7 and game.p < 0.2
    turned = evaluation.guessed([claim], Photographs(-scores, keys))
    assert turned.accuracy < game.accuracy
    assert evaluation.guessed([], Photographs(scores, keys)) is None
    assert evaluation.guessed([claim], Photographs(scores[:5], keys[:5])) is None
    assert evaluation.guessed([claim], None) is None


def test_the_strongest_readers_speak_of_a_units_use_without_deciding():
    readers = [SimpleNamespace(unit=Unit("next", n), label="excitatory") for n in range(5)]
    said = evaluation.used(readers)["feature use"]
    assert said.speaks == "undecided"
    assert said.sentence.endswith("next:0 (excitatory), next:1 (excitatory), next:2 (excitatory).")
    assert evaluation.used([]) == {}


@pytest.fixture(scope="module")
def made(tmp_path_factory, photographs):
    """A whole run on sixty photographs, small and short, with a claim of most kinds."""
    home = tmp_path_factory.mktemp("case")
    folder = home / "photographs"
    folder.mkdir()
    for path in photographs[::3]:
        (folder / path.name).symlink_to(path)
    words = (
        "layer=block2_conv2", "filter=17", f"images.root={folder}", "images.name=folder",
        "images.size=128", "ascent.steps=16", "hypothesis=dog_heads", "stage.inputs=3",
        "hypothesis.claims=[{type:circuit_sufficient,count:128,by:l2,sesoi:0.5},"
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
    whole = found["its first 128 inputs by l2 suffice"]
    assert float(whole["effect"]) == pytest.approx(1, abs=1e-4)
    assert found["is tuned to smell"]["verdict"] == "not tested"
    assert found["input 5 is tuned to orientation"]["verdict"] != "not tested"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["circuit/hypothesis"] == whole["verdict"]
    record = json.loads((folder / "hypothesis.json").read_text())
    assert record["sha256"] == Registered(settings.hypothesis, "whenever").sha256
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
    assert rows(folder, "clients")[0]["layer"] == "block3_conv1"
    for name in ("character", "graph", "faithfulness", "explorer"):
        assert (folder / "images" / f"{name}.png").stat().st_size > 1000


def test_a_sentence_without_a_known_word_is_said_to_be_untested():
    words = asked.hypothesis(text="It likes zzz"), asked.hypothesis()
    said = [evaluation.Case(Registered(one, "now"), (), (), {}, ()).sentence for one in words]
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
