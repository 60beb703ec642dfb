"""An OpenAI-compatible endpoint as the captioner: vLLM, Ollama, llama.cpp or a hosted model."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from styledag.captions.chat_completions import (
    REFUSED,
    Answer,
    address,
    completions_address,
    failure_in,
    is_filtered,
    other_name,
    question,
    read_answer,
    usage_in,
)
from styledag.captions.cleaning.chatter import is_refusal
from styledag.captions.settings import CaptionSettings, EndpointSettings
from styledag.captions.thinking import answer_after_thought, only_thought, unfinished_thought
from styledag.errors import ModelError
from styledag.retry_after import retry_after_s

if TYPE_CHECKING:
    from PIL.Image import Image

_LONGEST_WAIT_S = 60.0
_LONGEST_ASKED_S = 900.0
"""A server that asks to wait longer is given up; a later run asks only what is left."""
_LOADING_WAIT_S = 5.0
_LONGEST_LOADING_S = 900.0
_GLANCE_S = 10.0
_AZURE = ".azure.com"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PASSING = frozenset({408, 409, 425, 429})
_SERVER_ERROR, _NOT_IMPLEMENTED = 500, 501
_EMPTY_TRIES = 2
"""Further tries for an answer without a word, as Ollama and Gemini now and then give one."""
_REFUSED = frozenset({401, 403})
_MISREAD = frozenset({400, 422})
_NO_SUCH_PATH = frozenset({404, 405})
_NO_SUCH_PATH_BUT_OK = re.compile("unexpected endpoint or method", re.IGNORECASE)
"""In what LM Studio answers, with status 200, at a path that it does not have."""
_V1 = re.compile(r"/v\d")
_BELOW_V1 = "most servers answer below /v1, which the url then ends in; "
_LOADING = re.compile("loading", re.IGNORECASE)
_SEES_NOTHING = re.compile(
    r"(?:image|vision|multimodal)[^.]{0,40} not supported"
    r"|does(?: not|n't) support (?:image|vision)"
    r"|unsupported content part type"
    r"|no endpoints found that support image",
    re.IGNORECASE,
)
"""How llama.cpp, Ollama, OpenRouter and others say that a model reads text alone, often as 500."""
_NO_QUOTA = re.compile("insufficient_quota|per-day", re.IGNORECASE)
_RETRY_DELAY = re.compile(r'"retryDelay": ?"([\d.]+)s"', re.ASCII)
"""How long Gemini asks to wait; it has no header for it."""


class EndpointCaptioner:
    """Asks a server about several images at once.

    Args:
        endpoint: Where it is, and how it is asked.
        work: Counts what was asked: ``endpoint_requests`` that were answered, of which some images
            need several, the ``prompt_tokens`` and ``completion_tokens`` that the server states of
            them, and of the captions ``answers_cut_off`` by the most tokens and
            ``answers_refused``.
        backoff_s: Seconds before the first further try; doubled before each next one.
    """

    def __init__(
        self, endpoint: EndpointSettings, work: Counter[str], *, backoff_s: float = 1.0
    ) -> None:
        self._endpoint = endpoint
        self._work = work
        self._backoff_s = backoff_s
        self._other_names: dict[str, str] = {}
        self._counting = Lock()

    @property
    def version(self) -> str:
        """The model as the server calls it; another server of that name is taken for the same."""
        return f"endpoint/{self._endpoint.model}"

    def identity(self, settings: CaptionSettings) -> Mapping[str, Any]:
        """Return the prompt and the most tokens."""
        return {"prompt": settings.prompt, "max_new_tokens": settings.max_new_tokens}

    def batch_size(self, settings: CaptionSettings) -> int:  # noqa: ARG002 - as the protocol has it
        """Return the number of requests at a time, so that no more are sent after a failure."""
        return self._endpoint.concurrency

    def answers(
        self, images: "Sequence[Image]", settings: CaptionSettings
    ) -> Iterator[tuple[int, str]]:
        """Yield the position and the raw caption of each RGB image, as soon as it is there.

        Raises:
            ModelError: If the server refuses a question, does not answer it after all tries, or
                answers with no caption; raised when all others have been answered.
        """
        failures: list[BaseException] = []
        with ThreadPoolExecutor(self._endpoint.concurrency) as executor:
            asked = {
                executor.submit(self._ask, image, settings): at for at, image in enumerate(images)
            }
            for answered in as_completed(asked):
                if failure := answered.exception():
                    failures.append(failure)
                else:
                    yield asked[answered], self._counted(answered.result())
        if failures:
            raise failures[0]

    def _counted(self, answer: Answer) -> str:
        self._work.update({"answers_cut_off": 1} if answer.is_cut else {})
        self._work.update({"answers_refused": 1} if answer.is_refused else {})
        return answer.text

    def _count_answered(self, usage: Mapping[str, int]) -> None:
        """Count a request, which is paid for whatever becomes of its answer."""
        with self._counting:
            self._work.update({"endpoint_requests": 1, **usage})

    @property
    def _name(self) -> str:
        return f"{self._endpoint.model} at {self._endpoint.url}"

    def _ask(self, image: "Image", settings: CaptionSettings) -> Answer:
        """Return the answer about an image, asked again after failures that may pass."""
        asked = question(image, self._endpoint.model, settings)
        wait_s, loading_s, tries_left = self._backoff_s, 0.0, self._endpoint.retries
        empty_left = min(_EMPTY_TRIES, tries_left)
        while True:
            renamed = self._renamed(asked)
            sent, failure = self._tried(renamed)
            if failure is None:
                answer = self._read(sent)
                if answer.text or answer.is_refused or not empty_left:
                    return answer
                empty_left -= 1
            elif is_filtered(failure.body):
                if sent is None:  # It came with a status that counts nothing.
                    self._count_answered({})
                return REFUSED
            elif failure.status in _MISREAD and (other := other_name(renamed, failure.body)):
                self._other_names[other[0]] = other[1]
                continue
            elif failure.is_loading and loading_s < _LONGEST_LOADING_S:
                time.sleep(_LOADING_WAIT_S)
                loading_s += _LOADING_WAIT_S
                continue
            elif not failure.may_pass or not tries_left:
                raise self._unanswered(failure)
            else:
                tries_left -= 1
            asked_s = 0.0 if failure is None else failure.asked_s
            time.sleep(max(min(wait_s, _LONGEST_WAIT_S), asked_s))
            wait_s *= 2

    def _read(self, sent: Any) -> Answer:
        try:
            answer = read_answer(sent)
        except (LookupError, TypeError, AttributeError, ValueError) as exc:
            raise ModelError(
                f"{self._endpoint.url} answers in another form than OpenAI's chat completions: "
                f"{str(sent)[:200]}"
            ) from exc
        if not answer.text and answer.is_cut:
            raise unfinished_thought(self._name)
        if not answer.text and answer.has_thought:
            raise only_thought(self._name)
        text = answer_after_thought(answer.text, captioner=self._name)
        return replace(answer, text=text, is_refused=answer.is_refused or is_refusal(text))

    def _tried(self, asked: Mapping[str, Any]) -> "tuple[Any, _Failure | None]":
        key = _key(self._endpoint)
        try:
            response = requests.post(
                completions_address(self._endpoint.url),
                json=asked,
                auth=None if not key else _Bearer(key),
                proxies=_proxies(self._endpoint.url),
                timeout=self._endpoint.timeout_s,
                allow_redirects=False,
            )
            if response.status_code != requests.codes.ok:
                return None, _Failure.of(response)
            answer = response.json()
            self._count_answered(usage_in(answer))
        except requests.JSONDecodeError as exc:
            raise ModelError(
                f"{self._endpoint.url} does not answer in JSON ({exc}): {self._stated(_BELOW_V1)}"
                "correct captions.endpoint"
            ) from exc
        except requests.RequestException as exc:
            return None, _Failure.of_exception(exc)
        failed = failure_in(answer)
        return answer, None if failed is None else _Failure.of_body(*failed, body=failed[1])

    def _renamed(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return a question with the parameters that the server has turned out to accept."""
        names = {name: self._other_names.get(name, name) for name in asked}
        return {names[name]: value for name, value in asked.items() if names[name]}

    def _unanswered(self, failure: "_Failure") -> ModelError:
        return ModelError(
            f"captioner {self._endpoint.url} gives no caption by model {self._endpoint.model!r} "
            f"({failure.text}): {self._stated(failure.advice)}check captions.endpoint and "
            f"${self._endpoint.key_variable}"
        )

    def _stated(self, advice: str) -> str:
        """Return an advice, unless it is followed already."""
        return "" if advice == _BELOW_V1 and _V1.search(self._endpoint.url) else advice


