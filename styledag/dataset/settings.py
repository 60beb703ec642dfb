"""What a style file says of the dataset."""

from dataclasses import dataclass

from styledag.settings import StrictSettings, setting


@dataclass(frozen=True, kw_only=True)
class DatasetSettings(StrictSettings):
    """How captioned images become a Hugging Face dataset."""

    validation_share: float = setting(
        0.1, ge=0, le=0.5, help="Share of the families that is held out of training."
    )
    title: str = setting("", help="Title of the dataset's card; the style's name when empty.")
