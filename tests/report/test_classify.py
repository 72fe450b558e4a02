"""What was recognized, in tables, numbers and words."""

import html
import re

import pytest
from browser import TOOLS, browse, decoded, fits, needs_browser, overflow, tags
from results import KEYS, prediction, sure, views

from convscope.activations.predictions import Target, rate
from convscope.report.classify import COLUMNS, PHOTOGRAPHS, Recognition, chosen

FOUND = (
    sure(1, 0, 0.9, 0),
    sure(2, 1, 0.6, 0),
    sure(3, 1, 0.7, 0),
    sure(4, 2, 0.8, 0),
    sure(5, 3, 0.5, 3),
    sure(6, 4, 0.4),
    prediction(7, [0.3, 0.1, 0.2, 0.25, 0.15], truth="zebrafish"),
)


def recognition(predictions=FOUND, **changed):
    given = {
        "network": "net", "source": "own weights", "classes": KEYS, "kind": "linear",
        "predictions": tuple(predictions), "skipped": 0, "targets": {}, "origin": "folders",
        "top": 2, "sides": (224, 224), "fit": "crop",
        "trained": (224, 224),
    }  # fmt: skip
    return Recognition(**(given | changed))


def test_the_table_has_a_row_for_each_photograph_and_rank_with_the_columns_of_the_contract():
    assert COLUMNS == ("image", "rank", "wnid", "label", "probability", "truth", "correct")
    rows = recognition([prediction(3, [0.1, 0.2, 0.7, 0, 0], {1}, top=2)]).rows()
    assert [[*row[:4], round(float(row[4]), 6), *row[5:]] for row in rows] == [
        ["photo_3.png", 1, "n02088364", "beagle", 0.7, "Chihuahua", False],
        ["photo_3.png", 2, "n02085620", "Chihuahua", 0.2, "Chihuahua", True],
    ]
    bare = recognition([sure(1, 0, 0.5, top=1)]).rows()
    assert [row[5:] for row in bare] == [[None, None]]


def test_the_table_of_photographs_has_rank_and_probability_of_the_truth():
    (row,) = recognition().photographs(FOUND[1:2])
    found = dict(zip(PHOTOGRAPHS, row, strict=True))
    assert (found["image"], found["label"], found["truth"]) == ("photo_2.png", "Chihuahua", "tench")
    assert (found["truth_rank"], found["correct"]) == (2, False)
    assert found["truth_probability"] == pytest.approx(0.1)


def test_accuracy_counts_the_photographs_whose_label_the_network_knows():
    found = recognition().summary()
    assert found["classify/top1"] == 2 / 5
    assert (found["classify/top1_low"], found["classify/top1_high"]) == pytest.approx(
        (0.1176, 0.7693), abs=1e-4
    )
    assert found["classify/topk"] == 1.0
    assert found["classify/k"] == 2
    assert found["classify/confidence"] == pytest.approx((0.9 + 0.6 + 0.7 + 0.8 + 0.5) / 5)
    counts = [found[f"classify/{name}"] for name in ("photographs", "labelled", "known")]
    assert counts == [7, 6, 5]


def test_without_labels_the_summary_has_no_accuracy_but_the_confidence():
    found = recognition([sure(n, 0, 0.5) for n in range(3)]).summary()
    assert [found[f"classify/{name}"] for name in ("top1", "top1_low", "topk", "topk_high")] == [
        None
    ] * 4
    assert found["classify/confidence"] == pytest.approx(0.5)
    assert found["classify/labelled"] == 0


def test_each_label_has_its_hits_and_most_frequent_mistake():
    assert recognition().labels == [
        {"wnid": "n01440764", "name": "tench", "photographs": 4, "top1": 1, "topk": 4,
         "mistake": "Chihuahua", "times": 2},
        {"wnid": "n02123045", "name": "tabby", "photographs": 1, "top1": 1, "topk": 1,
         "mistake": None, "times": None},
    ]  # fmt: skip


def test_of_labels_as_frequent_the_least_often_right_come_first():
    found = [sure(1, 0, 0.9, 0), sure(2, 1, 0.9, 1), sure(3, 1, 0.8, 2)]
    assert [row["name"] for row in recognition(found).labels] == ["beagle", "tench", "Chihuahua"]


