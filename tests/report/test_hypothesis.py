"""The first paragraph says what is significant and nothing else."""

import hashlib
import json
import re
from dataclasses import replace

import pytest

from convscope.report.rank import Claim, first
from convscope.units.selectivity import Association, Selectivity


def association(name: str, auroc: float = 0.9, q: float | None = 0.01) -> Association:
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


def selectivity(
    fires: tuple[Association, ...] = (),
    avoids: tuple[Association, ...] = (),
    tested: tuple[Association, ...] = (),
    images: int = 206,
) -> Selectivity:
    groups = tuple(one for one in tested if one.kind == "group")
    return Selectivity((), groups, fires, avoids, images // 2, images - images // 2, ())


def test_photographs_of_one_class_are_not_called_too_few() -> None:
    text = said(replace(selectivity(images=56), present=1))
    assert text.startswith("56 labelled photographs of one class: there is nothing to compare. It ")
    assert "too few" not in text


def said(found: Selectivity, rate: float | None = 0.1, **more: dict[str, str]) -> str:
    return first(found, (92, 90), rate, 206, "peak", **more).text


def test_what_fires_and_what_is_avoided_is_said_in_plain_words() -> None:
    fires, avoids = (association("dog"), association("wild dog")), (association("vehicle", 0.2),)
    assert said(selectivity(fires, avoids)) == (
        "Fires for: dog, wild dog. Avoids: vehicle. It looks at a patch of 92 x 90 pixels and is "
        "active at 10 % of positions."
    )
    assert said(selectivity(avoids=avoids)).startswith("Avoids: vehicle. It looks at")
    assert said(selectivity(fires[:1])).startswith("Fires for: dog. It looks at")


def test_the_numbers_stand_beside_the_paragraph() -> None:
    found = selectivity((association("dog", 0.9),), (association("vehicle", 0.2, 0.03),))
    made = first(found, (92, 90), 0.1, 206, "peak")
    assert (made.field, made.rate, made.images, made.score) == ((92, 90), 0.1, 206, "peak")
    dog, vehicle = made.findings
    assert (dog.name, dog.wnid, dog.fires, dog.images, dog.classes) == ("dog", "n-dog", True, 11, 4)
    assert (dog.auroc, dog.low, dog.high, dog.q) == pytest.approx((0.9, 0.82, 0.95, 0.01))
    assert (vehicle.fires, vehicle.auroc, vehicle.q) == (False, 0.2, 0.03)


def test_nothing_is_said_of_what_is_not_significant() -> None:
    found = selectivity(
        (association("dog"), association("cat", q=0.05)), (association("bus", 0.3, None),)
    )
    made = first(found, (3, 5), None, 206, "peak")
    assert [one.name for one in made.findings] == ["dog"]
    assert made.text == "Fires for: dog. It looks at a patch of 3 x 5 pixels."


def test_a_long_list_is_cut_and_counted() -> None:
    many = tuple(association(f"breed {place}") for place in range(8))
    made = first(selectivity(many), (92, 90), 0.1, 206, "peak")
    assert "breed 0, breed 1, breed 2, breed 3, breed 4 and 3 more." in made.text
    assert len(made.findings) == 8
    assert "breed 4." in said(selectivity(many[:5]))


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
    assert words in said(selectivity(), rate)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            selectivity(images=0),
            "206 photographs without labels: what it fires for cannot be told. It would take "
            "labels, such as a folder for each class. It looks at",
        ),
        (
            selectivity(images=17),
            "17 labelled photographs are too few to test any class or group. It would take 10 or "
            "more photographs of a class, and of other classes beside it. It looks at",
        ),
        (selectivity(images=1), "One labelled photograph is too few to test any class or group."),
        (
            selectivity(tested=(association("dog", q=0.2), association("cat", q=None))),
            "Nothing is significant among the 2 groups tested on 206 labelled photographs "
            "(q < 0.05). It would take more photographs to find a weaker preference, if there is "
            "one. It looks at",
        ),
        (selectivity(tested=(association("dog", q=0.2),)), "among the 1 group tested on"),
    ],
)
def test_where_nothing_is_significant_it_says_so_and_what_it_would_take(
    found: Selectivity, words: str
) -> None:
    text = said(found)
    assert text.startswith(words) or words in text
    assert not re.search("Fires for|Avoids", text)


def test_a_claim_is_kept_with_its_hash_and_its_time() -> None:
    claim = Claim("It fires for dogs: cafés.", "2026-05-09T07:35:25+00:00")
    record = json.loads(json.dumps(claim.record()))
    assert record == {
        "text": "It fires for dogs: cafés.",
        "sha256": hashlib.sha256("It fires for dogs: cafés.".encode()).hexdigest(),
        "time": "2026-05-09T07:35:25+00:00",
    }
    assert Claim("It fires for dogs.", claim.time).sha256 != claim.sha256


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_claim_without_words_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"says nothing\. Write a sentence, such as"):
        Claim(text, "2026-05-09T07:35:25+00:00")
