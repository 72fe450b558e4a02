"""The account of a filter says what the evidence does, in tables, pictures and words."""

import html
from dataclasses import replace

import numpy as np
import pytest
from browser import tags
from evidences import BIRDS, DOGS, activations, evidence, photographs

from convscope.report.figures.charts import distribution_picture
from convscope.report.figures.grids import quilt_picture, top_picture
from convscope.report.rank import COLUMNS, Account, Claim
from convscope.unit import Unit
from convscope.units import selectivity
from convscope.units.responses import Evidence

NAMES = [
    *(f"{wnid}_{number}.png" for wnid in (*DOGS, *BIRDS) for number in range(8)),
    "plain.png",
    "n02123045_broken.png",
]
GOOD, FIRES, AVOIDS = range(33), 0, 1
MAPS = activations(len(NAMES), filters=2, seed=5)
MAPS[:8, ..., FIRES] += 20  # Chihuahuas
MAPS[:8, ..., AVOIDS] -= 20
PEAKS = MAPS.max((1, 2))
MEANS = MAPS.mean((1, 2)).astype(np.float16)
CLAIM = Claim('<script>alert(1)</script> & "dogs"', "2026-01-02T03:04:05+0000")


@pytest.fixture(scope="module")
def layer(tmp_path_factory) -> Evidence:
    paths = photographs(tmp_path_factory.mktemp("photographs"), NAMES, broken=[33])
    return evidence(tmp_path_factory.mktemp("index"), paths, MAPS)


def told(layer: Evidence, filter: int = FIRES, **given: object) -> Account:
    """Return the account of a filter with its seven strongest positions."""
    how = {"claim": None, "optimum": None, "source": "own weights"} | given
    return Account(
        layer,
        Unit("conv", filter),
        layer.study(filter),
        layer.show(layer.top(filter, 7)),
        layer.quilt(filter, 3),
        **how,
    )


@pytest.mark.parametrize("score", ["peak", "mean"])
def test_a_row_has_rank_class_place_box_peak_and_mean_whatever_the_score(layer, score):
    values = PEAKS if score == "peak" else MEANS
    rows = told(replace(layer, score=score), AVOIDS).rows()
    order = sorted(GOOD, key=lambda place: (-values[place, AVOIDS], place))[:7]
    assert len(rows) == 7
    for rank, (row, place) in enumerate(zip(rows, order, strict=True), 1):
        found = dict(zip(COLUMNS, row, strict=True))
        wnid = NAMES[place][:9] if place < 32 else None
        assert (found["rank"], found["image"]) == (rank, NAMES[place])
        assert (found["wnid"], found["label"]) == (wnid, (DOGS | BIRDS).get(wnid))
        assert found["activation"] == PEAKS[place, AVOIDS]
        assert found["mean"] == MEANS[place, AVOIDS]
        peak = np.unravel_index(MAPS[place, ..., AVOIDS].argmax(), MAPS.shape[1:3])
        assert (found["row"], found["column"]) == peak
    (example, *_) = told(replace(layer, score=score), AVOIDS).examples
    assert tuple(rows[0][7:11]) == example.box


def test_several_positions_of_a_photograph_keep_their_own_activations(layer):
    made = told(layer)
    first = made.examples[0]
    other = replace(first, rank=2, activation=first.activation - 3, row=1, column=4)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in
            replace(made, examples=(first, other)).rows()]  # fmt: skip
    assert [row["activation"] for row in rows] == [first.activation, first.activation - 3]
    assert rows[0]["mean"] == rows[1]["mean"]
    assert (rows[1]["row"], rows[1]["column"]) == (1, 4)


def test_histogram_and_scores_are_those_of_the_filter(layer):
    made = told(layer, AVOIDS)
    assert made.histogram.shape == (512,)
    assert made.histogram.sum() == MAPS[GOOD][..., AVOIDS].size
    assert made.histogram[:256].sum() == (MAPS[GOOD][..., AVOIDS] > 0).sum()
    np.testing.assert_array_equal(made.scores, [*PEAKS[GOOD, AVOIDS], np.nan])


def test_the_pictures_are_drawn_from_what_was_found(layer):
    made = told(layer, optimum=44.0)
    found = made.pictures()
    assert list(found) == ["top", "quantiles", "distribution"]
    for picture in found.values():
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    expected = {
        "top": top_picture("conv:0", made.examples),
        "quantiles": quilt_picture("conv:0", made.quilt, 33, "peak activation"),
        "distribution": distribution_picture("conv:0", made.histogram, made.scores, 44.0),
    }
    for name, picture in expected.items():
        np.testing.assert_array_equal(found[name], picture)
    plain = told(layer).pictures()["distribution"]
    assert plain.shape != found["distribution"].shape or (plain != found["distribution"]).any()
    means = told(replace(layer, score="mean"))
    np.testing.assert_array_equal(
        means.pictures()["quantiles"],
        quilt_picture("conv:0", means.quilt, 33, "mean activation"),
    )


