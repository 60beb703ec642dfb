import pytest

from styledag.scoring.pareto import balances, pareto_front, recommended


def test_the_front_is_what_none_beats() -> None:
    points = [(0.0, 1.0), (0.5, 0.8), (0.4, 0.7), (1.0, 0.2), (1.0, 0.1), (0.5, 0.8)]
    assert pareto_front(points) == [True, True, False, True, False, True]


def test_balance_by_hand() -> None:
    points = [(0.5, 0.9), (1.0, 0.6)]
    assert balances(points) == pytest.approx([2 * 0.5 * 0.75 / 1.25, 0])
    assert balances([(0.0, 1.0), *points]) == pytest.approx([0, *balances(points)])


def test_a_figure_that_is_the_same_for_all_decides_nothing() -> None:
    assert balances([(0.0, 0.5), (0.0, 1.0)]) == pytest.approx([0, 1])
    assert balances([(0.0, 1.0)] * 2) == [1, 1]
    assert balances([]) == []


def test_the_balanced_one_is_recommended() -> None:
    assert recommended([0, 0.6, 0], [0.0, 0.5, 1.0], [False, True, True]) == 1


def test_of_equals_the_one_with_the_least_fine_tune() -> None:
    assert recommended([0.5] * 3, [0.8, 0.4, 0.4], [True] * 3) == 1


def test_what_is_not_eligible_is_not_recommended() -> None:
    assert recommended([0.9, 0.1], [0.0, 1.0], [False, True]) == 1
    assert recommended([0.9], [1.0], [False]) is None
