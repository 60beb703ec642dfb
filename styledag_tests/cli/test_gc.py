"""`styledag gc` lists first, and removes when it is told to."""

from pathlib import Path

import dagster as dg
import pytest

from styledag.defs.history import old_runs
from styledag.defs.opened_history import open_history
from styledag_tests.cli.conftest import Call
from styledag_tests.cli.made_project import MadeProject


@pytest.fixture(autouse=True)
def _in_project(made: MadeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.root)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


def test_it_lists_and_then_removes(made: MadeProject, call: Call) -> None:
    passed_by = made.add_dataset(range(7))
    made.add_dataset(range(8))
    listed = call("gc")
    assert passed_by.version[:12] in listed
    assert "in 1 folders, and 0 old runs can be removed: --delete removes them" in listed
    assert Path(passed_by.location).is_dir()
    assert "removed " in call("gc", "--delete")
    assert not Path(passed_by.location).exists()
    assert call("gc").startswith("0 bytes in 0 folders")


def test_models_that_are_declared_no_more_stay_unless_they_are_asked_for(
    made: MadeProject, call: Call
) -> None:
    path = made.root / "data" / "styles" / "small.yaml"
    path.write_text(path.read_text("utf-8").replace("\n  full:\n", "\n  other:\n"), "utf-8")
    told = call("gc", "--delete")
    assert "undeclared: " in told
    assert "folders, with --undeclared" in told
    assert Path(made.model.location).is_dir()
    call("gc", "--delete", "--undeclared")
    assert not Path(made.model.location).exists()


def test_training_states_stay_unless_they_are_asked_for(made: MadeProject, call: Call) -> None:
    state = made.catalogue.store.files.cache / "kept" / "ema_unet" / "small.full" / "run"
    state.mkdir(parents=True)
    call("gc", "--delete")
    assert state.is_dir()
    call("gc", "--delete", "--states")
    assert not state.exists()


def test_a_run_stays_as_long_as_something_shown_is_its_own(made: MadeProject) -> None:
    @dg.asset
    def number() -> None: ...

    @dg.asset
    def letter() -> None: ...

    with open_history(made.root) as instance:
        first = dg.materialize([number, letter], instance=instance).run_id
        second = dg.materialize([number], instance=instance).run_id
        assert set(old_runs(instance, days=1)) == set()
        assert set(old_runs(instance, days=-1)) == set()
        third = dg.materialize([number, letter], instance=instance).run_id
        assert set(old_runs(instance, days=-1)) == {first, second}
        instance.delete_run(first)
        assert instance.get_run_by_id(third) is not None
