"""When sources are asked, and when what they give is worth a training."""

import re
from pathlib import Path

import pytest
from dagster._utils.schedules import is_valid_cron_string

from styledag.errors import StyleFileError
from styledag.style.freshness import RetrainSettings, check_cron
from styledag.style.load import load_style
from styledag_tests.whole.small_project import STYLE, make_project

GOOD = [
    "0 3 * * *",
    "*/15 * * * *",
    "0 0-6/2 1,15 * 1-5",
    "59 23 31 12 7",
    "0 3 28-30 2 *",
    "0 3 31 2,3 *",
]
BAD = [
    "",
    "0 3 * *",
    "0 3 * * * *",
    "60 3 * * *",
    "0 24 * * *",
    "0 3 0 * *",
    "0 3 * 13 *",
    "0 3 * * 8",
    "5-1 * * * *",
    "*/0 * * * *",
    "0 3 31 2 *",
    "0 3 30,31 2 *",
    "0 3 30/1 2 *",
    "0 3 31 4,6 *",
    "0 3 31 4 1",
    "0 3 31 4,9-11/2 *",
    "nightly",
    "1,, * * * *",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_cron_string_is_one_that_the_scheduler_takes(text: str) -> None:
    check_cron(text)
    assert is_valid_cron_string(text)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_cron_string_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|has no day"):
        check_cron(text)


def write_style(root: Path, lines: str) -> Path:
    path = (
        make_project(root, Path("/starter"), "http://127.0.0.1:1").styles_folder / f"{STYLE}.yaml"
    )
    path.write_text(path.read_text() + lines)
    return path


def test_a_style_file_names_the_line_of_a_bad_refresh(tmp_path: Path) -> None:
    path = write_style(tmp_path, "refresh: 0 25 * * *\n")
    line = path.read_text().splitlines().index("refresh: 0 25 * * *") + 1
    with pytest.raises(
        StyleFileError, match=rf"{re.escape(str(path))}:{line}: refresh: '25' is no hour"
    ):
        load_style(path)


def test_a_style_file_without_refresh_or_retrain_is_as_before(tmp_path: Path) -> None:
    style = load_style(write_style(tmp_path, ""))
    assert style.refresh is None
    assert style.retrain == RetrainSettings()


@pytest.mark.parametrize(
    ("settings", "changed", "age_days", "is_worth"),
    [
        ({}, 1, 0.0, True),
        ({}, 0, 1000.0, False),
        ({"min_changed_images": 20}, 19, 1000.0, False),
        ({"min_changed_images": 20}, 20, 0.0, True),
        ({"min_changed_share": 0.25}, 24, 0.0, False),
        ({"min_changed_share": 0.25}, 25, 0.0, True),
        ({"max_age_days": 30.0}, 1, 29.9, False),
        ({"max_age_days": 30.0}, 1, 30.0, True),
        ({"max_age_days": 30.0}, 0, 31.0, False),
        ({"min_changed_images": 20, "max_age_days": 30.0}, 1, 31.0, True),
        ({"by_hand": True}, 100, 1000.0, False),
        ({"by_hand": True, "min_changed_images": 1}, 100, 1000.0, False),
    ],
)
def test_the_first_condition_that_holds_decides(
    settings: dict[str, float], changed: int, age_days: float, *, is_worth: bool
) -> None:
    retrain = RetrainSettings(**settings)  # type: ignore[arg-type]
    assert retrain.worth(changed=changed, images=100, age_days=age_days) == is_worth
