"""The page of a circuit: a small network of known weights, pages made by hand, and claims."""

import re
from dataclasses import fields, replace
from html import unescape
from typing import Any

import numpy as np
import pytest
from browser import browse, decoded, fits, needs_browser, overflow, tags
from PIL import Image

from convscope.activations.recorder import fill
from convscope.circuits.attribution import LEAST, Sampler, read_by
from convscope.circuits.edges import analyze
from convscope.circuits.effects import SilencingInput
from convscope.circuits.multihop import CircuitPath, PathAnalysis
from convscope.circuits.weights import Downstream, DownstreamFilter
from convscope.hypothesis.claims import (
    CircuitSufficient,
    Edit,
    GroupSelective,
    Invariant,
    Monosemantic,
)
from convscope.hypothesis.evaluation import Evaluation, arguments
from convscope.hypothesis.measurements import Measurements
from convscope.hypothesis.preregistration import HypothesisSettings, Preregistration
from convscope.hypothesis.testing import Effect, decide
from convscope.models.backend import keras
from convscope.models.network import Network
from convscope.models.receptive_field import Inside
from convscope.models.zoo.checkpoints import Provenance
from convscope.optvis.ascent import Goal, Optimum
from convscope.optvis.reliability import Reliability
from convscope.report import html
from convscope.report.circuit import Report, circuit_page
from convscope.report.figures.canvas import kernel_colours
from convscope.report.figures.explorer import InputRow, UnitPictures
from convscope.settings import InputSettings
from convscope.text import number
from convscope.unit import IMAGE, Unit

MEASURED = ("top_shift", "drive", "release", "ablation", "covariance_share", "functional_sign")
pytestmark = pytest.mark.filterwarnings("error")


