"""What training will need, from the base's configuration alone: memory, FLOPs, disk."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from styledag.bases.find import find_base
from styledag.bases.latents import LatentsShape
from styledag.models.compute import Compute
from styledag.training.batches import BANDS
from styledag.training.estimating.dry_pass import DryPass, dry_pass, encoding_flops
from styledag.training.recipe import Recipe

if TYPE_CHECKING:
    from styledag.training.encoding.dataset import EncodedDataset, EncodedSample

_MIB = 1 << 20
_FLOAT32, _HALF = 4, 2
_ALLOCATOR_LOSS = 0.05
_WORKSPACE_BYTES = {"cuda": 256 * _MIB, "mps": 256 * _MIB, "cpu": 128 * _MIB}
_ROUNDED_AT_A_TIME = 1 << 25
"""Weights in bfloat16 that an optimiser step holds in float32 at a time."""
_BLOCK_8BIT, _SMALLEST_8BIT = 256, 4096
_DELTA_SHARE, _ADAPTED_DELTA_SHARE = 0.5, 0.1


@dataclass(frozen=True, kw_only=True)
class PlannedTraining:
    """A run that has not started.

    Attributes:
        base: Folder of the base; only its configurations are read.
        recipe: What is trained and how.
        compute: Device, and dtype of the passes.
        latents: How many training images have latents of which shape; at least one.
        validation: Images held out.
        captions: Different captions.
        processes: Processes that share each microstep.
    """

    base: Path
    recipe: Recipe
    compute: Compute
    latents: Mapping[LatentsShape, int]
    validation: int = 0
    captions: int = 0
    processes: int = 1

    @classmethod
    def of(
        cls,
        encoded: "EncodedDataset",
        base: Path,
        recipe: Recipe,
        *,
        compute: Compute,
        processes: int = 1,
    ) -> "PlannedTraining":
        """Return the run of a recipe on an encoded dataset."""
        return cls(
            base=base,
            recipe=recipe,
            compute=compute,
            latents=Counter(_latents_shape(encoded, each) for each in encoded.train),
            validation=len(encoded.validation),
            captions=len(encoded.captions) - 1,
            processes=processes,
        )

    @property
    def train(self) -> int:
        """Images to train on."""
        return sum(self.latents.values())

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        recipe = self.recipe
        microsteps = sum(math.ceil(count / recipe.batch_size) for count in self.latents.values())
        return math.ceil(microsteps / recipe.gradient_accumulation) * recipe.epochs

    @property
    def largest(self) -> LatentsShape:
        """The shape of most latents, for which memory must suffice."""
        return max(self.latents, key=math.prod)

    @property
    def microstep(self) -> int:
        """Images that one process sees in a microstep, prior images included."""
        share = math.ceil(self.recipe.batch_size / self.processes)
        return share if self.recipe.prior is None else 2 * share


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run will need.

    Attributes:
        parameters: Elements of all weights of the denoiser, adapters included.
        trained: Elements of the trained ones.
        device_bytes: Device memory by what it is for. ``activations`` is all that comes and goes:
            at the fullest moment of a microstep, or in the optimiser's step if that is more.
        host_bytes: Host memory by what it is for, where the device has its own.
        flops_forward: FLOPs of one image's forward pass.
        flops: Those of its forward and backward pass, recomputation included, and those of the
            frozen base for the captions that are dropped.
        flops_encode: Those of encoding one image.
        flops_caption: Those of encoding one caption.
        images: Images that the run trains on, each epoch counted.
        validated: Images whose validation loss is computed, each time counted.
        encoded: Images to encode, mirrored ones included.
        captions: Captions to encode, the empty one included.
        moved_bytes: Memory that one optimiser step reads and writes after the passes.
        snapshot_bytes: Bytes of each.
        state_bytes: Bytes of the state to resume from, of which two are there at times.
        encoded_bytes: Bytes of the encoded dataset.
    """

    parameters: int
    trained: int
    device_bytes: Mapping[str, int]
    host_bytes: Mapping[str, int] = field(default_factory=dict)
    flops_forward: int
    flops: int
    flops_encode: int
    flops_caption: int
    images: int
    validated: int
    encoded: int
    captions: int
    steps: int
    moved_bytes: int
    snapshots: int
    snapshot_bytes: int
    state_bytes: int
    encoded_bytes: int

    @property
    def needed_bytes(self) -> int:
        """Device memory in all."""
        return sum(self.device_bytes.values())

    @property
    def disk_bytes(self) -> int:
        """Room on the disk: encoded dataset, snapshots, the model itself, two states.

        What is encoded is there twice: by image and caption too, for datasets to come.
        """
        written = (self.snapshots + 1) * self.snapshot_bytes
        return 2 * self.encoded_bytes + written + 2 * self.state_bytes


