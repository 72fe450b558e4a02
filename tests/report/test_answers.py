"""The page of a classify run: what it says, and what it does in a browser."""

import html
import re

import pytest
from browser import TOOLS, browse, decoded, fits, needs_browser, overflow, tags
from guesses import prediction, sure, views

from convscope.activations.predictions import rate
from convscope.report.classify import chosen, classify_page

SHOWN = (
    sure(1, 0, 0.9, 0),
    sure(2, 1, 0.6, 0),
    sure(3, 2, 0.8, 3),
    sure(4, 4, 0.5),
    prediction(5, [0.3, 0.1, 0.2, 0.25, 0.15], truth="zebrafish"),
)
ROW = {"wnid": "n01440764", "name": "tench", "photographs": 2, "top1": 1, "topk": 2,
       "mistake": "Chihuahua", "times": 1}  # fmt: skip


def page(shown=SHOWN, **changed):
    given = {
        "name": "efficientnet_lite0",
        "shown": shown,
        "views": views(shown),
        "total": len(shown),
        "large": 12,
        "rates": {k: rate(shown, k) for k in (1, 5)},
        "confidence": 0.62,
        "classes": [ROW],
        "facts": {"network": "efficientnet_lite0, 5 classes"},
        "notes": ["Three photographs are few."],
        "settings": {"stage": {"top": 5}},
    }
    return classify_page(**(given | changed))


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
    made = page(bare, classes=[])
    said = text(made)
    assert "3 photographs without labels: it is for you to say" in said
    assert "Best class right" not in said and "By label" not in said and "Wilson" not in said
    assert "rank of the truth" not in said
    one = page([prediction(1, [0.3, 0.1, 0.2, 0.25, 0.15], truth="zebrafish")], classes=[])
    assert "1 photograph with labels that the network does not know" in text(one)
    assert "zebrafish , no class of the network" in text(one)


def test_of_many_photographs_the_page_says_which_it_shows_and_stays_small():
    given = chosen([sure(n, n % 2, 0.5, 0) for n in range(5000)], 400)
    noisy = views(given[:1], 224)[given[0].path]
    made = page(given, views={one.path: noisy for one in given}, total=5000)
    assert "400 of 5,000 photographs: the 200 most confident mistakes" in text(made)
    sources = [given["src"] for tag, given in tags(made) if tag == "img" and "src" in given]
    assert {decoded(uri).shape for uri in sources[:3]} == {(114, 114, 3)}
    assert len(page().encode()) < 200_000


def test_what_a_file_or_folder_is_called_is_not_run():
    bad = "<script>alert(1)</script>"
    made = page([sure(1, 0, 0.5, truth=None, label=bad)], classes=[ROW | {"name": bad}])
    assert "<script>alert" not in made and bad in html.unescape(made)


def test_no_photograph_is_no_page():
    with pytest.raises(ValueError, match="needs at least one photograph"):
        page([])


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
        const account = find("view").querySelector(".account");
        const words = account.querySelector(".facts").textContent.replace(/\\s+/g, " ");
        const bars = account.querySelectorAll(".bar-row").length;
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
        page(classes=[ROW, more]),
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
    long = [
        sure(1, 0, 0.9, truth=1, label="black and gold garden spider of the longest name"),
        *SHOWN,
    ]
    widths = (320, 600, 1400)
    assert overflow(page(long), widths, tmp_path) == fits(widths)