def test_the_terminal_shows_a_line_for_each_photograph_and_then_the_result():
    lines = recognition().lines()
    assert lines[0] == "photo_1.png  tench                   90.0 %  right"
    assert lines[1] == "photo_2.png  Chihuahua               60.0 %  wrong    it is tench"
    assert lines[5] == "photo_6.png  crane (lifting device)  40.0 %"
    assert lines[6] == "photo_7.png  tench                   30.0 %  unknown  it is zebrafish"
    assert lines[7] == (
        "top-1 40 % (2 of 5; 95 % interval 12 to 77 %); top-2 100 % (5 of 5; 95 % interval 57 to"
        " 100 %); mean confidence 70 %"
    )
    assert len(lines) == 8


def test_of_many_photographs_the_terminal_shows_twenty():
    lines = recognition([sure(n, 0, 0.5) for n in range(1234)]).lines()
    assert len(lines) == 22
    assert lines[-2] == "and 1,214 more: see tables/predictions.csv"
    assert lines[-1] == "no labels, so no accuracy; mean confidence 50 %"
    strange = recognition([prediction(1, [1, 0, 0, 0, 0], truth="x")]).lines()
    assert strange[-1].startswith("no label that the network knows, so no accuracy;")


def test_facts_name_network_weights_photographs_and_accuracy():
    assert recognition().facts == {
        "network": "net, 5 classes",
        "weights": "own weights",
        "photographs": "7 at 224 x 224 (crop)",
        "labels": "from folders",
        "top-1 accuracy": "40 % (2 of 5; 95 % interval 12 to 77 %)",
        "top-2 accuracy": "100 % (5 of 5; 95 % interval 57 to 100 %)",
        "probabilities": "a softmax taken here; the network gives logits",
        "mean confidence": "70 % in the best class",
    }
    assert "top-1 accuracy" in recognition(top=1).facts


def told(*predictions, **changed):
    return " ".join(recognition(predictions or FOUND, **changed).notes)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("softmax", "the network's own, a softmax"),
        ("sigmoid", "each class by itself"),
        ("binary", "a sigmoid for the second class"),
        ("linear", "a softmax taken here"),
    ],
)
def test_what_the_probabilities_are_is_said(kind, words):
    found = recognition(kind=kind)
    assert words in found.facts["probabilities"]
    assert (
        found.bars_are.split()[0] in ("a", "each", "one")
        and found.summary()["classify/output"] == kind
    )


def test_what_to_keep_in_mind_follows_from_the_photographs():
    said = told(skipped=2)
    assert "1 photograph has no label, and no part in the accuracy." in said
    assert "1 photograph has a class that the network does not know (zebrafish), and no" in said
    assert "5 photographs are few: " in said and "anything from 12 to 77 %" in said
    assert "names one object of a photograph" in said
    assert "the middle square of each photograph" in said
    assert "2 files were set aside: tables/skipped.csv says why." in said
    assert "sort them into folders" not in said


def test_several_unknown_labels_are_counted_and_some_are_named():
    strange = [prediction(n, [1, 0, 0, 0, 0], truth=f"fish {n % 5}") for n in range(10)]
    assert (
        "10 photographs have a class that the network does not know (fish 0, fish 1, fish 2 and 2"
        " more), and no part in the accuracy."
    ) in told(*strange)


def test_photographs_without_labels_say_how_to_label_them():
    said = told(sure(1, 0, 0.5))
    assert "The photographs have no labels" in said and "images.labels=PATH" in said
    assert "always names some of its 5 classes" in said
    assert "are few" not in said and "one object" not in said


def test_labels_that_stand_for_several_classes_are_named():
    both = prediction(1, [0.1, 0.6, 0.3, 0, 0], {1, 2}, truth="n02084071", label="dog")
    group = {"n02084071": Target(frozenset({1, 2}), "group")}
    assert "groups above classes: each of the classes counts as right (dog: 2)." in told(
        both, targets=group
    )
    name = {"n02084071": Target(frozenset({1, 2}), "name")}
    assert "names that classes share: each of the classes counts as right (dog: 2)." in told(
        both, targets=name
    )
    assert "counts as right (" not in told(both, targets={"n02084071": Target({1}, "key")})


@pytest.mark.parametrize(
    ("share", "hit", "words"),
    [(0.9, 0, "surer than it is right"), (0.3, 1, "right more often than it is sure")],
)
def test_confidence_outside_the_interval_of_the_accuracy_is_said(share, hit, words):
    found = [sure(n, 0, share, 0 if hit else 1) for n in range(40)]
    assert words in told(*found)
    calm = [sure(n, 0, 0.5, n % 2) for n in range(40)]
    assert "The network is" not in told(*calm)


