"""What keeps Dagster's records from being read or written is one sentence with a remedy."""

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy.exc import OperationalError

from styledag.defs.opened_history import open_history
from styledag.errors import HistoryError, StorageError
from styledag.project import Project


class Postgres(DagsterSqliteStorage):
    """A storage that is configured and fails as dagster-postgres is and does."""

    @classmethod
    def config_type(cls) -> dict[str, object]:
        return {"url": dg.StringSource, **{f"key_{at}": dg.Noneable(str) for at in range(30)}}

    @classmethod
    def from_config_value(cls, inst_data: object, config_value: dict[str, str]) -> "Postgres":
        del inst_data
        if config_value["url"] != "down":
            raise ModuleNotFoundError("No module named 'psycopg'")
        try:
            raise OperationalError("SELECT 1", None, ConnectionError("connection refused"))
        except OperationalError as exc:
            raise RuntimeError("too many retries for DB connection") from exc


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return Project.create(tmp_path).root


def database(root: Path) -> Path:
    with open_history(root):
        return root / "data" / ".dagster" / "history" / "runs.db"


def sentence(root: Path) -> str:
    with pytest.raises(HistoryError) as raised, open_history(root):
        pass
    return str(raised.value)


def test_its_files_stay_open_from_one_event_to_the_next(root: Path) -> None:
    log = database(root).with_name("runs.db-wal")
    assert not log.exists()
    with open_history(root) as instance:
        instance.get_runs(limit=1)
        assert log.exists()
    assert not log.exists()


@pytest.mark.parametrize("kept", [0.5, 0.0])
def test_damaged_records_are_to_be_moved_away(root: Path, kept: float) -> None:
    file = database(root)
    content = file.read_bytes()
    rest = content[: int(kept * len(content)) // 4096 * 4096] or b"damaged" * 1000
    file.write_bytes(rest)
    said = sentence(root)
    assert said.startswith(f"Dagster's history, by {root / 'dagster.yaml'}, cannot be used: ")
    assert said.endswith("move it away; the next run finds all artifacts in the store")


def test_records_of_another_version_are_to_be_migrated(root: Path) -> None:
    file = database(root)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("ALTER TABLE runs RENAME COLUMN status TO state")
    assert "`dagster instance migrate`" in sentence(root)


def test_an_error_while_the_history_is_used_is_one_sentence(root: Path) -> None:
    file = database(root)
    with open_history(root) as instance, closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE run_tags")
        connection.commit()
        with pytest.raises(HistoryError, match="no such table: run_tags; it is another version's"):
            _use(root, instance)


def _use(root: Path, instance: dg.DagsterInstance) -> None:
    with open_history(root):
        instance.run_storage.get_run_tags(["a"])


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ("bogus: 1\n", "unexpected config entry"),
        ("run_queue: [\n", "while parsing"),
        ("storage: {sqlite: {base_dir: {env: UNSET_VARIABLE}}}\n", "UNSET_VARIABLE"),
        (
            "storage: {custom: {module: not_installed, class: Storage}}\n",
            "import module not_installed",
        ),
        (  # as dagster-postgres, whose message starts with every key that there is
            f"storage: {{custom: {{module: {__name__}, class: Postgres, config: "
            "{url: {env: UNSET_VARIABLE}}}}\n",
            "UNSET_VARIABLE",
        ),
        (
            f"storage: {{custom: {{module: {__name__}, class: Postgres, config: {{url: b}}}}}}\n",
            "No module named 'psycopg'",
        ),
    ],
)
def test_settings_that_dagster_refuses_are_named_with_their_file(
    root: Path, settings: str, found: str
) -> None:
    (root / "dagster.yaml").write_text(settings)
    said = sentence(root)
    assert said.startswith(f"{root / 'dagster.yaml'} cannot be used: ")
    assert found in said
    assert "\n" not in said
    assert len(said) < 600


def test_a_server_that_is_not_reached_is_one_sentence(root: Path) -> None:
    (root / "dagster.yaml").write_text(
        f"storage: {{custom: {{module: {__name__}, class: Postgres, config: {{url: down}}}}}}\n"
    )
    said = sentence(root)
    assert said.startswith(f"Dagster's history, by {root / 'dagster.yaml'}, cannot be used: ")
    assert said.endswith("connection refused; run again once that is mended")


def test_a_folder_that_cannot_be_written_is_named(root: Path) -> None:
    (root / "data" / ".dagster").write_text("no folder")
    with pytest.raises(StorageError, match=r"cannot use .*"), open_history(root):
        pass
