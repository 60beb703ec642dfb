"""What a check found."""

from collections.abc import Callable
from dataclasses import dataclass

from styledag.errors import StyledagError


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        is_fine: Whether it is as it should be.
        detail: What was found, and what to do if it is not fine.
    """

    subject: str
    is_fine: bool
    detail: str


def checked(subject: str, look: Callable[[], str]) -> Finding:
    """Return what a check found: what ``look`` returns, or the error that it raises."""
    try:
        return Finding(subject, True, look())
    except (StyledagError, OSError) as exc:
        return Finding(subject, False, str(exc))
