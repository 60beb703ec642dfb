import pytest

from styledag.scoring.pareto import balances, pareto_front, recommended


def test_the_front_is_what_none_beats() -> None:
    points = [(0.0, 1.0), (0.5, 0.8), (0.4, 0.7), (1.0, 0.2), (1.0, 0.1), (0.5, 0.8)]
    assert pareto_front(points) == [True, True, False, True, False, True]


def test_balance_by_hand() -> None:
    points = [(0.0, 1.0), (0.5, 0.9), (1.0, 0.6)]
    assert balances(points) == pytest.approx([0, 2 * 0.5 * 0.75 / 1.25, 0])


def test_a_figure_that_is_the_same_for_all_decides_nothing() -> None:
    assert balances([(0.3, 0.2), (0.3, 0.4)]) == pytest.approx([0, 1])
    assert balances([(0.3, 0.2)] * 2) == [1, 1]


def test_the_balanced_one_is_recommended() -> None:
    assert recommended([(0.0, 1.0), (0.5, 0.9), (1.0, 0.6)], [0.0, 0.5, 1.0]) == 1


def test_of_equals_the_one_with_the_least_fine_tune() -> None:
    assert recommended([(0.1, 0.1)] * 3, [0.8, 0.4, 0.4]) == 1


def test_the_base_itself_is_not_recommended() -> None:
    assert recommended([(0.0, 1.0), (1.0, 0.6)], [0.0, 1.0]) == 1
    assert recommended([(0.0, 1.0)], [0.0]) == 0
