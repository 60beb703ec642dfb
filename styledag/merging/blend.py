"""One blend of a base and its fine-tunes, on the disk, with its parents in the header."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.blocks import is_in, prefix_of
from styledag.errors import ModelError
from styledag.merging.method import MergeSettings, Method, Parents, method_of
from styledag.merging.methods.lerp import Lerp
from styledag.merging.parents import Parent, common_config, common_specs, finite_rows
from styledag.merging.write import write_folder
from styledag.settings import canonical_json, settings_identity
from styledag.store.artifact import Facts

if TYPE_CHECKING:
    import torch

    from styledag.tensors.reader import TensorSpec

CODE_VERSION = "1"


@dataclass(frozen=True, kw_only=True)
class FineTune:
    """One fine-tune in a blend.

    Attributes:
        folder: Its ``config.json`` and weights.
        name: What the header calls it, where there are several.
        weight: Its weight, 0 to 1.
        base_share: Share of the base that its average still holds, 0 to 1.
    """

    folder: Path
    weight: float
    base_share: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight is {self.weight!r}, but must be 0 to 1")

    @property
    def amount(self) -> float:
        """How much of the fine-tune is in the blend."""
        return blend_amount(self.weight, self.base_share)


def blend_amount(weight: float, base_share: float) -> float:
    """Return how much of the fine-tune is in a blend, 0 to 1.

    An average that still holds ``base_share`` of the base counts the base twice when it is
    blended with it: at weight 1 only ``1 - base_share`` is fine-tune.

    Args:
        weight: Share of the averaged weights in the blend, 0 to 1.
        base_share: Share of the base that the average itself still holds, 0 to 1.
    """
    return weight * (1 - base_share)


def blend_unet(
    base: Path,
    tuned: Path,
    weight: float,
    output: Path,
    *,
    parents: Mapping[str, str],
    base_share: float,
    block_weights: Mapping[str, float] | None = None,
    blocks: Mapping[str, str] | None = None,
    method: MergeSettings | None = None,
    others: Mapping[str, Path] | None = None,
) -> Facts:
    """Write the blend of a base and one fine-tune: linear interpolation, if no method is named.

    For all else see :func:`blend_models`.
    """
    fine_tune = FineTune(folder=tuned, weight=weight, base_share=base_share)
    return blend_models(
        base,
        [fine_tune],
        output,
        parents=parents,
        block_weights=block_weights or {},
        blocks=blocks or {},
        method=method or Lerp(),
        others=others or {},
    )


def blend_models(
    base: Path,
    fine_tunes: Sequence[FineTune],
    output: Path,
    *,
    parents: Mapping[str, str],
    method: MergeSettings,
    block_weights: Mapping[str, float],
    blocks: Mapping[str, str],
    others: Mapping[str, Path],
) -> Facts:
    """Write the blend of a base and its fine-tunes as a diffusers folder; return its figures.

    All parents are read and the blend is written in pieces of a few megabytes, or of one tensor
    where the method needs it whole. Arithmetic is float32 at least. Each tensor is saved in the
    widest of its parents' dtypes, so that a method whose weights 0 and 1 are exact gives back
    a parent bit for bit.

    Args:
        base: Folder of the base: ``config.json`` and safetensors, in one file or in shards.
        fine_tunes: Fine-tunes of that base, in an order that the header keeps.
        output: Folder to write; made if it is not there.
        parents: Versions of the parents, by role, for the header.
        method: The method with its settings.
        block_weights: Shares of the weights that single blocks are blended at; 1 for all others.
        blocks: Prefix of the tensors' names in each block that the base has, by its name.
        others: Folders of the further models that the method reads, by role.

    Raises:
        ModelError: If the parents differ in tensors, shapes or configuration, hold NaN or
            infinity, or have no such block; the message names the tensor, key or block.
        StorageError: If the output cannot be written.
        ValueError: If the method merges one fine-tune only and there are several.
    """
    facts = _facts(fine_tunes, block_weights, method)
    tuned = [each.folder for each in fine_tunes]
    with Blending(
        base, tuned, method=method, block_weights=block_weights, blocks=blocks, others=others
    ) as blending:
        written = write_folder(
            output,
            _config(base, tuned, others),
            blending.specs,
            _header(facts, parents),
            partial(blending.piece, [each.weight for each in fine_tunes]),
            whole_tensors=blending.whole_tensors,
        )
    return {**facts, **written}


class Blending:
    """The tensors of a base and its fine-tunes, opened to be blended by any weights.

    What it is given is that of :func:`blend_models`; arithmetic is done on the device.

    Attributes:
        specs: All tensors of a blend, each in the widest of its dtypes.
        whole_tensors: Whether the method needs each tensor whole.

    Raises:
        ModelError: If the parents differ in tensors or shapes, or have no such block.
        ValueError: If the method merges one fine-tune only and there are several.
    """

    def __init__(
        self,
        base: Path,
        tuned: Sequence[Path],
        *,
        method: MergeSettings,
        block_weights: Mapping[str, float],
        blocks: Mapping[str, str],
        others: Mapping[str, Path],
        device: "torch.device | None" = None,
    ) -> None:
        from styledag.tensors.reader import open_tensors

        self._settings, self._method = method, method_of(method)
        self._device = device
        if len(tuned) > 1 and not self._method.several:
            raise ValueError(f"method {method.type!r} merges one fine-tune, not {len(tuned)}")
        self.whole_tensors = self._method.whole_tensors
        with ExitStack() as opened:
            self._base = Parent(opened.enter_context(open_tensors(base)))

            def parent(folder: Path) -> Parent:
                return Parent(opened.enter_context(open_tensors(folder)), self._base)

            self._tuned = [parent(folder) for folder in tuned]
            self._others = {role: parent(folder) for role, folder in others.items()}
            self.specs = _widest_specs(self._base, [*self._tuned, *self._others.values()])
            names = [spec.name for spec in self.specs]
            method.check_names(names)
            self._shares = _shares(names, block_weights, blocks)
            self._opened = opened.pop_all()

    def __enter__(self) -> "Blending":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._opened.close()

    def piece(
        self, weights: Sequence[float], spec: "TensorSpec", start: int, stop: int
    ) -> "torch.Tensor":
        """Return rows of one tensor of a blend.

        Args:
            weights: Weight of each fine-tune, 0 to 1.
            spec: The tensor, one of ``specs``.
            start: Its first row.
            stop: The row after the last.

        Raises:
            ModelError: If the parents' rows hold NaN or infinity, or integers that differ, or if
                the blend is too large for its dtype.
        """
        from styledag.tensors.finite import is_finite

        shares = [weight * self._shares[spec.name] for weight in weights]
        # Then one look at the blend is one at all parents: three would be a third of the work.
        spreads_nan = self._method.spreads_nan and all(0 < share < 1 for share in shares)

        def rows(parent: Parent) -> "torch.Tensor":
            if spreads_nan:
                read = parent.read(spec.name, start, stop)
            else:
                read = finite_rows(parent, spec.name, start, stop)
            return _computable(read.to(self._device), spec, self._method)

        pieces = Parents(
            spec.name,
            rows(self._base),
            [rows(each) for each in self._tuned],
            shares,
            {role: rows(each) for role, each in self._others.items()},
        )
        if not spec.dtype.is_floating_point:
            return _common_integers(pieces, self._base, self._tuned)
        merged: torch.Tensor = self._method.merge(pieces, self._settings).to(spec.dtype)
        if not is_finite(merged):
            for parent in (self._base, *self._tuned, *self._others.values()):
                finite_rows(parent, spec.name, start, stop)
            raise ModelError(f"tensor {spec.name!r} of the blend is too large for {spec.dtype}")
        return merged


def _config(base: Path, tuned: Sequence[Path], others: Mapping[str, Path]) -> Mapping[str, Any]:
    """Return the configuration of what is blended into: the last other model's, or the base's."""
    for folder in tuned:
        config = common_config(base, folder)
    for folder in others.values():
        config = common_config(folder, base)
    return config


def _widest_specs(base: Parent, others: Sequence[Parent]) -> "list[TensorSpec]":
    """Return all tensors, each in the widest of its dtypes."""
    import torch

    widest = dict(base.specs)
    for other in others:
        for spec in common_specs(base, other):
            dtype = torch.promote_types(widest[spec.name].dtype, spec.dtype)
            widest[spec.name] = replace(spec, dtype=dtype)
    return list(widest.values())


def _computable(rows: "torch.Tensor", spec: "TensorSpec", method: Method) -> "torch.Tensor":
    """Return rows in the dtype that a method computes in."""
    import torch

    if not spec.dtype.is_floating_point or method.rounds_once:
        return rows.to(spec.dtype)
    return rows.to(torch.promote_types(spec.dtype, torch.float32))


def _common_integers(pieces: Parents, base: Parent, tuned: Sequence[Parent]) -> "torch.Tensor":
    for theirs, parent in zip(pieces.tuned, tuned, strict=True):
        if not theirs.equal(pieces.base):
            raise ModelError(
                f"tensor {pieces.name!r} holds integers that differ between {base.path} and "
                f"{parent.path}: they cannot be blended"
            )
    return pieces.base


def _shares(
    names: Sequence[str], block_weights: Mapping[str, float], blocks: Mapping[str, str]
) -> dict[str, float]:
    """Return each tensor's share of the weight, by name."""
    shares = dict.fromkeys(names, 1.0)
    for block, share in block_weights.items():
        prefix = prefix_of(block, blocks, setting="block_weights", error=ModelError)
        shares |= dict.fromkeys([name for name in names if is_in(name, prefix)], share)
    return shares


def _facts(
    fine_tunes: Sequence[FineTune], block_weights: Mapping[str, float], method: MergeSettings
) -> Facts:
    settings = {k: v for k, v in settings_identity(method).items() if k != "type"}
    figures: Facts = {
        "weight": [float(each.weight) for each in fine_tunes],
        "amount": [each.amount for each in fine_tunes],
        "base_share": [each.base_share for each in fine_tunes],
    }
    if len(fine_tunes) == 1:
        figures = {name: values[0] for name, values in figures.items()}
    else:
        figures = {"models": [each.name for each in fine_tunes], **figures}
    return {
        "method": method.type,
        **figures,
        **({"block_weights": dict(block_weights)} if block_weights else {}),
        **({"settings": settings} if settings else {}),
    }


def _header(facts: Facts, parents: Mapping[str, str]) -> dict[str, str]:
    """Return the strings of the header: how the blend was made, and the versions of its parents."""
    return {
        "format": "pt",
        **{
            f"styledag.{name}": value if isinstance(value, str) else canonical_json(value)
            for name, value in facts.items()
            if name != "base_share"
        },
        **{f"styledag.{parent}": version for parent, version in parents.items()},
    }
