"""Publish to a folder: for a shared disk, a mirror, or a look before the Hub."""

import json
import shutil
from pathlib import Path
from typing import Any

from styledag.errors import StorageError
from styledag.publishing.hub.release import Release
from styledag.store.artifact import Facts
from styledag.store.digest import file_digest
from styledag.store.files import storage_errors

RECORD = ".styledag-release.json"
"""Beside the files: version, source revision and the digest of each file."""


def publish_to_folder(release: Release, target: Path) -> Facts:
    """Write a release into a folder of the Hub's layout and return what was done.

    Each file is replaced by a rename; the record with the version is written last, so an
    interrupted copy is completed by the next call. Files that styledag did not write stay.

    Args:
        release: What is published.
        target: The folder; made if it is not there.

    Raises:
        StorageError: If the folder contains something else, or cannot be written.
    """
    with storage_errors(str(target)):
        before = _record(target)
        if before is None and target.exists() and any(target.iterdir()):
            raise StorageError(f"{target} is not empty and no earlier release: name another folder")
        known: dict[str, str] = before["files"] if before else {}
        facts = {"version": release.version, "tag": release.tag, "url": str(target.absolute())}
        if before and before["version"] == release.version and before["complete"]:
            unchanged = len(known)
            return facts | {"uploaded": 0, "unchanged": unchanged, "deleted": 0, "was_there": True}
        files = release.files()
        digests = {name: file_digest(path) for name, path in files.items()}
        target.mkdir(parents=True, exist_ok=True)
        # What may be replaced or deleted, should this be interrupted.
        _write_record(target, release, known | digests, complete=False)
        changed = [
            name for name in files if not _is_equal(files[name], target / name, digests[name])
        ]
        for name in changed:
            _copy(files[name], target / name)
        gone = [name for name in known if name not in files]
        for name in gone:
            (target / name).unlink(missing_ok=True)
        _write_record(target, release, digests, complete=True)
    return facts | {
        "uploaded": len(changed),
        "unchanged": len(files) - len(changed),
        "deleted": len(gone),
        "was_there": False,
    }


def _record(target: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((target / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise StorageError(f"{target / RECORD} cannot be read: name another folder") from exc
    return dict(record)


def _write_record(target: Path, release: Release, files: dict[str, str], *, complete: bool) -> None:
    record = {
        "version": release.version,
        "source_revision": release.source_revision,
        "complete": complete,
        "files": files,
    }
    partial = target / f"{RECORD}.partial"
    partial.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(target / RECORD)


def _is_equal(source: Path, copy: Path, digest: str) -> bool:
    if not copy.is_file() or copy.stat().st_size != source.stat().st_size:
        return False
    return file_digest(copy) == digest


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_name(f"{to.name}.partial")
    shutil.copyfile(source, partial)
    partial.replace(to)
