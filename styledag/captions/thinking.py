"""Answers of models that think before they answer, without the thought."""

import re

from styledag.errors import ModelError

_MARKS = ("<think>", "<thinking>", "<thought>", "<seed:think>", "[THINK]", "◁think▷")
_ENDS = ("</think>", "</thinking>", "</thought>", "</seed:think>", "[/THINK]", "◁/think▷")
_THOUGHT = re.compile(
    "|".join(
        f"{re.escape(mark)}.*?{re.escape(end)}" for mark, end in zip(_MARKS, _ENDS, strict=True)
    ),
    re.DOTALL,
)
_CLOSED = re.compile(f".*(?:{'|'.join(map(re.escape, _ENDS))})", re.DOTALL)
_BOX = re.compile(r"<\|(?:begin|end)_of_box\|>")
"""Marks that GLM-4.1V and later ones put around an answer."""


def answer_after_thought(text: str, *, captioner: str, prompt: str = "") -> str:
    """Return an answer without the thought before it.

    Args:
        text: What the model generated.
        captioner: What it is called, for the message.
        prompt: The text it was given, which may begin the thought for it.

    Raises:
        ModelError: If the thought does not end, so that there is no answer.
    """
    begun = prompt.rstrip().endswith(_MARKS)
    answer = _THOUGHT.sub("", text)
    answer = _CLOSED.sub("", answer)
    if is_thought(answer) or (begun and not any(end in text for end in _ENDS)):
        raise unfinished_thought(captioner)
    return _BOX.sub("", answer).strip()


def is_thought(text: str) -> bool:
    """Return whether a text is the beginning of a thought, and so no answer."""
    return text.lstrip().startswith(_MARKS)


def unfinished_thought(captioner: str) -> ModelError:
    """Return the error for a thought that used up all tokens."""
    return ModelError(
        f"captioner {captioner} thinks before it answers, and captions.max_new_tokens ends its "
        "thought before the answer: take a variant that does not think (often called Instruct), "
        "switch thinking off at its server, or raise captions.max_new_tokens, up to 1024"
    )


def only_thought(captioner: str) -> ModelError:
    """Return the error for an answer of a thought alone, although there was room for more."""
    return ModelError(
        f"captioner {captioner} answers with a thought and nothing behind it: switch thinking, or "
        "what parts thought and answer (a reasoning parser), off at its server"
    )
