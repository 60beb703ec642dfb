"""Answers of models that think before they answer, without the thought."""

import re

from styledag.errors import ModelError

_THOUGHT = re.compile(r"<(think|thinking)>.*?</\1>", re.DOTALL)
_CLOSED = re.compile(r".*</think(?:ing)?>", re.DOTALL)
_MARKS = ("<think>", "<thinking>")


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
    if is_thought(answer) or (begun and "</think" not in text):
        raise unfinished_thought(captioner)
    return answer.strip()


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
