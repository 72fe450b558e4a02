"""Classes of photographs by names, folders and tables; WordNet's groups by what is known."""

from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import Path

import pytest

from convscope.data.labels import Labels, of
from convscope.data.wordnet import Taxonomy, taxonomy

ROOT = Path("/photos")
CHEETAH, TENCH, DOG = "n02130308", "n01440764", "n02084071"


def below(*names: str) -> list[Path]:
    """Paths below the root; no file is opened."""
    return [ROOT / name for name in names]


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


def test_the_names_of_ilsvrcs_files_tell_the_class():
    found = of(below("n02130308_cheetah.JPEG", "n01440764_10026.JPEG", "x.JPEG", "n2_a.jpg"), ROOT)
    assert found == Labels(
        (CHEETAH, TENCH, None, None), {CHEETAH: "cheetah", TENCH: "tench"}, "file names"
    )
    assert of([Path("/a/n02130308_cheetah.JPEG")], None).keys == (CHEETAH,)


def test_unknown_synsets_are_called_what_their_files_say():
    names = ("n99999999_10.jpg", "n99999999_two_words.jpg", "n88888888_7.jpg", "n77777777.jpg")
    assert of(below(*names), ROOT).names == {
        "n99999999": "two words", "n88888888": "n88888888", "n77777777": "n77777777",
    }  # fmt: skip


def test_the_nearest_folder_named_after_a_synset_tells_the_class():
    paths = below(f"n00000001/{CHEETAH}/a/1.jpg", f"train/{TENCH}_tench/2.jpg", "3.jpg")
    found = of(paths, ROOT)
    assert found.keys == (CHEETAH, TENCH, None) and found.source == "folders"
    inside = Path(f"/data/{CHEETAH}")
    assert of([inside / "1.jpg", inside / "b" / "2.jpg"], inside).keys == (CHEETAH, CHEETAH)
    assert of([inside / "b" / "1.jpg"], inside / "b").source == "none"


def test_plain_folders_are_classes_where_there_are_several():
    found = of(below("cat/1.jpg", "cat/deep/2.jpg", "my dog/3.jpg", "4.jpg"), ROOT)
    assert found == Labels(
        ("cat", "cat", "my dog", None), {"cat": "cat", "my dog": "my dog"}, "folders"
    )
    one = of(below("cat/1.jpg", "cat/2.jpg", "3.jpg"), ROOT)
    assert one == Labels((None, None, None), {}, "none")
    assert of([Path("/a/cat/1.jpg"), Path("/a/dog/2.jpg")], None).source == "none"


def test_a_folder_whose_name_is_no_text_has_a_name_that_is():
    found = of(below("caf\udce9/1.jpg", "tea\ntime/2.jpg"), ROOT)
    assert found.keys == ("caf\\xe9", "tea\ntime")
    assert found.names == {"caf\\xe9": "caf\\xe9", "tea\ntime": "tea time"}


def test_one_source_is_taken_for_the_whole_set():
    # File names come first, though folders say something else.
    names = [f"{TENCH}/{CHEETAH}_{index}.jpg" for index in range(3)]
    assert set(of(below(*names), ROOT).keys) == {CHEETAH}
    # One name in three is not enough where the folders name all.
    mixed = below(f"cat/{CHEETAH}_1.jpg", "cat/2.jpg", "dog/3.jpg")
    assert of(mixed, ROOT).keys == ("cat", "cat", "dog")
    # It is, where nothing else names any.
    lonely = below(f"{CHEETAH}_1.jpg", "2.jpg", "3.jpg")
    assert of(lonely, ROOT) == Labels((CHEETAH, None, None), {CHEETAH: "cheetah"}, "file names")
    assert of([], ROOT).keys == ()


@pytest.mark.parametrize("root", [".", "/", "a/b", "a/b/"])
def test_any_root_is_understood(root):
    home = Path(root)
    found = of([home / "cat" / "1.jpg", home / "dog" / "2.jpg"], home)
    assert found.keys == ("cat", "dog")


def test_a_table_counts_before_names_and_folders_and_may_hold_plain_classes(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,label\nn02130308_1.jpg,a cat\nmissing.jpg,dog\n")
    found = of(below("n02130308_1.jpg", "n02130308_2.jpg"), ROOT, table)
    assert found.keys == ("a cat", None) and found.names == {"a cat": "a cat"}


def test_a_table_names_photographs_below_the_root_and_its_synsets_are_called_by_wordnet(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("image,wnid\na.jpg,n02130308\nsub/b.jpg,n01440764\nb.jpg,n02084071\n")
    found = of(below("a.jpg", "sub/b.jpg", "c.jpg"), ROOT, table)
    assert found == Labels((CHEETAH, TENCH, None), {CHEETAH: "cheetah", TENCH: "tench"}, str(table))
    with pytest.raises(ValueError, match=r"labels\.csv names none of the 1 photographs\. Its rows"):
        of(below("c.jpg"), ROOT, table)
