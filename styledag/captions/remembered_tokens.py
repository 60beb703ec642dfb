"""Token counts that outlive a build, and the tokenizers that made them."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from styledag.bases.base import Tokens
from styledag.store.files import replaced

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_COUNTS, _TOKENIZERS = "token_counts.arrow", "tokenizers.json"
_VERSION, _LIMIT = b"version", b"limit"


class RememberedTokens:
    """Counts each text once, also over builds.

    The base's tokenizers are kept as ``tokenizers`` serialises them, so that a build with a few
    new texts does not import transformers: what was serialised counts as what was loaded.

    Args:
        tokens: Counts and limits; not asked for what is remembered.
        version: Of its tokenizer.
        folder: Where counts and tokenizers are kept, if anywhere; both may be removed at any time.
    """

    def __init__(self, tokens: Tokens, *, version: str = "", folder: Path | None = None) -> None:
        self._tokens = tokens
        self._version = version
        self._folder = folder
        self._used: dict[str, int] = {}
        self._limit: int | None = None
        self._known = self._read_counts()
        self._kept: Sequence[Tokenizer] | None = None
        self._asked = False

    @property
    def limit(self) -> int:
        """Most tokens that the text encoder reads, special ones included."""
        if self._limit is None:
            self._limit = self._tokens.limit
        return self._limit

    def count(self, text: str) -> int:
        """Return how many tokens a text has, special ones included."""
        count = self._used.get(text)
        if count is None:
            count = self._known.get(text)
            if count is None:
                count = self._counted(text)
            self._used[text] = count
        return count

    def backends(self) -> "Sequence[Tokenizer]":
        """Return those of the tokens."""
        return self._tokens.backends()

    def save(self) -> None:
        """Keep the counts that were used, if there are new ones among them."""
        if self._folder is None or self._used.keys() <= self._known.keys():
            return
        texts, counts = list(self._used), list(self._used.values())
        kept = pa.table({"text": pa.array(texts, pa.string()), "count": pa.array(counts)})
        kept = kept.replace_schema_metadata({_VERSION: self._version, _LIMIT: str(self.limit)})
        with (
            replaced(self._folder / _COUNTS) as partial,
            pa.ipc.new_file(partial, kept.schema) as writer,
        ):
            writer.write_table(kept)
        if self._asked:
            backends = [backend.to_str() for backend in self.backends()]
            text = json.dumps({"version": self._backends_version, "backends": backends})
            with replaced(self._folder / _TOKENIZERS) as partial:
                partial.write_bytes(text.encode())

    def _counted(self, text: str) -> int:
        if self._kept is None:
            self._kept = self._read_backends()
        if self._kept:
            return max(len(backend.encode(text).ids) for backend in self._kept)
        self._asked = True
        return self._tokens.count(text)

    @property
    def _backends_version(self) -> list[str]:
        return [self._version, version("tokenizers"), version("transformers")]

    def _read_backends(self) -> "Sequence[Tokenizer]":
        from tokenizers import Tokenizer

        if self._folder is None:
            return ()
        try:
            kept = json.loads((self._folder / _TOKENIZERS).read_bytes())
            if kept["version"] != self._backends_version:
                return ()
            texts = [str(each) for each in kept["backends"]]
        except (OSError, ValueError, LookupError, TypeError):
            return ()
        return [Tokenizer.from_str(each) for each in texts]

    def _read_counts(self) -> Mapping[str, int]:
        if self._folder is None:
            return {}
        try:
            with pa.OSFile(str(self._folder / _COUNTS)) as file, pa.ipc.open_file(file) as kept:
                table = kept.read_all()
            stated = table.schema.metadata or {}
            if stated[_VERSION] != self._version.encode():
                return {}
            limit = int(stated[_LIMIT])
            texts, counts = table["text"].to_pylist(), table["count"].to_pylist()
        except (OSError, ValueError, LookupError, pa.ArrowException):
            return {}
        self._limit = limit
        return dict(zip(texts, counts, strict=True))
