"""A project's stages, styles, models and artifacts: all that planning a build looks at."""

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path

from styledag.bases.base import Base, Parts
from styledag.bases.find import find_base
from styledag.errors import StyleFileError
from styledag.graph.blends import blends_of
from styledag.graph.names import Grain, Partition, epoch_key
from styledag.graph.stage import Declaration, Stage, Uses
from styledag.graph.stages import read_stages
from styledag.models.reference import (
    ModelReference,
    ResolvedModel,
    configuration_folder,
    index_folder,
    resolve_model,
)
from styledag.project import Project
from styledag.store.artifact import Input
from styledag.store.store import Store, StoreAtOnce
from styledag.style.model import Style


@dataclass(frozen=True)
class Catalogue:
    """One project's stages, styles, models and artifacts."""

    project: Project

    @cached_property
    def store(self) -> Store:
        """The project's artifact store."""
        return Store(self.project.store_url)

    @cached_property
    def stages(self) -> Mapping[str, Stage]:
        """Every stage by its asset's name, each after what it reads."""
        return {stage.name: stage for stage in read_stages()}

    @cached_property
    def publisher_of(self) -> Mapping[str, str]:
        """For each asset whose partitions another stage publishes: that stage's name."""
        return {
            stage.publishes.asset: stage.name for stage in self.stages.values() if stage.publishes
        }

    def style(self, name: str) -> Style:
        """Return a style, read from its file now.

        Raises:
            StyleFileError: If the file is missing or says something that cannot be meant.
        """
        return self.project.style(name)

    def declaration(self, partition: Partition) -> Declaration:
        """Return what the style file declares for a partition now.

        Raises:
            StyleFileError: If the file is missing or says something that cannot be meant.
        """
        return Declaration(self.style(partition.style), partition)

    def walk(self, style: str, recipes: Sequence[str] = ()) -> Iterator[tuple[Stage, Partition]]:
        """Yield every stage with each partition that is asked for, in the order of a run.

        Of the models, those of ``recipes``; of all recipes when empty.

        Raises:
            StyleFileError: If the style or a recipe is not declared.
        """
        declared = self.style(style)
        models = [Partition(style, recipe) for recipe in recipes or tuple(declared.recipes)]
        for model in models:
            _ = Declaration(declared, model).recipe
        runnable = [each for each in self.stages.values() if each.name not in self.publisher_of]
        for of_style, stages in groupby(runnable, lambda stage: stage.grain == "style"):
            by_grain = [(grain, list(each)) for grain, each in groupby(stages, lambda s: s.grain)]
            for owner in [Partition(style)] if of_style else models:
                for grain, of_grain in by_grain:
                    for partition in partitions_of(declared, owner, grain):
                        declaration = Declaration(declared, partition)
                        asked = (stage for stage in of_grain if stage.is_asked_for(declaration))
                        yield from ((stage, partition) for stage in asked)

    def needed_for(self, asset: str) -> frozenset[str]:
        """Return an asset and all that it is made from, by name, of what can be run by itself.

        Raises:
            StyleFileError: If there is no such asset.
        """
        needed: set[str] = set()
        waiting = [asset]
        for name in waiting:
            if name not in self.stages:
                near = difflib.get_close_matches(name, self.stages, n=1)
                names = ", ".join(self.stages)
                valid = f"did you mean {near[0]!r}?" if near else f"valid are {names}"
                raise StyleFileError(f"no asset {name!r}; {valid}")
            if name not in needed:
                needed.add(name)
                waiting += [reads.asset for reads in self.stages[name].reads]
                waiting += [self.publisher_of[name]] if name in self.publisher_of else []
        return frozenset(needed - set(self.publisher_of))

    def model(
        self, reference: ModelReference, parts: Sequence[str] = ("",), *, fetch: bool = True
    ) -> ResolvedModel:
        """Return a model's files and version, or only those of some of its parts.

        Raises:
            ModelNotFetchedError: If something is not there, and the Hub is not to be asked.
            ModelError: If the model is not available.
        """
        return resolve_model(
            reference,
            project=self.project.root,
            items=self.store.items,
            parts=parts,
            fetch=fetch,
        )

    def used_model(
        self, style: Style, uses: Uses, reference: ModelReference, *, fetch: bool = True
    ) -> ResolvedModel:
        """Return the files and version of a model that a stage uses: of the parts that count.

        Raises:
            ModelNotFetchedError: If something is not there, and the Hub is not to be asked.
            ModelError: If the model or the base is not available.
        """
        if uses.parts is None:
            return self.model(reference, reference.parts, fetch=fetch)
        return self.model(
            reference, uses.parts(self.base_parts(style.base, fetch=fetch)), fetch=fetch
        )

    def configurations(self, reference: ModelReference) -> Path:
        """Return the folder of a model's configuration files.

        Raises:
            ModelError: If they are not available.
        """
        return configuration_folder(reference, project=self.project.root)

    def base(self, reference: ModelReference) -> Base:
        """Return a base as its configuration files describe it.

        Raises:
            ModelError: If they are not available, or are those of no supported family.
        """
        return find_base(self.configurations(reference))

    def base_parts(self, reference: ModelReference, *, fetch: bool = True) -> Parts:
        """Return the names of a base's parts.

        Raises:
            ModelNotFetchedError: If the base is not there, and the Hub is not to be asked.
            ModelError: If the base is not available.
        """
        return find_base(index_folder(reference, project=self.project.root, fetch=fetch)).parts

    def at_once(self) -> "Catalogue":
        """Return the same as it is at one moment: each style, model and record is looked at once.

        For what is asked of many partitions together; a later change is not seen.
        """
        return _AtOnce(self.project)

    def file_input(self, name: str, path: str) -> Input:
        """Return a file of the project as a build's input.

        Raises:
            StyleFileError: If there is no such file.
        """
        try:
            version = hashlib.sha256(self.path(path).read_bytes()).hexdigest()
        except OSError as exc:
            raise StyleFileError(
                f"{name} names {path}, which cannot be read ({exc.strerror}): write the file, or "
                "correct the style file"
            ) from exc
        return Input(name=name, partition=path, version=version)

    def path(self, relative: str) -> Path:
        """Return a path that a style file gives relative to the project."""
        return self.project.root / relative


