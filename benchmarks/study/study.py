"""Everything that is made once and kept: encoded images, UNets and samples."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from benchmarks.study.experiments import BASE, EXPERIMENTS, PROMPT, Experiment
from benchmarks.study.images import Image, dataset_of, evenly, store_images
from benchmarks.study.scale import Scale
from styledag.bases.stable_diffusion import StableDiffusion
from styledag.merging import blend
from styledag.models.compute import Compute
from styledag.models.reference import ModelReference, ResolvedModel, resolve_model
from styledag.progress import Progress
from styledag.sampling import grid
from styledag.sampling.frozen_parts import FrozenParts
from styledag.sampling.index import Pair, read_samples
from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings
from styledag.sampling.weights import Weights
from styledag.scoring.denoising_loss import DenoisingLosses
from styledag.scoring.embedding_scorer import EmbeddingScorer
from styledag.scoring.style import Float64
from styledag.scoring.style_learned import heldout_images
from styledag.settings import settings_identity
from styledag.store.artifact import Artifact, Facts
from styledag.store.store import Body, Store, Target
from styledag.store.workspace import Workspace
from styledag.training import train
from styledag.training.encoding import encode
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.samples import EncodeSample
from styledag.training.identity import CODE_VERSION as TRAINING_CODE_VERSION
from styledag.training.recipe import PriorSettings
from styledag.training.records import Snapshot

CODE_VERSION = "1"
UNET = "unet"
CLIP = "clip"
_LOSSES = "losses.json"
_BATCH = 32


@dataclass(frozen=True)
class Study:
    """One starter at one scale, in a store of its own.

    What is made is kept as an artifact, so a killed study resumes where it stopped, and another
    starter, scale or recipe makes anew only what depends on it.

    Attributes:
        store: Where everything is kept.
        starter: Folder of the starter.
        scale: How much is trained and drawn.
        compute: Device and dtype.
        progress: Who shows how far it is.
    """

    store: Store
    starter: Path
    scale: Scale
    compute: Compute
    progress: Progress

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """All drawings."""
        return store_images(self.store.blobs, training=self.scale.training)

    @cached_property
    def base(self) -> ResolvedModel:
        """The base: its models, without its cards."""
        return self._model("stable-diffusion", StableDiffusion.parts.sampling)

    @cached_property
    def scorer(self) -> EmbeddingScorer:
        """The starter's CLIP."""
        found = self._model(CLIP, ("",))
        return EmbeddingScorer(found.folder, found.version, self.compute)

    def dataset(self, experiment: Experiment) -> Artifact:
        """Return what an experiment is trained on, encoded.

        With DreamBooth all images have its prompt for a caption, and the base's own images of
        the class stand beside them.

        Args:
            experiment: Its recipe, and how much of the family is trained on.
        """
        samples = dataset_of(self.images, experiment.images)
        recipe = experiment.recipe(self.scale, 0)
        if recipe.instance_prompt is None:
            return self._encoded(experiment.images, samples)
        named = [replace(each, caption=recipe.instance_prompt) for each in samples]
        prior = [] if recipe.prior is None else self._prior(recipe.prior)
        return self._encoded(f"{experiment.images}-{experiment.name}", [*named, *prior])

    def losses(
        self, experiment: Experiment | None, seed: int
    ) -> Mapping[str, Mapping[str, Sequence[float]]]:
        """Return a UNet's loss on each of Twemoji's drawings outside the style, and on the base's.

        It is the one that the stage ``scores`` judges by, at each of its timesteps.

        Args:
            experiment: Whose UNet it is and how it is asked; the base's for ``None``.
            seed: Run seed of the training.

        Returns:
            Losses by subject under ``outside``, and by subject and seed under ``own``.
        """
        asked = EXPERIMENTS[0] if experiment is None else experiment
        tuned = None if experiment is None else self.unet(experiment, seed)
        outside = [each for each in self.images if each.role == "outside"]
        outside = evenly(outside, self.scale.judged)
        drawn = [pair for pair in self.samples(None, 0) if pair[0] in self.scale.outside]
        subjects = {each.id: each.subject for each in outside}
        subjects |= {_drawn_id(pair): pair[0] for pair in drawn}
        names = {each.id: each.name for each in outside}
        names |= {_drawn_id(pair): f"{pair[0]} {pair[1]}" for pair in drawn}
        images = self._encoded(
            "judged",
            [replace(each.as_sample(), split="validation") for each in outside]
            + [self._drawn(each) for each in drawn],
        )

        def body(workspace: Workspace) -> Facts:
            encoded = EncodedDataset.open(images.folder)
            noised = [
                replace(each, text=asked.prompt.format(subjects[each.sha256]))
                for each in heldout_images(encoded, len(subjects))
            ]
            parts = FrozenParts(self.base.folder, self.compute)
            denoiser, version = (tuned or self.base).folder / UNET, (tuned or self.base).version
            rows: Float64 = DenoisingLosses(parts, self.base.version, workspace, _BATCH).of(
                Weights.stored(version, denoiser), noised
            )
            found = {each.sha256: row for each, row in zip(noised, rows.tolist(), strict=True)}
            own = {_drawn_id(pair) for pair in drawn}
            (workspace.folder / _LOSSES).write_text(
                json.dumps(
                    {
                        "outside": {
                            names[one]: loss for one, loss in found.items() if one not in own
                        },
                        "own": {names[one]: loss for one, loss in found.items() if one in own},
                    }
                )
            )
            return {}

        artifact = self._built(
            Target(
                asset="losses",
                partition=BASE if experiment is None else f"{experiment.name}/{seed}",
                code_version="2",
                settings={"prompt": asked.prompt, "dtype": str(self.compute.dtype)},
                inputs=[
                    self.base.as_input(BASE),
                    images.as_input(),
                    *([tuned.as_input()] if tuned else []),
                ],
            ),
            body,
        )
        written: dict[str, dict[str, list[float]]] = json.loads(
            (artifact.folder / _LOSSES).read_text()
        )
        return written

    def _encoded(self, name: str, samples: Sequence[EncodeSample]) -> Artifact:
        encoders = self._model("stable-diffusion", StableDiffusion.parts.encoding)

        def body(workspace: Workspace) -> Facts:
            return encode.encode_dataset(
                samples,
                encoders.folder,
                base_version=encoders.version,
                compute=self.compute,
                workspace=workspace,
                batch_size=32,
                flip=False,
            )

        return self._built(
            Target(
                asset="encoded_dataset",
                partition=name,
                code_version=f"{CODE_VERSION}.{encode.CODE_VERSION}",
                settings={"samples": [asdict(each) for each in samples]},
                inputs=[encoders.as_input("base_encoders")],
            ),
            body,
        )

    def unet(self, experiment: Experiment, seed: int) -> Artifact:
        """Return a trained or blended UNet; its facts are the training's figures.

        Args:
            experiment: How it is made.
            seed: Run seed.
        """
        if experiment.model is None:
            return self._trained(experiment, seed)
        (other,) = (each for each in EXPERIMENTS if each.name == experiment.model)
        tuned = self._trained(other, seed)
        return tuned if experiment.weight == 1 else self._blended(experiment, tuned, seed)

    def samples(self, experiment: Experiment | None, seed: int) -> Mapping[Pair, Path]:
        """Return the images of all subjects by subject and seed, the base's for ``None``.

        Args:
            experiment: Whose UNet draws them, and how it is asked.
            seed: Run seed of the training.
        """
        drawn = EXPERIMENTS[0] if experiment is None else experiment
        prompts = {drawn.prompt.format(subject): subject for subject in self.scale.subjects}
        settings = SampleSettings(
            prompts=tuple(prompts),
            seeds=self.scale.seeds,
            scheduler="ddim",
            num_inference_steps=self.scale.num_inference_steps,
            guidance_scale=4.0,
            batch_size=32,
        )
        tuned = None if experiment is None else self.unet(experiment, seed)

        def body(workspace: Workspace) -> Facts:
            sampler = self._sampler(settings, tuned)
            return grid.draw_sample_grid(sampler, workspace, title=drawn.switch)

        artifact = self._built(
            Target(
                asset="sample_grid",
                partition=BASE if experiment is None else f"{experiment.name}/{seed}",
                code_version=f"{CODE_VERSION}.{grid.CODE_VERSION}",
                settings=settings_identity(settings) | {"dtype": str(self.compute.dtype)},
                inputs=[self.base.as_input(BASE), *([tuned.as_input()] if tuned else [])],
            ),
            body,
        )
        files = read_samples(artifact.folder)
        return {(prompts[prompt], each): path for (prompt, each), path in files.items()}

    def _prior(self, prior: PriorSettings) -> list[EncodeSample]:
        """Return the base's own images of a class as samples."""
        settings = SampleSettings(
            prompts=(prior.class_prompt,),
            seeds=tuple(range(prior.images)),
            scheduler="ddim",
            num_inference_steps=prior.num_inference_steps,
            guidance_scale=prior.guidance_scale or StableDiffusion.usual_guidance_scale,
            batch_size=32,
        )

        def body(workspace: Workspace) -> Facts:
            sampler = self._sampler(settings, None)
            return grid.draw_sample_grid(sampler, workspace, title=prior.class_prompt)

        drawn = self._built(
            Target(
                asset="sample_grid",
                partition="prior",
                code_version=f"{CODE_VERSION}.{grid.CODE_VERSION}",
                settings=settings_identity(settings) | {"dtype": str(self.compute.dtype)},
                inputs=[self.base.as_input(BASE)],
            ),
            body,
        )
        return [
            EncodeSample(
                id=_drawn_id(pair),
                caption=prior.class_prompt,
                split="prior",
                name=f"{pair[0]}, seed {pair[1]}",
                image_sha256=self.store.blobs.put(path.read_bytes()),
            )
            for pair, path in read_samples(drawn.folder).items()
        ]

    def _drawn(self, pair: Pair) -> EncodeSample:
        """Return an image that the base drew as a sample to encode."""
        return EncodeSample(
            id=_drawn_id(pair),
            caption=PROMPT.format(pair[0]),
            split="validation",
            name=f"{pair[0]}, seed {pair[1]}",
            image_sha256=self.store.blobs.put(self.samples(None, 0)[pair].read_bytes()),
        )

    def _trained(self, experiment: Experiment, seed: int) -> Artifact:
        dataset = self.dataset(experiment)
        recipe = experiment.recipe(self.scale, seed)

        def body(workspace: Workspace) -> Facts:
            result = train.train_unet(
                EncodedDataset.open(dataset.folder),
                self.base.folder,
                recipe,
                inputs={"base": self.base.version, "encoded_dataset": dataset.version},
                compute=self.compute,
                scratch=workspace.scratch,
                on_snapshot=_nothing,
                progress=workspace.progress,
                work=workspace.work,
            )
            shutil.copytree(result.final.folder, workspace.folder / UNET)
            return {
                "validation_loss": result.final.validation_loss,
                "base_share": result.final.base_share,
                "steps": result.final.step,
                "seconds": round(result.seconds, 1),
            }

        return self._built(
            Target(
                asset="ema_unet",
                partition=f"{experiment.name}/{seed}",
                code_version=f"{CODE_VERSION}.{TRAINING_CODE_VERSION}",
                settings=settings_identity(recipe) | {"dtype": str(self.compute.dtype)},
                inputs=[self.base.as_input(BASE), dataset.as_input()],
            ),
            body,
        )

    def _blended(self, experiment: Experiment, tuned: Artifact, seed: int) -> Artifact:
        def body(workspace: Workspace) -> Facts:
            facts = blend.blend_unet(
                self.base.folder / UNET,
                tuned.folder / UNET,
                experiment.weight,
                workspace.folder / UNET,
                parents={"base": self.base.version, "tuned": tuned.version},
                base_share=tuned.facts["base_share"],
            )
            return {"base_share": 1 - facts["amount"]}

        return self._built(
            Target(
                asset="merged_unet",
                partition=f"{experiment.name}/{seed}",
                code_version=f"{CODE_VERSION}.{blend.CODE_VERSION}",
                settings={"weight": experiment.weight},
                inputs=[self.base.as_input(BASE), tuned.as_input()],
            ),
            body,
        )

    def _sampler(self, settings: SampleSettings, tuned: Artifact | None) -> Sampler:
        return Sampler(
            self.base.folder,
            settings,
            self.compute,
            base_version=self.base.version,
            weights=Weights.stored(tuned.version, tuned.folder / UNET) if tuned else None,
        )

    def _model(self, name: str, parts: tuple[str, ...]) -> ResolvedModel:
        reference = ModelReference(model=name)
        return resolve_model(reference, project=self.starter, items=self.store.items, parts=parts)

    def _built(self, target: Target, body: Body) -> Artifact:
        return self.store.build(target, body, progress=self.progress).artifact


def _drawn_id(pair: Pair) -> str:
    return hashlib.sha256(f"{pair[0]} {pair[1]}".encode()).hexdigest()


def _nothing(snapshot: Snapshot) -> None:
    del snapshot
