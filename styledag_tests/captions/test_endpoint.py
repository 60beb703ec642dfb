import base64
import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from styledag.captions.endpoint import EndpointCaptioner, ask_endpoint
from styledag.captions.settings import CaptionSettings, EndpointSettings
from styledag.errors import ModelError
from styledag_tests.captions.images import COLOURS

IMAGES = [Image.new("RGB", (16, 16), colour) for colour in COLOURS[:6]]


class Server:
    """Answers as OpenAI's chat completions do; ``trouble`` may answer in its place.

    Nothing is answered before ``awaited_at_once`` questions have been asked at once.
    """

    def __init__(self) -> None:
        self.questions: list[dict] = []
        self.keys: list[str | None] = []
        self.trouble: Callable[[int], tuple[int, bytes, dict[str, str]] | None] = lambda _: None
        self.at_once = self.most_at_once = 0
        self.awaited_at_once, self.met = 0, threading.Event()
        self.models = 200, b'{"data": [{"id": "tiny"}, {"id": "other"}]}'
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.keys.append(self.headers.get("Authorization"))
                status, answer = server.models
                self.send_response(status if self.path == "/v1/models" else 404)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_POST(self) -> None:
                with server._lock:
                    server.at_once += 1
                    server.most_at_once = max(server.most_at_once, server.at_once)
                    if server.at_once == server.awaited_at_once:
                        server.met.set()
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer, headers = server._answer(
                    self.path, json.loads(body), self.headers.get("Authorization")
                )
                if server.awaited_at_once:
                    server.met.wait(20)
                with server._lock:
                    server.at_once -= 1
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _answer(
        self, path: str, question: dict, key: str | None
    ) -> tuple[int, bytes, dict[str, str]]:
        with self._lock:
            self.questions.append(question)
            self.keys.append(key)
            number = len(self.questions)
        assert path == "/v1/chat/completions"
        trouble = self.trouble(number)
        if trouble is not None:
            return trouble
        image, text = question["messages"][0]["content"]
        encoded = image["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
        shown = Image.open(io.BytesIO(base64.b64decode(encoded)))
        said = f" {shown.format} {shown.getpixel((3, 3))}, {text['text']}\n"
        usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
        answer = {"choices": [{"message": {"content": said}}], "usage": usage}
        return 200, json.dumps(answer).encode(), {}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def settings(server: Server, **changes: object) -> CaptionSettings:
    endpoint = EndpointSettings(**{"url": server.url, "model": "tiny", "timeout_s": 60, **changes})
    return CaptionSettings(endpoint=endpoint, prompt="what?", max_new_tokens=500)


def asked(
    server: Server, work: Counter[str] | None = None, *, images=IMAGES, **changes: object
) -> list[str]:
    style = settings(server, **changes)
    captioner = EndpointCaptioner(style.endpoint, Counter() if work is None else work, backoff_s=0)
    return captioner(images, style)


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


@pytest.mark.parametrize(
    "trouble",
    [
        (429, b"slow down", {"Retry-After": "0"}),
        (429, b"slow down", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        (503, b"starting", {}),
        (500, b"", {}),
        (0, b"", {}),
    ],
)
def test_passing_trouble_is_tried_again(server: Server, trouble) -> None:
    server.trouble = lambda number: trouble if number <= 2 else None
    assert len(asked(server, concurrency=1)) == 6
    assert len(server.questions) == 8


@pytest.mark.parametrize("status", [400, 401, 403, 404])
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


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"choices": []}', b"[1]", b'"text"'])
def test_another_form_of_answer_is_named(server: Server, answer: bytes) -> None:
    server.trouble = lambda _: (200, answer, {})
    with pytest.raises(ModelError, match=r"JSON|another form"):
        asked(server, concurrency=1)


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


def test_an_empty_answer_is_an_empty_caption(server: Server) -> None:
    body = b'{"choices": [{"message": {"content": null}}]}'
    server.trouble = lambda _: (200, body, {})
    assert asked(server) == [""] * 6


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