def estimate_training(planned: PlannedTraining) -> Estimate:
    """Return what a run will need; nothing of it is run and no weight is read.

    Memory is counted by running the real autograd on tensors without content; see
    :func:`~styledag.training.estimating.dry_pass.dry_pass`. On top come 5 % of what comes and
    goes, which an allocator loses, and a fixed room for the kernels' workspaces.

    Raises:
        ModelError: If one of the base's configurations is missing or damaged.
        TrainingError: If the recipe trains a part that the base has not, or peft is missing.
    """
    recipe = planned.recipe
    microstep = _pass(planned, planned.largest, planned.microstep)
    per_image = _per_image(planned)
    flops_encode, flops_caption = encoding_flops(planned.base, planned.largest)
    moments = _moments_bytes(recipe, microstep)
    average = _average_bytes(recipe, microstep)
    snapshots = math.ceil(recipe.epochs / recipe.snapshot_every_epochs)
    mirrored = 2 if recipe.horizontal_flip else 1
    images = planned.train + planned.validation
    captions = planned.captions + 1
    return Estimate(
        parameters=microstep.parameters,
        trained=microstep.trained,
        device_bytes=_device_bytes(planned, microstep),
        host_bytes=_host_bytes(planned, microstep),
        flops_forward=per_image[0],
        flops=per_image[1],
        flops_encode=flops_encode,
        flops_caption=flops_caption,
        images=_images(planned),
        validated=planned.validation * BANDS * snapshots,
        encoded=images * mirrored,
        captions=captions,
        steps=planned.steps,
        moved_bytes=2 * (2 * microstep.gradients_bytes + moments + average)
        + 2 * _trained_bytes(recipe, microstep),
        snapshots=snapshots,
        snapshot_bytes=_snapshot_bytes(recipe, microstep),
        state_bytes=_trained_bytes(recipe, microstep) + moments + average,
        encoded_bytes=_encoded_bytes(planned, mirrored, captions),
    )


def training_flops(planned: PlannedTraining) -> int:
    """Return the FLOPs of a run's training steps alone.

    Raises:
        ModelError: If a configuration is missing or damaged.
        TrainingError: If the recipe trains a part that the base has not, or peft is missing.
    """
    return _images(planned) * _per_image(planned)[1]


def device_bytes(planned: PlannedTraining) -> dict[str, int]:
    """Return :attr:`Estimate.device_bytes` of a run, without counting anything else.

    Of the base only configurations are read.

    Raises:
        ModelError: If a configuration is missing or damaged.
        TrainingError: If the recipe trains a part that the base has not, or peft is missing.
    """
    microstep = _pass(planned, planned.largest, planned.microstep)
    return _device_bytes(planned, microstep)


def _images(planned: PlannedTraining) -> int:
    return planned.train * planned.recipe.epochs * (1 if planned.recipe.prior is None else 2)


def _pass(planned: PlannedTraining, shape: LatentsShape, batch_size: int) -> DryPass:
    return dry_pass(
        planned.base,
        planned.recipe,
        shape,
        device=planned.compute.device.type,
        dtype=planned.compute.dtype,
        batch_size=batch_size,
    )


def _per_image(planned: PlannedTraining) -> tuple[int, int]:
    """Return one image's FLOPs, forward and both, as the mean over all shapes."""
    forward = both = 0
    for shape, count in planned.latents.items():
        single = _pass(planned, shape, 1)
        forward += count * single.flops_forward
        both += count * single.flops
    if planned.recipe.dropped_captions == "base":
        both += int(planned.recipe.caption_dropout * forward)
    return forward // planned.train, both // planned.train


def _device_bytes(planned: PlannedTraining, microstep: DryPass) -> dict[str, int]:
    device = planned.compute.device.type
    passing = microstep.peak_bytes - microstep.gradients_bytes
    stepping = _stepping_bytes(planned.recipe, microstep)
    # A snapshot is gathered in host memory, when neither gradients nor activations are.
    writing = _HALF * microstep.stored - microstep.gradients_bytes if device == "cpu" else 0
    # So is the base, before it is quantised.
    loading = _loaded_bytes(planned.recipe, microstep) if device == "cpu" else 0
    weights = microstep.weights_bytes + microstep.masters_bytes
    activations = max(passing, stepping, writing, loading - weights)
    items = {
        "weights": weights,
        "gradients": microstep.gradients_bytes,
        "moments": _moments_bytes(planned.recipe, microstep),
        "average": 0 if _leaves_device(planned) else _average_bytes(planned.recipe, microstep),
        "activations": activations,
        "batch": _batch_bytes(planned),
        "workspace": _WORKSPACE_BYTES[device]
        + int(_ALLOCATOR_LOSS * (activations + microstep.gradients_bytes)),
    }
    if planned.recipe.dropped_captions == "base":
        items["frozen base"] = planned.compute.dtype.itemsize * microstep.stored
    if planned.processes > 1:
        items["gradients of other processes"] = microstep.gradients_bytes
    return items


