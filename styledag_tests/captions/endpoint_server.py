"""A server on the loopback that answers as OpenAI's chat completions do."""

import base64
import io
import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

from styledag.captions.endpoint import EndpointCaptioner
from styledag.captions.settings import CaptionSettings, EndpointSettings
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
        trouble = self.trouble(number)
        if trouble is not None:
            return trouble
        assert path == "/v1/chat/completions"
        image, text = question["messages"][0]["content"]
        encoded = image["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
        shown = Image.open(io.BytesIO(base64.b64decode(encoded)))
        said = f" {shown.format} {shown.getpixel((3, 3))}, {text['text']}\n"
        usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
        answer = {"choices": [{"message": {"content": said}}], "usage": usage}
        return 200, json.dumps(answer).encode(), {}


def settings(server: Server, **changes: object) -> CaptionSettings:
    endpoint = EndpointSettings(**{"url": server.url, "model": "tiny", "timeout_s": 60, **changes})
    return CaptionSettings(endpoint=endpoint, prompt="what?", max_new_tokens=500)


def asked(
    server: Server,
    work: Counter[str] | None = None,
    *,
    images=IMAGES,
    backoff_s: float = 0,
    **changes: object,
) -> list[str]:
    style = settings(server, **changes)
    counted = Counter() if work is None else work
    captioner = EndpointCaptioner(style.endpoint, counted, backoff_s=backoff_s)
    said = dict(captioner.answers(images, style))
    return [said[at] for at in range(len(images))]
