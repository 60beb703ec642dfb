import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from styledag.captions.cleaning.rules import clean_caption
from styledag.captions.endpoint import EndpointCaptioner, ask_endpoint
from styledag.captions.settings import EndpointSettings
from styledag.errors import ModelError
from styledag.store.workspace import Workspace
from styledag_tests.captions.endpoint_server import IMAGES, Server, asked, settings
from styledag_tests.captions.images import COLOURS, curated_manifest


def test_each_image_is_asked_about_and_answered_in_order(server: Server) -> None:
    work: Counter[str] = Counter()
    server.awaited_at_once = 3
    captions = asked(server, work, concurrency=3)
    for caption, image in zip(captions, IMAGES, strict=True):
        colour = image.getpixel((3, 3))
        shown = [int(part) for part in caption[6 : caption.index(")")].split(",")]
        assert shown == pytest.approx(colour, abs=3)
        assert caption.startswith("JPEG (")
        assert caption.endswith(", what?")
    assert work == {"endpoint_requests": 6, "prompt_tokens": 60, "completion_tokens": 18}
    assert server.most_at_once == 3
    assert {question["model"] for question in server.questions} == {"tiny"}
    assert {question["max_tokens"] for question in server.questions} == {500}
    assert {question["temperature"] for question in server.questions} == {0}


def test_the_key_comes_from_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    asked(server, key_variable="MY_KEY")
    assert set(server.keys) == {"Bearer secret"}
    server.keys.clear()
    asked(server)
    assert set(server.keys) == {None}


def test_a_netrc_does_not_replace_the_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("OPENAI_API_KEY", "secret\n")
    asked(server)
    ask_endpoint(settings(server).endpoint)
    assert set(server.keys) == {"Bearer secret"}


@pytest.mark.parametrize(
    ("host", "sent"), [("x.openai.azure.com", "secret"), ("azure.com.example.org", None)]
)
def test_azure_gets_the_key_in_its_own_header(
    monkeypatch: pytest.MonkeyPatch, host: str, sent: str | None
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    requests_sent: list[requests.PreparedRequest] = []

    def send(_: requests.Session, request: requests.PreparedRequest, **__: object):
        requests_sent.append(request)
        raise requests.ConnectionError("not here")

    monkeypatch.setattr(requests.Session, "send", send)
    url = f"https://{host}/openai/deployments/d?api-version=1"
    with pytest.raises(ModelError, match="does not answer"):
        ask_endpoint(EndpointSettings(url=url, model="d"))
    (request,) = requests_sent
    assert request.url == f"https://{host}/openai/deployments/d/models?api-version=1"
    assert request.headers.get("api-key") == sent
    assert request.headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_server_on_this_machine_is_asked_without_a_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    assert len(asked(server, retries=0)) == 6
    assert "answers" in ask_endpoint(settings(server).endpoint)


@pytest.mark.parametrize("key", ["sec\nret", "secret…"])
def test_a_key_that_no_header_can_contain_is_named_and_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ModelError, match=r"\$OPENAI_API_KEY contains a line break") as raised:
        asked(server)
    assert "sec" not in str(raised.value)
    assert server.questions == []


@pytest.mark.parametrize(
    "trouble",
    [
        (429, b"slow down", {"Retry-After": "0"}),
        (429, b"slow down", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        (503, b"starting", {}),
        (500, b"", {}),
        (520, b"", {}),
        (524, b"<html>A timeout occurred</html>", {}),
        (529, b'{"type": "error", "error": {"type": "overloaded_error"}}', {}),
        (0, b"", {}),
    ],
)
def test_passing_trouble_is_tried_again(server: Server, trouble) -> None:
    server.trouble = lambda number: trouble if number <= 2 else None
    assert len(asked(server, concurrency=1)) == 6
    assert len(server.questions) == 8


@pytest.mark.parametrize("status", [400, 401, 403, 404, 501])
def test_a_refusal_is_final_and_named(server: Server, status: int) -> None:
    server.trouble = lambda _: (status, b'{"error": "no such model"}', {})
    with pytest.raises(
        ModelError, match=rf"model 'tiny' \({status}.*no such model.*OPENAI_API_KEY"
    ):
        asked(server, images=IMAGES[:1])
    assert len(server.questions) == 1


def test_after_all_tries_the_trouble_is_named(server: Server) -> None:
    server.trouble = lambda _: (503, b"down for the night", {})
    with pytest.raises(ModelError, match=r"503.*down for the night"):
        asked(server, images=IMAGES[:1], retries=2)
    assert len(server.questions) == 3


def test_a_server_that_is_too_slow_is_named_with_what_to_change(server: Server) -> None:
    server.awaited_at_once = 2
    with pytest.raises(ModelError, match=r"timeout_s, or lower its concurrency"):
        asked(server, images=IMAGES[:1], retries=0, timeout_s=0.2)
    server.met.set()


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"choices": []}', b"[1]", b'"text"'])
def test_another_form_of_answer_is_named(server: Server, answer: bytes) -> None:
    server.trouble = lambda _: (200, answer, {})
    with pytest.raises(ModelError, match=r"JSON|another form"):
        asked(server, concurrency=1)