def plain(page: str) -> str:
    """Return the words of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


ROOT = Unit("b", 1)
# One slice for each of three inputs: rising L2, the second balanced to a sign index of 0.
KERNEL = np.array([[[0.1, 1.0, -3.0], [0.1, -1.0, -3.0]]], np.float32)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    image = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="a")
    second = keras.layers.Conv2D(2, (1, 2), padding="same", name="b")
    model = keras.Model(image, second(first(image)))
    second.set_weights([np.stack([KERNEL * 0, KERNEL], -1), np.array([0, 0.5], np.float32)])
    network = Network("tiny", model, lambda pixels: pixels, Provenance("by hand", "0"))
    folder = tmp_path_factory.mktemp("photographs")
    for at in range(3):
        noise = np.random.default_rng(at).integers(0, 255, (20, 31, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{at}.png")
    *_, recording = fill(network, ["b", "a"], sorted(folder.iterdir()), 16, 2)
    inputs = read_by(network, ROOT)
    sampler = Sampler(inputs.linear, 1, 8, 3, 0, Inside(range(1, 15), range(1, 14)), (16, 16))
    for seen in fill(network, ["b", "a"], sorted(folder.iterdir()), 16, 2):
        sampler.add(seen.latest, [True] * len(seen.latest.maps))
    settings = InputSettings("l2", 2, 8, 0.2, 0.05, 1, 5)
    findings = analyze(inputs, recording, sampler.sample(), settings, 0)
    circuit = findings.circuit
    picture = np.zeros((8, 8, 3), np.uint8)
    units = [ROOT, *(edge.source for edge in circuit.edges)]
    optima = {unit: Optimum(Goal(unit), picture, 2.0, 1.0, 0.0, 1.0, 1) for unit in units}
    measured = Measurements(network, findings, recording, None, [None] * 3, optima=optima)
    return Report(measured, crops=2)


def changed(report, **measured):
    """Return the report of other measurements."""
    return replace(report, measured=replace(report.measured, **measured))


def rewired(report, **circuit):
    """Return the report of another circuit."""
    findings = report.measured.findings
    other = replace(findings, circuit=replace(findings.circuit, **circuit))
    return changed(report, findings=other)


def notes(report):
    """Return what the page says to keep in mind, as text."""
    return plain(html.render("circuit_notes.html", report=report, least=LEAST))


def test_a_portrait_shows_the_optimum_and_the_strongest_photographs(report):
    portrait = report.root
    assert portrait.name == "b:1"
    assert portrait.alive
    assert portrait.optimum.shape == (8, 8, 3)
    assert len(portrait.crops) == 2
    assert portrait.crop_activations[0] >= portrait.crop_activations[1]


def test_an_optimum_that_is_not_alive_is_never_shown_and_is_named_below(report):
    silent = report.measured.circuit.edges[0].source
    optima = {
        **report.measured.optima,
        silent: replace(report.measured.optima[silent], activation=-1.0),
    }
    found = changed(report, optima=optima)
    assert found.pictures(silent).optimum is None
    assert found.pictures(silent).alive is False
    assert f"Not alive from any start, so without a picture: {silent}." in notes(found)
    assert "Not alive" not in notes(report)


def test_the_rows_are_the_edges_strongest_first(report):
    assert [row.unit.name for row in report.rows] == ["a:2", "a:1"]
    assert [row.label for row in report.rows] == ["inhibitory", "mixed"]


def test_the_notes_say_what_these_findings_cannot_carry(report):
    said = notes(report)
    assert "weights 'by hand'" in said
    assert "The 2 inputs shown hold" in said
    assert "the table has all 3" in said
    assert "3 photographs are few" in said
    assert "Mixed, with weights of both signs in near balance: a:1." in said


def test_the_notes_leave_out_what_does_not_apply(report):
    said = notes(rewired(report, count=1))
    assert "Mixed" not in said
    assert "could not be read" not in said


def test_the_notes_say_where_photographs_are_too_few_to_choose_and_to_measure(report):
    said = notes(report)
    assert "Ranked and measured on the same photographs" in said
    assert "The strong responses come from only" in said
    assert "sees beyond the edge" not in said and "want of memory" not in said
    sample = report.measured.findings.sample
    other = replace(sample, apart=True, whole=True, thinned=True)
    findings = replace(report.measured.findings, sample=other)
    said = notes(changed(report, findings=findings))
    assert "Ranked and measured on the same" not in said
    assert "Every position sees beyond the edge" in said and "want of memory" in said


def test_the_notes_say_where_weights_and_effect_disagree(report):
    circuit = report.measured.circuit
    found = np.array(["excitatory", "negligible", "excitatory"])
    effects = replace(circuit.effects, effect=found)  # of a:0, a:1 and a:2
    said = notes(rewired(report, effects=effects))
    assert "disagree: a:2 (inhibitory by weight, excitatory by effect)." in said
    assert "Strong by weight, negligible by effect: a:1." in said
    own = np.array(["excitatory", "negligible", "inhibitory"])
    assert "disagree" not in notes(rewired(report, effects=replace(effects, effect=own)))


def test_inputs_that_can_be_negative_come_with_a_word_about_their_sign(report):
    said = notes(rewired(report, lowest=np.array([0.0, -1.0, -2.0])))
    assert "2 of the 3 inputs can be negative" in said
    assert "can be negative" not in notes(report)


def test_maxima_at_the_border_are_told_where_they_are_more_than_their_share(report):
    peaks = report.measured.recording.observation.peaks["b"]
    rows = np.zeros_like(peaks.rows)
    observation = replace(
        report.measured.recording.observation, peaks={"b": replace(peaks, rows=rows)}
    )
    recording = replace(report.measured.recording, pages=[observation])
    said = notes(changed(report, recording=recording))
    assert "On 100 % of the photographs the unit responds most where it sees beyond" in said


def test_colours_for_inputs_come_with_a_word_about_their_sign(report):
    sources = tuple(Unit(IMAGE, channel) for channel in range(3))
    colours = rewired(report, sources=sources)
    assert "The inputs are colours" in notes(colours)
    assert "colours" not in notes(report)


def test_the_facts_name_weights_field_and_how_often_it_fires(report):
    facts = report.facts()
    assert facts["weights"] == "by hand"
    assert facts["receptive field"] == "3 x 4 pixels, a position every 1"
    rate = report.measured.recording.observation.peaks["b"].firing_rate[1]
    assert facts["measured on"] == "3 of them, 182 positions each"
    assert facts["strong response"].startswith("from ")
    assert facts["fires at"] == f"{100 * rate:.1f} % of positions on the photographs"


def test_the_page_lists_all_inputs_strongest_first(report):
    page = report.page([{"layer": "b", "filter": 1}], {"layer": "b"})
    places = [page.rindex(f"a<wbr>:{number}") for number in (2, 1, 0)]
    assert places == sorted(places)


def test_the_picture_is_8_bit_colour(report):
    for picture in (report.explorer(), report.graph):
        assert picture.dtype == np.uint8 and picture.shape[-1] == 3


def photograph(generator: np.random.Generator, side: int) -> np.ndarray:
    """Return an image that compresses about as badly as a real one."""
    coarse = generator.integers(0, 256, (side // 6, side // 6, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def parts(count: int, shape: tuple[int, int] = (3, 3), shown: int = 10, side: int = 96) -> dict:
    """Return all arguments of a page about a filter with `count` inputs, strongest first."""
    generator = np.random.default_rng(count)
    kernels = generator.normal(size=(count, *shape)) * 0.01 * generator.gamma(1, 1, (count, 1, 1))
    kernels = kernels[np.argsort(-(kernels**2).sum((1, 2)), kind="stable")]
    filters = generator.permutation(count).tolist()
    total = float((kernels**2).sum())
    table, rows = [], []
    for index, (kernel, filter_) in enumerate(zip(kernels, filters, strict=True)):
        positive, negative = kernel.clip(0).sum(), (-kernel).clip(0).sum()
        sign = float((positive - negative) / (positive + negative))
        label = "mixed" if abs(sign) < 0.2 else "excitatory" if sign > 0 else "inhibitory"
        entry = {
            "source": "block4_conv2", "filter": filter_, "name": f"block4_conv2:{filter_}",
            "l2": float(np.sqrt((kernel**2).sum())), "l1": positive + negative,
            "sum": positive - negative, "positive": positive, "negative": negative,
            "sign_index": sign, "label": label,
            "mostly": "mostly excitatory" if sign >= 0 else "mostly inhibitory",
            "majority": float((kernel > 0).mean()), "share": float((kernel**2).sum()) / total,
            "mean": float(generator.normal()), "rank_l2": index + 1, "in_ten": index < shown,
            "effect": label, **dict.fromkeys(MEASURED, 0.125), "rank_top_shift": 1,
            "rank_greedy": 2,
        }  # fmt: skip
        table.append(entry)
        if index < shown:
            crops = (photograph(generator, side), photograph(generator, side))
            optimum = photograph(generator, side)
            unit = UnitPictures(entry["name"], optimum, 9.0 + index, 1.0, True, crops, (7.0, 6.5))
            edge = dict.fromkeys(field.name for field in fields(InputRow)) | {"effect": ""}
            edge |= {name: entry[name] for name in
                     ("l2", "sign_index", "label", "mostly", "share", "mean")}  # fmt: skip
            rows.append(InputRow(**edge | {"unit": unit, "kernel": kernel.astype(np.float32)}))
    unit = replace(rows[0].unit, name="block4_conv3:17", optimum=photograph(generator, 224))
    return {
        "unit": unit, "rows": rows, "table": table, "kernel": np.moveaxis(kernels, 0, -1),
        "by": "L2",
        "facts": {"model": "vgg16", "bias": "0.5"},
        "optima": [{"layer": "block4_conv3", "filter": 17, "activation": 41.25, "alive": True}],
        "settings": {"layer": "block4_conv3", "ascent": {"steps": 96, "size": None, "decay": 0.5}},
    }  # fmt: skip


def without(unit: UnitPictures, **other: Any) -> UnitPictures:
    """Return `unit` as a colour input: nothing to ascend, nothing to crop."""
    empty: dict[str, Any] = {
        "optimum": None,
        "activation": None,
        "activation_mean": None,
        "alive": None,
    }
    return replace(unit, **(empty | {"crops": (), "crop_activations": ()} | other))


def test_the_page_asks_for_nothing():
    page = circuit_page(**parts(40))
    assert not re.search(r"https?:|@import|fetch\(|XMLHttp|<iframe|<object", page)
    assert set(re.findall(r"url\(([a-z]+:|[^d])", page)) == {"data:"}
    found = tags(page)
    loads = [value for _, given in found for key, value in given.items() if key in ("src", "href")]
    assert all(value.startswith("data:") for value in loads)
    policy = [given for _, given in found if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0]["content"].startswith("default-src 'none'")


def test_every_image_in_the_page_can_be_decoded():
    given = parts(40)
    page = circuit_page(**given)
    images = [decoded(uri) for uri in re.findall(r"data:image/[a-z]+;base64,[\w+/=]+", page)]
    assert len(images) == 1 + 10 + 2 * 11 + 2  # Optima, crops, the legend and the sprite.
    assert all(len(np.unique(image.reshape(-1, 3), axis=0)) > 1 for image in images)


@pytest.mark.parametrize("count", [3, 512, 2048])
def test_the_table_holds_every_input(count):
    given = parts(count, shown=min(10, count), side=48)
    page = circuit_page(**given)
    named = re.findall(r"</i><span>(block4_conv2)<wbr>:(\d+)</span>", page)
    assert [int(filter_) for _, filter_ in named] == [entry["filter"] for entry in given["table"]]
    assert f"All {count} inputs" in page
    assert len(page.encode()) < 2_500_000


def test_a_page_with_ten_large_optima_stays_modest():
    assert len(circuit_page(**parts(512, side=224)).encode()) < 2_500_000


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (1, 7), (7, 1), (11, 11)])
def test_the_sprite_holds_each_kernel_with_a_pixel_for_each_weight(shape):
    given = parts(70, shape, shown=2)
    page = circuit_page(**given)
    sprite = decoded(re.search(r"--sprite:url\((data:[^)]+)\)", page)[1])
    height, width = shape
    places = re.findall(r'class="kernel" style="--x:(\d+);--y:(\d+)"', page)
    assert len(places) == 70
    limit = np.abs(given["kernel"]).max()
    for at, (x, y) in enumerate(places):
        top, left = int(y) * (height + 2) + 1, int(x) * (width + 2) + 1
        colours = kernel_colours(given["kernel"][..., at], limit)
        assert np.array_equal(sprite[top : top + height, left : left + width], colours)


def test_the_kernels_of_the_rows_are_drawn_in_the_colours_of_the_tiles():
    given = parts(12, (2, 3), shown=1)
    kernel = given["rows"][0].kernel
    drawing = circuit_page(**given).split('class="tile"')[1].split("</svg>")[0]
    expected = kernel_colours(kernel, np.abs(given["kernel"]).max()).reshape(-1, 3)
    colours = ["#" + colour.tobytes().hex() for colour in expected]
    assert re.findall(r'fill="(#\w+)"', drawing) == colours


def test_hostile_names_are_shown_and_not_run():
    given = parts(12)
    hostile = '"><script>alert(1)</script>'
    given["unit"] = replace(given["unit"], name=hostile)
    given["rows"][0] = replace(given["rows"][0], unit=replace(given["rows"][0].unit, name=hostile))
    given["table"][0]["name"] = given["facts"]["model"] = hostile
    given["settings"][hostile] = [hostile]
    given["optima"][0]["layer"] = hostile
    page = circuit_page(**given)
    assert "<script>alert" not in page
    assert sum(tag == "script" for tag, _ in tags(page)) == 1
    assert page.count("&lt;script&gt;alert(1)") >= 7


def test_an_input_that_is_not_alive_has_a_placeholder_and_no_image():
    given = parts(12, shown=2)
    first = given["rows"][0]
    before = circuit_page(**given).count("data:image")
    given["rows"][0] = replace(first, unit=replace(first.unit, alive=False))
    page = circuit_page(**given)
    assert page.count("data:image") == before - 1
    assert '<span class="picture absent">not alive</span>' in page
    given["unit"] = replace(given["unit"], alive=False)
    assert circuit_page(**given).count("not alive") == 3


def test_colour_inputs_are_shown_as_their_colours():
    given = parts(3, shown=3)
    names = ("image:red", "image:green", "image:blue")
    given["rows"] = [
        replace(row, unit=without(row.unit, name=name), mean=None)
        for row, name in zip(given["rows"], names, strict=True)
    ]
    for entry in given["table"]:
        entry["mean"] = None
    page = circuit_page(**given)
    assert re.findall(r"background:(#(?:ff|00){3})", page) == ["#ff0000", "#00ff00", "#0000ff"]
    assert "no photograph" not in page
    assert "All 3 inputs are shown" in page


def test_a_mixed_input_says_which_side_it_leans_to():
    given = parts(12, shown=1)
    given["rows"][0] = replace(
        given["rows"][0], label="mixed", mostly="mostly inhibitory", sign_index=-0.125
    )
    page = circuit_page(**given)
    assert '<p class="text-inhibitory">mostly inhibitory</p>' in page
    assert '<span class="chip mixed">mixed</span>' in page
    assert "sign index \N{MINUS SIGN}0.12" in page


def test_three_crops_one_crop_and_none_are_all_shown():
    given = parts(12, shown=3)
    for index, count in enumerate((3, 1, 0)):
        crops = (np.full((5, 5, 3), 40 * index, np.uint8),) * count
        unit = replace(given["rows"][index].unit, crops=crops, crop_activations=(1.0,) * count)
        given["rows"][index] = replace(given["rows"][index], unit=unit)
    page = circuit_page(**given)
    assert len(re.findall(r'class="picture pixels"', page)) == 4
    assert page.count("no photograph") == 1


def test_the_same_run_gives_the_same_bytes():
    assert circuit_page(**parts(40)) == circuit_page(**parts(40))


def test_settings_are_named_as_they_are_typed():
    page = circuit_page(**parts(12))
    dash = "\N{EN DASH}"
    for name, value in (("ascent.steps", "96"), ("ascent.size", dash), ("ascent.decay", "0.5")):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page


def test_a_column_has_equally_many_decimals_and_no_minus_zero():
    given = parts(3, shown=1)
    for entry, mean in zip(given["table"], (2.5, -1e-9, None), strict=True):
        entry["mean"] = mean
    page = circuit_page(**given)
    assert all(f"<td>{words}</td>" in page for words in ("+2.500", "+0.000", "\N{EN DASH}"))


@needs_browser
def test_the_table_sorts_filters_and_shows_all_in_a_browser(tmp_path):
    given = parts(60, side=24)
    found = browse(
        circuit_page(**given),
        """
        const heads = [...document.querySelectorAll("#inputs thead th")];
        const head = (name) => heads.find((one) => one.textContent === name);
        const click = (name) => head(name).firstElementChild.click();
        const ranks = () => [...document.querySelectorAll("#inputs tbody tr:not([hidden])")]
          .map((row) => Number(row.cells[0].textContent));
        const more = document.getElementById("more"), filter = document.getElementById("filter");
        const found = { first: ranks(), label: more.textContent };
        more.click();
        found.all = ranks();
        found.label_all = more.textContent;
        click("mean");
        found.mean = ranks();
        found.mean_sort = head("mean").getAttribute("aria-sort");
        click("mean");
        found.mean_up = ranks();
        click("input");
        found.input = ranks();
        found.sorted = heads.filter((one) => one.hasAttribute("aria-sort")).length;
        filter.value = "inhibitory MIXED";
        filter.dispatchEvent(new Event("input"));
        found.mixed = ranks();
        found.said = document.getElementById("shown").textContent;
        more.click();
        filter.value = "";
        filter.dispatchEvent(new Event("input"));
        found.again = ranks();
        return found;
        """,
        tmp_path,
    )
    table = given["table"]

    def ranks(key, backwards=False):
        return [entry["rank_l2"] for entry in sorted(table, key=key, reverse=backwards)]

    assert found["first"] == list(range(1, 11))
    assert (found["label"], found["label_all"]) == ("Show all 60", "Show the first 10")
    assert found["all"] == list(range(1, 61))
    assert found["mean"] == ranks(lambda entry: entry["mean"], backwards=True)
    assert found["mean_sort"] == "descending"
    assert found["mean_up"] == ranks(lambda entry: entry["mean"])
    assert found["input"] == ranks(lambda entry: entry["filter"])
    assert found["sorted"] == 1
    mixed = [
        entry["rank_l2"]
        for entry in sorted(table, key=lambda entry: entry["filter"])
        if entry["label"] == "mixed" and entry["mostly"] == "mostly inhibitory"
    ]
    assert found["mixed"] == mixed
    assert found["said"] == f"{len(mixed)} of {len(mixed)} matching shown"
    assert found["again"] == found["input"][:10]


def measured(given: dict) -> dict:
    """Return the arguments of a page whose inputs were measured on photographs."""
    values = np.random.default_rng(0).normal(size=(len(given["rows"]), 4))
    given["rows"] = [
        replace(
            row, top_shift=a, drive=a, release=0.0, ablation=b, ablation_top=c, effect="inhibitory",
            functional_sign=-0.5, confidence=0.75, pattern="opponent", angle=d * 10,
        )
        for row, (a, b, c, d) in zip(given["rows"], values.tolist(), strict=True)
    ]  # fmt: skip
    return given


def test_measured_inputs_are_shown_with_their_effects():
    given = measured(parts(40))
    page = circuit_page(**given)
    first = given["rows"][0]
    assert page.count("by effect <b") == 10 and page.count("opponent, positive towards") == 10
    assert f"<b>{number(first.top_shift, signed=True)}</b>" in page


def faithfulness(report, **findings):
    """Return the section on faithfulness of changed findings, as a page."""
    found = changed(report, findings=replace(report.measured.findings, **findings))
    return found.page([{"layer": "b"}], {}).partition('id="enough"')[2].partition("</section>")[0]


def test_the_section_on_faithfulness_draws_curves_and_compares_rankings(report):
    page, found = faithfulness(report), report.measured.findings
    assert page.count('<figure class="panel">') == 3
    assert plain(found.sentence) in plain(page)
    rows = re.findall(r'<tr.*?<th scope="row" class="word">(.*?)</th>(.*)</tr>', page)
    assert [name for name, _ in rows][:2] == ["L2", "top shift"] and len(rows) == 8
    assert all(cells.count("<td") == 10 for _, cells in rows)
    order = found.circuit.orders["l2"].tolist()
    assert page.count('<tr class="ten">') == 1
    assert f'<td class="word which">{order[0]}, {order[1]}</td></tr>' in page
    assert "Two inputs chosen by" in page
    assert "Are these inputs enough?" not in circuit_page(**parts(40))


def test_the_inputs_that_the_response_needs_are_named(report):
    curves = report.measured.findings.curves
    page = plain(faithfulness(report, curves=replace(curves, p_holm=np.array([0.01, 1]))))
    assert "Left out alone, a:2 matters more to the strong responses" in page
    page = plain(faithfulness(report, curves=replace(curves, p_holm=np.ones(2))))
    assert "Left out alone" not in page


def test_inputs_that_silence_the_unit_are_listed_with_their_photographs(report):
    veto = SilencingInput(1, 1 / 3, 0.5, (0, 2), (4, 1))
    page = plain(faithfulness(report, silencing=(veto, SilencingInput(2, 0.0, 0.0, (), ()))))
    assert "a:1 alone keeps the unit silent at 33 % of positions, and at 50 % of those" in page
    assert "Most often on 0.png (4), 2.png (1)." in page
    assert "What inhibition prevents" not in plain(faithfulness(report, silencing=()))


def hops(report, **changes):
    """Return what the page says of two filters that read the unit, and of one path."""
    weights = np.ones((1, 1))
    clients = tuple(
        DownstreamFilter(
            Unit("next", at),
            1,
            ("relu",),
            weights,
            1.0,
            1.0,
            1.0,
            "excitatory",
            0.5,
        )
        for at in range(2)
    )
    path = CircuitPath(2, Unit(IMAGE, 0), Unit("a", 2), 0, 1, 0.5, 0.1, 0.4)
    names = ("recovery", "recovery_low", "recovery_high", "whole", "random", "none")
    reach = {f"paths_{name}": 0.25 for name in names}
    found = PathAnalysis(ROOT, Downstream(clients, ()), (path,), 2.0, (0.0,), reach, 3)
    page = changed(report, hops=replace(found, **changes)).page([{"layer": "b"}], {})
    return plain(page.partition("Beyond these inputs")[2].partition("</section>")[0])


def test_the_page_says_what_the_paths_carry_and_who_reads_the_unit(report):
    page = hops(report)
    assert (
        "The network run with these 1 path alone, all else held at its mean, recovers 25 %" in page
    )
    assert "b:1 is read by 2 filters of next." in page
    assert "image:red a:2 2 +0.500 25 %" in page
    assert "Multiplied out" not in page


def test_the_page_says_where_the_weights_mislead_and_what_no_path_explains(report):
    path = CircuitPath(2, Unit("a", 0), Unit("a", 2), 0, 1, 0.5, 0.1, 0.4, 1.0, 1.0, 0.7, 0.9)
    page = hops(report, paths=(path,), remainder=(0.5,))
    assert "the weights alone mislead for 1 of 1 sources (a:0: 70 % of its influence" in page
    assert "25 % of the rise is explained neither by paths nor by biases" in page
    agreeing = hops(report, paths=(replace(path, cancellation=0.1),))
    assert "the weights alone agree with what they do." in agreeing


def test_where_the_inputs_are_the_image_there_is_no_path_to_show(report):
    page = hops(report, paths=(), reach=None, downstream=Downstream((), ("flatten",)))
    assert "linear in its own inputs: no path to show." in page
    assert "No linear layer of this network reads b:1. Behind flatten the way on is not" in page
    alone = hops(report, paths=(), reach=None, remainder=())
    assert alone.startswith("b:1 is read by 2 filters of next.")


@needs_browser
def test_the_rows_come_in_another_order_in_a_browser(tmp_path):
    given = measured(parts(24, side=24))
    found = browse(
        circuit_page(**given),
        """
        const button = (key) => document.querySelector(`[data-key="${key}"]`);
        const rows = () => [...document.querySelectorAll(".rows > li")].map((one) => one.id);
        const found = { shown: !document.querySelector(".order").hidden };
        for (const key of ["top_shift", "ablation", "mean", "l2", "rank"]) {
          button(key).click();
          found[key] = rows();
        }
        found.pressed = [...document.querySelectorAll('[aria-pressed="true"]')].length;
        return found;
        """,
        tmp_path,
    )
    rows = list(enumerate(given["rows"], 1))
    for key in ("top_shift", "ablation", "mean", "l2"):
        expected = sorted(rows, key=lambda pair: -abs(getattr(pair[1], key)))
        assert found[key] == [f"input-{place}" for place, _ in expected]
    assert found["rank"] == [f"input-{place}" for place, _ in rows]
    assert found["shown"] and found["pressed"] == 1


@needs_browser
@pytest.mark.parametrize("measure", [pytest.param(dict, marks=pytest.mark.exhaustive), measured])
def test_nothing_runs_over_the_edge_of_a_narrow_page(tmp_path, measure):
    given = measure(parts(24, side=24))
    given["facts"]["weights"] = "sha256:" + "4f5d7e2a" * 8
    unit = replace(given["rows"][0].unit, name="conv4_block23_concat:1023")
    given["rows"][0] = replace(given["rows"][0], unit=unit)
    given["table"][0]["name"] = unit.name
    widths = (390, 820, 1280)
    assert overflow(circuit_page(**given), widths, tmp_path) == fits(widths)


CLAIMS = (
    GroupSelective("group_selective", ("n02084071",), 0.7),
    Invariant("invariant", "mirror", 0.7),
    CircuitSufficient("circuit_sufficient", 10, "l2", 0.5),
    Monosemantic("monosemantic"),
    Edit("edit", (3, 17), "top", 5.0),
)
EFFECTS = (
    Effect(0.84, 0.76, 0.9, 0.0002, 103, 0.7, 0.5),
    Effect(0.78, 0.62, 0.91, 0.11, 20, 0.7),
    Effect(0.22, 0.17, 0.28, 0.4, 61, 0.5),
    "Whether its exemplars fall into kinds was not tested.",
    Effect(7.1, 5.4, 9.2, 0.001, 61, 5.0),
)
TEXT = "It fires for <dogs>, whichever way they look."


def section(claims: tuple = CLAIMS, effects: tuple = EFFECTS, text: str = TEXT) -> str:
    """Return what the page says of a hypothesis."""
    hypothesis = HypothesisSettings("own", text, 0.05, 0.7, claims)
    registered = Preregistration(hypothesis, "2024-05-01T12:00:00+0000")
    results = decide(claims, effects, 0.05)
    said = arguments(
        results, Reliability(Unit("top", 3), 17.0, 0.9996, ("low",), np.array([0.3])), {}
    )
    return html.render("hypothesis.html", evaluation=Evaluation(registered, results, (), said))


def test_the_page_says_what_became_of_each_claim_and_what_would_refute_it():
    page, results = section(), decide(CLAIMS, EFFECTS, 0.05)
    text = plain(page)
    assert "The first claim decides: it is supported." in text
    assert text.count("refute") >= len(CLAIMS)
    verdicts = re.findall(r'class="verdict ([\w-]+)"', page)
    assert verdicts[1:6] == ["supported", "inconclusive", "refuted", "not-tested", "supported"]
    assert "0.840 0.760 to 0.900 0.700 < 0.001 103" in text
    assert str(results[1].needed) in text
    assert "Whether its exemplars fall into kinds was not tested." in text
    assert "SHA-256" in text and "2024-05-01T12:00:00+0000" in text
    assert "&lt;dogs&gt;" in page and "<dogs>" not in page
    assert "2 of 7 are made here" in text


def test_a_page_without_claims_says_so_and_words_that_are_not_tested_are_listed():
    page = section((), (), "It fires for text.")
    assert "No claim was made." in page
    assert "<b>text</b> (not among the words of WordNet around ImageNet)" in page
