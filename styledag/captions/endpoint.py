"""An OpenAI-compatible endpoint as the captioner: vLLM, Ollama, llama.cpp or a hosted model."""

import base64
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, Any

import requests

from styledag.captions.settings import CaptionSettings, EndpointSettings
from styledag.captions.thinking import answer_after_thought, unfinished_thought
from styledag.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

_JPEG_QUALITY = 95
_LONGEST_WAIT_S = 60.0
_GLANCE_S = 10.0
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403})
_USAGE = ("prompt_tokens", "completion_tokens")


class EndpointCaptioner:
    """Asks a server about several images at once.

    Args:
        endpoint: Where it is, and how it is asked.
        work: Counts what was asked: ``endpoint_requests``, ``answers_cut_off`` by the most tokens
            and, as the server states them, ``prompt_tokens`` and ``completion_tokens``.
        backoff_s: Seconds before the first further try; doubled before each next one.
    """

    def __init__(
        self, endpoint: EndpointSettings, work: Counter[str], *, backoff_s: float = 1.0
    ) -> None:
        self._endpoint = endpoint
        self._work = work
        self._backoff_s = backoff_s

    @property
    def version(self) -> str:
        """The model as the server calls it; another server of that name is taken for the same."""
        return f"endpoint/{self._endpoint.model}"

    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the prompt and the most tokens."""
        return {"prompt": settings.prompt, "max_new_tokens": settings.max_new_tokens}

    def batch_size(self, settings: CaptionSettings) -> int:  # noqa: ARG002 - as the protocol has it
        """Return the number of requests at a time, so that a failure costs no more answers."""
        return self._endpoint.concurrency

    def __call__(self, images: "Sequence[Image]", settings: CaptionSettings) -> list[str]:
        """Return one raw caption for each RGB image.

        Raises:
            ModelError: If the server refuses a question, or does not answer it after all tries.
        """
        with ThreadPoolExecutor(self._endpoint.concurrency) as executor:
            answers = list(executor.map(lambda image: self._ask(image, settings), images))
        for _, usage, is_cut in answers:
            self._work.update({name: int(usage.get(name) or 0) for name in _USAGE})
            self._work.update({"answers_cut_off": 1} if is_cut else {})
        self._work["endpoint_requests"] += len(answers)
        return [caption for caption, _, _ in answers]

    def _ask(
        self, image: "Image", settings: CaptionSettings
    ) -> tuple[str, Mapping[str, Any], bool]:
        """Return the caption, what it cost, and whether max_new_tokens cut it off."""
        answer = self._sent(_question(image, self._endpoint.model, settings))
        try:
            message = answer["choices"][0]["message"]
            content = str(message["content"] or "")
            thought = message.get("reasoning_content") or message.get("reasoning")
            is_cut = answer["choices"][0].get("finish_reason") == "length"
            usage = answer.get("usage") or {}
        except (LookupError, TypeError, AttributeError) as exc:
            raise ModelError(
                f"{self._endpoint.url} answers in another form than OpenAI's chat completions: "
                f"{str(answer)[:200]}"
            ) from exc
        name = f"{self._endpoint.model} at {self._endpoint.url}"
        if thought and not content.strip() and is_cut:
            raise unfinished_thought(name)
        return answer_after_thought(content, captioner=name), usage, is_cut

    def _sent(self, question: Mapping[str, Any]) -> Any:
        wait_s = self._backoff_s
        for tries_left in range(self._endpoint.retries, -1, -1):
            try:
                response = requests.post(
                    f"{self._endpoint.url.rstrip('/')}/chat/completions",
                    json=question,
                    headers=_headers(self._endpoint),
                    timeout=self._endpoint.timeout_s,
                    allow_redirects=False,
                )
                if response.status_code == requests.codes.ok:
                    return response.json()
                trouble = f"{response.status_code} {response.reason}: {response.text[:200]}"
                passing = response.status_code in _PASSING
                asked_s = _seconds(response.headers.get("Retry-After", ""))
            except requests.JSONDecodeError as exc:
                raise ModelError(f"{self._endpoint.url} does not answer in JSON ({exc})") from exc
            except requests.RequestException as exc:
                trouble, passing, asked_s = f"{type(exc).__name__}: {exc}", True, 0.0
            if not passing or not tries_left:
                break
            time.sleep(min(max(wait_s, asked_s), _LONGEST_WAIT_S))
            wait_s *= 2
        raise ModelError(
            f"captioner {self._endpoint.url} gives no caption by model {self._endpoint.model!r} "
            f"({trouble}): check captions.endpoint and ${self._endpoint.key_variable}; captions "
            "that were answered are kept"
        )


def ask_endpoint(endpoint: EndpointSettings) -> str:
    """Return what an endpoint answers to a question for its models, which costs nothing.

    Raises:
        ModelError: If it does not answer within 10 s, or refuses the key.
    """
    try:
        response = requests.get(
            f"{endpoint.url.rstrip('/')}/models",
            headers=_headers(endpoint),
            timeout=_GLANCE_S,
            allow_redirects=False,
        )
    except requests.RequestException as exc:
        raise ModelError(
            f"captioner {endpoint.url} does not answer ({exc}): start its server, or correct "
            "captions.endpoint"
        ) from exc
    if response.status_code in _REFUSED:
        raise ModelError(
            f"captioner {endpoint.url} refuses the key ({response.status_code} {response.reason}): "
            f"set ${endpoint.key_variable}"
        )
    try:
        names = [str(each["id"]) for each in response.json()["data"]]
    except (ValueError, LookupError, TypeError):
        return f"{endpoint.url} answers, and lists no models"
    # Some list the model that they serve under another name, and answer for any.
    lists = "lists" if endpoint.model in names else "does not list"
    return f"{endpoint.url} answers, and {lists} {endpoint.model}"


def _headers(endpoint: EndpointSettings) -> dict[str, str]:
    key = os.environ.get(endpoint.key_variable, "")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _question(image: "Image", model: str, settings: CaptionSettings) -> dict[str, Any]:
    file = BytesIO()
    image.save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    url = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    content = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": settings.prompt},
    ]
    return {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": settings.max_new_tokens,
        "temperature": 0,
        "seed": 0,
    }


def _seconds(retry_after: str) -> float:
    """Return the seconds that a Retry-After header asks for; 0 where it states a date."""
    return float(retry_after) if retry_after.strip().isdecimal() else 0.0
