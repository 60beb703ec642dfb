"""A project and its store: all that planning a build needs to look at."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from styledag.errors import StyleFileError
from styledag.graph.names import ModelName
from styledag.models.reference import ModelReference, ResolvedModel, resolve_model
from styledag.project import Project
from styledag.store.artifact import Input
from styledag.store.store import Store
from styledag.style.model import Style
from styledag.training.recipe import Recipe

ENCODERS = ("vae", "text_encoder", "tokenizer")
"""Parts of a pipeline that turn images and captions into what the UNet is trained on."""
DENOISER = ("unet", "scheduler")
"""Parts of a pipeline that are fine-tuned, and the noise schedule they were made for."""
PIPELINE = (*ENCODERS, *DENOISER)


@dataclass(frozen=True)
class Graph:
    """One project's styles, models and artifacts."""

    project: Project

    @cached_property
    def store(self) -> Store:
        """The project's artifact store."""
        return Store(self.project.store_url)

    def style(self, name: str) -> Style:
        """Return a style, read from its file now.

        Raises:
            StyleFileError: If the file is missing or says something that cannot be meant.
        """
        return self.project.style(name)

    def recipe(self, model: ModelName) -> Recipe:
        """Return a model's recipe.

        Raises:
            StyleFileError: If the style has no such recipe.
        """
        recipes = self.style(model.style).recipes
        if model.recipe not in recipes:
            raise StyleFileError(
                f"style {model.style!r} has no recipe {model.recipe!r}; it has {', '.join(recipes)}"
            )
        return recipes[model.recipe]

    def model(self, reference: ModelReference, parts: Sequence[str] = ("",)) -> ResolvedModel:
        """Return a model's files and version, or only those of some of its parts.

        Raises:
            ModelError: If it cannot be had.
        """
        return resolve_model(
            reference, project=self.project.root, items=self.store.items, parts=parts
        )

    def file_input(self, name: str, path: str) -> Input:
        """Return a file of the project as a build's input.

        Raises:
            StyleFileError: If there is no such file.
        """
        file = self.project.root / path
        try:
            version = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as exc:
            raise StyleFileError(f"{name} names {path}, which cannot be read: {exc}") from exc
        return Input(name=name, partition=path, version=version)

    def path(self, relative: str) -> Path:
        """Return a path that a style file gives relative to the project."""
        return self.project.root / relative
