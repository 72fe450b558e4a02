"""Accuracies against published intervals, and what a label stands for, in cases made by hand."""

import pytest

from convscope.activations.predictions import Rate, Target, class_names, targets
from convscope.data.wordnet import taxonomy
from convscope.stats.inference import wilson

IMAGENET = taxonomy().classes
TENCH, DOG, CHIHUAHUA, BEAGLE = "n01440764", "n02084071", "n02085620", "n02088364"
MINE = (TENCH, CHIHUAHUA, BEAGLE, "red_panda", "Dog")


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0000),
    ],
)
def test_wilsons_interval_is_the_published_one(hits, total, low, high):
    assert wilson(hits, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("total", [1, 7, 10**6])
def test_none_and_all_end_exactly_at_zero_and_one(total):
    low, high = wilson(0, total)
    assert low == 0.0 and 0 < high < 1
    assert wilson(total, total) == (pytest.approx(1 - high), 1.0)


def test_the_interval_narrows_with_the_photographs_and_holds_the_share():
    widths = []
    for total in (4, 40, 400):
        low, high = wilson(total // 4, total)
        assert low < 0.25 < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("hits", "total"), [(-1, 5), (6, 5), (0, 0)])
def test_what_is_no_share_has_no_interval(hits, total):
    with pytest.raises(ValueError, match=f"{hits} of {total} is no share"):
        wilson(hits, total)


def test_a_rate_says_share_counts_and_interval():
    assert str(Rate(169, 206)) == "82 % (169 of 206; 95 % interval 76 to 87 %)"
    assert str(Rate(1169, 2060)) == "57 % (1,169 of 2,060; 95 % interval 55 to 59 %)"
    none = Rate(0, 0)
    assert (none.share, none.interval, str(none)) == (None, None, "unknown")


@pytest.mark.parametrize(
    ("key", "name", "target"),
    [
        (TENCH, "tench", Target(frozenset({0}), "key")),
        ("red_panda", "red_panda", Target(frozenset({3}), "key")),
        ("Red  Panda", "Red Panda", Target(frozenset({3}), "name")),
        ("TENCH", "TENCH", Target(frozenset({0}), "name")),
        ("Tinca_tinca", "Tinca_tinca", Target(frozenset({0}), "name")),  # another word of it
        ("dog", "dog", Target(frozenset({4}), "name")),  # the class of this name, not the group
        (DOG, "dog", Target(frozenset({4}), "name")),
        ("n99999999", "red panda", Target(frozenset({3}), "name")),  # named by its folder
        ("hound", "hound", Target(frozenset({2}), "group")),
        ("n02087122", "hunting dog", Target(frozenset({2}), "group")),
        ("n02083346", "canine", Target(frozenset({1, 2}), "group")),
        ("zebrafish", "zebrafish", None),
        ("n02123045", "tabby", None),
        ("n00000000", "n00000000", None),
    ],
)
def test_a_label_is_a_class_by_key_or_name_or_a_group_of_classes(key, name, target):
    assert targets([key], {key: name}, MINE).get(key) == target


def test_a_group_of_wordnet_stands_for_all_classes_below_it():
    found = targets([DOG, "dog", None], {}, IMAGENET)
    assert found.keys() == {DOG, "dog"}
    for one in found.values():
        assert one.how == "group" and len(one.places) == 118
        assert {IMAGENET[place] for place in one.places} == taxonomy().leaves(DOG)


def test_a_name_that_two_classes_share_stands_for_both():
    found = targets(["crane"], {}, IMAGENET)["crane"]
    assert found.how == "name"
    assert {IMAGENET[place] for place in found.places} == {"n02012849", "n03126707"}


def test_every_class_of_imagenet_is_itself_by_its_key():
    found = targets(IMAGENET, {}, IMAGENET)
    assert all(found[key].places == {place} for place, key in enumerate(IMAGENET))


def test_a_class_is_named_by_wordnet_or_as_it_is():
    assert class_names(["n03126707", TENCH, "red_panda"]) == [
        taxonomy().name("n03126707"), "tench", "red panda",
    ]  # fmt: skip
