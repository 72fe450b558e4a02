"""The report on a filter says what photographs did, in tables, pictures and words."""

import hashlib
import html
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from browser import browse, decoded, fits, needs_browser, overflow, tags
from responses import BIRDS, DOGS, activations, photographs, responses_of
from results import texture

from convscope.activations.dataset_examples import Example, bins
from convscope.report.figures.charts import distribution_picture
from convscope.report.figures.grids import quantiles_picture, top_picture
from convscope.report.filters import facts, notes
from convscope.report.rank import (
    COLUMNS,
    UnitReport,
    first_hypothesis,
    own_hypothesis,
    verdict,
)  # fmt: skip
from convscope.unit import Unit
from convscope.units import selectivity
from convscope.units.responses import Responses
from convscope.units.selectivity import Association, Selectivity

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
CLAIM = own_hypothesis('<script>alert(1)</script> & "dogs"', "2026-01-02T03:04:05+0000")


@pytest.fixture(scope="module")
def layer(tmp_path_factory) -> Responses:
    paths = photographs(tmp_path_factory.mktemp("photographs"), NAMES, broken=[33])
    return responses_of(tmp_path_factory.mktemp("index"), paths, MAPS)


def told(layer: Responses, filter: int = FIRES, **given: object) -> UnitReport:
    """Return the report on a filter with its seven strongest positions."""
    how = {"own": None, "optimum": None, "source": "own weights"} | given
    return UnitReport(
        layer,
        Unit("conv", filter),
        layer.study(filter),
        layer.show(layer.top(filter, 7)),
        layer.binned(filter, 3),
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
        "quantiles": quantiles_picture("conv:0", made.bins, 33, "peak activation"),
        "distribution": distribution_picture("conv:0", made.histogram, made.scores, 44.0),
    }
    for name, picture in expected.items():
        np.testing.assert_array_equal(found[name], picture)
    plain = told(layer).pictures()["distribution"]
    assert plain.shape != found["distribution"].shape or (plain != found["distribution"]).any()
    means = told(replace(layer, score="mean"))
    np.testing.assert_array_equal(
        means.pictures()["quantiles"],
        quantiles_picture("conv:0", means.bins, 33, "mean activation"),
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
    (fires,) = made.selectivity.fires
    text = made.hypothesis
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
    made = told(layer, filter)
    rate = (MAPS[GOOD][..., filter] > 0).mean()
    assert made.hypothesis == (
        f"{what}: Chihuahua. It looks at a patch of 9 x 13 pixels and is active at"
        f" {100 * rate:.0f} % of positions."
    )
    (found,) = made.selectivity.fires + made.selectivity.avoids
    assert made.document() == {
        "generated": {
            "text": made.hypothesis,
            "findings": [
                {
                    "name": "Chihuahua", "wnid": "n02085620", "fires": filter == FIRES,
                    "auroc": found.auroc, "low": found.low, "high": found.high, "q": found.q,
                    "images": found.images, "classes": 1,
                }
            ],
            "field": (9, 13), "rate": rate, "images": 33, "score": "peak",
        },
        "own": None,
    }  # fmt: skip
    means = told(replace(layer, score="mean"), filter, own=CLAIM).document()
    assert (means["generated"]["score"], means["own"]) == ("mean", CLAIM)


def test_the_page_shows_the_users_claim_and_does_not_run_it(layer):
    made = told(layer, own=CLAIM, optimum=44.0)
    page = made.page({"layer": "conv", "stage": {"top": 7}})
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;dogs&#34;" in page
    assert CLAIM["sha256"] in page
    assert sum(tag == "script" for tag, _ in tags(page)) == 1
    text = html.unescape(page)
    assert CLAIM["text"] in text and made.hypothesis in text
    assert "conv:0" in text and "optimum 44.0" in text
    for label, value in facts(layer, FIRES, "own weights").items():
        assert label in text and value in text
    for note in notes(layer, "own weights"):
        assert note in text
    for note in made.selectivity.notes:
        assert note in text
    assert "1 file was set aside" in text
    assert "stage.top" in text
    for example in made.examples:
        assert example.image in text


def test_a_page_without_claim_or_optimum_has_neither(layer):
    page = told(layer).page({})
    assert "optimum 44" not in page and CLAIM["sha256"] not in page
    assert "in order of their peak activation" in page
    assert "in order of their mean activation" in told(replace(layer, score="mean")).page({})


MINUS = "\N{MINUS SIGN}"
VALUES = np.random.default_rng(0).normal(-8, 12, 30_000)
SCORES = np.random.default_rng(1).normal(18, 6, 206)
HISTOGRAM = np.bincount(VALUES.astype(np.float16).view(np.uint16) >> 7, minlength=512)
URI = r"data:image/[a-z]+;base64,[\w+/=]+"


def example(rank: int, **changed: Any) -> Example:
    given: dict[str, Any] = {
        "path": Path(f"/photographs/{rank}.png"), "image": f"photograph-{rank}.png",
        "activation": 60.25 - rank, "row": rank, "column": 2 * rank, "wnid": f"n{rank:08d}",
        "label": f"label {rank}", "box": (10, 20, 100, 140), "crop": texture(rank, 90, 120),
        "whole": texture(rank + 1000, 60, 80), "size": (300, 400),
    }  # fmt: skip
    return Example(rank=rank, **(given | changed))


def association(key: int, kind: str = "group", **changed: Any) -> Association:
    """One of eight: 0 and 1 are significant, 2 is chosen and not confirmed, others not chosen."""
    area = 0.9 - 0.1 * key if key < 8 else 0.8 / key
    given: dict[str, Any] = {
        "wnid": f"n{key:08d}", "name": f"{kind} {key}", "kind": kind, "classes": key + 2,
        "images": 1000 + key, "mean": 20.5 - key, "auroc": area, "low": max(area - 0.05, 0.0),
        "high": area + 0.05, "effect": 1.5 - 0.5 * key, "p": 10.0 ** min(key - 6, -0.1),
        "q": 10.0 ** (key - 4) if key < 2 else 0.3 if key == 2 else None,
        "p_max": 0.002 if key < 3 and kind == "group" else None, "discovery": area - 0.02,
        "chosen": key < 3,
    }  # fmt: skip
    return Association(**(given | changed))


def study(count: int = 8, alone: int = 0, **changed: Any) -> Selectivity:
    groups = tuple(association(key) for key in range(count))
    given: dict[str, Any] = {
        "classes": tuple(association(key, "class") for key in range(alone)),
        "groups": groups,
        "fires": tuple(one for one in groups if one.significant),
        "avoids": (),
        "discovery": 1107,
        "confirmation": 1099,
        "notes": ("No single class can be significant.",),
    }
    return Selectivity(**(given | changed))


UNLABELLED = Selectivity((), (), (), (), 0, 0, ("The photographs have no labels.",))


BINS = [
    (one, [example(place + 1, activation=float(SCORES[place])) for place in one.places])
    for one in bins(SCORES, 3)
]
OWN = own_hypothesis("It fires for dogs.", "2026-11-23T08:12:00+00:00")


def page(
    selectivity: Selectivity | None = None,
    settings: dict[str, Any] | None = None,
    *,
    facts: dict[str, str] | None = None,
    notes: tuple[str, ...] = ("206 photographs are few.",),
    **changed: Any,
) -> str:
    """Return the page of a report whose figures are made up."""
    found = selectivity or study()
    given: dict[str, Any] = {
        "responses": SimpleNamespace(score="peak"),
        "unit": Unit("block4_conv3", 17),
        "examples": [example(rank + 1) for rank in range(5)],
        "bins": BINS,
        "optimum": 213.5,
        "own": OWN,
        "source": "",
    }
    made = UnitReport(selectivity=found, **(given | changed))
    vars(made).update(
        histogram=HISTOGRAM,
        scores=SCORES,
        hypothesis=first_hypothesis(found, (92, 92), 0.147, 206),
        facts=facts or {"model": "vgg16"},
        notes=list(dict.fromkeys([*notes, *found.notes])),
    )
    return made.page(settings or {"layer": "block4_conv3", "stage": {"top": 20, "optimum": None}})


def test_the_page_asks_for_nothing():
    made = page(study(8, 8))
    assert not re.search(r"https?:|@import|fetch\(|XMLHttp|<iframe|<object|url\(", made)
    found = tags(made)
    images = [
        given.get("src") or given["href"] for tag, given in found if tag in ("img", "image", "link")
    ]
    assert len(images) > 20
    assert all(uri.startswith("data:") for uri in images)
    links = {given["href"] for tag, given in found if tag == "a"}
    assert links <= {f"#{given['id']}" for _, given in found if "id" in given}
    policy = [given for _, given in found if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0]["content"].startswith("default-src 'none'; img-src data:;")


def test_every_photograph_is_there_as_crop_and_whole_with_its_frame():
    made = page(examples=[example(rank) for rank in (1, 2, 3)], bins=[])
    crops = [given["src"] for tag, given in tags(made) if tag == "img"]
    wholes = [given["href"] for tag, given in tags(made) if tag == "image"]
    assert [decoded(uri).shape for uri in crops] == [(90, 120, 3)] * 3
    assert [decoded(uri).shape for uri in wholes] == [(60, 80, 3)] * 3
    assert made.count('viewBox="0 0 400 300"') == 3
    frames = [given for tag, given in tags(made) if tag == "rect"]
    assert len(frames) == 6
    assert {tuple(float(one[key]) for key in ("x", "y", "width", "height")) for one in frames} == {
        (20, 10, 120, 90)
    }


def test_what_is_known_of_a_photograph_is_written_beside_it():
    made = page(examples=[example(1), example(2)], bins=[])
    for words in (
        "photograph-2.png",
        "label 2",
        "58.25",
        "row 2, column 4 of the map",
        "label 2 (n00000002)",
        "rows 10 to 99, columns 20 to 139",
        "300 x 400 pixels",
    ):
        assert words in made  # fmt: skip
    bare = page(bins=[], examples=[example(1, label=None, wnid=None)])
    assert "no label" in bare
    assert "Of 206 photographs the strongest reaches 59.25 (peak activation)." in bare


def test_a_frame_too_small_to_be_seen_is_drawn_larger_around_the_same_middle():
    tiny = example(1, box=(100, 200, 103, 203), size=(1200, 900))
    (frame, _) = [given for tag, given in tags(page(examples=[tiny], bins=[])) if tag == "rect"]
    across, down, wide, tall = (float(frame[key]) for key in ("x", "y", "width", "height"))
    assert (wide, tall) == (20, 20)
    assert (across + wide / 2, down + tall / 2) == (201.5, 101.5)


def test_few_pixels_stay_pixels():
    made = page(examples=[example(1, crop=texture(1, 7, 9))], bins=[])
    (crop,) = [given for tag, given in tags(made) if tag == "img"]
    assert "pixels" in crop["class"].split()
    assert np.array_equal(decoded(crop["src"]), texture(1, 7, 9))


def test_many_photographs_become_smaller():
    sizes = {}
    for count in (10, 400):
        crop = texture(1, 224, 224)
        made = page(examples=[example(rank + 1, crop=crop) for rank in range(count)], bins=[])
        (first_crop, *_) = re.findall(URI, made)
        sizes[count] = decoded(first_crop).shape[0]
    assert sizes == {10: 224, 400: 96}


def test_the_first_hypothesis_is_marked_as_generated_with_its_numbers_beside_it():
    made = page()
    text = made.split('class="card generated"')[1].split("</article>")[0]
    assert "generated from the numbers" in text
    assert "Fires for: group 0, group 1." in text
    for words in ("0.900", "0.85 to 0.95", "0.00010", "1,000", "0.800", "0.75 to 0.85", "0.0010"):
        assert words in text
    assert text.count("fires for it") == 2


def test_the_own_hypothesis_stands_beside_it_with_hash_and_time():
    made = page()
    digest = OWN["sha256"]
    assert '<blockquote class="claim">It fires for dogs.</blockquote>' in made
    assert f'<code title="{digest}">{digest[:12]}</code>' in made
    assert "stated 2026-11-23T08:12:00+00:00" in made
    without = page(own=None)
    assert "blockquote" not in without.split("<main>")[1]
    assert 'stage.hypothesis="..."' in without


def test_the_tables_hold_every_number():
    made = page(study(8, 5))
    groups = made.split('id="groups"')[1].split("</table>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in groups.split("<tr")[2:]]
    assert len(rows) == 8
    plain = [re.sub("<.*?>", "", cell) for cell in rows[0]]
    assert plain == ["group 0", "fires for it", "2", "1,000", "0.900", "0.85 to 0.95", "+1.50",
                     "20.50", "1.0e\N{MINUS SIGN}06", "0.00010", "0.0020", "0.880"]  # fmt: skip
    assert [re.sub("<.*?>", "", row[1]) for row in rows] == [
        "fires for it", "fires for it", "not confirmed", *["not chosen"] * 5
    ]  # fmt: skip
    assert [row[9] for row in rows[2:4]] == ["0.30", ""]
    assert rows[5][6] == f"{MINUS}1.00"
    classes = made.split('id="classes"')[1].split("</table>")[0]
    assert classes.count("<tr") == 6
    assert "p max" not in classes
    assert "An empty <b>q</b> means" in made
    assert "1,107" in made
    assert "1,099" in made


def test_what_it_avoids_is_told_apart():
    avoided = association(0, auroc=0.1, low=0.05, high=0.2, discovery=0.2)
    assert verdict(avoided) == "avoids it"
    made = page(study(groups=(avoided,), fires=(), avoids=(avoided,)))
    assert 'class="significant down"' in made
    assert 'class="interval down"' in made
    assert '<i style="left:5.0%;width:15.0%"></i><b style="left:10.0%"></b>' in made


def test_without_labels_the_page_says_that_there_are_no_statistics():
    made = page(UNLABELLED)
    assert "No statistics: the photographs have no labels." in made
    assert '<table id="groups"' not in made
    assert "<table" not in made
    assert made.count("The photographs have no labels.") == 1  # the note


def test_a_table_of_nothing_is_replaced_by_the_reason():
    made = page(study(3))
    assert "No class has enough photographs in both halves to be tested by itself." in made
    assert '<table id="classes"' not in made
    assert '<table id="groups"' in made


def test_a_unit_without_significance_names_nothing():
    nothing = study(groups=(association(5),), fires=())
    assert "No class or group is significant, so none is named." in page(nothing)


def test_all_bins_say_what_they_hold():
    made = page()
    for one in bins(SCORES, 3):
        assert f">{one.name}</h3>" in made
        assert one.range in made
    assert "0.1 % is less than one photograph: this is the strongest." in made
    assert re.search(r"The top 10&nbsp;% hold \d+\.\d&nbsp;% of all excitation\.", made)


def test_the_distribution_is_drawn_once_for_wide_and_once_for_narrow_windows():
    drawings = re.findall(r'<svg class="distribution (\w+)".*?</svg>', page(), re.S)
    assert drawings == ["broad", "slim"]
    text = page().split('class="distribution broad"')[1].split("</svg>")[0]
    assert "optimum 214" in text
    assert "strongest photograph" in text
    assert text.count("of positions below") == 6  # in the label for readers of screens, too
    assert "optimum" not in page(optimum=None).split('class="card drawing"')[1].split("</svg>")[0]


def test_notes_of_the_run_and_of_the_statistics_are_shown_once():
    made = page(notes=("206 photographs are few.", "No single class can be significant."))
    assert made.count("<li>206 photographs are few.</li>") == 1
    assert made.count("<li>No single class can be significant.</li>") == 1
    assert "<dt>stage.top</dt><dd>20</dd>" in made


def test_hostile_names_are_shown_and_not_run():
    hostile = '"><script>alert(1)</script>'
    one = association(0, name=hostile, wnid=hostile)
    found = study(groups=(one,), classes=(replace(one, kind="class"),), fires=(one,),
                  notes=(hostile,))  # fmt: skip
    given = [example(1, image=hostile, label=hostile, wnid=hostile)]
    made = page(found, {hostile: hostile}, unit=Unit(hostile, 0), examples=given,
                own=own_hypothesis(hostile, hostile), facts={hostile: hostile},
                notes=(hostile,))  # fmt: skip
    assert "<script>alert" not in made
    assert sum(tag == "script" for tag, _ in tags(made)) == 1
    assert made.count("&lt;script&gt;alert(1)") >= 20


def test_the_same_run_gives_the_same_bytes():
    assert page() == page()


def test_a_page_stays_modest():
    whole, crop = texture(5, 240, 320), texture(6, 224, 224)
    given = [example(rank + 1, crop=crop, whole=whole) for rank in range(20)]
    assert len(page(study(80, 1000), examples=given).encode()) < 4_000_000


@needs_browser
def test_photographs_open_large_and_follow_one_another(tmp_path):
    script = """
    const view = document.getElementById("view");
    const links = [...document.querySelectorAll(".examples .example")];
    const note = () => [view.querySelector("h2").textContent,
      document.getElementById("place").textContent, view.querySelectorAll(".pair .picture").length];
    const press = (key, where) =>
      where.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    const found = { before: view.open };
    links[1].click();
    found.seen = [note()];
    found.facts = view.querySelector(".facts").innerText.replace(/\\n/g, " ");
    press("ArrowRight", view); found.seen.push(note());
    document.getElementById("before").click(); found.seen.push(note());
    press("ArrowLeft", view); press("ArrowLeft", view); found.seen.push(note());
    found.ends = ["before", "after"].map((name) => document.getElementById(name).disabled);
    document.getElementById("close").click();
    found.focus = [view.open, document.activeElement.id];
    press("ArrowRight", document.activeElement);
    found.next = document.activeElement.id;
    document.querySelector(".strip .example").click();
    found.strip = note();
    return found;
    """
    found = browse(page(), script, tmp_path)
    assert found["before"] is False
    assert found["seen"] == [
        ["label 2", "2 of 5", 2], ["label 3", "3 of 5", 2], ["label 2", "2 of 5", 2],
        ["label 1", "1 of 5", 2],
    ]  # fmt: skip
    assert "row 2, column 4 of the map" in found["facts"]
    assert found["ends"] == [True, False]
    assert found["focus"] == [False, "example-1"]
    assert found["next"] == "example-2"
    assert found["strip"][1] == "1 of 1"


@needs_browser
def test_a_link_to_a_photograph_opens_it(tmp_path):
    script = """return { open: document.getElementById("view").open,
      title: document.getElementById("view-title").textContent };"""
    assert browse(page(), script, tmp_path, "#example-4") == {"open": True, "title": "label 4"}
    assert browse(page(), script, tmp_path, "#example-9")["open"] is False


@needs_browser
def test_the_whole_photographs_can_be_the_large_ones(tmp_path):
    script = """
    const size = (name) =>
      document.querySelector(`.examples .${name}`).getBoundingClientRect().width;
    const found = [size("crop") > 2 * size("whole")];
    document.getElementById("wholes").click();
    found.push(size("whole") > 2 * size("crop"));
    return { found };
    """
    assert browse(page(), script, tmp_path) == {"found": [True, True]}


@needs_browser
def test_both_tables_sort_and_filter_by_themselves(tmp_path):
    script = """
    const names = (id) => [...document.querySelectorAll(`#${id} tbody tr:not([hidden])`)]
      .map((row) => row.cells[0].textContent);
    const click = (id, name) => [...document.querySelectorAll(`#${id} thead th`)]
      .find((head) => head.textContent === name).firstElementChild.click();
    const controls = document.querySelector('[aria-controls="groups"]').parentElement;
    const found = { first: [names("groups").length, names("classes").length] };
    click("groups", "q"); found.q = names("groups").slice(0, 4);
    click("groups", "AUROC"); click("groups", "AUROC"); found.low = names("groups")[0];
    click("groups", "images"); found.images = names("groups")[0];
    found.classes = names("classes")[0];
    const filter = controls.querySelector("input");
    filter.value = "FIRES";
    filter.dispatchEvent(new Event("input"));
    found.fires = names("groups").sort();
    found.said = controls.querySelector("output").textContent;
    document.querySelector('[aria-controls="classes"]').click();
    found.all = names("classes").length;
    return found;
    """
    found = browse(page(study(14, 20)), script, tmp_path)
    assert found["first"] == [12, 12]
    assert found["q"] == ["group 0", "group 1", "group 2", "group 3"]
    assert found["low"] == "group 13"
    assert found["images"] == "group 13"
    assert found["classes"] == "class 0"
    assert found["fires"] == ["group 0", "group 1"]
    assert found["said"] == "2 of 2 matching shown"
    assert found["all"] == 20


@needs_browser
@pytest.mark.parametrize(
    "kind",
    [
        "usual",
        *(
            pytest.param(kind, marks=pytest.mark.exhaustive)
            for kind in ("unlabelled", "long", "large", "one")
        ),
    ],
)
def test_nothing_runs_over_the_edge_of_a_narrow_page(kind, tmp_path):
    long = "a class with a remarkably long name, " * 4 + "x" * 120
    strip = example(1, label=long, image=long + ".png", size=(9, 4000), box=(0, 0, 9, 30),
                    crop=texture(1, 9, 30), whole=texture(2, 2, 320))  # fmt: skip
    named = association(0, name=long)
    given: dict[str, dict[str, Any]] = {
        "usual": {"selectivity": study(20, 20)},
        "unlabelled": {"selectivity": UNLABELLED, "own": None},
        "long": {"selectivity": study(groups=(named,), fires=(named,)), "examples": [strip] * 3,
                 "unit": Unit("conv4_block23_concat", 1023),
                 "own": own_hypothesis("y" * 400, "now"),
                 "facts": {"weights": "sha256:" + "4f5d7e2a" * 8}},
        "large": {},
        "one": {"examples": [example(1)], "bins": []},
    }  # fmt: skip
    widths, anchor = (390, 820, 1440), "#example-2" if kind == "large" else ""
    assert overflow(page(**given[kind]), widths, tmp_path, anchor) == fits(widths)


def association_of_hypothesis(name: str, auroc: float = 0.9, q: float | None = 0.01) -> Association:
    return Association(
        wnid=f"n-{name}",
        name=name,
        kind="group",
        classes=4,
        images=11,
        mean=1.5,
        auroc=auroc,
        low=auroc - 0.08,
        high=auroc + 0.05,
        effect=1.0,
        p=0.001,
        q=q,
        p_max=0.01,
        discovery=auroc,
        chosen=True,
    )


def selectivity_of_hypothesis(
    fires: tuple[Association, ...] = (),
    avoids: tuple[Association, ...] = (),
    tested: tuple[Association, ...] = (),
    images: int = 206,
) -> Selectivity:
    groups = tuple(one for one in tested if one.kind == "group")
    return Selectivity((), groups, fires, avoids, images // 2, images - images // 2, ())


def test_photographs_of_one_class_are_not_called_too_few() -> None:
    text = said(replace(selectivity_of_hypothesis(images=56), present=1))
    assert text.startswith("56 labelled photographs of one class: there is nothing to compare. It ")
    assert "too few" not in text


def said(found: Selectivity, rate: float = 0.1) -> str:
    return first_hypothesis(found, (92, 90), rate, 206)


def test_what_fires_and_what_is_avoided_is_said_in_plain_words() -> None:
    fires, avoids = (
        (association_of_hypothesis("dog"), association_of_hypothesis("wild dog")),
        (association_of_hypothesis("vehicle", 0.2),),
    )
    assert said(selectivity_of_hypothesis(fires, avoids)) == (
        "Fires for: dog, wild dog. Avoids: vehicle. It looks at a patch of 92 x 90 pixels and is "
        "active at 10 % of positions."
    )
    assert said(selectivity_of_hypothesis(avoids=avoids)).startswith("Avoids: vehicle. It looks at")
    assert said(selectivity_of_hypothesis(fires[:1])).startswith("Fires for: dog. It looks at")


def test_nothing_is_said_of_what_is_not_significant() -> None:
    found = selectivity_of_hypothesis(
        (association_of_hypothesis("dog"), association_of_hypothesis("cat", q=0.05)),
        (association_of_hypothesis("bus", 0.3, None),),
    )
    assert said(found).startswith("Fires for: dog. It looks at a patch of 92 x 90 pixels and")


def test_a_long_list_is_cut_and_counted() -> None:
    many = tuple(association_of_hypothesis(f"breed {place}") for place in range(8))
    text = said(selectivity_of_hypothesis(many))
    assert "breed 0, breed 1, breed 2, breed 3, breed 4 and 3 more." in text
    assert "breed 4." in said(selectivity_of_hypothesis(many[:5]))


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.0, "nowhere on these photographs"),
        (0.00003, "at less than 0.01 % of positions"),
        (0.00042, "at 0.042 % of positions"),
        (0.0149, "at 1.5 % of positions"),
        (0.666, "at 67 % of positions"),
        (0.997, "at more than 99 % of positions"),
        (1.0, "at 100 % of positions"),
    ],
)
def test_the_rate_is_said_in_two_digits_and_never_rounded_to_none_or_all(
    rate: float, words: str
) -> None:
    assert words in said(selectivity_of_hypothesis(), rate)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            selectivity_of_hypothesis(images=0),
            "206 photographs without labels: what it fires for cannot be told. It would take "
            "labels, such as a folder for each class. It looks at",
        ),
        (
            selectivity_of_hypothesis(images=17),
            "17 labelled photographs are too few to test any class or group. It would take 10 or "
            "more photographs of a class, and of other classes beside it. It looks at",
        ),
        (
            selectivity_of_hypothesis(images=1),
            "One labelled photograph is too few to test any class or group.",
        ),
        (
            selectivity_of_hypothesis(
                tested=(
                    association_of_hypothesis("dog", q=0.2),
                    association_of_hypothesis("cat", q=None),
                )
            ),
            "Nothing is significant among the 2 groups tested on 206 labelled photographs "
            "(q < 0.05). It would take more photographs to find a weaker preference, if there is "
            "one. It looks at",
        ),
        (
            selectivity_of_hypothesis(tested=(association_of_hypothesis("dog", q=0.2),)),
            "among the 1 group tested on",
        ),
    ],
)
def test_where_nothing_is_significant_it_says_so_and_what_it_would_take(
    found: Selectivity, words: str
) -> None:
    text = said(found)
    assert text.startswith(words) or words in text
    assert not re.search("Fires for|Avoids", text)


def test_the_own_hypothesis_is_kept_with_its_hash_and_its_time() -> None:
    made = own_hypothesis("It fires for dogs: cafés.", "2026-05-09T07:35:25+00:00")
    assert made == {
        "text": "It fires for dogs: cafés.",
        "sha256": hashlib.sha256("It fires for dogs: cafés.".encode()).hexdigest(),
        "time": "2026-05-09T07:35:25+00:00",
    }
    assert own_hypothesis("It fires for dogs.", made["time"])["sha256"] != made["sha256"]