@pytest.mark.parametrize("fit", ["crop", "center", "squash", "pad"])
def test_how_photographs_were_cut_is_said(fit):
    said = {other: told(fit=other) for other in ("crop", "center", "squash", "pad")}
    assert len(set(said.values())) == 4 and said[fit]


def test_a_size_that_the_network_did_not_learn_from_is_said():
    assert "learned from images of 64 x 96 pixels and saw these at 224 x 224" in told(
        trained=(64, 96)
    )
    for size in ((224, 224), None):
        assert "learned from" not in told(trained=size)


def test_picture_and_page_show_the_photographs():
    made, seen = recognition(), views(FOUND)
    assert made.picture(FOUND, seen).ndim == 3
    page = made.page(FOUND, seen, 12, {"stage": {"top": 2}})
    assert "photo_3.png" in page and "own weights" in page and "5 photographs are few" in page


SHOWN = (
    sure(1, 0, 0.9, 0),
    sure(2, 1, 0.6, 0),
    sure(3, 2, 0.8, 3),
    sure(4, 4, 0.5),
    prediction(5, [0.3, 0.1, 0.2, 0.25, 0.15], truth="zebrafish"),
)
ROW = {"wnid": "n01440764", "name": "tench", "photographs": 2, "top1": 1, "topk": 2,
       "mistake": "Chihuahua", "times": 1}  # fmt: skip


def page(shown=SHOWN, *, labels=(ROW,), large=12, total=None, seen=None):
    """Return the page on some photographs of `total`; the figures at its top are made up."""
    others = [sure(100 + n, 0, 0.5) for n in range((total or len(shown)) - len(shown))]
    made = recognition([*shown, *others], network="efficientnet_lite0", top=5)
    vars(made).update(
        rates={k: rate(shown, k) for k in (1, 5)},
        confidence=0.62,
        labels=list(labels),
        facts={"network": "efficientnet_lite0, 5 classes"},
        notes=["Three photographs are few."],
    )
    return made.page(shown, seen or views(shown), large, {"stage": {"top": 5}})


def text(made):
    bare = re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", made, flags=re.DOTALL)
    return " ".join(html.unescape(bare).split())


def test_the_page_asks_for_nothing_and_its_links_lead_somewhere():
    made = page()
    assert not re.search(r"https?:|@import|fetch\(|XMLHttp|<iframe|<object|url\(", made)
    found = tags(made)
    images = [given["src"] for tag, given in found if tag == "img" and "src" in given]
    assert len(images) == 5 + 2 and all(uri.startswith("data:image/webp") for uri in images)
    links = {given["href"] for tag, given in found if tag == "a"}
    assert links == {f"#photograph-{place}" for place in range(1, 6)}


def test_accuracies_stand_with_their_intervals_and_counts():
    said = text(page())
    assert "Of 3 photographs with a class it knows, the network names 1 rightly." in said
    assert "Best class right 33 % 1 of 3; 95 % interval 6 to 79 %" in said
    assert "Right class among the best 5 100 % 3 of 3; 95 % interval 44 to 100 %" in said
    assert "Mean confidence 62 %" in said


def test_the_most_confident_mistakes_come_first_and_as_many_as_asked_for():
    made = page()
    large = re.findall(r'class="mistake card" href="#photograph-(\d)"', made)
    assert large == ["3", "2"]
    assert "The most confident mistakes" in text(made)
    assert re.findall(r'class="mistake card" href="#photograph-(\d)"', page(large=1)) == ["3"]
    assert "most confident mistake" not in text(page(large=0))


def test_of_photographs_that_are_a_choice_only_the_first_half_are_the_surest_mistakes():
    made = page(SHOWN[2:0:-1] + SHOWN[:1] + SHOWN[1:2], total=50)
    assert len(re.findall('class="mistake card"', made)) == 2
    made = page((SHOWN[2], SHOWN[0], SHOWN[1]), total=50)
    assert len(re.findall('class="mistake card"', made)) == 1


def test_every_class_of_a_photograph_has_a_bar_and_the_truth_a_mark():
    made = page(SHOWN[1:2])
    row = r'class="bar-row( hit)?"><i style="width:([\d.]+)%">.*?</i>(.*?)</span></span>'
    rows = re.findall(row, made.split('id="grid"')[1])
    assert [float(width) for _, width, _ in rows] == [60, 10, 10, 10, 10]
    assert [bool(hit) for hit, _, _ in rows] == [False, True, False, False, False]
    assert ["&#10003;" in words for _, _, words in rows] == [bool(hit) for hit, _, _ in rows]


