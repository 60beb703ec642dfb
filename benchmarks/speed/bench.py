"""The benchmark's parts, each of which starts fresh processes and returns figures."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from benchmarks.speed.fake import STARTER_BLIP, write_captioner, write_checkpoint, write_images
from benchmarks.speed.measured import run_worker
from benchmarks.speed.peer import readme_flags, tuned_flags
from benchmarks.speed.scale import Scale

LOSS_BOUND = 0.01
"""Most that the mean loss over the gate's steps may differ from float32's, as a share of it."""
AVERAGE_BOUND = 1e-3
"""Most that averaged weights may differ from diffusers', and in root mean square from float32's."""
ENCODING_BOUND = {"float32": 1e-4, "bfloat16": 0.05}
"""Most that a moment may differ from one encoded alone, as a share of the largest."""
RECIPE: dict[str, Any] = {
    "learning_rate": 1e-5,
    "caption_dropout": 0.0,
    "ema": {"mode": "warmup"},
    "save_state_every_steps": 1_000_000,
}
"""What the peer does: AdamW, clipping at 1, diffusers' ramp for the average."""

Figures = dict[str, Any]
Images = tuple[int, int]
"""How many, and their side in pixels."""


@dataclass
class Bench:
    """One run of the benchmark.

    Attributes:
        scale: How much of everything.
        device: Where.
        threads: Of the processor.
        work: Folder for everything that is made.
        peer: The peer's script, if there is one.
        ends_at_s: By :func:`time.monotonic`, when the last process must have ended.
        uncompiled_losses: Those of the contest's recipe without compiling, once it was run.
    """

    scale: Scale
    device: str
    threads: int
    work: Path
    peer: Path | None
    ends_at_s: float = math.inf
    uncompiled_losses: list[float] = field(default_factory=list, init=False)
    _runs: int = field(default=0, init=False)

    @property
    def base(self) -> Path:
        """The fake base."""
        return self.work / f"base-{self.scale.architecture.size_px}"

    @property
    def left_s(self) -> float | None:
        """Seconds that are left; ``None`` without an end."""
        return None if math.isinf(self.ends_at_s) else self.ends_at_s - time.monotonic()

    def prepare(self) -> None:
        """Make base and images."""
        self.work.mkdir(parents=True, exist_ok=True)
        write_checkpoint(self.base, self.scale.architecture)
        for images in self._sets():
            write_images(self._folder("images", images), *images)

    def encode(self) -> list[Figures]:
        """Encode all images with our stage, and return the speed of each set."""
        return [
            self._worker(
                "ours",
                kind="encode",
                images=str(self._folder("images", images)),
                work=str(self._folder("encoded", images)),
                compute=self.scale.fast,
                batch_size=self.scale.batch_size,
            )
            for images in self._sets()
        ]

    def gate_losses(self) -> Figures:
        """Train some hundred steps in the lowered dtype and in float32, and compare."""
        per_epoch = math.ceil(self.scale.images / self.scale.gate_batch_size)
        epochs = math.ceil(self.scale.gate_steps / per_epoch)
        recipe = {
            "batch_size": self.scale.gate_batch_size,
            "epochs": epochs,
            "snapshot_every_epochs": epochs,
            # So much of the run's weights that a wrong one would show.
            "learning_rate": 1e-4,
        }
        plain = {"device": self.device, "dtype": "float32"}
        images = (self.scale.images, self.scale.gate_size_px)
        lowered = self.train(
            "gate-lowered", compute=self.scale.lowered, recipe=recipe, images=images
        )
        exact = self.train("gate-float32", compute=plain, recipe=recipe, images=images)
        folders = {
            name: str(self.work / "runs" / f"gate-{run}" / f"e{epochs:03d}")
            for name, run in (("first", "lowered"), ("second", "float32"))
        }
        apart = self._worker("gates", kind="snapshots", **folders)["rms_difference"]
        means = [sum(each["losses"]) / len(each["losses"]) for each in (lowered, exact)]
        return {
            "steps": len(exact["losses"]),
            "mean_loss": means[0],
            "mean_loss_float32": means[1],
            "loss_difference": abs(means[0] - means[1]) / means[1],
            "average_difference": apart,
            "passes": abs(means[0] - means[1]) <= LOSS_BOUND * means[1] and apart <= AVERAGE_BOUND,
        }

    def gate_averages(self) -> Figures:
        """Compare our average with diffusers' over the same weights."""
        found = self._worker(
            "gates", kind="averages", compute=self._float32(), steps=self.scale.gate_steps // 4
        )
        return found | {"passes": found["largest_difference"] <= AVERAGE_BOUND}

    def gate_encoding(self) -> Figures:
        """Compare our encoding of batches with a loop over single images."""
        compute = self.scale.fast
        found = self._worker(
            "gates",
            kind="encoding",
            images=str(self._folder("images", self._contest)),
            compute=compute,
            count=min(self.scale.images, 64),
            batch_size=self.scale.batch_size,
        )
        bound = ENCODING_BOUND[compute["dtype"]]
        return found | {"passes": found["largest_difference"] <= bound}

    def operations(self) -> Figures:
        """Count a real microstep's FLOPs, beside the prediction."""
        return self._worker(
            "gates",
            kind="operations",
            compute=self._float32(),
            recipe=self._recipe({}),
            work=str(self._folder("encoded", self._contest)),
        )

    def contest(self, rounds: int, *, untuned: bool = True) -> dict[str, list[Figures]]:
        """Run ours and the peer by turns, each time in a fresh process.

        Args:
            rounds: How often.
            untuned: Whether the peer is also run as its README says.
        """
        size_px = self.scale.architecture.size_px
        peers = {
            "peer, tuned": tuned_flags(
                device=self.device,
                size_px=size_px,
                batch_size=self.scale.batch_size,
                precision=self.scale.peer_precision,
            ),
            "peer, README": readme_flags(device=self.device, size_px=size_px),
        }
        if not untuned:
            del peers["peer, README"]
        found: dict[str, list[Figures]] = {}
        for _ in range(rounds):
            found.setdefault("ours", []).append(self.train("contest", compute=self.scale.fast))
            for name, (flags, count) in peers.items() if self.peer is not None else ():
                found.setdefault(name, []).append(self._run_peer(flags, count))
        return found

    def ladder(self) -> dict[str, Figures]:
        """Run ours with one switch more each time."""
        plain = self._float32()
        rungs: dict[str, dict[str, Any]] = {
            "float32, encoding in every step": {"compute": plain, "encode_every_step": True},
            "+ encoded once": {"compute": plain},
            "+ bfloat16": {"compute": plain | {"dtype": "bfloat16"}},
        }
        if self.device == "cuda":
            lowered = plain | {"dtype": "bfloat16", "channels_last": True}
            rungs["+ channels_last"] = {"compute": lowered}
            rungs["+ compile"] = {"compute": lowered | {"compile": "on"}}
        last = dict(list(rungs.values())[-1])
        rungs["... without an average"] = last | {"recipe": {"ema": {"mode": "none"}}}
        rungs["... with gradient checkpointing"] = last | {
            "recipe": {"gradient_checkpointing": True}
        }
        return {name: self.train("ladder", **settings) for name, settings in rungs.items()}

    def whole(self, compiled: Literal["auto", "on"] = "auto") -> Figures:
        """Train on all images with a snapshot after each epoch, and count all of the time.

        Args:
            compiled: Whether it is compiled; by itself so short a training is not.
        """
        scale = self.scale
        compute = {**scale.fast, "compile": compiled}
        recipe = {"epochs": scale.whole_epochs, "snapshot_every_epochs": 1}
        images = (scale.whole_images, scale.architecture.size_px)
        return self.train("whole", compute=compute, recipe=recipe, images=images)

    def lean(self) -> Figures:
        """Train with the least memory, one image a step."""
        recipe = {**self.scale.lean, "batch_size": 1, "gradient_checkpointing": True, "epochs": 1}
        lowered = {**self.scale.lowered, "compile": "off"}
        return self.train("lean", compute=lowered, recipe=recipe)

    def sampling(self, kind: Literal["sampling", "compiled_sampling"] = "sampling") -> Figures:
        """Sample with our denoiser and with diffusers' pipeline, or with compiled blocks."""
        return self._worker(
            "drawing",
            kind=kind,
            compute={**self.scale.fast, "compile": "off"},
            batch_size=self.scale.sampled,
            steps=self.scale.sampling_steps,
            size_px=self.scale.architecture.size_px,
        )

    def captioning(self) -> Figures:
        """Caption images in a batch and one by one."""
        captioner = STARTER_BLIP
        if self.device == "cuda":
            captioner = self.work / "blip"
            write_captioner(captioner)
        return self._worker(
            "drawing",
            kind="captioning",
            compute={**self.scale.fast, "compile": "off"},
            captioner=str(captioner),
            images=str(self._folder("images", self._contest)),
            batch_size=self.scale.captioned,
            compared=self.scale.sampled,
        )

    def train(
        self,
        name: str,
        *,
        compute: dict[str, Any],
        recipe: dict[str, Any] | None = None,
        images: Images | None = None,
        **task: Any,
    ) -> Figures:
        """Train in a fresh process.

        Args:
            name: Folder of the run.
            compute: Settings of the device.
            recipe: What differs from :data:`RECIPE`.
            images: Which; the contest's if left out.
            task: What else the process shall know.
        """
        found = self._worker(
            "ours",
            kind="train",
            work=str(self._folder("encoded", images or self._contest)),
            run=str(self.work / "runs" / name),
            compute=compute,
            recipe=self._recipe(recipe or {}),
            warm_up_steps=self.scale.warm_up_steps,
            **task,
        )
        if found["vae_calls"]:
            raise SystemExit(f"the VAE ran {found['vae_calls']} times in training: it must not")
        return found

    def _recipe(self, changes: dict[str, Any]) -> dict[str, Any]:
        epochs = self.scale.epochs
        counts = {"batch_size": self.scale.batch_size, "epochs": epochs}
        recipe = RECIPE | counts | changes
        return {"snapshot_every_epochs": recipe["epochs"]} | recipe

    def _run_peer(self, flags: list[str], images_per_step: int) -> Figures:
        scale = self.scale
        passes = scale.images * scale.epochs
        # README's flags see fewer images a step, so as many steps are fewer images.
        steps = passes // max(images_per_step, scale.batch_size)
        arguments = [
            *flags,
            f"--pretrained_model_name_or_path={self.base}",
            f"--train_data_dir={self._folder('images', self._contest)}",
            f"--cache_dir={self.work / 'datasets'}",
            f"--output_dir={self.work / 'runs' / 'peer'}",
            f"--max_train_steps={steps}",
        ]
        return self._worker(
            "peer",
            script=str(self.peer),
            arguments=arguments,
            images_per_step=images_per_step,
            warm_up_steps=scale.warm_up_steps,
        )

    def _worker(self, module: str, **task: Any) -> Figures:
        self._runs += 1
        return run_worker(
            f"benchmarks.speed.{module}",
            {"base": str(self.base), **task},
            device=self.device,
            threads=self.threads,
            log=self.work / "log.txt",
            timeout_s=self.left_s,
        )

    def _float32(self) -> dict[str, Any]:
        return {"device": self.device, "dtype": "float32"}

    @property
    def _contest(self) -> Images:
        return self.scale.images, self.scale.architecture.size_px

    def _sets(self) -> list[Images]:
        scale = self.scale
        whole = (scale.whole_images, scale.architecture.size_px)
        return sorted({self._contest, whole, (scale.images, scale.gate_size_px)})

    def _folder(self, kind: str, images: Images) -> Path:
        count, size_px = images
        return self.work / f"{kind}-{count}-{size_px}px"


def middle(runs: list[Figures], name: str) -> float:
    """Return the median of a figure over rounds."""
    return median(float(run[name]) for run in runs)