def _stepping_bytes(recipe: Recipe, microstep: DryPass) -> int:
    """Return what an optimiser's step takes beside what stays."""
    largest = max(math.prod(shape) for shape in microstep.trained_shapes)
    at_a_time = min(microstep.trained, _ROUNDED_AT_A_TIME + largest)
    adafactor = 3 * _FLOAT32 * largest if recipe.optimizer == "adafactor" else 0
    if recipe.weights == "bfloat16":
        return 2 * _FLOAT32 * (at_a_time + largest)
    if microstep.masters_bytes:
        # Gradients that were summed in float32 stay as they are.
        widened = recipe.gradient_accumulation == 1
        return (_FLOAT32 * at_a_time if widened else 0) + adafactor
    return adafactor


def _moments_bytes(recipe: Recipe, microstep: DryPass) -> int:
    return sum(_moment_bytes(recipe, shape) for shape in microstep.trained_shapes)


def _moment_bytes(recipe: Recipe, shape: tuple[int, ...]) -> int:
    numbers = math.prod(shape)
    if recipe.optimizer == "adafactor" and len(shape) > 1:
        # Sums over the last and over the last but one dimension (Shazeer and Stern 2018).
        return _FLOAT32 * (numbers // shape[-1] + numbers // shape[-2])
    if recipe.optimizer == "adafactor":
        return _FLOAT32 * numbers
    if recipe.optimizer == "adamw_8bit" and numbers >= _SMALLEST_8BIT:
        return 2 * (numbers + _FLOAT32 * math.ceil(numbers / _BLOCK_8BIT))
    return 2 * _FLOAT32 * numbers


def _average_bytes(recipe: Recipe, microstep: DryPass) -> int:
    return _averages(recipe) * _FLOAT32 * microstep.trained


def _averages(recipe: Recipe) -> int:
    return {"none": 0, "power": 2}.get(recipe.ema.mode, 1)


def _host_bytes(planned: PlannedTraining, microstep: DryPass) -> dict[str, int]:
    items = {}
    if _leaves_device(planned):
        items["average"] = _average_bytes(planned.recipe, microstep)
    loaded = _loaded_bytes(planned.recipe, microstep)
    if loaded and planned.compute.device.type != "cpu":
        items["base until it is quantised"] = loaded
    return items


def _loaded_bytes(recipe: Recipe, microstep: DryPass) -> int:
    """Return the bytes of a base that is loaded to be quantised; 0 of others."""
    if recipe.base_bits is None:
        return 0
    return microstep.stored * (_HALF if recipe.weights == "bfloat16" else _FLOAT32)


def _leaves_device(planned: PlannedTraining) -> bool:
    return planned.recipe.ema_on_cpu and planned.compute.device.type != "cpu"


def _trained_bytes(recipe: Recipe, microstep: DryPass) -> int:
    return microstep.trained * (_HALF if recipe.weights == "bfloat16" else _FLOAT32)


def _snapshot_bytes(recipe: Recipe, microstep: DryPass) -> int:
    unets = max(1, _averages(recipe)) * _HALF * microstep.stored
    if recipe.snapshot_format == "delta":
        unets = int((_DELTA_SHARE if recipe.lora is None else _ADAPTED_DELTA_SHARE) * unets)
    return unets + 2 * _HALF * _adapters(recipe, microstep)


def _adapters(recipe: Recipe, microstep: DryPass) -> int:
    return microstep.trained if recipe.lora is not None else 0


def _batch_bytes(planned: PlannedTraining) -> int:
    latents = 3 * math.prod(planned.largest)
    return _FLOAT32 * planned.microstep * (latents + _conditioning_elements(planned))


def _encoded_bytes(planned: PlannedTraining, mirrored: int, captions: int) -> int:
    size = _HALF if planned.compute.dtype == torch.bfloat16 else _FLOAT32
    held_out = planned.validation * math.prod(planned.largest)
    latents = sum(count * math.prod(shape) for shape, count in planned.latents.items()) + held_out
    return size * (2 * mirrored * latents + captions * _conditioning_elements(planned))


def _conditioning_elements(planned: PlannedTraining) -> int:
    """Return the elements of one caption's conditioning."""
    conditioning = find_base(planned.base).meta_conditioning(1)
    return sum(each.numel() for each in conditioning.tensors.values())


def _latents_shape(encoded: "EncodedDataset", sample: "EncodedSample") -> LatentsShape:
    channels, height, width = encoded.moments[sample.bucket].mean.shape[2:]
    return channels, height, width