def test_of_many_examples_the_picture_has_the_first_and_says_how_many_more_there_are(
    layer, monkeypatch
):
    made = told(layer)
    many = len(made.examples)
    monkeypatch.setattr("convscope.report.rank.DRAWN", 2)
    found = made.pictures()["top"]
    expected = top_picture("conv:0", made.examples[:2], "peak activation", many - 2)
    np.testing.assert_array_equal(found, expected)
    unsaid = top_picture("conv:0", made.examples[:2], "peak activation")
    assert found.shape == unsaid.shape and (found != unsaid).any()


def test_the_summary_has_every_scalar_result(layer):
    made = told(layer, optimum=2.0)  # where a bin begins, so that the quantile is exact
    (fires,) = made.study.fires
    text = made.generated.text
    assert made.summary() == {
        "filter": 0,
        "rank/activation": PEAKS[GOOD, FIRES].max(),
        "rank/score": PEAKS[GOOD, FIRES].max(),
        "rank/picture": "images/top.png",
        "rank/firing_rate": (MAPS[GOOD][..., FIRES] > 0).mean(),
        "rank/sparseness": selectivity.sparseness(PEAKS[GOOD, FIRES]),
        "rank/fires": ["Chihuahua"],
        "rank/avoids": [],
        "rank/auroc": 1.0,
        "rank/q": fires.q,
        "rank/hypothesis": text,
        "rank/optimum": 2.0,
        "rank/optimum_quantile": (MAPS[GOOD][..., FIRES] < 2).mean(),
    }
    assert fires.q < 0.05


def test_what_a_filter_avoids_gives_neither_auroc_nor_q_to_the_summary(layer):
    found = told(layer, AVOIDS).summary()
    assert (found["filter"], found["rank/fires"], found["rank/avoids"]) == (1, [], ["Chihuahua"])
    assert found["rank/auroc"] is found["rank/q"] is None
    assert found["rank/optimum"] is found["rank/optimum_quantile"] is None


@pytest.mark.parametrize(("optimum", "below"), [(1e6, 1), (-1e6, 0), (0.0, None)])
def test_an_optimum_is_placed_among_all_positions(layer, optimum, below):
    found = told(layer, AVOIDS, optimum=optimum).summary()
    # Zero has its place among what is below, as it does not fire.
    below = (MAPS[GOOD][..., AVOIDS] <= 0).mean() if below is None else below
    assert found["rank/optimum"] == optimum
    assert found["rank/optimum_quantile"] == below


@pytest.mark.parametrize(("filter", "what"), [(FIRES, "Fires for"), (AVOIDS, "Avoids")])
def test_the_first_hypothesis_is_made_from_what_is_significant(layer, filter, what):
    made = told(layer, filter).generated
    rate = (MAPS[GOOD][..., filter] > 0).mean()
    assert made.text == (
        f"{what}: Chihuahua. It looks at a patch of 9 x 13 pixels and is active at"
        f" {100 * rate:.0f} % of positions."
    )
    assert (made.rate, made.images, made.score, made.field) == (rate, 33, "peak", (9, 13))
    assert told(replace(layer, score="mean"), filter).generated.score == "mean"


def test_the_page_shows_the_users_claim_and_does_not_run_it(layer):
    made = told(layer, claim=CLAIM, optimum=44.0)
    page = made.page({"layer": "conv", "stage": {"top": 7}})
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;dogs&#34;" in page
    assert CLAIM.sha256 in page
    assert sum(tag == "script" for tag, _ in tags(page)) == 1
    text = html.unescape(page)
    assert CLAIM.text in text and made.generated.text in text
    assert "conv:0" in text and "optimum 44.0" in text
    for label, value in layer.facts(FIRES, "own weights").items():
        assert label in text and value in text
    for note in layer.notes("own weights"):
        assert note in text
    for note in made.study.notes:
        assert note in text
    assert "1 file was set aside" in text
    assert "stage.top" in text
    for example in made.examples:
        assert example.image in text


def test_a_page_without_claim_or_optimum_has_neither(layer):
    page = told(layer).page({})
    assert "optimum 44" not in page and CLAIM.sha256 not in page
    assert "in order of their peak activation" in page
    assert "in order of their mean activation" in told(replace(layer, score="mean")).page({})
