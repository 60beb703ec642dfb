"""What is removed is what nothing current came from; all else can be read as before."""

import fcntl
from pathlib import Path

import pytest

from styledag.errors import ArtifactBusyError, StorageError
from styledag.graph.garbage import find_garbage, remove_garbage
from styledag.graph.lineage import trace
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.graph.tracing.ancestry import lineage_of
from styledag_tests.cli.made_project import MadeProject, made_project
from styledag_tests.whole.small_project import MODEL, STYLE


@pytest.fixture
def made(tmp_path: Path, starter: Path) -> MadeProject:
    root = tmp_path / "project"
    root.mkdir()
    return made_project(root, starter)


def work_folder(made: MadeProject, asset: str, key: str) -> Path:
    folder = made.catalogue.store.files.cache / "work" / asset / STYLE / key
    (folder / "scratch").mkdir(parents=True)
    (folder / "scratch" / "half").write_bytes(bytes(1000))
    folder.with_suffix(".lock").touch()
    return folder


def test_a_version_that_nothing_came_from_is_removed_and_no_other(made: MadeProject) -> None:
    assert find_garbage(made.catalogue) == []
    passed_by = made.add_dataset(range(7))
    current = made.add_dataset(range(8))
    (garbage,) = find_garbage(made.catalogue)
    assert (garbage.kind, garbage.asset, garbage.partition) == ("artifact", "image_dataset", STYLE)
    assert garbage.name == passed_by.name
    assert garbage.size_bytes == sum(
        path.stat().st_size for path in passed_by.folder.rglob("*") if path.is_file()
    )
    remove_garbage(made.catalogue, [garbage])
    assert not Path(passed_by.location).exists()
    store = made.catalogue.store
    assert store.find(plan_like(made, passed_by.build.key)) is None
    current.verify()
    # The dataset that the model was trained on is not current, and stays.
    assert lineage_of(trace(store, made.model)).dataset_versions == (made.dataset.version,)
    made.dataset.verify()
    assert find_garbage(made.catalogue) == []


def test_what_no_style_file_declares_any_more_is_a_kind_of_its_own(made: MadeProject) -> None:
    path = made.root / "data" / "styles" / f"{STYLE}.yaml"
    text = path.read_text("utf-8")
    renamed = text.replace("\n  full:\n", "\n  other:\n")
    assert renamed != text
    path.write_text(renamed, "utf-8")
    found = find_garbage(made.catalogue)
    assert {each.kind for each in found} == {"undeclared"}
    assert {each.partition.partition("@")[0] for each in found} == {MODEL}
    # Nobody knows what a file that is half saved declares.
    path.write_text("base: [", "utf-8")
    assert find_garbage(made.catalogue) == []
    path.write_text(renamed, "utf-8")
    remove_garbage(made.catalogue, found)
    assert find_garbage(made.catalogue) == []
    assert made.catalogue.store.current("ema_unet", MODEL) is None
    made.dataset.verify()


def test_work_for_a_recipe_that_is_gone_is_abandoned(made: MadeProject) -> None:
    folder = made.catalogue.store.files.cache / "work" / "ema_unet" / f"{STYLE}.gone" / ("0" * 64)
    (folder / "scratch").mkdir(parents=True)
    (garbage,) = find_garbage(made.catalogue)
    assert (garbage.kind, garbage.partition) == ("abandoned work", f"{STYLE}.gone")


def plan_like(made: MadeProject, key: str) -> object:
    class Target:
        asset, partition = "image_dataset", STYLE

    target = Target()
    target.key = key  # type: ignore[attr-defined]
    return target


def test_work_that_the_next_run_continues_stays(made: MadeProject) -> None:
    key = plan_build(made.catalogue, "raw_images", Partition(STYLE)).target.key
    continued = work_folder(made, "raw_images", key)
    abandoned = work_folder(made, "raw_images", "0" * 64)
    (garbage,) = find_garbage(made.catalogue)
    assert garbage.kind == "abandoned work"
    assert garbage.size_bytes == 1000
    remove_garbage(made.catalogue, [garbage])
    assert continued.is_dir()
    assert not abandoned.exists()


def test_training_states_are_named_as_such(made: MadeProject) -> None:
    state = made.catalogue.store.files.cache / "kept" / "ema_unet" / MODEL / "run"
    state.mkdir(parents=True)
    (state / "state.safetensors").write_bytes(bytes(500))
    (garbage,) = find_garbage(made.catalogue)
    assert (garbage.kind, garbage.partition) == ("training state", MODEL)
    remove_garbage(made.catalogue, [garbage])
    assert not state.exists()


def test_nothing_is_removed_while_something_is_built(made: MadeProject) -> None:
    folder = work_folder(made, "raw_images", "0" * 64)
    garbage = find_garbage(made.catalogue)
    with folder.with_suffix(".lock").open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(ArtifactBusyError, match=f"building raw_images/{STYLE}"):
            remove_garbage(made.catalogue, garbage)
    assert folder.is_dir()


def test_a_full_disk_is_named_before_anything_is_written(
    made: MadeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "styledag.store.files.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**7})
    )
    with pytest.raises(StorageError, match=r"0\.1 GB are about to be written .*0\.0 GB are free"):
        made.add_dataset(range(9))


def test_a_file_whose_writer_was_killed_is_removed(made: MadeProject) -> None:
    digest = made.catalogue.store.blobs.put(b"an image")
    folder = made.root / "data" / "store" / "blobs" / digest[:2]
    cut_off = folder / f"{'0' * 64}.{'1' * 32}.partial"
    cut_off.write_bytes(b"half")
    (garbage,) = find_garbage(made.catalogue)
    assert (garbage.kind, garbage.size_bytes) == ("abandoned work", 4)
    remove_garbage(made.catalogue, [garbage])
    remove_garbage(made.catalogue, [garbage])  # its writer may have named it meanwhile
    assert [path.name for path in folder.iterdir()] == [digest]
    assert find_garbage(made.catalogue) == []
