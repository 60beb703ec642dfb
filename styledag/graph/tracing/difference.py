"""Why two models differ: data, captions, recipe, code and base, each compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styledag.errors import DataError, LineageError
from styledag.graph.lineage import Ancestor, nearest, trace
from styledag.publishing.datasets.diff import diff_datasets
from styledag.store.artifact import Artifact
from styledag.store.store import Store

Change = tuple[Any, Any]
"""Before and after; ``None`` where it was not there."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs between two artifacts and in what they came from.

    Attributes:
        data: Images by what became of them: ``added``, ``removed``, ``replaced``, ``moved``.
        captions: How many images are captioned otherwise.
        recipe: Settings of the trainings, by name.
        settings: Stages other than the training whose settings differ, such as that of a blend.
        code: Code versions by asset.
        models: Versions of models from outside, by role.
    """

    data: Mapping[str, int]
    captions: int
    recipe: Mapping[str, Change]
    settings: tuple[str, ...]
    code: Mapping[str, Change]
    models: Mapping[str, Change]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What differs, a short sentence each; none if nothing does."""
        images = {**self.data, "captioned otherwise": self.captions}
        return (
            *(f"{_images(count)} {what}" for what, count in images.items() if count),
            *(f"settings of {asset} changed" for asset in self.settings),
            *(f"{key}: {before} is now {after}" for key, (before, after) in self.recipe.items()),
            *(f"code of {asset}: {one} is now {two}" for asset, (one, two) in self.code.items()),
            *(f"{role} is another version" for role in self.models),
        )


def explain_difference(store: Store, one: Artifact, other: Artifact) -> Difference:
    """Return why an artifact is another one than a second is, or would not be.

    Raises:
        LineageError: If a build that one of them came from is no longer in the store.
    """
    return traced_difference(trace(store, one), trace(store, other))


def traced_difference(one: Sequence[Ancestor], other: Sequence[Ancestor]) -> Difference:
    """Return the same of two artifacts that are traced already, nearest first.

    Raises:
        LineageError: If one of them came from no dataset.
    """
    diff = diff_datasets(*(nearest(each, "image_dataset").folder for each in (one, other)))
    images = {
        "added": len(diff.added),
        "removed": len(diff.removed),
        "replaced": len(diff.replaced),
        "moved": len(diff.moved),
    }
    old, new = _builds(one), _builds(other)
    return Difference(
        data={name: count for name, count in images.items() if count},
        captions=len(diff.recaptioned),
        recipe=_changes(_recipe(old), _recipe(new)),
        settings=tuple(
            asset
            for asset in sorted(old.keys() & new.keys())
            if "Recipe" not in old[asset].build.settings
            and old[asset].build.settings != new[asset].build.settings
        ),
        code=_changes(*({a: e.build.code_version for a, e in each.items()} for each in (old, new))),
        models=_changes(_models(old), _models(new)),
    )


def since_previous(store: Store, model: Artifact) -> tuple[str, tuple[str, ...]]:
    """Return the version of a model that was published before it, and what has changed since.

    Both are empty if the store has no such version.
    """
    versions = store.versions(model.asset, model.partition)
    before = versions[: versions.index(model.version)]
    if not before:
        return "", ()
    previous = store.by_version(model.asset, model.partition, before[-1])
    try:
        return previous.version, changes_between(trace(store, previous), trace(store, model))
    except LineageError:
        return previous.version, ("what the former version came from is no longer in the store",)


def changes_between(former: Sequence[Ancestor], model: Sequence[Ancestor]) -> tuple[str, ...]:
    """Return what differs between two versions of a model, a short sentence each; never none.

    Raises:
        LineageError: If one of them came from no dataset.
    """
    try:
        sentences = traced_difference(former, model).sentences
    except DataError as exc:
        sentences = (f"not known: {exc}",)
    return sentences or ("nothing: the same inputs gave other weights",)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _builds(traced: Sequence[Ancestor]) -> dict[str, Artifact]:
    """Return what an artifact came from, and itself, by asset; the nearest of each."""
    found: dict[str, Artifact] = {}
    for ancestor in traced:
        if ancestor.artifact is not None:
            found.setdefault(ancestor.input.name, ancestor.artifact)
    return found


def _recipe(builds: Mapping[str, Artifact]) -> dict[str, Any]:
    recipes = (each.build.settings.get("Recipe") for each in builds.values())
    return dict(next((each for each in recipes if each is not None), {}))


def _models(builds: Mapping[str, Artifact]) -> dict[str, str]:
    inputs = (upstream for each in builds.values() for upstream in each.build.inputs)
    return {each.name: each.version for each in inputs if not each.build}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Change]:
    names = sorted(before.keys() | after.keys())
    return {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }
