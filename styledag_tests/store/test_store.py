"""What the store promises: once built, found again; whole or not there; content decides."""

import errno
import multiprocessing
import os
import signal
import sys
import uuid
from pathlib import Path
from types import ModuleType

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from styledag.errors import ArtifactBusyError, ArtifactMissingError, StorageError
from styledag.store.artifact import Artifact, Input
from styledag.store.digest import folder_digest
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace


@pytest.fixture(params=["folder", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store in a folder, and one behind an fsspec file system that has no rename."""
    if request.param == "folder":
        return Store(str(tmp_path / "store"), cache=tmp_path / "cache")
    return Store(f"memory://{uuid.uuid4().hex}", cache=tmp_path / "cache")


def target(**changes: object) -> Target:
    parts = {"asset": "jpeg_images", "partition": "twemoji", "code_version": "1"} | changes
    return Target(**parts)  # type: ignore[arg-type]


def write_greeting(workspace: Workspace) -> dict[str, int]:
    (workspace.folder / "greeting.txt").write_text("hello")
    (workspace.folder / "inner").mkdir()
    (workspace.folder / "inner" / "again.txt").write_text("hello again")
    workspace.work["greetings"] += 1
    return {"greetings": 1}


def test_a_build_is_found_again_and_not_repeated(any_store: Store) -> None:
    first = any_store.build(target(), write_greeting)
    again = any_store.build(target(), write_greeting)
    assert (first.cached, first.work) == (False, {"greetings": 1})
    assert (again.cached, again.work) == (True, {})
    assert again.artifact.version == first.artifact.version
    assert (again.artifact.folder / "inner" / "again.txt").read_text() == "hello again"
    assert again.artifact.facts == {"greetings": 1}


def test_the_version_is_the_digest_of_the_content(any_store: Store) -> None:
    artifact = any_store.build(target(), write_greeting).artifact
    assert artifact.version == folder_digest(artifact.folder)


@pytest.mark.parametrize(
    "change",
    [
        {"code_version": "2"},
        {"settings": {"quality": 90}},
        {"inputs": (Input(name="raw_images", partition="twemoji", version="a" * 64),)},
    ],
)
def test_whatever_decides_content_starts_a_new_build(
    any_store: Store, change: dict[str, object]
) -> None:
    any_store.build(target(), write_greeting)
    assert not any_store.build(target(**change), write_greeting).cached


def test_the_same_content_from_another_build_has_the_same_version(any_store: Store) -> None:
    first = any_store.build(target(), write_greeting).artifact
    second = any_store.build(target(code_version="2"), write_greeting).artifact
    assert first.version == second.version
    assert first.build.key != second.build.key


def test_where_a_model_lies_decides_nothing() -> None:
    here = Input(name="base", partition="models/a", version="a" * 64)
    there = Input(name="base", partition="models/b", version="a" * 64)
    assert target(inputs=(here,)).key == target(inputs=(there,)).key


def test_the_log_folder_has_no_part_in_the_version(any_store: Store) -> None:
    def write_with_log(workspace: Workspace) -> dict[str, int]:
        (workspace.folder / "log").mkdir()
        (workspace.folder / "log" / "timing.txt").write_text(uuid.uuid4().hex)
        return write_greeting(workspace)

    plain = any_store.build(target(), write_greeting).artifact
    logged = any_store.build(target(code_version="2"), write_with_log).artifact
    assert logged.version == plain.version


def test_what_was_done_outside_is_done_again_once_something_else_was(any_store: Store) -> None:
    done: list[str] = []

    def publish(name: str):
        def body(workspace: Workspace) -> dict[str, int]:
            done.append(name)
            (workspace.folder / "record").write_text(name)
            return {}

        return any_store.build(target(settings={"name": name}, acts_outside=True), body)

    first = publish("a")
    assert publish("a").cached
    publish("b")
    again = publish("a")
    assert done == ["a", "b", "a"]
    assert again.artifact.version == first.artifact.version
    assert publish("a").cached


def test_a_build_that_depends_on_the_world_always_runs(any_store: Store) -> None:
    first = any_store.build(target(depends_on_outside=True), write_greeting)
    again = any_store.build(target(depends_on_outside=True), write_greeting)
    assert again.work == {"greetings": 1}
    assert again.artifact.version == first.artifact.version


def test_a_failed_build_leaves_what_was_there(any_store: Store) -> None:
    before = any_store.build(target(), write_greeting).artifact

    def fail(workspace: Workspace) -> dict[str, int]:
        (workspace.folder / "half.txt").write_text("half")
        raise StorageError("the disk burst")

    with pytest.raises(StorageError, match="burst"):
        any_store.build(target(code_version="2"), fail)
    current = any_store.require("jpeg_images", "twemoji")
    assert current.version == before.version
    assert not (current.folder / "half.txt").exists()


def test_scratch_survives_a_failed_build_and_not_a_finished_one(any_store: Store) -> None:
    def stumble(workspace: Workspace) -> dict[str, int]:
        found = workspace.scratch / "found"
        if not found.exists():
            found.write_text("half the work")
            raise StorageError("stumbled")
        return write_greeting(workspace)

    with pytest.raises(StorageError, match="stumbled"):
        any_store.build(target(), stumble)
    assert not any_store.build(target(), stumble).cached
    assert list(any_store.files.cache.rglob("found")) == []


def test_what_was_never_built_is_named(any_store: Store) -> None:
    assert any_store.current("captions", "twemoji") is None
    with pytest.raises(ArtifactMissingError, match="captions of twemoji"):
        any_store.require("captions", "twemoji")


def test_what_was_never_built_is_named_with_what_there_is(any_store: Store) -> None:
    any_store.build(target(asset="checkpoint", partition="fox.full/e001"), write_greeting)
    for partition, there in (("fox.full/e099", "e001"), ("fix.full/e099", "fox.full")):
        with pytest.raises(ArtifactMissingError) as caught:
            any_store.require("checkpoint", partition)
        assert partition.replace("/", "@") in str(caught.value)
        assert f"(there: {there})" in str(caught.value)
        style = partition.partition(".")[0]
        assert f"`styledag run {style} --to checkpoint`" in str(caught.value)


def test_the_lineage_names_the_builds_that_were_read(any_store: Store) -> None:
    raw = any_store.build(target(asset="raw_images"), write_greeting).artifact
    jpeg = any_store.build(target(inputs=(raw.as_input(),)), write_greeting).artifact
    (upstream,) = jpeg.build.inputs
    assert any_store.resolve(upstream).build == raw.build


def test_an_old_version_stays_readable(any_store: Store) -> None:
    old = any_store.build(target(), write_greeting).artifact

    def write_other(workspace: Workspace) -> dict[str, int]:
        (workspace.folder / "greeting.txt").write_text("good bye")
        return {}

    any_store.build(target(code_version="2"), write_other)
    found = any_store.by_version("jpeg_images", "twemoji", old.version)
    assert (found.folder / "greeting.txt").read_text() == "hello"


def test_two_processes_cannot_build_the_same_target_at_once(store: Store) -> None:
    def meet_another(workspace: Workspace) -> dict[str, int]:
        with pytest.raises(ArtifactBusyError, match="jpeg_images of twemoji"):
            Store(store.url).build(target(), write_greeting)
        return write_greeting(workspace)

    assert not store.build(target(), meet_another).cached


def test_a_file_system_without_locks_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(StorageError, match=r"\.lock cannot be locked: No locks available; put"):
        store.build(target(), write_greeting)


def _killed_while_building(url: str) -> None:
    def die(workspace: Workspace) -> dict[str, int]:
        (workspace.folder / "half.txt").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    Store(url).build(target(), die)


def test_after_a_kill_nothing_half_made_is_found(store: Store) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_while_building, args=(store.url,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert store.current("jpeg_images", "twemoji") is None
    built = store.build(target(), write_greeting)
    assert sorted(path.name for path in built.artifact.folder.iterdir()) == [
        "build.json",
        "greeting.txt",
        "inner",
    ]


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(StorageError, match="nowhere://"):
        Store("nowhere://bucket")


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="store"):
        Store(str(tmp_path / "store")).build(target(), write_greeting)


def test_artifacts_of_a_remote_store_are_copied_once(tmp_path: Path) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}", cache=tmp_path)
    artifact = store.build(target(), write_greeting).artifact
    folder = artifact.folder
    fsspec.filesystem("memory").rm(store.files.root, recursive=True)
    assert Artifact(artifact.build, store.files).folder == folder


def test_files_can_be_read_by_whoever_may_read_the_folder(store: Store) -> None:
    def write_secretly(workspace: Workspace) -> dict[str, int]:
        (workspace.folder / "weights").write_text("weights")
        (workspace.folder / "weights").chmod(0o600)
        return {}

    folder = store.build(target(), write_secretly).artifact.folder
    assert (folder / "weights").stat().st_mode & 0o777 == folder.stat().st_mode & 0o666


def test_an_older_artifact_can_be_made_current_again(any_store: Store) -> None:
    old = any_store.build(target(), write_greeting).artifact

    def write_other(workspace: Workspace) -> dict[str, int]:
        (workspace.folder / "greeting.txt").write_text("good bye")
        return {}

    any_store.build(target(code_version="2"), write_other)
    any_store.make_current(old)
    assert any_store.require("jpeg_images", "twemoji").version == old.version


def test_an_error_of_something_else_is_no_storage_error(store: Store) -> None:
    def connect(workspace: Workspace) -> dict[str, int]:
        (workspace.scratch / "state").write_text("kept")
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(ConnectionRefusedError):
        store.build(target(), connect)

    def read(workspace: Workspace) -> dict[str, int]:
        assert (workspace.scratch / "state").read_text() == "kept"
        Path("/no/such/captions.csv").read_text()
        return {}

    with pytest.raises(FileNotFoundError, match=r"captions\.csv"):
        store.build(target(), read)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_storage_error(store: Store, number: int) -> None:
    def write(_: Workspace) -> dict[str, int]:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StorageError, match="no space left on the disk that holds"):
        store.build(target(), write)


def test_a_file_of_the_work_folder_that_cannot_be_used_is_a_storage_error(store: Store) -> None:
    def write(workspace: Workspace) -> dict[str, int]:
        (workspace.folder / "missing" / "file").write_text("content")
        return {}

    with pytest.raises(StorageError, match=r"cannot use .*work.*: No such file"):
        store.build(target(), write)


class _Listing(MemoryFileSystem):
    """Remembers listings, as those of S3 and GCS do."""

    protocol = "listing"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("listing:/")))

    def exists(self, path: str, **options: object) -> bool:
        name = self._strip_protocol(path)
        while (parent := self._parent(name)) != name:
            if parent in self.dircache:
                if name not in (each["name"] for each in self.dircache[parent]):
                    return False
                break
            name = parent
        found: bool = super().exists(path, **options)
        return found

    def ls(self, path: str, detail: bool = True, **_: object) -> list[object]:
        self.dircache[self._strip_protocol(path)] = super().ls(path, detail=True)
        listed: list[object] = super().ls(path, detail=detail)
        return listed


def test_what_another_machine_publishes_is_seen(tmp_path: Path) -> None:
    fsspec.register_implementation("listing", _Listing, clobber=True)
    ours = Store("listing://store", cache=tmp_path / "ours")
    ours.build(target(), write_greeting)
    theirs = Store("memory://store", cache=tmp_path / "theirs")
    for folder in ("", "artifacts", "artifacts/jpeg_images/twemoji", "builds", "heads"):
        ours.files.names(folder)
    made = theirs.build(target(code_version="2"), lambda _: {}).artifact
    found = ours.current("jpeg_images", "twemoji")
    assert found is not None
    assert found.version == made.version
    assert made.version in ours.versions("jpeg_images", "twemoji")


class _UnreachableError(Exception):
    pass


def test_a_remote_store_that_is_not_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}", cache=tmp_path)
    package = ModuleType("botocore.exceptions")
    package.BotoCoreError = _UnreachableError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "botocore.exceptions", package)

    def unreachable(*_: object, **__: object) -> None:
        raise _UnreachableError("could not connect to the endpoint")

    for method in ("cat_file", "cat", "exists", "ls", "find", "pipe_file", "modified"):
        monkeypatch.setattr(MemoryFileSystem, method, unreachable)
    files = store.files
    for question in (
        lambda: files.read("a"),
        lambda: files.read_many(["a"]),
        lambda: files.exists("a"),
        lambda: files.names("a"),
        lambda: files.sizes("a"),
        lambda: files.write("a", b""),
        lambda: files.modified("a"),
        lambda: store.current("jpeg_images", "twemoji"),
    ):
        with pytest.raises(StorageError, match=r"cannot use /.*: could not connect"):
            question()
