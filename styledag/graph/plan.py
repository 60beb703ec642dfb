"""What one materialisation would build, from what, before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from styledag.graph.graph import Graph
from styledag.models.reference import ResolvedModel
from styledag.settings import settings_identity
from styledag.store.artifact import Artifact, Input
from styledag.store.store import Target
from styledag.style.model import Style


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One target with what it reads at hand.

    Attributes:
        target: What shall be built and all that decides its content.
        style: The style that declares it.
        upstream: Artifacts that it reads, by asset; by ``asset/key`` where it reads several.
        models: Models from outside the graph, by their role.
    """

    target: Target
    style: Style
    upstream: Mapping[str, Artifact] = field(default_factory=dict)
    models: Mapping[str, ResolvedModel] = field(default_factory=dict)

    def folder(self, asset: str) -> Path:
        """Return the local folder of an upstream artifact."""
        return self.upstream[asset].folder


class Planner:
    """Collects what one asset reads and makes its plan.

    Args:
        graph: Project and store.
        asset: Asset's name.
        partition: Its partition in the store.
        style: Name of the style that declares it.
    """

    def __init__(self, graph: Graph, asset: str, partition: str, style: str) -> None:
        self.graph = graph
        self.style = graph.style(style)
        self._asset = asset
        self._partition = partition
        self._upstream: dict[str, Artifact] = {}
        self._models: dict[str, ResolvedModel] = {}
        self._inputs: list[Input] = []

    def read(self, asset: str, partition: str, *, as_name: str | None = None) -> Artifact:
        """Take an upstream artifact, which must have been materialised."""
        artifact = self.graph.store.require(asset, partition)
        self.take(artifact, as_name=as_name or asset)
        return artifact

    def take(self, artifact: Artifact, *, as_name: str) -> None:
        """Take an artifact that another one names, current or not."""
        self._upstream[as_name] = artifact
        self._inputs.append(artifact.as_input())

    def use(self, role: str, model: ResolvedModel) -> None:
        """Take a model from outside the graph."""
        self._models[role] = model
        self._inputs.append(model.as_input(role))

    def add(self, extra: Input) -> None:
        """Take anything else that decides the content, such as a file of the project."""
        self._inputs.append(extra)

    def plan(self, code_version: str, *settings: Any, world: bool = False, **further: Any) -> Plan:
        """Return the plan.

        Args:
            code_version: The stage's own version.
            *settings: Settings objects that decide the content.
            world: Whether something beyond the inputs decides it too.
            **further: JSON values that decide it.
        """
        target = Target(
            asset=self._asset,
            partition=self._partition,
            code_version=code_version,
            settings={**merged_identity(settings), **further},
            inputs=tuple(self._inputs),
            world=world,
        )
        return Plan(target=target, style=self.style, upstream=self._upstream, models=self._models)


def merged_identity(settings: Sequence[Any]) -> dict[str, Any]:
    """Return the identities of several settings objects under their class's names."""
    return {type(each).__name__: settings_identity(each) for each in settings}
