"""What one materialisation would build, and from what, before anything runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from styledag.errors import ArtifactMissingError, LineageError, ModelNotFetchedError, StyleFileError
from styledag.graph.catalogue import Catalogue, partitions_of
from styledag.graph.lineage import Ancestor, trace
from styledag.graph.names import Partition
from styledag.graph.stage import Declaration, Inputs, Reads, Stage, Uses
from styledag.models.reference import ModelReference, ResolvedModel, denoiser_version
from styledag.settings import json_digest
from styledag.store.artifact import Artifact, Input
from styledag.store.store import Target

ANCESTORS = "ancestors"
"""Where a build's record names what its stage sees behind the artifacts that it reads."""
FORMER = "former"
"""Where it names the version of its former artifact, which is no ancestor that would be kept."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One build with everything that it reads.

    Attributes:
        target: What is built, and everything that decides its content.
        inputs: What the stage's function is given.
        declared: Digest of what the style file alone decides; see :func:`declared_digest`.
        plan_part: Plans one of the partitions that the stage publishes, from what this build reads
            and was declared with, whatever the style file contains by then.
    """

    stage: Stage
    target: Target
    inputs: Inputs
    declared: str
    plan_part: "Callable[[str], Plan] | None" = None


def plan_build(catalogue: Catalogue, asset: str, partition: Partition) -> Plan:
    """Plan the build of one partition of an asset, from its style file as it is now.

    Raises:
        StyleFileError: If the style file is missing or broken, or does not declare the partition.
        ArtifactMissingError: If something that it reads was never materialised.
        ModelError: If a model is not available.
    """
    stage, declaration = catalogue.stages[asset], catalogue.declaration(partition)
    if not stage.is_asked_for(declaration):
        raise StyleFileError(
            f"style {partition.style!r} does not ask for {asset}: its section publish names no "
            "target for it; reload the code location"
        )
    return _Planner(catalogue, declaration).plan(stage)


def plan_as_recorded(
    catalogue: Catalogue, stage: Stage, declaration: Declaration, recorded: Sequence[Input]
) -> Plan:
    """Plan a build only to compare it with an earlier one: nothing is downloaded.

    A model on the Hub counts as the version that the earlier build read, if it is the same
    revision of the same model. Such a plan cannot be carried out.

    Raises:
        ArtifactMissingError: If something that it reads was never materialised.
        StyledagError: If a file or a model's folder is missing.
    """
    return _Planner(catalogue, declaration, recorded=recorded).plan(stage)


def read_partitions(
    catalogue: Catalogue, stage: Stage, declaration: Declaration
) -> list[tuple[Reads, list[Partition]]]:
    """Return what a stage reads for a declaration, but for artifacts that another one lists."""
    return [
        (reads, _partitions(catalogue, stage, reads, declaration))
        for reads in stage.reads
        if reads.when(declaration) and reads.asset not in catalogue.publisher_of
    ]


def listed_parts(catalogue: Catalogue, publisher: str, artifact: Artifact) -> dict[str, Artifact]:
    """Return the parts that a stage published, as its artifact lists them, by ``asset/part``.

    Raises:
        ArtifactMissingError: If one of them is no longer in the store.
    """
    publishes = catalogue.stages[publisher].publishes
    if publishes is None:
        return {}
    return {
        f"{publishes.asset}/{each.partition.rpartition('/')[2]}": catalogue.store.by_version(
            publishes.asset, each.partition, each.version
        )
        for each in publishes.listed(artifact)
    }


