"""What a sentence says of groups of photographs, and what of it remains untested."""

import pytest

from convscope.hypothesis.preregistration import reading

DOG, WILD_DOG, WOLF, POLAR_BEAR = "n02084071", "n02115335", "n02114100", "n02134084"


@pytest.mark.parametrize(
    ("text", "synsets"),
    [
        ("It fires for a dog.", {"dog": DOG}),
        ("Dogs!", {"Dogs": DOG}),
        ("wild dogs", {"wild dogs": WILD_DOG}),  # the longest run of words counts
        ("dogs and wild dogs", {"dogs": DOG, "wild dogs": WILD_DOG}),
        ("wolves", {"wolves": WOLF}),
        ("the heads of polar bears", {"polar bears": POLAR_BEAR}),
        ("a dog, a domestic dog", {"dog": DOG}),  # said twice
        ("", {}),
    ],
)
def test_nouns_are_read_as_synsets(text: str, synsets: dict[str, str]) -> None:
    assert reading(text).synsets == synsets


def test_the_usual_meaning_counts_and_several_of_them_are_left_untested() -> None:
    assert reading("wheels").synsets == {"wheels": "n04574999"}  # not that of a bicycle
    (why,) = reading("a crane").untested.values()
    assert why == "means several things: n02012849, n03126707"


@pytest.mark.parametrize(
    ("text", "word", "why"),
    [
        ("curved text", "text", "not among the words of WordNet around ImageNet"),
        ("ears of dogs", "ears", "not among the words"),  # not those of corn
        ("dogs but not wolves", "wolves", "denied"),
        ("avoids wolves; fires for dogs", "wolves", "denied"),
        ("entities", "entities", "too wide"),
    ],
)
def test_what_is_not_tested_is_listed_with_the_reason(text: str, word: str, why: str) -> None:
    assert reading(text).untested[word].startswith(why)


def test_a_denial_ends_with_its_clause() -> None:
    found = reading("Not for wolves, but for dogs.")
    assert found.synsets == {"dogs": DOG}
    assert found.untested == {"wolves": "denied"}
