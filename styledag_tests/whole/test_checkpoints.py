"""Checkpoints in Dagster's records: fresh when logged, and those of the model that is current."""

import os
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.defs.parts import PartsLog
from styledag.defs.runs import Step, run_step, steps_of
from styledag.demo.wiki import DemoWiki
from styledag.errors import StorageError, StyledagError
from styledag.graph import drawing
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.snapshots import read_snapshots
from styledag.graph.tracing.ancestry import find_artifact
from styledag.project import Project
from styledag.sampling.sampler import Sampler
from styledag.training.optimising.optimisation import Optimisation
from styledag.training.snapshots import saving
from styledag_tests.whole.conftest import Undisturbed, copied
from styledag_tests.whole.small_project import MODEL, STYLE, edit, make_project

KEY = f"{MODEL}@e001"
TRAINING = ("encoded_dataset", "ema_unet")


@pytest.mark.usefixtures("in_folder")
def test_a_checkpoint_is_fresh_once_it_is_logged(undisturbed: Undisturbed) -> None:
    os.chdir(undisturbed.project.root)
    definitions = build_definitions(undisturbed.project)
    with open_history(undisturbed.project.root) as instance:
        resolver = CachingStaleStatusResolver(
            instance, definitions.resolve_asset_graph(), LoadingContextForTest(instance)
        )
        status = resolver.get_status(dg.AssetKey("checkpoint"), partition_key=KEY)
    assert status.value == "FRESH"


def train(project: Project) -> None:
    definitions = build_definitions(project)
    with open_history(project.root) as instance:
        for step in (steps_of(Catalogue(project), STYLE)[0], Step(TRAINING, MODEL)):
            run_step(definitions, instance, step)


def newest(project: Project, asset: str, partition: str) -> dg.AssetMaterialization:
    with open_history(project.root) as instance:
        record = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition]),
            limit=1,
        ).records[0]
    assert record.asset_materialization is not None
    return record.asset_materialization


def announced(project: Project) -> str:
    return str((newest(project, "checkpoint", KEY).tags or {})["dagster/data_version"])


def test_a_recipe_taken_back_finds_its_checkpoints_again(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    versions = []
    with copied(undisturbed, tmp_path / "project") as project:
        path = project.styles_folder / f"{STYLE}.yaml"
        first_text = path.read_text("utf-8")
        for text in (
            first_text,
            first_text.replace("epochs: 2", "epochs: 2\n    seed: 1"),
            first_text,
        ):
            path.write_text(text, "utf-8")
            train(project)
            found = find_artifact(Catalogue(project).store, f"{MODEL}@1")
            assert announced(project) == found.version
            versions.append(found.version)
    assert versions[0] == versions[2] != versions[1]


@pytest.mark.usefixtures("in_folder")
def test_checkpoints_that_a_thread_publishes_are_those_of_a_training_that_waits(
    undisturbed: Undisturbed,
    tmp_path: Path,
    starter: Path,
    wiki: DemoWiki,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a GPU a thread publishes them; a CPU has to be made to."""
    threads: dict[str, list[str]] = {}

    def note(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            threads.setdefault(name, []).append(threading.current_thread().name)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, noted)

    monkeypatch.setattr(saving, "trains_meanwhile", lambda _: True)
    note(drawing, "weights_version")
    note(Sampler, "draw")
    note(PartsLog, "log_part")
    project = make_project(tmp_path, starter, wiki.url)
    os.chdir(project.root)
    train(project)
    training = threading.current_thread().name
    # No step follows the second of two epochs.
    assert threads["weights_version"] == ["snapshots_0", training]
    assert threads["draw"] == threads["log_part"] == [training] * 2
    versions = undisturbed.outcome.versions
    for epoch in ("e001", "e002"):
        key = f"{MODEL}@{epoch}"
        assert current(project, key) == current(undisturbed.project, key)
    model = Catalogue(project).store.require("ema_unet", MODEL)
    assert model.version == versions["ema_unet", MODEL]


def current(project: Project, key: str) -> str:
    found = Catalogue(project).store.current("checkpoint", Partition.parse(key).stored_as)
    assert found is not None
    return found.version


def observed(project: Project) -> dict[str, str]:
    """Return the newest observation of each checkpoint: which version it is of."""
    with open_history(project.root) as instance:
        records = instance.fetch_observations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey("checkpoint")), limit=100
        ).records
    found = [each.asset_observation for each in reversed(records)]
    return {
        str(each.partition): str(each.metadata["version"].value)
        for each in found
        if each is not None and each.metadata["earlier"].value
    }


@pytest.mark.usefixtures("in_folder")
def test_checkpoints_of_an_earlier_training_are_marked_when_another_begins(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second training is cut after its first epoch, and resumed."""
    with copied(undisturbed, tmp_path / "project") as project:
        monkeypatch.chdir(project.root)
        first, second = f"{MODEL}@e001", f"{MODEL}@e002"
        earlier = {key: current(project, key) for key in (first, second)}
        before = Catalogue(project).store.require("ema_unet", MODEL).version
        train(project)
        assert observed(project) == {}
        edit(project, "    epochs: 2\n", "    epochs: 2\n    seed: 1\n")
        original = Optimisation.step

        def cut(*args: Any, **kwargs: Any) -> Any:
            if current(project, first) != earlier[first]:
                raise StorageError("no space left")
            return original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(Optimisation, "step", cut)
            with pytest.raises(StyledagError, match="no space left"):
                train(project)
        assert observed(project) == earlier
        assert current(project, second) == earlier[second]
        train(project)
        assert current(project, second) != earlier[second]
        changed = newest(project, "ema_unet", MODEL).metadata
        assert changed["changed_since"].value == before
        assert changed["changes"].value == "- seed\\: 0 is now 1"


@pytest.mark.usefixtures("in_folder")
def test_checkpoints_record_the_recipe_that_they_are_trained_with(
    tmp_path: Path, starter: Path, wiki: DemoWiki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The style file is saved while training runs: with another rate, then with half a line."""
    project = make_project(tmp_path, starter, wiki.url)
    os.chdir(project.root)
    path = project.styles_folder / f"{STYLE}.yaml"
    before = path.read_text("utf-8")
    edits = [before.replace("epochs: 2", "epochs: 2\n    learning_rate: 0.5"), "base: ["]
    original = Optimisation.step

    def edited(*args: Any, **kwargs: Any) -> Any:
        if edits:
            path.write_text(edits.pop(0), "utf-8")
        return original(*args, **kwargs)

    monkeypatch.setattr(Optimisation, "step", edited)
    train(project)
    assert path.read_text("utf-8") == "base: ["
    store = Catalogue(project).store
    model = store.require("ema_unet", MODEL)
    kept = read_snapshots(model)
    assert [each.epoch for each in kept] == [1, 2]
    trained = model.build.settings["Recipe"]
    for each in kept:
        checkpoint = store.by_version("checkpoint", each.partition, each.version)
        recorded = checkpoint.build.settings["Recipe"]
        # Which epochs are kept is the model's; how one is stored is the checkpoint's.
        assert recorded.keys() - trained.keys() == {"snapshot_format"}
        both = recorded.keys() & trained.keys()
        assert {name: recorded[name] for name in both} == {name: trained[name] for name in both}
        assert checkpoint.facts["loss"] == each.loss
    assert model.build.settings["Recipe"]["learning_rate"] != 0.5
