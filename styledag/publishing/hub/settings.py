"""Where and how a model or a dataset is published."""

from dataclasses import dataclass
from typing import Literal

from styledag.settings import STRICT, check_settings, setting

Kind = Literal["model", "dataset"]


@dataclass(frozen=True, kw_only=True)
class PublishSettings:
    """Settings that model and dataset share."""

    __pydantic_config__ = STRICT

    to: Literal["hub", "folder"] = setting(
        "hub", help="Whether the target is a repository of the Hub or a folder."
    )
    private: bool = setting(
        True, identity=False, help="Whether a new repository is private; one that exists stays."
    )
    deny_licences: tuple[str, ...] = setting(
        (),
        help="Licences of images with which nothing is published; * stands for any letters, "
        "as in *-NC-*, and 'unknown' for images without a licence.",
    )
    tries: int = setting(
        5, ge=1, identity=False, help="How often a transfer is tried before it is given up."
    )

    def __post_init__(self) -> None:
        check_settings(self)
