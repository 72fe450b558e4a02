"""Photographs are halved by their content, and only what they can carry is tested."""

import hashlib
from itertools import permutations

import numpy as np
import pytest

from convscope.data.dataset import halves
from convscope.data.splits import Half, Panel, prepare
from convscope.stats import roc


def digests(count: int) -> np.ndarray:
    """Return what SHA-256 makes of `count` different files."""
    made = [hashlib.sha256(f"photograph {place}".encode()).digest() for place in range(count)]
    return np.array([list(digest) for digest in made], np.uint8).reshape(count, 32)


def alternating(count: int) -> np.ndarray:
    return np.arange(count) % 2 == 0


def ready(sizes: dict[str, int], groups: dict[str, str] | None = None, **rules: int) -> Panel:
    """Return a panel of classes of these sizes, their photographs half and half."""
    keys = [key for key, count in sizes.items() for _ in range(count)]
    sets = {name: frozenset(members.split()) for name, members in (groups or {}).items()}
    rules = {"permutations": 50} | rules
    return prepare(keys, sets, {}, alternating(len(keys)), **rules)


# Halves


def test_a_photograph_stays_in_its_half_whatever_lies_beside_it() -> None:
    every = digests(301)
    assert halves(every)[7::5].tolist() == halves(every[7::5]).tolist()
    copies = np.concatenate([every, every[::-1]])
    assert halves(copies).tolist() == [*halves(every), *halves(every)[::-1]]


def test_the_halves_are_those_of_even_and_odd_first_bytes() -> None:
    every = np.zeros((4, 32), np.uint8)
    every[:, 0] = 0, 1, 254, 255
    every[:, 1:] = 7
    assert halves(every).tolist() == [True, False, True, False]
    assert halves(digests(0)).tolist() == []


def test_the_halves_are_balanced() -> None:
    # 10,000 coins with a deviation of 50.
    assert abs(int(halves(digests(10_000)).sum()) - 5000) < 200


# What can be tested


def test_a_class_needs_photographs_in_all_and_in_each_half() -> None:
    panel = ready({"a": 12, "b": 9, "c": 10, "d": 30})
    assert [panel.classes[place] for place in panel.alone] == ["a", "c", "d"]
    first = np.array([True] * 9 + [False] * 2 + [True, False] * 14)
    panel = prepare(["a"] * 11 + ["b"] * 14 + ["c"] * 14, {}, {}, first)
    assert [panel.classes[place] for place in panel.alone] == ["b", "c"]
    panel = prepare(["a"] * 11 + ["b"] * 14, {}, {}, first[:25])
    assert panel.keys == ()  # two photographs beside it are too few


def test_a_group_needs_photographs_and_two_classes_inside_and_beside_it() -> None:
    sizes = {"a": 4, "b": 4, "c": 6, "d": 3, "e": 1, "f": 6}
    groups = {
        "ab": "a b", "c": "c", "de": "d e", "abcde": "a b c d e", "cz": "c z", "abcd": "a b c d",
    }  # fmt: skip
    assert ready(sizes, groups).together == ("ab",)
    sizes |= {"e": 4}
    assert ready(sizes, groups).together == ("ab", "de", "abcd")


def test_keys_and_sizes_go_from_classes_to_groups() -> None:
    panel = ready({"b": 12, "a": 11, "c": 4, "d": 4}, {"second": "b c d z", "first": "a c"})
    assert panel.keys == ("a", "b", "first")
    assert panel.sizes == (1, 1, 2)
    assert panel.confirmation.tested.tolist() == [
        [True, False, False, False], [False, True, False, False], [True, False, True, False],
    ]  # fmt: skip


def test_classes_in_one_half_only_are_not_shared() -> None:
    keys = [f"c{place}" for place in range(9)]
    assert not prepare(keys, {}, {}, alternating(9)).shared
    assert prepare([*keys, "c0"], {}, {}, alternating(10)).shared


def test_a_label_for_each_photograph_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"2 labels for 3 photographs\. Give one for each\."):
        prepare(["a", "b"], {}, {}, alternating(3))


# Permutations


def half(counts: list[int], members: list[list[int]], draws: np.ndarray) -> Half:
    codes = np.repeat(np.arange(len(counts)), counts)
    return Half(
        places=np.arange(len(codes)),
        codes=codes,
        classes=np.arange(len(counts)),
        counts=np.array(counts),
        alone=np.array([], int),
        members=np.array(members, bool),
        draws=draws,
    )