def declared_digest(
    catalogue: Catalogue, stage: Stage, declaration: Declaration, ancestors: Sequence[Ancestor] = ()
) -> str:
    """Return the sha256 of all that decides a build and is neither an upstream artifact nor code.

    Settings, files of the project, models from outside, and which partitions are read. A model on
    the Hub counts by its name and revision, so that nothing is asked of the network.

    Raises:
        StyleFileError: If a file of the project is missing.
        ModelError: If a model's folder holds no model.
    """
    models = {}
    for uses in stage.uses_of(declaration):
        reference = uses.reference(declaration)
        if reference is not None:
            models[uses.role] = _model_identity(catalogue, declaration, uses, reference)
    parts = {
        "settings": {**stage.settings(declaration).identity, **_ancestors_identity(ancestors)},
        "models": models,
        "files": [each.identity for each in _files(catalogue, stage, declaration)],
        "reads": {
            reads.asset: sorted(each.key for each in partitions)
            for reads, partitions in read_partitions(catalogue, stage, declaration)
        },
    }
    return json_digest(parts)


@dataclass
class _Planner:
    """Collects what one build reads.

    Attributes:
        catalogue: Stages, styles, models and artifacts.
        declaration: What the style file declares.
        known: Artifacts that a running build has read already, by their name in its inputs.
        models: Models that are resolved already, by role.
        recorded: What an earlier build read, if the plan is only to be compared with that.
    """

    catalogue: Catalogue
    declaration: Declaration
    known: Mapping[str, Artifact] = field(default_factory=dict)
    models: dict[str, ResolvedModel] = field(default_factory=dict)
    recorded: Sequence[Input] | None = None

    def plan(self, stage: Stage) -> Plan:
        declaration, catalogue = self.declaration, self.catalogue
        settings = stage.settings(declaration)
        upstream = self._upstream(stage)
        ancestors = self._ancestors(stage, upstream)
        self._resolve(stage)
        roles = [each.role for each in stage.uses_of(declaration) if each.role in self.models]
        models = {role: self.models[role] for role in roles}
        files = _files(catalogue, stage, declaration)
        former = self._former(stage, upstream)
        target = Target(
            asset=stage.name,
            partition=declaration.partition.stored_as,
            code_version=stage.code_version,
            settings={
                **settings.identity,
                **_ancestors_identity(ancestors),
                **({FORMER: former} if former else {}),
            },
            inputs=(
                *(artifact.as_input() for artifact in upstream.values()),
                *(model.as_input(role) for role, model in models.items()),
                *files,
            ),
            depends_on_outside=stage.depends_on_outside,
        )
        inputs = Inputs(
            partition=declaration.partition,
            settings=settings,
            upstream=upstream,
            models=models,
            files={each.name: catalogue.path(each.partition) for each in files},
            root=catalogue.project.root,
            ancestors=ancestors,
            former=self._trace_former(stage, former),
        )
        return Plan(
            stage=stage,
            target=target,
            inputs=inputs,
            declared=declared_digest(catalogue, stage, declaration, ancestors),
            plan_part=self._plan_part(stage, upstream),
        )

    def _upstream(self, stage: Stage) -> dict[str, Artifact]:
        upstream: dict[str, Artifact] = {}
        for reads in stage.reads:
            if not reads.when(self.declaration):
                continue
            publisher = self.catalogue.publisher_of.get(reads.asset)
            if publisher is not None:
                upstream |= listed_parts(self.catalogue, publisher, upstream[publisher])
                continue
            for partition in _partitions(self.catalogue, stage, reads, self.declaration):
                name = f"{reads.asset}/{_within(partition, self.declaration.partition)}"
                name = name.rstrip("/")
                upstream[name] = self.known.get(name) or self.catalogue.store.require(
                    reads.asset, partition.stored_as
                )
        return upstream

    def _ancestors(self, stage: Stage, upstream: Mapping[str, Artifact]) -> tuple[Ancestor, ...]:
        traced = [
            trace(self.catalogue.store, artifact)
            for reads in stage.reads
            if reads.with_ancestors
            for name, artifact in upstream.items()
            if name.partition("/")[0] == reads.asset
        ]
        once: dict[tuple[str, str, str], Ancestor] = {}
        for ancestor in (each for ancestors in traced for each in ancestors):
            once.setdefault(ancestor.input.identity, ancestor)
        return tuple(once.values())

    def _former(self, stage: Stage, upstream: Mapping[str, Artifact]) -> str:
        """Return the version of the partition's former artifact; empty if there is none."""
        if stage.former_by is None:
            return ""
        current = self.catalogue.store.current(stage.name, self.declaration.partition.stored_as)
        if current is None:
            return ""
        read = {each.name: each.version for each in current.build.inputs}
        if read.get(stage.former_by) != upstream[stage.former_by].version:
            return current.version
        before: str = current.build.settings.get(FORMER, "")
        return before

    def _trace_former(self, stage: Stage, version: str) -> tuple[Ancestor, ...]:
        if not version or self.recorded is not None:
            return ()
        store, partition = self.catalogue.store, self.declaration.partition.stored_as
        try:
            return tuple(trace(store, store.by_version(stage.name, partition, version)))
        except (ArtifactMissingError, LineageError):  # gc has removed it
            return ()

    def _resolve(self, stage: Stage) -> None:
        for uses in stage.uses_of(self.declaration):
            reference = uses.reference(self.declaration)
            if reference is None or uses.role in self.models:
                continue
            fetch = self.recorded is None
            if self.recorded is not None and reference.is_pinned:
                self.models[uses.role] = _as_recorded(uses.role, reference, self.recorded)
                continue
            try:
                self.models[uses.role] = self.catalogue.used_model(
                    self.declaration.style, uses, reference, fetch=fetch
                )
            except ModelNotFetchedError:
                self.models[uses.role] = _as_recorded(uses.role, reference, self.recorded or ())

    def _plan_part(
        self, stage: Stage, upstream: Mapping[str, Artifact]
    ) -> "Callable[[str], Plan] | None":
        if stage.publishes is None or self.recorded is not None:
            return None
        published = self.catalogue.stages[stage.publishes.asset]
        owner = self.declaration.partition
        models = _Planner(self.catalogue, self.declaration)
        models._resolve(published)

        def plan_part(part: str) -> Plan:
            declaration = Declaration(self.declaration.style, owner.of(part))
            return _Planner(self.catalogue, declaration, upstream, models.models).plan(published)

        return plan_part


