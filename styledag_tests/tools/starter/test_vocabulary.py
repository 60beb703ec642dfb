import subprocess
import sys

import pytest

from tools.starter.vocabulary import MAX_TOKENS, bert_tokenizer, clip_tokenizer
from tools.starter.words import corpus, subject_names

DIGEST_OF_BOTH = """
import hashlib, json
from tools.starter.vocabulary import bert_tokenizer, clip_tokenizer
parts = [t.backend_tokenizer.to_str() for t in (clip_tokenizer(), bert_tokenizer())]
print(hashlib.sha256("".join(parts).encode()).hexdigest())
"""


@pytest.mark.parametrize(
    "text", ["a drawing of a cat face", "größe naïve 日本 🙂", "x²?!", "", "hammer's"]
)
def test_clip_reads_every_text_without_loss(text: str) -> None:
    tokenizer = clip_tokenizer()
    ids = tokenizer(text).input_ids
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    assert decoded.replace(" ", "") == text.replace(" ", "")


def test_common_words_are_single_tokens() -> None:
    words = ["cat", "drawing", "render", "face", "red"]
    for tokenizer in (clip_tokenizer(), bert_tokenizer()):
        assert len(tokenizer(" ".join(words)).input_ids) == len(words) + 2


def test_clip_cuts_at_its_length_and_pads_with_the_end() -> None:
    tokenizer = clip_tokenizer()
    ids = tokenizer(["cat " * 200, "cat"], truncation=True, padding="max_length").input_ids
    assert [len(row) for row in ids] == [MAX_TOKENS, MAX_TOKENS]
    assert ids[0][-1] == ids[1][-1] == tokenizer.eos_token_id == max(tokenizer.get_vocab().values())


def test_bert_knows_all_letters_digits_and_signs() -> None:
    tokenizer = bert_tokenizer()
    ids = tokenizer("qxzj 0987 (a-b), c's #1 & 2%").input_ids
    assert tokenizer.unk_token_id not in ids


def test_vocabularies_are_the_same_in_another_process() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", DIGEST_OF_BOTH], capture_output=True, check=True, text=True
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1] != ""


def test_corpus_names_subjects() -> None:
    assert len(subject_names()) > 1000
    assert {"octopus", "cat face", "hammer"} <= set(subject_names())
    assert "a drawing of a" in corpus()