@pytest.mark.parametrize(
    "trouble",
    [
        (400, b'{"error": "image is too small"}', {}),
        (401, b"", {}),
        (200, b"<html>", {}),
        (200, b'{"choices": []}', {}),
        (200, b'{"choices": [{"message": {"content": "<think>So"}}]}', {}),
    ],
)
def test_what_is_final_for_one_image_costs_no_answer_about_another(
    server: Server, workspace: Workspace, caption, trouble: tuple[int, bytes, dict[str, str]]
) -> None:
    manifest = curated_manifest(workspace, *COLOURS[:6])
    style = settings(server)
    captioner = EndpointCaptioner(style.endpoint, Counter())
    style = replace(style, sources=("captioner",))
    server.trouble = lambda at: trouble if at == 1 else None
    with pytest.raises(ModelError, match=r"the 3 of 6 captions .* are kept; .*first https://"):
        caption(manifest, style, captioner)
    assert len(server.questions) == 4
    server.trouble = lambda _: None
    assert caption(manifest, style, captioner).facts == {"found": 6, "kept": 6}
    assert len(server.questions) == 4 + 3


def chat_answer(finish: str, **message: str | None) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}]}).encode()


def test_a_thought_is_no_caption(server: Server) -> None:
    said = chat_answer("stop", content="<think>A fox?</think>A fox", reasoning_content=None)
    server.trouble = lambda _: (200, said, {})
    assert asked(server, images=IMAGES[:1]) == ["A fox"]


def test_answers_that_the_most_tokens_cut_off_are_counted(server: Server) -> None:
    work: Counter[str] = Counter()
    server.trouble = lambda at: (200, chat_answer("length" if at == 1 else "stop", content="A"), {})
    assert asked(server, work, images=IMAGES[:3], concurrency=1) == ["A"] * 3
    assert work["answers_cut_off"] == 1


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "reasoning_content": "Okay, the user"},
        {"content": "", "reasoning": "Okay, the user"},
        {"content": "<think>Okay, the user"},
    ],
)
def test_a_thought_that_uses_up_all_tokens_is_named(
    server: Server, message: dict[str, str | None]
) -> None:
    said = chat_answer("length", **message)
    server.trouble = lambda _: (200, said, {})
    with pytest.raises(ModelError, match=r"captioner tiny at http.* thinks before it answers"):
        asked(server, images=IMAGES[:1])


def test_a_thought_without_an_answer_is_named(server: Server) -> None:
    """A server whose reasoning parser takes the answer of a model that does not think."""
    said = chat_answer("stop", content=None, reasoning_content="A fox")
    server.trouble = lambda _: (200, said, {})
    with pytest.raises(ModelError, match=r"tiny at http.* a thought and nothing behind it"):
        asked(server, images=IMAGES[:1])


def test_an_empty_answer_that_the_most_tokens_cut_off_was_a_hidden_thought(server: Server) -> None:
    said = chat_answer("length", content="")
    server.trouble = lambda _: (200, said, {})
    with pytest.raises(ModelError, match=r"raise captions\.max_new_tokens"):
        asked(server, images=IMAGES[:1])


def test_an_answer_in_parts_is_their_text(server: Server) -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "So"}]},
        {"type": "text", "text": "A "},
        {"type": "text", "text": "fox"},
    ]
    body = json.dumps({"choices": [{"message": {"content": parts}}]}).encode()
    server.trouble = lambda _: (200, body, {})
    assert asked(server, images=IMAGES[:1]) == ["A fox"]


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": None, "refusal": "I cannot help"}, "finish_reason": "stop"},
        {"message": {"content": ""}, "finish_reason": "content_filter"},
        {"message": {"content": "I'm sorry, but I can't help."}, "finish_reason": "stop"},
    ],
)
def test_refusals_are_counted(server: Server, choice: dict) -> None:
    work: Counter[str] = Counter()
    body = json.dumps({"choices": [choice]}).encode()
    server.trouble = lambda _: (200, body, {})
    said = asked(server, work, images=IMAGES[:2])
    assert [clean_caption(each).text for each in said] == ["", ""]
    assert work["answers_refused"] == 2


def test_the_address_is_no_part_of_its_identity(server: Server) -> None:
    style = settings(server)
    captioner = EndpointCaptioner(style.endpoint, Counter())
    assert server.url not in captioner.version
    assert captioner.identity(style) == {"prompt": "what?", "max_new_tokens": 500}
    assert captioner.batch_size(style) == 4


@pytest.mark.parametrize(
    ("model", "models", "found"),
    [
        ("tiny", None, "answers, and lists tiny"),
        ("absent", None, "answers, and does not list absent"),
        ("llava", (200, b'{"data": [{"id": "llava:latest"}]}'), "answers, and lists llava"),
        ("gemini", (200, b'{"data": [{"id": "models/gemini"}]}'), "answers, and lists gemini"),
        ("tiny", (404, b"<html>"), "answers, and lists no models"),
        ("tiny", (200, b'{"data": null}'), "answers, and lists no models"),
    ],
)
def test_a_glance_at_an_endpoint_asks_for_its_models(
    server: Server, monkeypatch: pytest.MonkeyPatch, model: str, models, found: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server.models = models or server.models
    endpoint = settings(server, model=model).endpoint
    assert ask_endpoint(endpoint) == f"{server.url} {found}"
    assert server.keys == ["Bearer secret"]
    assert server.questions == []


@pytest.mark.parametrize("status", [401, 403])
def test_an_endpoint_that_refuses_the_key_or_is_not_there_is_named(
    server: Server, status: int
) -> None:
    server.models = status, b""
    with pytest.raises(ModelError, match=rf"refuses the key \({status}.*OPENAI_API_KEY"):
        ask_endpoint(settings(server).endpoint)
    with pytest.raises(ModelError, match=r"does not answer .*start its server"):
        ask_endpoint(EndpointSettings(url="http://127.0.0.1:1/v1", model="tiny"))
