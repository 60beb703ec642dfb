"""The declaration of one asset: what it reads, which settings decide it, how it is made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from styledag.bases.base import Parts
from styledag.errors import StyleFileError
from styledag.graph.blends import Blend
from styledag.graph.checks import Check
from styledag.graph.names import Grain, Partition, parse_epoch
from styledag.graph.snapshots import StoredSnapshot
from styledag.settings import settings_identity
from styledag.store.artifact import Artifact, Facts
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    from styledag.graph.lineage import Ancestor
    from styledag.models.compute import Compute
    from styledag.models.reference import ModelReference, ResolvedModel
    from styledag.style.model import Style
    from styledag.training.recipe import Recipe

SettingsType = TypeVar("SettingsType")
GetCompute = Callable[[], "Compute"]
"""Finds the device when it is first needed, so that a cached build never imports torch."""
Publish = Callable[[str, Any], Artifact]
"""Publishes one part of a running stage, given the part's key and what the part is made of."""
Find = Callable[[str], Artifact | None]
"""Returns one published part, given its key; ``None`` if the store has none."""
Preview = Callable[[Artifact], bytes | None]
"""Makes the thumbnail of an artifact: JPEG or GIF of at most 60 KB."""
PartNames = Callable[[Parts], tuple[str, ...]]
"""Chooses some of a base's subfolders, whose names are its family's."""


@dataclass(frozen=True)
class Declaration:
    """What a style file declares for one partition, read once when a build is planned."""

    style: "Style"
    partition: Partition

    @property
    def recipe(self) -> "Recipe":
        """The recipe of the partition's model.

        Raises:
            StyleFileError: If the style has no such recipe.
        """
        recipes = self.style.recipes
        if self.partition.recipe not in recipes:
            raise StyleFileError(
                f"style {self.partition.style!r} has no recipe {self.partition.recipe!r}; it has "
                f"{', '.join(recipes)}"
            )
        return recipes[self.partition.recipe]

    @property
    def blend(self) -> Blend:
        """The blend that the partition is."""
        return Blend.parse(self.partition.part)

    @property
    def epoch(self) -> int:
        """The epoch that the partition is a checkpoint of."""
        return parse_epoch(self.partition.part)