def test_statistics_are_those_of_a_plain_loop_over_all_permutations_of_whole_classes() -> None:
    counts, members = [3, 1, 2, 2, 1], [[1, 1, 0, 0, 0], [0, 1, 1, 0, 1]]
    draws = np.array(list(permutations(range(5)))).T
    part = half(counts, members, draws)
    scores = np.random.default_rng(0).normal(size=9).round(1)
    blocks = np.split(scores, np.cumsum(counts)[:-1])
    truth = np.zeros((2, 120))
    for place, own in enumerate(members):
        for column, order in enumerate(draws.T):
            # The group keeps its seats; whole classes change them.
            inside = np.concatenate([blocks[c] for c, seat in zip(order, own, strict=True) if seat])
            beside = np.concatenate(
                [blocks[c] for c, seat in zip(order, own, strict=True) if not seat]
            )
            won = (inside[:, None] > beside) + 0.5 * (inside[:, None] == beside)
            truth[place, column] = won.mean()
    truth = np.abs(truth - truth.mean(axis=1, keepdims=True)) / truth.std(axis=1, keepdims=True)
    np.testing.assert_allclose(part.statistics(roc.ranking(scores)), truth, atol=1e-9)


def test_memory_is_bounded_by_blocks_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = ready({"a": 4, "b": 6, "c": 5, "d": 8}, {"ab": "a b", "bc": "b c"})
    order = roc.ranking(np.random.default_rng(1).normal(size=11))
    whole = panel.confirmation.statistics(order)
    monkeypatch.setattr("convscope.data.splits.BLOCK", 30)
    again = ready({"a": 4, "b": 6, "c": 5, "d": 8}, {"ab": "a b", "bc": "b c"})
    np.testing.assert_array_equal(again.confirmation.statistics(order), whole)


def test_the_permutations_hang_on_the_seed_and_begin_with_none() -> None:
    sizes, groups = {key: 6 for key in "abcdefg"}, {"abc": "a b c"}
    one, same, other = (ready(sizes, groups, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.confirmation.draws, same.confirmation.draws)
    assert not np.array_equal(one.confirmation.draws, other.confirmation.draws)
    assert not np.array_equal(one.confirmation.draws, one.discovery.draws)
    assert one.confirmation.draws.shape == (7, 51)
    assert one.confirmation.draws[:, 0].tolist() == list(range(7))
    assert np.all(np.sort(one.confirmation.draws, axis=0) == np.arange(7)[:, None])


def test_without_groups_nothing_is_permuted() -> None:
    assert ready({"a": 12, "b": 12}).confirmation.draws.shape == (2, 1)


# Notes


@pytest.mark.parametrize(
    ("sizes", "groups", "note"),
    [
        ({}, {}, "The photographs have no labels, so classes and groups cannot be tested."),
        ({"a": 30}, {}, "All photographs are of one class: there is nothing to compare."),
        (
            {key: 1 for key in "abcdefghijklmn"},
            {"some": "a b c d e f g"},
            "With one photograph of each class no single class can be significant; groups of "
            "classes are tested instead.",
        ),
        ({"a": 1, "b": 1}, {}, "no single class can be significant; nor can groups."),
        (
            {"a": 4, "b": 7},
            {},
            "No class has 10 photographs, 3 of them in each half (the largest has 7), so no "
            "single class can be tested; nor can groups.",
        ),
        (
            {"a": 40, "b": 30, "c": 9},
            {},
            "1 of 3 classes have fewer than 10 photographs, or fewer than 3 in a half: not tested "
            "alone.",
        ),
        ({"a": 40, "b": 30}, {}, "No groups above the classes are known."),
        (
            {"a": 40, "b": 30},
            {"ab": "a b"},
            "No group has 3 photographs of 2 classes in each half and as many beside it, so no "
            "group can be tested.",
        ),
        (
            {key: 20 for key in "abcde"},
            {"ab": "a b"},
            "5 classes in the confirmation half and 50 permutations are too few for any group to "
            "be significant.",
        ),
    ],
)
def test_notes_say_what_the_photographs_cannot_carry(
    sizes: dict[str, int], groups: dict[str, str], note: str
) -> None:
    assert any(note in found for found in ready(sizes, groups).notes)


def test_enough_photographs_of_enough_classes_need_no_note() -> None:
    assert ready({key: 20 for key in "abcdefg"}, {"abc": "a b c"}).notes == ()
    few = ready({key: 20 for key in "abcdefg"}, {"abc": "a b c"}, permutations=19)
    assert "7 classes in the confirmation half and 19 permutations are too few" in few.notes[0]


def test_unlabelled_photographs_are_left_out_and_counted() -> None:
    keys = ["a", None, "b", None, None] * 8
    panel = prepare(keys, {}, {}, alternating(40))
    assert panel.notes[0] == "24 of 40 photographs have no label, or could not be read: left out."
    assert panel.counts.tolist() == [[4, 4], [4, 4]]


def test_photographs_can_be_taken_out_of_a_panel() -> None:
    panel = ready({"a": 12, "b": 12}, min_images=9)
    gone = np.arange(24) < 4
    assert panel.without(gone).counts.sum(axis=0).tolist() == [8, 12]
    assert panel.without(gone).keys == ("b",)