def _partitions(
    catalogue: Catalogue, stage: Stage, reads: Reads, declaration: Declaration
) -> list[Partition]:
    grain = catalogue.stages[reads.asset].grain
    further = reads.further(declaration)
    if grain in ("style", "model", stage.grain):
        return [declaration.partition.widened(grain), *further]
    return [*partitions_of(declaration.style, declaration.partition, grain), *further]


def _within(read: Partition, reader: Partition) -> str:
    """Return what tells a partition that is read from others of its asset; empty for the only."""
    if reader.belongs_with(read):
        return read.part if read.part != reader.part else ""
    return read.model_key


def _files(catalogue: Catalogue, stage: Stage, declaration: Declaration) -> list[Input]:
    return [catalogue.file_input(name, path) for name, path in stage.files(declaration).items()]


def _as_recorded(role: str, reference: ModelReference, recorded: Sequence[Input]) -> ResolvedModel:
    unknown = ResolvedModel(reference, Path(), "")
    read = next((each for each in recorded if each.name == role), None)
    if read is None or read.partition != unknown.as_input(role).partition:
        return unknown
    return replace(unknown, version=read.version)


def _model_identity(
    catalogue: Catalogue, declaration: Declaration, uses: Uses, reference: ModelReference
) -> list[str]:
    if reference.revision is not None:
        identity = [reference.model, reference.revision]
        if reference.denoiser is not None and uses.reads_denoiser:
            path = catalogue.path(reference.denoiser)
            identity.append(denoiser_version(path, catalogue.store.items))
        return identity
    return [catalogue.used_model(declaration.style, uses, reference).version]


def _ancestors_identity(ancestors: Sequence[Ancestor]) -> dict[str, Any]:
    """Return what a stage sees of ancestors beyond their own inputs' versions."""
    if not ancestors:
        return {}
    return {
        ANCESTORS: [
            [*each.input.identity, each.artifact.build.code_version if each.artifact else ""]
            for each in ancestors
        ]
    }
