"""WordNet above ImageNet's classes: as many below a synset as is known, and groups of them."""

from graphlib import TopologicalSorter
from importlib.resources import files

import pytest

from convscope.data.wordnet import Taxonomy, taxonomy

CHEETAH, TENCH, DOG = "n02130308", "n01440764", "n02084071"


@pytest.mark.parametrize(
    ("wnid", "word", "count"),
    [
        (DOG, "dog", 118),
        ("n01503061", "bird", 59),
        ("n02121808", "domestic cat", 5),
        ("n01661091", "reptile", 36),
        ("n02512053", "fish", 16),
        ("n13134947", "fruit", 16),
        ("n04524313", "vehicle", 67),
        (CHEETAH, "cheetah", 1),
        ("n00001740", "entity", 1000),
    ],
)
def test_the_classes_below_a_synset_are_as_many_as_is_known(wnid, word, count):
    known = taxonomy()
    assert word in known.words[wnid]
    assert len(known.leaves(wnid)) == count


def test_there_are_a_thousand_classes_in_order_and_each_reaches_the_root():
    known = taxonomy()
    assert len(set(known.classes)) == 1000 and list(known.classes) == sorted(known.classes)
    assert known.classes[0] == TENCH and known.classes[999] == "n15075141"
    assert known.leaves("n00001740") == set(known.classes)
    assert [wnid for wnid, above in known.hypernyms.items() if not above] == ["n00001740"]
    assert all(known.leaves(wnid) == {wnid} for wnid in known.classes)


def test_the_hypernyms_form_no_cycle_and_name_nothing_unknown():
    known = taxonomy()
    TopologicalSorter(known.hypernyms).prepare()
    assert set(known.hypernyms) == set(known.words)
    assert {above for many in known.hypernyms.values() for above in many} <= set(known.words)
    assert all(known.leaves(wnid) for wnid in known.words)


def test_a_name_is_the_first_word_and_no_two_classes_share_one():
    known = taxonomy()
    assert known.name(CHEETAH) == "cheetah" and known.name(DOG) == "dog"
    assert known.name("n02012849") == "crane (wading bird)"
    assert known.name("n03126707") == "crane (lifting device)"
    assert len({known.name(wnid) for wnid in known.classes}) == 1000


# Above a and b stands ab, above it top; c lies below both twice and other; d below top alone.
SMALL = Taxonomy(
    classes=("a", "b", "c", "d"),
    words={name: (name,) for name in ("a", "b", "c", "d", "ab", "above", "twice", "other", "top")},
    hypernyms={
        "a": ("ab",), "b": ("ab",), "c": ("twice", "other"), "d": ("top",), "ab": ("above",),
        "above": ("top",), "twice": ("top",), "other": ("top",), "top": (),
    },
)  # fmt: skip


def test_synsets_with_the_same_classes_are_one_group_under_the_most_specific():
    assert SMALL.groups("abcd", least=2, share=0.5) == {"ab": {"a", "b"}}
    assert SMALL.groups("acd", least=2, share=0.5) == {"ab": {"a"}}
    # Of a alone, a itself is the most specific; c is deeper than what stands above it.
    assert SMALL.groups("acd", least=1, share=0.5) == {"a": {"a"}, "c": {"c"}, "d": {"d"}}
    assert list(SMALL.groups("abcd", least=1, share=0.5)) == ["ab", "a", "b", "c", "d"]


def test_a_group_holds_neither_all_nor_none_of_the_classes_present():
    assert SMALL.groups("ab", least=2, share=1.0) == {}
    assert SMALL.groups("abc", least=2, share=1.0) == {"ab": {"a", "b"}}
    assert SMALL.groups(["c", "d", "ab", "unknown"], least=2, share=1.0) == {}


def test_the_groups_of_imagenet_are_distinct_and_within_their_sizes():
    known = taxonomy()
    found = known.groups(known.classes)
    assert all(8 <= len(inside) <= 400 for inside in found.values())
    assert len(set(found.values())) == len(found) > 80
    assert all(inside == known.leaves(wnid) for wnid, inside in found.items())
    assert list(map(len, found.values())) == sorted(map(len, found.values()), reverse=True)
    assert {DOG, "n01503061", "n01661091", "n04524313"} <= set(found)
    assert "n02121808" not in found and "n00001740" not in found
    dogs = [wnid for wnid in known.classes if wnid in known.leaves(DOG)][::3]
    assert known.groups([*dogs, CHEETAH, TENCH])[DOG] == set(dogs)


def test_the_table_ships_with_its_licence_and_its_source():
    text = (files("convscope") / "data" / "WORDNET_LICENSE").read_text("utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved." in text
    assert "WordNet 3.0\n(https://wordnet.princeton.edu" in text
