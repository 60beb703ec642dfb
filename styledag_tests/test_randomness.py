"""Seeds follow from names alone, the same on every machine and in every version."""

import hashlib

import pytest

from styledag.randomness import seed_for
from styledag.settings import canonical_json

NAMES = [("split", "a1b2"), (0, 1, "noise"), ('a "b" \\ \n', "é 🦉", -3), ("",), ()]


@pytest.mark.parametrize("names", NAMES, ids=repr)
def test_a_seed_is_the_start_of_the_digest_of_its_names(names: tuple[str | int, ...]) -> None:
    digest = hashlib.sha256(canonical_json(names).encode()).digest()
    assert seed_for(*names) == int.from_bytes(digest[:8], "big") >> 1
