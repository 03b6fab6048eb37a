from __future__ import annotations

import pytest

from tests.campaigns.bench.rows import Goal, Row, missing, row

NGINX = row("nginx", "ms", [1.0, 9.0, 2.0])


def test_the_figure_is_the_median_and_the_spread_the_least_and_the_most() -> None:
    assert row("ours", "ms", iter([3.0, 1.0, 8.0])) == Row("ours", 3.0, "ms", (1.0, 8.0))


def test_the_ratio_is_that_of_the_medians_and_names_its_base() -> None:
    ours = row("ours", "ms", [3.0, 1.0, 8.0], against=NGINX, goal=Goal(1.5))
    assert (ours.ratio, ours.against, ours.reached) == (1.5, "nginx", True)


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [
        (Goal(1.5), 1.5, True),
        (Goal(1.5), 1.51, False),
        (Goal(300, at_least=True), 300, True),
        (Goal(300, at_least=True), 299, False),
    ],
)
def test_a_goal_bounds_from_above_or_from_below(goal: Goal, value: float, reached: bool) -> None:  # noqa: FBT001  a case
    assert goal.reached(value) is reached
    assert row("a", "s", [value * 2], against=row("b", "s", [2.0]), goal=goal).reached is reached


def test_without_a_ratio_the_goal_is_about_the_figure() -> None:
    assert row("memory", "bytes a series", [741.0], goal=Goal(700)).reached is False


def test_without_a_goal_nothing_is_reached_or_missed() -> None:
    assert row("ours", "ms", [3.0], against=NGINX).reached is None


def test_a_row_without_its_base_has_neither_ratio_nor_goal() -> None:
    ours = row("ours", "ms", [3.0], against=missing("nginx", "ms", "nginx is not installed"), goal=Goal(1.5))
    assert (ours.figure, ours.ratio, ours.goal, ours.reached) == (3.0, None, None, None)


def test_a_missing_row_has_the_reason_and_misses_no_goal() -> None:
    gone = missing("nginx", "ms", "nginx is not installed")
    assert (gone.figure, gone.note, gone.reached) == (None, "nginx is not installed", None)
