"""Answers without a caption: what a server's filter withheld, and what was left out by chance."""

import json
from collections import Counter

import pytest

from styledag.errors import ModelError
from styledag_tests.captions.endpoint_server import IMAGES, Server, asked

AZURE = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
        "management policy. Please modify your prompt and retry.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}
DASHSCOPE = {
    "error": {
        "code": "data_inspection_failed",
        "message": "Input data may contain inappropriate content.",
    }
}
OPENROUTER = {
    "error": {
        "code": 403,
        "message": 'it requires moderation on OpenAI. Your input was flagged for "violence"',
        "metadata": {"reasons": ["violence"], "flagged_input": "..."},
    }
}
OPENAI = {"error": {"code": "content_policy_violation", "message": "rejected"}}
LITELLM = {"error": {"code": "400", "message": "litellm.ContentPolicyViolationError: Azure"}}


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (400, AZURE),
        (400, DASHSCOPE),
        (403, OPENROUTER),
        (200, OPENROUTER),
        (400, OPENAI),
        (400, LITELLM),
        (200, {"error": OPENAI["error"], "choices": []}),
    ],
)
def test_an_image_that_a_filter_refuses_stops_no_other(
    server: Server, status: int, refusal: dict
) -> None:
    work: Counter[str] = Counter()
    body = json.dumps(refusal).encode()
    server.trouble = lambda number: (status, body, {}) if number == 2 else None
    captions = asked(server, work, images=IMAGES[:3], concurrency=1)
    assert [bool(each) for each in captions] == [True, False, True]
    assert (work["answers_refused"], len(server.questions)) == (1, 3)


def test_a_key_that_may_not_ask_is_no_refusal_of_an_image(server: Server) -> None:
    body = b'{"error": {"code": 403, "message": "Your account was flagged"}}'
    server.trouble = lambda _: (403, body, {})
    with pytest.raises(ModelError, match="Your account was flagged"):
        asked(server, images=IMAGES[:1])


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"role": "assistant"}, "finish_reason": "content_filter: RECITATION"},
        {"index": 0, "finish_reason": "content_filter: PROHIBITED_CONTENT"},
        {"message": None, "finish_reason": "content_filter"},
    ],
)
def test_what_gemini_withholds_is_a_refusal(server: Server, choice: dict) -> None:
    work: Counter[str] = Counter()
    body = json.dumps({"choices": [choice]}).encode()
    server.trouble = lambda _: (200, body, {})
    assert asked(server, work, images=IMAGES[:2]) == ["", ""]
    assert work["answers_refused"] == 2


@pytest.mark.parametrize("message", [{"message": {"role": "assistant"}}, {}])
def test_tokens_that_a_hidden_thought_used_up_are_named_without_a_content(
    server: Server, message: dict
) -> None:
    body = json.dumps({"choices": [{"finish_reason": "length", **message}]}).encode()
    server.trouble = lambda _: (200, body, {})
    with pytest.raises(ModelError, match=r"raise captions\.max_new_tokens"):
        asked(server, images=IMAGES[:1])


@pytest.mark.parametrize("content", [{"content": None}, {"content": " \n"}, {}])
def test_an_answer_that_is_empty_by_chance_is_asked_for_again(
    server: Server, content: dict
) -> None:
    choice = {"message": {"role": "assistant", **content}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 0}}).encode()
    server.trouble = lambda number: (200, body, {}) if number <= 2 else None
    assert asked(server, images=IMAGES[:1]) == ["JPEG (254, 0, 0), what?"]
    assert len(server.questions) == 3


def test_an_answer_that_stays_empty_is_an_empty_caption(server: Server) -> None:
    body = b'{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}'
    server.trouble = lambda _: (200, body, {})
    assert asked(server, images=IMAGES[:1]) == [""]
    assert len(server.questions) == 3
    assert asked(server, images=IMAGES[:1], retries=0) == [""]
    assert len(server.questions) == 4
