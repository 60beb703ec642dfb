"""What servers refuse or withhold in ways of their own, and how long they ask to wait."""

import json
import time
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
    "answer",
    [
        {"error": {"message": "Rate limit exceeded", "code": 429}},
        {"error": {"code": 502}, "choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": ""}, "error": {"code": 502, "message": "broken"}}]},
    ],
)
def test_trouble_in_an_answer_of_status_200_is_trouble(server: Server, answer: dict) -> None:
    body = json.dumps(answer).encode()
    server.trouble = lambda number: (200, body, {}) if number == 1 else None
    assert asked(server, images=IMAGES[:1]) == ["JPEG (254, 0, 0), what?"]
    server.trouble = lambda _: (200, b'{"error": "Unexpected endpoint"}', {})
    with pytest.raises(ModelError, match="Unexpected endpoint"):
        asked(server, images=IMAGES[:1])


def unsupported(name: str, instead: str = "") -> tuple[int, bytes, dict[str, str]]:
    message = f"Unsupported parameter: '{name}'{instead and f'. Use {instead!r} instead.'}"
    return 400, json.dumps({"error": {"message": message}}).encode(), {}


def test_parameters_that_a_model_refuses_are_renamed_or_left_out(server: Server) -> None:
    def as_newer_models(number: int):
        question = server.questions[number - 1]
        if "max_tokens" in question:
            return unsupported("max_tokens", "max_completion_tokens")
        if "temperature" in question:
            return unsupported("temperature")
        return (422, b'{"loc": ["body", "seed"]}', {}) if "seed" in question else None

    server.trouble = as_newer_models
    assert len(asked(server, concurrency=3)) == 6
    assert server.questions[-1].keys() == {"model", "messages", "max_completion_tokens"}
    # Each of three at once finds out by itself, and no question after that.
    assert 6 + 3 <= len(server.questions) <= 6 + 3 * 3


@pytest.mark.parametrize("parameter", ["max_tokens", "model"])
def test_what_cannot_be_left_out_is_a_refusal(server: Server, parameter: str) -> None:
    server.trouble = lambda _: unsupported(parameter)
    with pytest.raises(ModelError, match=f"Unsupported parameter: '{parameter}'"):
        asked(server, images=IMAGES[:1])
    assert len(server.questions) == 1


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for, none of them done; the server's own are not among them."""
    slept: list[float] = []
    pause = time.sleep

    def sleep(seconds: float) -> None:
        if seconds == 0.02:
            pause(seconds)
        else:
            slept.append(seconds)

    monkeypatch.setattr("styledag.captions.endpoint.time.sleep", sleep)
    return slept


@pytest.mark.parametrize(
    ("body", "headers", "wait_s"),
    [
        (b"", {"Retry-After": "1.5"}, 1.5),
        (b"", {"Retry-After": "90"}, 90),
        (b'[{"error": {"details": [{"retryDelay": "37s"}]}}]', {}, 37),
    ],
)
def test_a_wait_is_as_long_as_the_server_asks(
    server: Server, waits: list[float], body: bytes, headers: dict[str, str], wait_s: float
) -> None:
    server.trouble = lambda number: (429, body, headers) if number == 1 else None
    asked(server, images=IMAGES[:1])
    assert waits == [wait_s]


def test_a_limit_of_requests_a_minute_is_waited_out(server: Server, waits: list[float]) -> None:
    """Many state no wait, such as free models of OpenRouter, whose limit is 20 a minute."""
    limited = 429, b'{"error": {"message": "Rate limit exceeded: limit_rpm"}}', {}
    server.trouble = lambda _: limited if sum(waits) < 60 else None
    assert asked(server, images=IMAGES[:1], backoff_s=1.0) == ["JPEG (254, 0, 0), what?"]
    assert sum(waits) < 90


def test_a_wait_of_hours_is_not_begun(server: Server, waits: list[float]) -> None:
    server.trouble = lambda _: (429, b"quota of the day", {"Retry-After": "7200"})
    with pytest.raises(ModelError, match="quota of the day"):
        asked(server, images=IMAGES[:1])
    assert waits == []


def test_a_model_that_loads_is_waited_for_beside_the_tries(
    server: Server, waits: list[float]
) -> None:
    loading = 503, b'{"error": {"code": 503, "message": "Loading model"}}', {}
    server.trouble = lambda number: loading if number <= 40 else None
    asked(server, images=IMAGES[:1], retries=0)
    assert waits == [5.0] * 40
    server.trouble = lambda _: loading
    with pytest.raises(ModelError, match="Loading model"):
        asked(server, images=IMAGES[:1], retries=0)


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (500, b'{"message": "image input is not supported by this server"}', "--mmproj"),
        (500, b'{"message": "Unsupported content part type: \\"image_url\\""}', "sees images"),
        (400, b'{"error": "this model does not support image input"}', "sees images"),
        (429, b'{"error": {"code": "insufficient_quota"}}', "insufficient_quota"),
        (429, b'{"error": {"message": "Rate limit exceeded: free-models-per-day"}}', "per-day"),
        (200, b'{"error": {"code": 429, "message": "free-models-per-day"}}', "per-day"),
    ],
)
def test_what_no_further_try_changes_is_final(
    server: Server, waits: list[float], status: int, body: bytes, advice: str
) -> None:
    server.trouble = lambda _: (status, body, {})
    with pytest.raises(ModelError, match=advice):
        asked(server, images=IMAGES[:1])
    assert (len(server.questions), waits) == (1, [])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"404 page not found"),
        (405, b'{"detail": "Method Not Allowed"}'),
        (200, b'{"error": "Unexpected endpoint or method. (POST /chat/completions)"}'),
        (200, b"<!doctype html><title>Sign in</title>"),
    ],
)
def test_an_address_without_its_end_is_named(server: Server, status: int, body: bytes) -> None:
    server.trouble = lambda _: (status, body, {})
    with pytest.raises(ModelError, match="most servers answer below /v1"):
        asked(server, images=IMAGES[:1], url=server.url.removesuffix("/v1"))
    with pytest.raises(ModelError) as complete:
        asked(server, images=IMAGES[:1])
    assert "most servers" not in str(complete.value)
    assert len(server.questions) == 2


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
    usage = {"prompt_tokens": 10, "completion_tokens": None}
    body = json.dumps({"choices": [choice], "usage": usage}).encode()
    server.trouble = lambda number: (200, body, {}) if number <= 2 else None
    work: Counter[str] = Counter()
    assert asked(server, work, images=IMAGES[:1]) == ["JPEG (254, 0, 0), what?"]
    assert len(server.questions) == 3
    # All three are paid for.
    assert work == {"endpoint_requests": 3, "prompt_tokens": 30, "completion_tokens": 3}


def test_an_answer_of_no_use_is_paid_for_as_well(server: Server) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 30}
    choice = {"message": {"content": "<think>So"}, "finish_reason": "length"}
    body = json.dumps({"choices": [choice], "usage": usage}).encode()
    server.trouble = lambda _: (200, body, {})
    work: Counter[str] = Counter()
    with pytest.raises(ModelError):
        asked(server, work, images=IMAGES[:1])
    assert work == {"endpoint_requests": 1, **usage}


def test_an_answer_that_stays_empty_is_an_empty_caption(server: Server) -> None:
    body = b'{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}'
    server.trouble = lambda _: (200, body, {})
    assert asked(server, images=IMAGES[:1]) == [""]
    assert len(server.questions) == 3
    assert asked(server, images=IMAGES[:1], retries=0) == [""]
    assert len(server.questions) == 4
