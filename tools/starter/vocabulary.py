"""The starter's own vocabularies, in the tokenizer classes that Stable Diffusion and BLIP use.

The trainers of ``tokenizers`` number the pieces that they see in the order of a randomly seeded
hash, and break ties by that number. So all letters are named beforehand, and nothing is left to it.
"""

import json
import string
from typing import TYPE_CHECKING, Any

from tools.starter.words import corpus

if TYPE_CHECKING:
    from transformers import BertTokenizer, CLIPTokenizer

CLIP_VOCABULARY_SIZE = 2048
BERT_VOCABULARY_SIZE = 2048
MAX_TOKENS = 77
BERT_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")
"""Their positions are their ids; BLIP's decoder starts from ``[DEC]`` and ends with ``[SEP]``."""

_END_OF_WORD = "</w>"
_INSIDE_WORD = "##"


def clip_tokenizer() -> "CLIPTokenizer":
    """Return a CLIP tokenizer that was trained on the starter's words.

    Laid out as CLIP's own: all bytes, all bytes at a word's end, the merges' results, and last
    ``<|startoftext|>`` and ``<|endoftext|>``; so there is no text that it cannot read.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    letters += [letter + _END_OF_WORD for letter in letters]
    reader: Any = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(BPE(end_of_word_suffix=_END_OF_WORD))
    learner.normalizer, learner.pre_tokenizer = reader.normalizer, reader.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=CLIP_VOCABULARY_SIZE - 2,
        special_tokens=letters,
        end_of_word_suffix=_END_OF_WORD,
        show_progress=False,
    )
    learner.train_from_iterator(corpus(), trainer)
    learnt = json.loads(learner.to_str())["model"]
    vocab: dict[str, int] = learnt["vocab"]
    first_free = len(vocab)
    return CLIPTokenizer(
        vocab=vocab | {"<|startoftext|>": first_free, "<|endoftext|>": first_free + 1},
        merges=[(left, right) for left, right in learnt["merges"]],
        model_max_length=MAX_TOKENS,
    )


def bert_tokenizer() -> "BertTokenizer":
    """Return a BERT tokenizer that was trained on the starter's words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.trainers import WordPieceTrainer
    from transformers import BertTokenizer

    letters = [*string.digits, *string.ascii_lowercase]
    letters += [_INSIDE_WORD + letter for letter in letters]
    learner = Tokenizer(WordPiece(unk_token="[UNK]"))
    learner.normalizer, learner.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    trainer = WordPieceTrainer(
        vocab_size=BERT_VOCABULARY_SIZE,
        special_tokens=[*BERT_SPECIAL_TOKENS, *string.punctuation, *letters],
        show_progress=False,
    )
    learner.train_from_iterator(corpus(), trainer)
    return BertTokenizer(
        vocab=learner.get_vocab(with_added_tokens=True),
        bos_token="[DEC]",
        model_max_length=MAX_TOKENS,
    )
