"""What the store knows of an artifact: how it was built, its version and where it lies."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from styledag.errors import StorageError
from styledag.settings import canonical_json
from styledag.store.digest import content_files, file_digest
from styledag.store.files import Files

Facts = Mapping[str, Any]
"""JSON figures that a stage states of what it made: counts, losses, shares, names."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One thing that a build read: an upstream artifact, or a model from outside the graph.

    Attributes:
        name: The asset's name, or ``base``, ``captioner``, ``scorer``, ``classifier``.
        partition: The upstream partition; for a model where it was found, a Hub id or a folder.
        version: The sha256 of its content.
        build: Key of the upstream build; empty for a model from outside.
    """

    name: str
    partition: str
    version: str
    build: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What decides content: where a model from outside lies does not."""
        return self.name, self.partition if self.build else "", self.version


@dataclass(frozen=True, kw_only=True)
class Build:
    """How one artifact came to be.

    Attributes:
        asset: Asset's name, such as ``jpeg_images``.
        partition: ``style``, ``style.recipe`` or ``style.recipe/e001``.
        key: sha256 of everything that decides the content: asset, code, settings, inputs.
        version: sha256 of the content.
        code_version: The stage's own version, raised when its behaviour changes.
        settings: The part of the style file that it read.
        facts: What it states of what it made.
        files: sha256 of each file.
    """

    asset: str
    partition: str
    key: str
    version: str
    code_version: str
    settings: Mapping[str, Any]
    inputs: tuple[Input, ...]
    facts: Facts
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the record as canonical JSON."""
        return canonical_json(asdict(self)).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Build":
        """Read what :meth:`to_json` wrote."""
        record = json.loads(content)
        record["inputs"] = tuple(Input(**each) for each in record["inputs"])
        return cls(**record)


@dataclass(frozen=True)
class Artifact:
    """A published artifact: its build and where its files lie."""

    build: Build
    files: Files

    @property
    def asset(self) -> str:
        """The asset's name."""
        return self.build.asset

    @property
    def partition(self) -> str:
        """The partition's name in the store."""
        return self.build.partition

    @property
    def version(self) -> str:
        """The sha256 of the content."""
        return self.build.version

    @property
    def facts(self) -> Facts:
        """What the stage stated of it."""
        return self.build.facts

    @property
    def name(self) -> str:
        """The artifact's folder below the store's root."""
        return artifact_name(self.asset, self.partition, self.version)

    @property
    def location(self) -> str:
        """Full path or URL, for a person."""
        return self.files.describe(self.name)

    @cached_property
    def folder(self) -> Path:
        """A local folder with its files, copied once from a remote store.

        Raises:
            StorageError: If it is missing.
        """
        return self.files.local(self.name)

    def verify(self) -> None:
        """Read every file again and compare it with the digest it was published under.

        Raises:
            StorageError: Naming the first file that is missing or differs.
        """
        found = content_files(self.folder)
        for name, digest in self.build.files.items():
            if name not in found:
                raise StorageError(f"{self.location}/{name} is missing: materialise it again")
            if file_digest(found[name]) != digest:
                raise StorageError(
                    f"{self.location}/{name} is not what was published: remove the folder and "
                    "materialise it again"
                )

    def as_input(self) -> Input:
        """Return this artifact as an input of a further build."""
        return Input(
            name=self.asset, partition=self.partition, version=self.version, build=self.build.key
        )


def artifact_name(asset: str, partition: str, version: str) -> str:
    """Return where an artifact's folder lies below the store's root."""
    return f"artifacts/{asset}/{partition}/{version}"
