"""What a unit fires for is found where it is planted, and hardly ever where nothing is."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from convscope.data import wordnet
from convscope.data.dataset import halves
from convscope.data.splits import Panel, prepare
from convscope.units.selectivity import (
    COLUMNS,
    Association,
    Moments,
    Selectivity,
    jointly,
    pruned,
    rows,
    sparseness,
    studies,
    study,
)

TAXONOMY = wordnet.taxonomy()
SYNSETS = {TAXONOMY.words[wnid][0]: wnid for wnid in reversed(list(TAXONOMY.words))}


def photographs(classes: Sequence[str], each: int, seed: int, permutations: int = 1000) -> Panel:
    """Return a panel of so many photographs of each class, their files drawn at random."""
    keys = [key for key in classes for _ in range(each)]
    groups = TAXONOMY.groups(set(classes))
    names = {key: TAXONOMY.name(key) for key in [*groups, *classes]}
    digests = np.random.default_rng(seed).integers(0, 256, (len(keys), 32), dtype=np.uint8)
    return prepare(keys, groups, names, halves(digests), permutations=permutations, seed=seed)


@cache
def real(seed: int) -> Panel:
    """Return one photograph of each of 200 classes of ImageNet."""
    return photographs(TAXONOMY.classes[::5], 1, seed)


def within(panel: Panel, word: str) -> np.ndarray:
    """Return 1 for the photographs of a synset, otherwise 0."""
    leaves = TAXONOMY.leaves(SYNSETS[word])
    return np.array([panel.classes[code] in leaves for code in panel.codes], float)


def noise(panel: Panel, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(panel.codes))


def names(associations: Sequence[Association]) -> list[str]:
    return [one.name for one in associations]


def found(selectivity: Selectivity) -> bool:
    return any(one.q is not None and one.q < 0.05 for one in selectivity.tested)


# Nothing to be found


@pytest.mark.parametrize("runs", [20, pytest.param(200, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(("step", "each"), [(5, 1), (59, 12)])
def test_permuted_labels_give_a_small_q_in_at_most_five_percent_of_runs(
    step: int, each: int, runs: int
) -> None:
    hits = 0
    for seed in range(runs):
        panel = photographs(TAXONOMY.classes[::step], each, seed, permutations=300)
        hits += found(study(noise(panel, seed + 1000).astype(np.float16), panel))
    assert hits <= 0.05 * runs


@pytest.mark.parametrize("runs", [20, pytest.param(100, marks=pytest.mark.exhaustive)])
def test_classes_that_differ_do_not_make_groups_of_them_significant(runs: int) -> None:
    # Whole classes are high or low in both halves, so both halves share what chance makes.
    hits = 0
    for seed in range(runs):
        panel = photographs(TAXONOMY.classes[::7], 12, seed, permutations=300)
        levels = np.random.default_rng(seed).normal(size=len(panel.classes))[panel.codes]
        result = study(levels + noise(panel, seed), panel)
        assert any(one.significant for one in result.classes)
        hits += any(one.significant for one in result.groups)
    assert hits <= 0.05 * runs


# Something planted


@pytest.mark.parametrize("word", ["dog", "bird", "vehicle"])
def test_a_planted_group_is_named_and_neither_its_parent_nor_its_children(word: str) -> None:
    result = study(noise(real(0), 0) + 4 * within(real(0), word), real(0))
    assert names(result.fires) == [word]
    assert result.avoids == ()
    best = result.fires[0]
    assert best.auroc > 0.95
    assert best.low > 0.7
    assert best.q is not None
    assert best.q < 0.05
    assert best.p_max is not None
    assert best.p <= best.p_max < 0.05


def test_nested_groups_are_as_significant_and_only_pruned() -> None:
    result = study(noise(real(0), 0) + 4 * within(real(0), "dog"), real(0))
    significant = {one.name for one in result.groups if one.significant}
    assert significant >= {"dog", "canine", "carnivore", "hunting dog"}
    assert names(result.fires) == ["dog"]


def test_a_planted_group_is_found_where_classes_differ_and_have_many_photographs() -> None:
    panel = photographs(TAXONOMY.classes[::10], 12, 1)
    levels = np.random.default_rng(1).normal(0, 0.3, len(panel.classes))[panel.codes]
    result = study(noise(panel, 1) + levels + 5 * within(panel, "bird"), panel)
    assert names(result.fires)[0] == "bird"
    assert result.fires[0].auroc > 0.95
    assert "bird" not in names(result.classes)
    assert not {"animal", "vertebrate"} & set(names(result.fires))
    assert all(one.classes == 1 for one in result.fires[1:])


def test_a_planted_avoidance_is_named() -> None:
    result = study(noise(real(2), 0) - 4 * within(real(2), "bird"), real(2))
    assert names(result.avoids) == ["bird"]
    assert result.fires == ()
    assert result.avoids[0].auroc < 0.05


def test_two_far_groups_are_both_named() -> None:
    planted = within(real(0), "dog") + within(real(0), "vehicle")
    result = study(noise(real(0), 0) + 4 * planted, real(0))
    assert sorted(names(result.fires)) == ["dog", "vehicle"]
    assert result.avoids == ()


def test_what_fires_and_what_is_avoided_are_told_apart() -> None:
    planted = within(real(0), "dog") - within(real(0), "vehicle")
    result = study(noise(real(0), 0) + 4 * planted, real(0))
    assert (names(result.fires), names(result.avoids)) == (["dog"], ["vehicle"])
    assert jointly([result])[0] == result.fires[0]


def test_a_logit_unit_finds_its_own_class() -> None:
    panel = photographs(TAXONOMY.classes[::100], 20, 0)
    result = study(noise(panel, 0) + 6 * (panel.codes == 3), panel)
    own = result.fires[0]
    assert (own.kind, own.wnid) == ("class", TAXONOMY.classes[300])
    assert own.auroc > 0.999
    assert own.low > 0.8
    assert own.high == pytest.approx(1)
    assert len(result.fires) == 1
    assert result.avoids == ()


def test_the_clearest_name_stands_first() -> None:
    for stronger, weaker in (("dog", "vehicle"), ("vehicle", "dog")):
        planted = 6 * within(real(0), stronger) + 3 * within(real(0), weaker)
        for sign in (1, -1):
            result = study(sign * (noise(real(0), 0) + planted), real(0))
            named = result.fires if sign == 1 else result.avoids
            assert names(named) == [stronger, weaker]
            assert named[0].clear > named[1].clear > 0


# Figures


def plain(seed: int) -> tuple[np.ndarray, Panel]:
    """Return scores with ties and a panel of five classes of odd sizes, two groups above them."""
    sizes = {"a": 12, "b": 15, "c": 31, "d": 11, "e": 13}
    keys = [key for key, count in sizes.items() for _ in range(count)]
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(keys))
    groups = {"ab": frozenset("ab"), "bd": frozenset("bd")}
    shuffled = [keys[place] for place in order]
    panel = prepare(shuffled, groups, {"a": "ape"}, np.arange(82) % 2 == 0, permutations=200)
    return (generator.normal(size=82) + (panel.codes == 0)).round(1).astype(np.float32), panel


def test_figures_are_those_of_the_confirmation_half() -> None:
    scores, panel = plain(0)
    result = study(scores, panel)
    for one in result.tested:
        own = np.isin(panel.codes, [panel.classes.index(key) for key in one.wnid])
        inside = scores[own & ~panel.first].astype(float)
        beside = scores[~own & ~panel.first].astype(float)
        test = stats.mannwhitneyu(inside, beside)
        assert one.images == len(inside)
        assert one.mean == pytest.approx(inside.mean())
        assert one.auroc == pytest.approx(test.statistic / len(inside) / len(beside))
        if one.kind == "class":
            assert one.p == pytest.approx(test.pvalue, rel=1e-9)
        first = scores[own & panel.first], scores[~own & panel.first]
        wins = (first[0][:, None] > first[1]) + 0.5 * (first[0][:, None] == first[1])
        assert one.discovery == pytest.approx(wins.mean())
        assert one.low < one.auroc < one.high
        assert (one.effect > 0) == (inside.mean() > beside.mean())
    assert [one.auroc for one in result.classes] == sorted(
        [one.auroc for one in result.classes], reverse=True
    )
    assert {one.name for one in result.tested} == {"ape", "b", "c", "d", "e", "ab", "bd"}
    assert (result.discovery, result.confirmation) == (41, 41)


def test_q_is_that_of_benjamini_and_hochberg_over_the_chosen_and_all_shared_groups() -> None:
    found = 0
    for seed in range(8):
        scores, panel = plain(seed)
        result = study(scores, panel)
        assert result.shared
        family = [one for one in result.tested if one.chosen or one.kind == "group"]
        assert set(result.family) == set(family)
        among_all = stats.false_discovery_control([one.p for one in family])
        for kind in ("class", "group"):
            own = [one for one in family if one.kind == kind]
            if not own:
                continue
            among_own = stats.false_discovery_control([one.p for one in own])
            for one, q in zip(own, among_own, strict=True):
                wider = among_all[family.index(one)]
                assert one.q == (pytest.approx(max(q, wider)) if one.chosen else None)
        assert all(one.q is None for one in result.tested if not one.chosen)
        found += sum(one.chosen for one in result.tested)
    assert found > 5


def test_where_halves_share_no_class_the_chosen_groups_are_the_family() -> None:
    result = study(noise(real(0), 0) + 4 * within(real(0), "dog"), real(0))
    chosen = [one for one in result.groups if one.chosen]
    assert not result.shared
    assert set(result.family) == set(chosen) < set(result.groups)
    q = stats.false_discovery_control([one.p for one in chosen])
    np.testing.assert_allclose([one.q for one in chosen], q)


def test_an_association_that_turns_on_the_other_half_is_not_significant() -> None:
    result = study(noise(real(0), 0) + 4 * within(real(0), "dog"), real(0))
    best = result.fires[0]
    assert best.significant
    assert not replace(best, discovery=0.4).significant
    assert not replace(best, q=0.05).significant
    assert not replace(best, q=None).significant


def test_the_same_seed_gives_the_same_and_the_order_of_photographs_does_not_matter() -> None:
    scores, panel = plain(3)
    assert study(scores, panel) == study(scores, panel)
    order = np.random.default_rng(0).permutation(len(scores))
    keys = [panel.classes[code] for code in panel.codes[order]]
    groups = {"ab": frozenset("ab"), "bd": frozenset("bd")}
    again = prepare(keys, groups, {"a": "ape"}, panel.first[order], permutations=200)
    for one, other in zip(
        study(scores, panel).tested, study(scores[order], again).tested, strict=True
    ):
        assert (one.wnid, one.auroc, one.p, one.q) == (other.wnid, other.auroc, other.p, other.q)


def test_the_figures_only_hang_on_the_order_of_the_scores() -> None:
    scores, panel = plain(4)
    for one, other in zip(
        study(scores, panel).tested, study(np.exp(3 * scores), panel).tested, strict=True
    ):
        assert (one.auroc, one.p, one.low) == (other.auroc, other.p, other.low)


# What is set aside, and degenerate input


def test_photographs_without_score_are_set_aside() -> None:
    scores, panel = plain(5)
    gone = np.random.default_rng(5).random(82) < 0.2
    missing = np.where(gone, np.nan, scores).astype(np.float32)
    truth = study(scores[~gone], replace(
        panel, codes=panel.codes[~gone], first=panel.first[~gone]
    ))  # fmt: skip
    result = study(missing, panel)
    assert result.tested == truth.tested
    assert result.discovery + result.confirmation == np.sum(~gone)


def test_many_units_are_studied_as_each_alone() -> None:
    scores, panel = plain(6)
    other, missing = scores[::-1].copy(), scores.copy()
    missing[[3, 50]] = np.nan
    columns = [scores, missing, missing, other]
    assert list(studies(columns, panel)) == [study(one, panel) for one in columns]


def test_infinite_scores_rank_highest() -> None:
    scores, panel = plain(7)
    scores[panel.codes == 1] = np.inf
    best = study(scores, panel).classes[0]
    assert (best.wnid, best.auroc) == ("b", 1)
    assert best.effect > 0


@pytest.mark.parametrize(
    ("keys", "note"),
    [
        ([], "no labels"),
        ([None] * 7, "no labels"),
        (["a"] * 40, "All photographs are of one class"),
        (["a", "b"], "With one photograph of each class"),
    ],
)
def test_degenerate_photographs_give_no_result_but_a_note(keys: list, note: str) -> None:
    panel = prepare(keys, {"ab": frozenset("ab")}, {}, np.arange(len(keys)) % 2 == 0)
    result = study(np.arange(len(keys), dtype=np.float32), panel)
    assert result.tested == result.fires == result.avoids == ()
    assert note in result.notes[0]


def test_equal_scores_say_nothing_and_say_so() -> None:
    _, panel = plain(0)
    result = study(np.full(82, 0.1, np.float32), panel)
    assert "All scores are equal" in result.notes[-1]
    assert all((one.auroc, one.p, one.effect) == (0.5, 1, 0) for one in result.tested)
    assert result.family == tuple(one for one in result.groups)
    assert not study(np.full(82, np.nan), panel).tested


# Many units


def test_units_are_adjusted_jointly_and_the_best_name_fires_if_any_does() -> None:
    panel = real(0)
    fires = study(noise(panel, 0) + 4 * within(panel, "dog"), panel)
    avoids = study(noise(panel, 1) - 4 * within(panel, "vehicle"), panel)
    nothing = study(noise(panel, 2), panel)
    best = jointly([fires, avoids, nothing])
    assert replace(best[0], q=fires.fires[0].q) == fires.fires[0]
    assert replace(best[1], q=avoids.avoids[0].q) == avoids.avoids[0]
    assert best[2] is None
    tests = [one for result in (fires, avoids, nothing) for one in result.family]
    q = stats.false_discovery_control([one.p for one in tests])
    assert best[0].q == pytest.approx(q[tests.index(fires.fires[0])])
    assert best[0].significant
    assert jointly([]) == ()
    assert jointly([nothing, nothing]) == (None, None)


def test_a_unit_among_many_needs_a_smaller_p() -> None:
    panel = real(0)
    fires = study(noise(panel, 0) + 4 * within(panel, "dog"), panel)
    dull = [study(noise(panel, seed), panel) for seed in range(2, 40)]
    alone, among = jointly([fires])[0].q, jointly([fires, *dull])[0].q
    assert alone is not None
    assert among is not None
    assert alone < among


def test_a_row_of_the_table_holds_every_figure() -> None:
    found = study(*plain(0)).classes
    table = rows(found)
    assert len(table) == 5
    assert dict(zip(COLUMNS, table[1], strict=True)) == {
        **{name: value for name, value in asdict(found[1]).items() if name != "kind"},
        "significant": found[1].significant,
    }


# Sparseness


def test_sparseness_goes_from_all_alike_to_a_single_photograph() -> None:
    assert sparseness(np.full(7, 3.0)) == pytest.approx(0)
    assert sparseness(np.array([0, 0, 2, -5, np.nan, 0])) == pytest.approx(1)
    # Means 1.5 and 3.5 of (0, 1, 2, 3) and its squares: (1 - 2.25 / 3.5) / (1 - 1 / 4).
    assert sparseness(np.array([-1.0, 1, 2, 3])) == pytest.approx(10 / 21)
    assert sparseness(np.array([-1.0, 0, -2])) is None
    assert sparseness(np.array([1.0, np.nan])) is None


def test_sparseness_of_large_scores_does_not_overflow() -> None:
    assert sparseness(np.array([3e38, 0, 0], np.float32)) == pytest.approx(1)


# Of nested names the most specific ones that explain the rest are kept.

CLASSES = 40


def named(
    members: np.ndarray, signs: Sequence[int], strengths: Sequence[float]
) -> list[Association]:
    """Return associations of candidates with these classes `(candidates, classes)`."""
    figures = dict.fromkeys(Association.__annotations__, 0)
    return [
        Association(**figures | {"classes": own.sum(), "discovery": 0.5 + sign * strength})
        for own, sign, strength in zip(members, signs, strengths, strict=True)
    ]


def kept(levels: dict[range, float], names: dict[str, range | list[int]], sign: int = 1) -> set:
    """Return which names are kept.

    Args:
        levels: {classes: how far their scores lie above those of the others}.
        names: {name: classes}.
        sign: of the names that begin with none.
    """
    ranks = np.linspace(-0.3, 0.3, CLASSES)[np.random.default_rng(0).permutation(CLASSES)]
    for classes, level in levels.items():
        ranks[classes] += level
    members = np.array([np.isin(np.arange(CLASSES), list(one)) for one in names.values()])
    moments = Moments(members, np.ones(CLASSES), ranks, ranks**2)
    signs = [-1 if name.startswith("no ") else sign for name in names]
    strengths = [abs(ranks[own].mean() - ranks[~own].mean()) for own in members]
    return {list(names)[at] for at in pruned(named(members, signs, strengths), moments, moments)}


@pytest.mark.parametrize("sign", [1, -1])
def test_of_nested_groups_one_is_named_and_neither_its_parents_nor_its_children(sign: int) -> None:
    names = {
        "animal": range(20),
        "canine": range(12),
        "dog": range(9),
        "hound": range(4),
        "terrier": range(4, 7),
    }
    assert kept({range(9): 2.0 * sign}, names, sign) == {"dog"}


def test_a_parent_whose_rest_fires_too_says_what_its_alike_children_say() -> None:
    names = {"dog": range(12), "hound": range(6)}
    assert kept({range(12): 2.0}, names) == {"dog"}


def test_a_child_that_stands_out_is_named_beside_its_parent() -> None:
    names = {"dog": range(12), "hound": range(3)}
    assert kept({range(12): 2.0, range(3): 3.0}, names) == {"dog", "hound"}


def test_two_children_that_are_the_whole_parent_are_said_by_it() -> None:
    names = {"dog": range(12), "hound": range(6), "terrier": range(6, 12)}
    assert kept({range(12): 2.0}, names) == {"dog"}


def test_many_children_are_said_by_the_parent_with_few_exceptions() -> None:
    breeds = [{f"breed {place}": [place] for place in range(count)} for count in (10, 3)]
    assert kept({range(10): 2.0}, {"dog": range(12)} | breeds[0]) == {"dog"}
    assert kept({range(3): 2.0}, {"dog": range(12)} | breeds[1]) == set(breeds[1])


def test_two_groups_are_both_named_and_not_what_holds_them() -> None:
    names = {"animal": range(20), "dog": range(5), "bird": range(14, 20)}
    assert kept({range(5): 2.0, range(14, 20): 2.0}, names) == {"dog", "bird"}


def test_what_shares_classes_with_a_kept_name_needs_more_than_those() -> None:
    names = {"dog": range(8), "pet": range(5, 14)}
    assert kept({range(8): 2.0}, names) == {"dog"}
    assert kept({range(14): 2.0}, names) == {"dog", "pet"}


def test_the_shadow_of_a_stronger_name_is_not_avoided() -> None:
    names = {"animal": range(15), "no artifact": range(15, 36)}
    assert kept({range(15): 2.0}, names) == {"animal"}
    assert kept({range(15): 2.0, range(15, 36): -2.0}, names) == set(names)
    halves = {"animal": range(20), "no artifact": range(20, 40)}
    assert kept({range(20): 2.0}, halves) == {"animal"}


def test_a_parent_is_not_lifted_by_what_the_filter_avoids() -> None:
    names = {"animal": range(20), "dog": range(6), "no vehicle": range(24, 40)}
    assert kept({range(6): 2.0, range(24, 40): -2.0}, names) == {"dog", "no vehicle"}


def test_a_parents_rest_must_show_on_the_other_half_too() -> None:
    parent, child = np.arange(CLASSES) < 12, np.arange(CLASSES) < 6
    members = np.array([parent, child])
    candidates = named(members, [1, 1], members.sum(axis=1) / 10)
    spread = np.linspace(-0.3, 0.3, CLASSES)[np.random.default_rng(0).permutation(CLASSES)]
    both, one = spread + parent + 2 * child, spread + 3 * child
    moments = [Moments(members, np.ones(CLASSES), levels, levels**2) for levels in (both, one)]
    assert pruned(candidates, moments[0], moments[0]) == [0, 1]
    assert pruned(candidates, *moments) == [1]


def test_a_single_class_is_judged_by_its_images() -> None:
    # Three classes of 30 images: far, middle, near. Without the first, only two are left.
    counts, means = np.full(3, 30.0), np.array([2.0, 0.0, -1.0])
    own = np.eye(3, dtype=bool)[[0, 2]]
    moments = Moments(own, counts, counts * means, counts * (means**2 + 0.2))
    assert pruned(named(own, [1, -1], [0.5, 0.4]), moments, moments) == [0, 1]


def test_a_class_stands_out_among_its_siblings_by_more_than_its_many_images() -> None:
    # 900 images tell 2.2 from 2.0, but siblings differ as much.
    means = np.array([2.2, 2.1, 2.0, 1.9, 1.8, 0.1, 0.0, -0.1, 0.2, -0.2])
    counts = np.full(10, 900.0)
    members = np.array([np.arange(10) < 5, np.arange(10) < 1])
    moments = Moments(members, counts, counts * means, counts * (means**2 + 0.2))
    assert pruned(named(members, [1, 1], [0.5, 0.5]), moments, moments) == [0]


def test_equal_scores_and_no_candidates_leave_no_name() -> None:
    own = np.array([[1, 0, 0, 0], [1, 1, 0, 0]], bool)
    flat = Moments(own, np.ones(4), np.zeros(4), np.zeros(4))
    assert pruned(named(own, [1, 1], [0.1, 0.1]), flat, flat) == [0]
    assert pruned([], replace(flat, members=own[:0]), replace(flat, members=own[:0])) == []