@dataclass(frozen=True)
class _Failure:
    """Why there is no answer.

    Attributes:
        status: As of HTTP; 0 if there is none, or nothing would change by asking again.
        text: For a person.
        body: What the server sent.
        asked_s: Seconds that it asks to wait.
        is_final: Whether asking again is no use.
        advice: What to do, in front of what is always said.
    """

    status: int
    text: str
    body: str = ""
    asked_s: float = 0.0
    is_final: bool = False
    advice: str = ""

    @classmethod
    def of(cls, response: requests.Response) -> "_Failure":
        to = f" to {response.headers['Location']}" if response.is_redirect else ""
        text = f"{response.status_code} {response.reason}{to}: {response.text[:200]}"
        headers = response.headers
        asked_s = retry_after_s(headers.get("Retry-After"), date=headers.get("Date")) or 0.0
        return cls.of_body(response.status_code, text, response.text, asked_s)

    @classmethod
    def of_body(cls, status: int, text: str, body: str, asked_s: float = 0.0) -> "_Failure":
        if delay := _RETRY_DELAY.search(body):
            asked_s = max(asked_s, float(delay[1].rstrip(".")))
        is_final = asked_s > _LONGEST_ASKED_S or bool(_NO_QUOTA.search(body))
        advice = ""
        if _SEES_NOTHING.search(body):
            is_final, advice = True, "name a model that sees images (llama.cpp wants --mmproj); "
        elif status in _NO_SUCH_PATH or _NO_SUCH_PATH_BUT_OK.search(body):
            advice = _BELOW_V1
        return cls(status, text, body, asked_s, is_final, advice)

    @classmethod
    def of_exception(cls, error: requests.RequestException) -> "_Failure":
        text = f"{type(error).__name__}: {error}"
        if "CERTIFICATE_VERIFY_FAILED" in text:
            advice = "let REQUESTS_CA_BUNDLE name the file of the server's certificate; "
            return cls(0, text, is_final=True, advice=advice)
        advice = ""
        if isinstance(error, requests.ReadTimeout):
            advice = "raise captions.endpoint.timeout_s, or lower its concurrency; "
        # An address or a header that cannot be sent is a ValueError as well.
        return cls(0 if isinstance(error, ValueError) else 503, text, advice=advice)

    @property
    def may_pass(self) -> bool:
        is_passing = self.status in _PASSING or self.status >= _SERVER_ERROR
        return is_passing and self.status != _NOT_IMPLEMENTED and not self.is_final

    @property
    def is_loading(self) -> bool:
        return self.status == requests.codes.unavailable and bool(_LOADING.search(self.text))