@dataclass(frozen=True)
class _AtOnce(Catalogue):
    """A catalogue that remembers what it has seen."""

    _models: dict[object, ResolvedModel] = field(default_factory=dict, compare=False)
    _parts: dict[ModelReference, Parts] = field(default_factory=dict, compare=False)
    _styles: dict[str, Style] = field(default_factory=dict, compare=False)

    def style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = super().style(name)
        return self._styles[name]

    @cached_property
    def store(self) -> Store:
        return StoreAtOnce(self.project.store_url)

    def model(
        self, reference: ModelReference, parts: Sequence[str] = ("",), *, fetch: bool = True
    ) -> ResolvedModel:
        key = reference, tuple(parts)
        if key not in self._models:
            self._models[key] = super().model(reference, parts, fetch=fetch)
        return self._models[key]

    def base_parts(self, reference: ModelReference, *, fetch: bool = True) -> Parts:
        if reference not in self._parts:
            self._parts[reference] = super().base_parts(reference, fetch=fetch)
        return self._parts[reference]


def partitions_of(style: Style, owner: Partition, grain: Grain) -> list[Partition]:
    """Return the partitions of a grain that a style declares for itself or one of its models."""
    match grain:
        case "style":
            return [Partition(owner.style)]
        case "model" if owner.recipe:
            return [owner.widened("model")]
        case "model":
            return [Partition(owner.style, recipe) for recipe in style.recipes]
        case "checkpoint":
            epochs = style.recipes[owner.recipe].snapshot_epochs
            return [owner.of(epoch_key(epoch)) for epoch in epochs]
        case "blend":
            return [owner.of(blend.key) for blend in blends_of(style, owner)]