def test_photographs_without_labels_have_no_accuracy():
    bare = [sure(n, 0, 0.5) for n in range(3)]
    made = page(bare, labels=[])
    said = text(made)
    assert "3 photographs without labels: it is for you to say" in said
    assert "Best class right" not in said and "By label" not in said and "Wilson" not in said
    assert "rank of the truth" not in said
    one = page([prediction(1, [0.3, 0.1, 0.2, 0.25, 0.15], truth="zebrafish")], labels=[])
    assert "1 photograph with labels that the network does not know" in text(one)
    assert "zebrafish , no class of the network" in text(one)


def test_of_many_photographs_the_page_says_which_it_shows_and_stays_small():
    given = chosen([sure(n, n % 2, 0.5, 0) for n in range(5000)], 400)
    noisy = views(given[:1], 224)[given[0].path]
    made = page(given, seen={one.path: noisy for one in given}, total=5000)
    assert "400 of 5,000 photographs: the 200 most confident mistakes" in text(made)
    sources = [given["src"] for tag, given in tags(made) if tag == "img" and "src" in given]
    assert {decoded(uri).shape for uri in sources[:3]} == {(114, 114, 3)}
    assert len(page().encode()) < 200_000


def test_what_a_file_or_folder_is_called_is_not_run():
    bad = "<script>alert(1)</script>"
    made = page([sure(1, 0, 0.5, truth=None, label=bad)], labels=[ROW | {"name": bad}])
    assert "<script>alert" not in made and bad in html.unescape(made)


@needs_browser
def test_photographs_are_searched_by_class_truth_and_state_and_sorted(tmp_path):
    found = browse(
        page(),
        TOOLS
        + """
        const chips = [...document.querySelectorAll(".chip")];
        const all = numbers();
        const chip = chips[0].textContent;
        chips[0].click();
        const right = numbers();
        chips[0].click();
        return {
          all, chip, right,
          truth: type("truth:tench"), best: type("best:tench"), either: type("tench"),
          wrong: type("wrong"), unknown: type("unknown"), none: type("unlabelled"),
          file: type("photo_3"), nothing: type("violin"),
          sorted: (type(""), order("1")), truths: order("2"),
        };""",
        tmp_path,
    )
    assert found == {
        "all": [1, 2, 3, 4, 5], "chip": "right 1", "right": [1],
        "truth": [1, 2], "best": [1, 5], "either": [1, 2, 5],
        "wrong": [2, 3], "unknown": [5], "none": [4],
        "file": [3], "nothing": [],
        "sorted": [1, 3, 2, 4, 5], "truths": [3, 2, 1, 4, 5],
    }  # fmt: skip


@needs_browser
def test_a_photograph_opens_large_with_its_bars_and_what_is_known_of_it(tmp_path):
    found = browse(
        page(),
        TOOLS
        + """
        document.querySelector(".mistake").click();
        await soon(() => find("view").open);
        const first = [title(), find("place").textContent];
        const details = find("view").querySelector(".details");
        const words = details.querySelector(".facts").textContent.replace(/\\s+/g, " ");
        const bars = details.querySelectorAll(".bar-row").length;
        find("after").click();
        return { first, words, bars, next: title() };""",
        tmp_path,
    )
    assert found["first"] == ["tabby", "3 of 5"]
    assert found["bars"] == 5
    assert "label tabby (n02123045)" in found["words"].replace("label", "label ").replace("  ", " ")
    assert "rank 4, probability 5 %" in found["words"]
    assert found["next"] == "photo_4.png"


@needs_browser
def test_the_table_of_labels_sorts(tmp_path):
    more = ROW | {"wnid": "x", "name": "aardvark", "photographs": 7, "mistake": None, "times": None}
    found = browse(
        page(labels=[ROW, more]),
        """
        const first = () => document.querySelector("#classes tbody th").textContent;
        const before = first();
        document.querySelector("#classes thead button").click();
        return { before, after: first() };""",
        tmp_path,
    )
    assert found == {"before": "tench", "after": "aardvark"}


@needs_browser
def test_nothing_runs_over_the_edge_on_wide_and_narrow_screens(tmp_path):
    widths = (320, 600, 1400)
    assert overflow(page(), widths, tmp_path) == fits(widths)