class Settings:
    """The settings that decide an artifact's content: all of the style that its stage can see.

    Args:
        *objects: Settings objects, in the build's record under the names of their classes.
        **values: JSON values, settings objects or tuples of them, in the record under these names.
    """

    def __init__(self, *objects: Any, **values: Any) -> None:
        self._objects = objects
        self._values = values
        self._beside: Mapping[str, Any] = {}

    def beside(self, **values: Any) -> "Settings":
        """Add values that change how fast a stage is and not its content, and return these.

        Raises:
            ValueError: If one has the name of a value that decides content, which would hide it.
        """
        if hidden := values.keys() & self._values.keys():
            raise ValueError(f"{min(hidden)!r} is among the values that decide content already")
        self._beside = values
        return self

    def of(self, kind: type[SettingsType]) -> SettingsType:
        """Return the settings object of a class."""
        return next(each for each in self._objects if isinstance(each, kind))

    def __getitem__(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._beside[name]

    @property
    def identity(self) -> dict[str, Any]:
        """What of them decides content, as JSON."""
        identity: dict[str, Any] = {}
        for each in self._objects:
            identity |= _stated(each)
        return identity | {name: _stated(value) for name, value in self._values.items()}


def _stated(value: Any) -> Any:
    if is_dataclass(value):
        return {type(value).__name__: settings_identity(value)}
    if isinstance(value, list | tuple):
        return [_stated(item) for item in value]
    return value


@dataclass(frozen=True)
class Reads:
    """An upstream asset that a stage reads.

    Of a coarser grain, it is the style or the model that the partition belongs to. Of a finer one,
    it is all blends that the style declares for the model. Of an asset that another stage
    publishes, it is the parts that the artifact of that stage lists, which is read before.

    Attributes:
        when: Whether a declaration needs it.
        further: Partitions of it that belong to other models, which may be of other styles. They
            are read as they are in the store: a run does not make them.
        with_ancestors: Whether the stage is also given everything that the artifact came from.
    """

    asset: str
    when: Callable[[Declaration], bool] = lambda _: True
    further: Callable[[Declaration], Sequence[Partition]] = lambda _: ()
    with_ancestors: bool = False


@dataclass(frozen=True)
class Publishes:
    """An asset whose partitions a stage publishes while it runs.

    Attributes:
        asset: The asset's name. Its own function is called for each part, and never on its own.
        listed: Returns the parts that the stage's finished artifact lists.
    """

    asset: str
    listed: Callable[[Artifact], Sequence[StoredSnapshot]]


_NAMES = Parts(
    denoiser="denoiser",
    autoencoder="vae",
    tokenizers=(),
    training=("denoiser",),
    encoding=("vae",),
)


@dataclass(frozen=True)
class Uses:
    """A model from outside the graph that a stage uses.

    Attributes:
        role: What it is for, such as ``captioner``.
        reference: Returns the model that a declaration names; ``None`` if it needs none.
        parts: Subfolders that count, as the style's base names them; ``None`` is the whole model.
    """

    role: str
    reference: "Callable[[Declaration], ModelReference | None]"
    parts: PartNames | None = None

    @property
    def reads_denoiser(self) -> bool:
        """Whether the denoiser of a base is among what counts."""
        return self.parts is None or _NAMES.denoiser in self.parts(_NAMES)


def uses_base(
    role: str, parts: PartNames, when: Callable[[Declaration], bool] = lambda _: True
) -> Uses:
    """Return the use of some parts of the style's base."""
    return Uses(role, lambda declared: declared.style.base if when(declared) else None, parts)


def _no_compute() -> "Compute":
    raise RuntimeError("this build was given no device")


def _find_nothing(_part: str) -> Artifact | None:
    return None


def _no_publish(part: str, content: Any) -> Artifact:
    raise RuntimeError(f"this build publishes no part {part!r} of {type(content).__name__}")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything that a stage's function is given, besides its workspace.

    Attributes:
        settings: As they were when the build was planned.
        upstream: Artifacts by asset; by ``asset/part`` where several are read, and by
            ``asset/model`` those of other models.
        models: Models from outside the graph by role.
        files: Files of the project by name.
        root: Folder that the paths of ``sources`` are relative to.
        ancestors: What upstream artifacts came from, each once, if the stage asked for it.
        former: The former artifact of the stage with all that it came from, nearest first, if the
            stage asked for it; empty if there is none, or no longer all of it.
        compute: Finds the device.
        publish: Publishes a part while the stage runs, such as a checkpoint.
        find: Returns a part as an earlier build of the very same part published it.
        content: Of a part: what the running stage made it of.
    """

    partition: Partition
    settings: Settings
    upstream: Mapping[str, Artifact]
    models: "Mapping[str, ResolvedModel]"
    files: Mapping[str, Path]
    root: Path
    ancestors: "tuple[Ancestor, ...]" = ()
    former: "tuple[Ancestor, ...]" = ()
    compute: GetCompute = _no_compute
    publish: Publish = _no_publish
    find: Find = _find_nothing
    content: Any = None

    def folder(self, asset: str) -> Path:
        """Return the local folder of an upstream artifact."""
        return self.upstream[asset].folder

    def every(self, asset: str) -> dict[str, Artifact]:
        """Return the artifacts of an asset of which several are read, by part, in order."""
        prefix = f"{asset}/"
        return {
            name.removeprefix(prefix): artifact
            for name, artifact in self.upstream.items()
            if name.startswith(prefix)
        }


def _always(_declared: Declaration) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Stage:
    """How one asset is made. ``graph/stages/`` has one file for each.

    Attributes:
        name: The asset's name, a noun.
        grain: What one of its partitions is.
        description: For a reader of the web UI; its first line is the asset's row in README.
        group: Group in the web UI.
        kinds: Kinds in the web UI.
        code_version: Raised when the same inputs give another content.
        run: Writes the artifact into a workspace and returns its figures, which are for people:
            what another stage needs is in a file.
        is_asked_for: Whether a style file asks for a partition at all. One that it does not ask for
            is in no run, no status and not in the web UI.
        settings: Returns the settings that decide its content.
        reads: Upstream assets.
        uses: Models from outside the graph.
        further_uses: Returns those that a single declaration names, such as one blend's.
        files: Returns files of the project, by name, that decide its content.
        former_by: Name of one of the upstream assets. The last artifact of the partition that was
            made of another version of that is its former one: it decides the content too.
        depends_on_outside: Whether something outside decides the content too, as a web site does.
            Then the function runs every time, and leaves it to its items to do no work twice.
        publishes: The asset whose partitions it publishes while it runs.
        pool: Pool whose slots limit how many of these run at once.
        preview: Makes the thumbnail.
    """

    name: str
    grain: Grain
    description: str
    group: str
    kinds: frozenset[str]
    code_version: str
    run: Callable[[Inputs, Workspace], Facts]
    is_asked_for: Callable[[Declaration], bool] = _always
    settings: Callable[[Declaration], Settings] = lambda _: Settings()
    reads: tuple[Reads, ...] = ()
    uses: tuple[Uses, ...] = ()
    further_uses: Callable[[Declaration], Sequence[Uses]] = lambda _: ()
    files: Callable[[Declaration], Mapping[str, str]] = field(default=lambda _: {})
    former_by: str | None = None
    depends_on_outside: bool = False
    publishes: Publishes | None = None
    pool: str | None = None
    preview: Preview | None = None
    checks: tuple[Check, ...] = ()

    def uses_of(self, declared: Declaration) -> tuple[Uses, ...]:
        """Return all models from outside the graph that a declaration may need."""
        return *self.uses, *self.further_uses(declared)

    @property
    def is_optional(self) -> bool:
        """Whether some style files do not ask for it."""
        return self.is_asked_for is not _always
