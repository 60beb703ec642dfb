"""What a style file says of scores."""

from dataclasses import dataclass

from styledag.models.reference import ModelReference
from styledag.settings import STRICT, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How checkpoints and blends are judged."""

    __pydantic_config__ = STRICT

    scorer: ModelReference = setting(help="A CLIPModel, text and vision.")
    copying_percentile: float = setting(
        5.0,
        gt=0,
        lt=100,
        help="A sample nearer to a training picture than this percentile of the "
        "held-out pictures is called a copy.",
    )
    batch_size: int = setting(32, ge=1, identity=False, help="Pictures embedded at a time.")

    def __post_init__(self) -> None:
        check_settings(self)
