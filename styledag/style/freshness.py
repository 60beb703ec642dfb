"""What a style file decides of keeping a style and its models fresh."""

import math
import re
from dataclasses import dataclass

from styledag.settings import StrictSettings, setting


@dataclass(frozen=True, kw_only=True)
class RetrainSettings(StrictSettings):
    """When changed images are worth a training; the first condition that holds decides.

    A change is an image that is new, gone, or captioned otherwise since the last training. Settings
    of a training that are changed are always worth one.

    Attributes:
        min_changed_share: Of the images of the last training.
    """

    by_hand: bool = setting(False, help="Never train by itself.")
    min_changed_images: int | None = setting(
        None, ge=1, help="Train when this many images have changed."
    )
    min_changed_share: float | None = setting(
        None, gt=0, le=1, help="Train when this share of the images has changed."
    )
    max_age_days: float | None = setting(
        None, gt=0, help="Train after any change when the model is older, in days."
    )

    def worth(self, *, changed: int, images: int, age_days: float) -> bool:
        """Return whether a change is worth a training; any change if no condition is named."""
        if self.by_hand or not changed:
            return False
        named = (self.min_changed_images, self.min_changed_share, self.max_age_days)
        if named == (None, None, None):
            return True
        return (
            (self.min_changed_images is not None and changed >= self.min_changed_images)
            or (self.min_changed_share is not None and changed >= self.min_changed_share * images)
            or (self.max_age_days is not None and age_days >= self.max_age_days)
        )

    def awaited(self, images: int) -> str:
        """Return what is waited for, for a person."""
        conditions = []
        if self.min_changed_images is not None:
            conditions.append(f"{self.min_changed_images} changed images")
        if self.min_changed_share is not None:
            count = math.ceil(self.min_changed_share * images)
            conditions.append(f"{self.min_changed_share:.0%} of the images, which are {count},")
        if self.max_age_days is not None:
            conditions.append(f"an age of {self.max_age_days:g} days")
        return f"the style file asks for {' or '.join(conditions)}"


_CRON_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
)
_CRON_ITEM = re.compile(r"^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?$")

_LONGEST_MONTHS = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


def check_cron(text: str) -> None:
    """Refuse what is no cron string of five fields of numbers, ``*``, ranges, steps and lists.

    Raises:
        ValueError: With the field, what was found and what it may be.
    """
    fields = text.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError(
            "expected a cron string of five fields (minute, hour, day of the month, month, day of "
            "the week), such as '0 3 * * *' for every night at three"
        )
    for found, (name, least, most) in zip(fields, _CRON_FIELDS, strict=True):
        if not all(_is_cron_item(item, least, most) for item in found.split(",")):
            raise ValueError(
                f"{found!r} is no {name}: expected *, or numbers from {least} to {most}, with "
                "ranges as 1-5, steps as */2 and lists as 1,3"
            )
    dated = zip(fields[2:4], _CRON_FIELDS[2:4], strict=True)
    days, months = (_cron_numbers(field, most) for field, (_, _, most) in dated)
    # With a day of the week too, the scheduler fails all the same.
    if min(days) > max(_LONGEST_MONTHS.get(month, 31) for month in months):
        raise ValueError(f"the month {fields[3]} has no day {fields[2]}")


def _cron_numbers(field: str, most: int) -> set[int]:
    """Return the numbers that a field of a day or a month stands for."""
    numbers: set[int] = set()
    for item in field.split(","):
        first, last, step = _CRON_ITEM.match(item).groups()  # type: ignore[union-attr]
        end = most if first is None or (step and not last) else int(last or first)
        numbers.update(range(int(first or 1), end + 1, int(step or 1)))
    return numbers


def _is_cron_item(item: str, least: int, most: int) -> bool:
    match = _CRON_ITEM.match(item)
    if match is None:
        return False
    numbers = [int(each) for each in match.groups()[:2] if each is not None]
    return numbers == sorted(numbers) and all(least <= each <= most for each in numbers)
