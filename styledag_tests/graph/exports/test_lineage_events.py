"""A lineage as OpenLineage events: one for each build, with what it read and what it made."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from styledag.errors import PublishError
from styledag.graph.exports.lineage_events import MODELS, NAMESPACE, lineage_events
from styledag.graph.lineage import trace
from styledag.graph.tracing.ancestry import find_artifact
from styledag_tests.cli.made_project import MadeProject, made_project
from styledag_tests.whole.small_project import MODEL


@pytest.fixture
def made(tmp_path: Path, starter: Path) -> MadeProject:
    (tmp_path / "project").mkdir()
    return made_project(tmp_path / "project", starter)


def events_of(made: MadeProject, name: str) -> list[dict[str, Any]]:
    pytest.importorskip("openlineage.client")
    artifact = find_artifact(made.catalogue.store, name)
    events = lineage_events(made.catalogue.store, artifact, made.catalogue.stages)
    return [json.loads(line) for line in events.splitlines()]


def datasets(event: dict[str, Any], kind: str) -> dict[tuple[str, str], str]:
    return {
        (each["namespace"], each["name"]): each["facets"]["version"]["datasetVersion"]
        for each in event[kind]
    }


def test_each_build_is_a_run_with_what_it_read_and_what_it_made(made: MadeProject) -> None:
    events = events_of(made, MODEL)
    ancestors = trace(made.catalogue.store, made.model)
    builds = {
        (each.artifact.asset, each.artifact.version): each.artifact.build
        for each in ancestors
        if each.artifact is not None
    }
    assert len(events) == len(builds) > 1
    written: set[tuple[tuple[str, str], str]] = set()
    for event in events:
        ((dataset, version),) = datasets(event, "outputs").items()
        build = builds.pop((event["job"]["name"], version))
        assert event["eventType"] == "COMPLETE"
        assert datetime.fromisoformat(event["eventTime"]) <= datetime.now(UTC)
        read = datasets(event, "inputs")
        assert {each.version for each in build.inputs} == set(read.values())
        for (namespace, name), each in read.items():
            # Sources first, by the very names under which they were made.
            assert namespace == MODELS or ((namespace, name), each) in written
        written.add((dataset, version))
    assert not builds
    assert dataset == (NAMESPACE, f"ema_unet/{MODEL}")


def test_a_run_states_its_settings_and_has_the_same_id_each_time(made: MadeProject) -> None:
    *_, training = events_of(made, MODEL)
    parameters = {
        each["key"]: each["value"]
        for each in training["run"]["facets"]["executionParameters"]["parameters"]
    }
    recipe = made.model.build.settings["Recipe"]
    assert parameters["Recipe.epochs"] == str(recipe["epochs"])
    assert parameters["Recipe.ema.mode"] == recipe["ema"]["mode"]
    tags = {each["key"]: each["value"] for each in training["run"]["facets"]["tags"]["tags"]}
    assert (tags["style"], tags["recipe"]) == tuple(MODEL.split("."))
    assert training["job"]["facets"]["documentation"]["description"]
    *_, again = events_of(made, MODEL)
    assert again["run"]["runId"] == training["run"]["runId"]


def test_without_the_library_the_extra_is_named(
    made: MadeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openlineage.client.serde", None)
    with pytest.raises(PublishError, match=r"styledag\[openlineage\]"):
        lineage_events(made.catalogue.store, made.model, made.catalogue.stages)
