"""Named randomness: every random number follows from what it is for, not from when it is drawn."""

import hashlib
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seed_for(*names: str | int) -> int:
    """Return a 63-bit seed that follows from the names alone, on every machine.

    Args:
        *names: What the numbers are for, such as run seed, epoch, sample id and ``"noise"``.
    """
    digest = hashlib.sha256(_as_json(names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _as_json(names: tuple[str | int, ...]) -> str:
    """Return what ``canonical_json`` does, without an encoder for each of many thousand names."""
    written = (encode_basestring_ascii(n) if isinstance(n, str) else str(n) for n in names)
    return f"[{','.join(written)}]"


def generator_for(*names: str | int) -> "torch.Generator":
    """Return a CPU generator seeded by :func:`seed_for`, so that no device changes the numbers."""
    import torch

    return torch.Generator(device="cpu").manual_seed(seed_for(*names))