class _Bearer(requests.auth.AuthBase):
    """Sends a key, in place of what a .netrc has for the host; to Azure as it wants it, too."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        if (urlsplit(request.url or "").hostname or "").endswith(_AZURE):
            request.headers["api-key"] = self._key
        return request


def ask_endpoint(endpoint: EndpointSettings) -> str:
    """Return what an endpoint answers to a question for its models, which costs nothing.

    Raises:
        ModelError: If it does not answer within 10 s, or refuses the key.
    """
    key = _key(endpoint)
    try:
        response = requests.get(
            address(endpoint.url, "/models"),
            auth=None if not key else _Bearer(key),
            proxies=_proxies(endpoint.url),
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
    # Ollama adds what it supposes, and Gemini a kind. Some list the model that they serve under
    # another name, and answer for any.
    known = {short for name in names for short in (name, name.removesuffix(":latest"))}
    known |= {name.removeprefix("models/") for name in names}
    lists = "lists" if endpoint.model in known else "does not list"
    return f"{endpoint.url} answers, and {lists} {endpoint.model}"


def _proxies(url: str) -> dict[str, str] | None:
    """Return no proxy for a server on this machine, whatever the environment names for the rest."""
    host = urlsplit(url.strip()).hostname or ""
    return {"http": "", "https": ""} if host in _LOOPBACK else None


def _key(endpoint: EndpointSettings) -> str:
    """Return the key, without the line break that a file of it often ends in.

    Raises:
        ModelError: If no header can contain it; the key itself is not shown.
    """
    key = os.environ.get(endpoint.key_variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ModelError(
            f"${endpoint.key_variable} contains a line break or a letter that no key has: copy the "
            "key again"
        )
    return key
