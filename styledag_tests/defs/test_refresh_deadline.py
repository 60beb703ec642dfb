"""When a style's images count as stale: `refresh_deadline` of automation."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from styledag.defs.code_location import build_definitions
from styledag_tests.whole.small_project import STYLE, make_project


@pytest.mark.parametrize(
    ("crons", "days"),
    [
        ((), None),
        (("0 3 * * *",), 2),
        (("0 3 * * 1-5",), 6),  # from Friday to Monday, twice
        (("0 3 1 1 *", "0 3 * * *"), 2),
    ],
)
def test_images_are_stale_after_two_refreshes_that_did_not_take_place(
    tmp_path: Path, starter: Path, crons: tuple[str, ...], days: int | None
) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    text = (project.styles_folder / f"{STYLE}.yaml").read_text()
    for number, cron in enumerate(crons):
        path = project.styles_folder / f"style{number}.yaml"
        path.write_text(f"{text}refresh: {cron}\n")

    graph = build_definitions(project).resolve_asset_graph()

    policy = graph.get(dg.AssetKey("raw_images")).freshness_policy
    found = None if policy is None else policy.fail_window.to_timedelta()
    assert found == (None if days is None else timedelta(days=days))
    assert graph.get(dg.AssetKey("jpeg_images")).freshness_policy is None
