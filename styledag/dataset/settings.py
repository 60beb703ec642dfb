"""What a style file says of the dataset."""

from dataclasses import dataclass

from styledag.settings import STRICT, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class DatasetSettings:
    """How captioned images become a Hugging Face dataset."""

    __pydantic_config__ = STRICT

    validation_share: float = setting(
        0.1, ge=0, le=0.5, help="Share of the families that is held out of training."
    )
    title: str = setting("", help="Title of the dataset's card; the style's name when empty.")

    def __post_init__(self) -> None:
        check_settings(self)
