"""A thought is no caption, and one that leaves no room for an answer is an error."""

import pytest

from styledag.captions.thinking import answer_after_thought, is_thought
from styledag.errors import ModelError


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("A red fox.", "<|im_start|>assistant\n"),
        ("<think>\nLet me see.\n</think>\n\nA red fox.", ""),
        ("Let me see.\n</think>\n\nA red fox.", "assistant\n<think>\n"),
        ("<thinking>So</thinking>A red fox.", ""),
        ("A red fox.", "<think>\n\n</think>\n\n"),
        ("[THINK]So[/THINK]A red fox.", ""),
        ("◁think▷So◁/think▷A red fox.", ""),
        ("<think>So</think><|begin_of_box|>A red fox.<|end_of_box|>", ""),
    ],
)
def test_the_answer_follows_the_thought(text: str, prompt: str) -> None:
    assert answer_after_thought(text, captioner="x", prompt=prompt) == "A red fox."


@pytest.mark.parametrize(
    ("text", "prompt"),
    [("<think>\nLet me", ""), ("Okay, the user wants", "assistant\n<think>\n")],
)
def test_a_thought_without_end_is_an_error(text: str, prompt: str) -> None:
    with pytest.raises(ModelError, match=r"captioner x thinks .* raise captions\.max_new_tokens"):
        answer_after_thought(text, captioner="x", prompt=prompt)


def test_a_thought_that_was_kept_is_known() -> None:
    assert is_thought(" <think>So")
    assert not is_thought("a person who thinks")
