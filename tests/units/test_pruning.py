"""Of nested names the most specific ones that explain the rest are kept."""

import numpy as np
import pytest

from convscope.units.selectivity import Candidate, Moments, pruned

CLASSES = 40


def found(levels: dict[range, float], names: dict[str, range | list[int]], sign: int = 1) -> set:
    """Return which names are kept.

    Args:
        levels: {classes: how far their scores lie above those of the others}.
        names: {name: classes}.
        sign: of the names that begin with none.
    """
    ranks = np.linspace(-0.3, 0.3, CLASSES)[np.random.default_rng(0).permutation(CLASSES)]
    for classes, level in levels.items():
        ranks[classes] += level
    moments = Moments(np.ones(CLASSES), ranks, ranks**2)
    candidates = []
    for name, classes in names.items():
        members = np.isin(np.arange(CLASSES), list(classes))
        strength = abs(ranks[members].mean() - ranks[~members].mean())
        own = -1 if name.startswith("no ") else sign
        candidates.append(Candidate(members, members, own, strength, len(classes)))
    return {list(names)[place] for place in pruned(candidates, moments, moments)}


@pytest.mark.parametrize("sign", [1, -1])
def test_a_group_is_named_and_neither_its_parents_nor_its_children(sign: int) -> None:
    names = {
        "animal": range(20),
        "canine": range(12),
        "dog": range(9),
        "hound": range(4),
        "terrier": range(4, 7),
    }
    assert found({range(9): 2.0 * sign}, names, sign) == {"dog"}


def test_a_parent_whose_rest_fires_too_says_what_its_alike_children_say() -> None:
    names = {"dog": range(12), "hound": range(6)}
    assert found({range(12): 2.0}, names) == {"dog"}


def test_a_child_that_stands_out_is_named_beside_its_parent() -> None:
    names = {"dog": range(12), "hound": range(3)}
    assert found({range(12): 2.0, range(3): 3.0}, names) == {"dog", "hound"}


def test_two_children_that_are_the_whole_parent_are_said_by_it() -> None:
    names = {"dog": range(12), "hound": range(6), "terrier": range(6, 12)}
    assert found({range(12): 2.0}, names) == {"dog"}


def test_many_children_are_said_by_the_parent_with_few_exceptions() -> None:
    breeds = [{f"breed {place}": [place] for place in range(count)} for count in (10, 3)]
    assert found({range(10): 2.0}, {"dog": range(12)} | breeds[0]) == {"dog"}
    assert found({range(3): 2.0}, {"dog": range(12)} | breeds[1]) == set(breeds[1])


def test_two_groups_are_both_named_and_not_what_holds_them() -> None:
    names = {"animal": range(20), "dog": range(5), "bird": range(14, 20)}
    assert found({range(5): 2.0, range(14, 20): 2.0}, names) == {"dog", "bird"}


def test_what_shares_classes_with_a_kept_name_needs_more_than_those() -> None:
    names = {"dog": range(8), "pet": range(5, 14)}
    assert found({range(8): 2.0}, names) == {"dog"}
    assert found({range(14): 2.0}, names) == {"dog", "pet"}


def test_the_shadow_of_a_stronger_name_is_not_avoided() -> None:
    names = {"animal": range(15), "no artifact": range(15, 36)}
    assert found({range(15): 2.0}, names) == {"animal"}
    assert found({range(15): 2.0, range(15, 36): -2.0}, names) == set(names)
    halves = {"animal": range(20), "no artifact": range(20, 40)}
    assert found({range(20): 2.0}, halves) == {"animal"}


def test_a_parent_is_not_lifted_by_what_the_filter_avoids() -> None:
    names = {"animal": range(20), "dog": range(6), "no vehicle": range(24, 40)}
    assert found({range(6): 2.0, range(24, 40): -2.0}, names) == {"dog", "no vehicle"}


def test_a_parents_rest_must_show_on_the_other_half_too() -> None:
    parent, child = np.arange(CLASSES) < 12, np.arange(CLASSES) < 6
    candidates = [Candidate(own, own, 1, own.sum() / 10, own.sum()) for own in (parent, child)]
    spread = np.linspace(-0.3, 0.3, CLASSES)[np.random.default_rng(0).permutation(CLASSES)]
    both, one = spread + parent + 2 * child, spread + 3 * child
    moments = [Moments(np.ones(CLASSES), levels, levels**2) for levels in (both, one)]
    assert pruned(candidates, moments[0], moments[0]) == [0, 1]
    assert pruned(candidates, *moments) == [1]


def test_a_single_class_is_judged_by_its_images() -> None:
    # Three classes of 30 images: far, middle, near. Without the first, only two are left.
    counts, means = np.full(3, 30.0), np.array([2.0, 0.0, -1.0])
    moments = Moments(counts, counts * means, counts * (means**2 + 0.2))
    own = np.eye(3, dtype=bool)
    candidates = [Candidate(own[0], own[0], 1, 0.5, 1), Candidate(own[2], own[2], -1, 0.4, 1)]
    assert pruned(candidates, moments, moments) == [0, 1]


def test_a_class_stands_out_among_its_siblings_by_more_than_its_many_images() -> None:
    # 900 images tell 2.2 from 2.0, but siblings differ as much.
    means = np.array([2.2, 2.1, 2.0, 1.9, 1.8, 0.1, 0.0, -0.1, 0.2, -0.2])
    counts = np.full(10, 900.0)
    moments = Moments(counts, counts * means, counts * (means**2 + 0.2))
    parent, child = np.arange(10) < 5, np.arange(10) < 1
    candidates = [Candidate(own, own, 1, 0.5, own.sum()) for own in (parent, child)]
    assert pruned(candidates, moments, moments) == [0]


def test_equal_scores_and_no_candidates_leave_no_name() -> None:
    flat = Moments(np.ones(4), np.zeros(4), np.zeros(4))
    assert pruned([], flat, flat) == []
    own = np.array([[1, 0, 0, 0], [1, 1, 0, 0]], bool)
    assert pruned([Candidate(one, one, 1, 0.1, 1) for one in own], flat, flat) == [0]
