"""How much is trained, drawn and asked: the complete study, or one of a few minutes."""

from dataclasses import dataclass

from styledag.training.recipe import EmaSettings, Recipe

IN_STYLE = (
    "a panda face", "a fox face", "a cat face", "a lion face", "a penguin", "an owl",
    "an octopus", "a butterfly", "a turtle", "a red apple", "a banana", "a strawberry",
    "a carrot", "a doughnut", "a sunflower", "a cactus",
)  # fmt: skip
"""Subjects of the style's kind: animals, plants and food."""

OUTSIDE = (
    "a car", "a bicycle", "a bus", "a fire engine", "a tractor", "a truck", "a motor scooter",
    "an airplane", "a helicopter", "a rocket", "a sailboat", "a ship", "a train", "a tram",
    "a house", "a castle", "a church", "a school", "a factory", "a tent", "a hammer", "a wrench",
    "an axe", "a screwdriver", "a key", "a lock", "a magnet", "an anchor", "a guitar", "a trumpet",
    "a violin", "a bell",
)  # fmt: skip
"""Subjects that the base knows and the style's images do not show."""

VAGUE = (
    "something", "a thing", "an object", "an image", "art", "a symbol", "a shape", "a sign",
)  # fmt: skip
"""Subjects that leave the model to draw whatever comes first."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The size of a study.

    Attributes:
        training: Images of the style to train on, at the most.
        epochs: Passes over them, of the recipe that all others are compared with.
        batch_size: Images in one optimiser step.
        learning_rate: AdamW's, the same for all.
        lr_warmup_steps: Steps over which it rises.
        judged: Twemoji's drawings outside the style to measure the loss on, at the most.
        in_style: Subjects of the style's kind to ask for.
        outside: Subjects outside it.
        vague: Subjects that name nothing.
        seeds: Seeds of each.
        num_inference_steps: Denoising steps of a sample.
    """

    training: int
    epochs: int
    batch_size: int
    learning_rate: float
    lr_warmup_steps: int
    judged: int
    in_style: tuple[str, ...]
    outside: tuple[str, ...]
    vague: tuple[str, ...]
    seeds: tuple[int, ...]
    num_inference_steps: int

    @property
    def subjects(self) -> tuple[str, ...]:
        """All subjects that are asked for."""
        return self.in_style + self.outside + self.vague

    def baseline(self, seed: int) -> Recipe:
        """Return the recipe that every other differs from in one switch.

        Args:
            seed: Run seed.
        """
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            lr_warmup_steps=self.lr_warmup_steps,
            min_snr_gamma=5.0,
            horizontal_flip=False,
            ema=EmaSettings(mode="base", base_share=0.2),
            snapshot_every_epochs=999,
            seed=seed,
        )


COMPLETE = Scale(
    training=240,
    epochs=8,
    batch_size=16,
    learning_rate=2e-5,
    lr_warmup_steps=10,
    judged=200,
    in_style=IN_STYLE,
    outside=OUTSIDE,
    vague=VAGUE,
    seeds=(0, 1),
    num_inference_steps=15,
)

QUICK = Scale(
    training=64,
    epochs=4,
    batch_size=16,
    learning_rate=2e-5,
    lr_warmup_steps=2,
    judged=32,
    in_style=IN_STYLE[:4],
    outside=OUTSIDE[::4],
    vague=VAGUE[:2],
    seeds=(0,),
    num_inference_steps=6,
)
