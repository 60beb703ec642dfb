"""Tokens are counted once over builds, and without transformers once they were."""

import subprocess
import sys
from pathlib import Path

import pytest

from styledag.bases.texts.clip import ClipTokens
from styledag.captions.remembered_tokens import RememberedTokens


@pytest.fixture(scope="module")
def tokens(starter: Path) -> ClipTokens:
    return ClipTokens(starter / "stable-diffusion")


def test_a_text_is_counted_once(tokens: ClipTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return ClipTokens.count(tokens, text)

    monkeypatch.setattr(tokens, "count", count)
    remembered = RememberedTokens(tokens)
    texts = ["a cat", "a cat", "größe 🙂 hammer's"]
    assert [remembered.count(text) for text in texts] == [4, 4, ClipTokens.count(tokens, texts[2])]
    assert counted == ["a cat", "größe 🙂 hammer's"]
    assert remembered.limit == tokens.limit


class Asked:
    """Counts letters, and what it was asked."""

    limit = 5

    def __init__(self) -> None:
        self.texts: list[str] = []

    def count(self, text: str) -> int:
        self.texts.append(text)
        return len(text)

    def backends(self) -> tuple[()]:
        return ()


def test_counts_are_kept_for_the_next_build(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    for texts, new in ((["a", "größe 🙂"], ["a", "größe 🙂"]), (["größe 🙂", "cat"], ["cat"])):
        asked = Asked()
        tokens = RememberedTokens(asked, version="1", folder=folder)
        assert [tokens.count(text) for text in texts] == [len(text) for text in texts]
        assert tokens.limit == 5
        assert asked.texts == new
        tokens.save()
    # What the last build did not use has left the file.
    asked = Asked()
    assert RememberedTokens(asked, version="1", folder=folder).count("a") == 1
    assert asked.texts == ["a"]


@pytest.mark.parametrize("damage", ["", "[]", None])
def test_counts_of_another_tokenizer_or_of_a_damaged_file_are_not_used(
    tmp_path: Path, damage: str | None
) -> None:
    folder = tmp_path / "kept"
    before = RememberedTokens(Asked(), version="1", folder=folder)
    before.count("a")
    before.save()
    if damage is not None:
        (folder / "token_counts.arrow").write_text(damage)
    asked = Asked()
    tokens = RememberedTokens(asked, version="2" if damage is None else "1", folder=folder)
    assert tokens.count("a") == 1
    assert asked.texts == ["a"]


TEXTS = ("", "a cat", "größe 🙂 hammer's", "A  CAT\n<|endoftext|> x", "naïve cafe\u0301 " * 40)


def test_kept_tokenizers_count_as_the_bases_own_and_import_no_transformers(
    tokens: ClipTokens, starter: Path, tmp_path: Path
) -> None:
    before = RememberedTokens(tokens, version="1", folder=tmp_path)
    before.count("something else")
    before.save()
    program = (
        "import sys; from pathlib import Path\n"
        "from styledag.bases.texts.clip import ClipTokens\n"
        "from styledag.captions.remembered_tokens import RememberedTokens\n"
        f"tokens = ClipTokens(Path({str(starter / 'stable-diffusion')!r}))\n"
        f"kept = RememberedTokens(tokens, version='1', folder=Path({str(tmp_path)!r}))\n"
        f"print(kept.limit, *(kept.count(text) for text in {TEXTS!r}))\n"
        "kept.save()\n"
        "print(*sorted({'torch', 'transformers'} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    counted, imported = ran.stdout.splitlines()
    assert counted.split() == [str(tokens.limit), *(str(tokens.count(text)) for text in TEXTS)]
    assert imported == ""


def test_tokenizers_of_another_version_or_damaged_ones_are_not_used(
    tokens: ClipTokens, tmp_path: Path
) -> None:
    before = RememberedTokens(tokens, version="1", folder=tmp_path)
    before.count("a cat")
    before.save()
    asked = Asked()
    assert RememberedTokens(asked, version="2", folder=tmp_path).count("a dog") == 5
    (tmp_path / "tokenizers.json").write_text("{")
    assert RememberedTokens(asked, version="1", folder=tmp_path).count("a dog") == 5
    assert asked.texts == ["a dog", "a dog"]
