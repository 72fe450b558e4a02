"""What a page says of claims: the verdict, the numbers, what would refute, and what is missing."""

import re
from pathlib import Path

import jinja2
import numpy as np
import pytest

from convscope.hypothesis.claims import (
    CircuitSufficient,
    Edit,
    GroupSelective,
    Invariant,
    Monosemantic,
)
from convscope.hypothesis.evaluation import Finding, arguments
from convscope.hypothesis.preregistration import HypothesisSettings, Registered
from convscope.hypothesis.testing import Effect, Judged, judge
from convscope.optvis.reliability import Reliability
from convscope.report import html
from convscope.unit import Unit

WRAPPER = """{% extends "page.html" %}
{% from "claims.html" import claims_table, arguments_table, reliability_mark %}
{% block title %}Claims{% endblock %}
{% block style %}{% include "claims.css" %}{% endblock %}
{% block main %}
{{ claims_table(judged, record) }}
{{ arguments_table(arguments) }}
<p>{{ reliability_mark(reliability) }}</p>
{% endblock %}
"""
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


def judged() -> tuple[Judged, ...]:
    return judge(CLAIMS, EFFECTS, 0.05)


def record() -> dict[str, object]:
    hypothesis = HypothesisSettings("own", TEXT, 0.05, 0.7, CLAIMS)
    return Registered(hypothesis, "2024-05-01T12:00:00+0000").record()


@pytest.fixture
def wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that only this test has, beside those of the package."""
    environment = html._environment()
    loader = jinja2.ChoiceLoader([jinja2.DictLoader({"test.html": WRAPPER}), environment.loader])
    monkeypatch.setattr(environment, "loader", loader)


def text(**others: object) -> str:
    reliability = Reliability(Unit("top", 3), 17.0, 0.9996, ("low",), np.array([0.3]))
    use = Finding("for", "Ten filters of block5_conv1 read it.")
    names = {
        "judged": judged(),
        "record": record(),
        "arguments": arguments(judged(), reliability, {"feature use": use}),
        "reliability": reliability,
    }
    return html.render("test.html", **names | others)


@pytest.mark.usefixtures("wrapped")
def test_the_page_says_what_became_of_each_claim_and_what_would_refute_it(tmp_path: Path) -> None:
    html = text()
    (tmp_path / "claims.html").write_text(html)
    plain = " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main>")[2]).split())
    assert "The first claim decides: it is supported." in plain
    assert plain.count("refute") >= len(CLAIMS)
    verdicts = re.findall(r'class="verdict ([\w-]+)"', html)
    assert verdicts[1:6] == ["supported", "inconclusive", "refuted", "not-tested", "supported"]
    assert "0.840 0.760 to 0.900 0.700 &lt; 0.001 103" in plain
    assert str(judged()[1].needed) in plain
    assert "Whether its exemplars fall into kinds was not tested." in plain
    assert record()["sha256"] in html and "2024-05-01T12:00:00+0000" in html
    assert "&lt;dogs&gt;" in html and "<dogs>" not in html
    assert "4 of 7 are made here" not in plain and "3 of 7 are made here" in plain


@pytest.mark.usefixtures("wrapped")
def test_a_page_without_claims_says_so_and_words_that_are_not_tested_are_listed() -> None:
    hypothesis = HypothesisSettings("own", "It fires for text.", 0.05, 0.7, ())
    html = text(judged=(), record=Registered(hypothesis, "now").record())
    assert "No claim was made." in html
    assert "<b>text</b> (not among the words of WordNet around ImageNet)" in html
