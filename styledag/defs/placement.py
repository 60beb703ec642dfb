"""Where the graph's assets are among those of a code location, and how they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import dagster as dg

SETTINGS = "style_file"
"""Group and key prefix of the nodes with what a style file decides."""


@dataclass(frozen=True)
class Placement:
    """What a code location decides of the assets; the defaults are those of styledag's own.

    Attributes:
        key_prefix: Stands before each asset's key.
        group: Group of all assets; each stage's own when left out.
        is_own: Whether the code location is styledag's own, with its pools, automation and names of
            resources. Another one has its own.
    """

    key_prefix: tuple[str, ...] = ()
    group: str | None = None
    owners: tuple[str, ...] = ("team:styledag",)
    tags: Mapping[str, str] = field(default_factory=dict)
    is_own: bool = True

    def asset(self, name: str) -> dg.AssetKey:
        """Return the key of a stage's asset."""
        return dg.AssetKey([*self.key_prefix, name])

    def settings(self, name: str) -> dg.AssetKey:
        """Return the key of the node with the settings of a stage's asset."""
        return dg.AssetKey([*self.key_prefix, SETTINGS, name])

    def named(self, name: str) -> str:
        """Return the name of a resource or a sensor, which have no hyphens."""
        return "_".join([*self.key_prefix, name]).replace("-", "_HYPHEN_")
