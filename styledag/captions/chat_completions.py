"""Questions and answers in the form of OpenAI's chat completions, as its many imitators have it.

https://platform.openai.com/docs/api-reference/chat
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from styledag.captions.settings import CaptionSettings

if TYPE_CHECKING:
    from PIL.Image import Image

_JPEG_QUALITY = 95
_PATH = "/chat/completions"
_USAGE = ("prompt_tokens", "completion_tokens")
_MOST_TOKENS, _MOST_TOKENS_ANEW = "max_tokens", "max_completion_tokens"
_OPTIONAL = ("seed", "temperature")
"""Parameters that some models refuse, and without which the answers only vary more."""
_CUT, _FILTERED = "length", "content_filter"
_FILTER = re.compile(
    r"\bcontent_filter\b|content_?policy_?violation|content management policy"
    r"|data_?inspection_?failed|input was flagged|flagged_input|violates usage guidelines"
    r"|rejected as a result of our safety system",
    re.IGNORECASE,
)
"""How Azure, OpenAI, LiteLLM, DashScope, OpenRouter and xAI say that they do not take an image."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answered to one question.

    Attributes:
        text: The answer; empty where there is none.
        has_thought: Whether a thought stands beside it.
        is_cut: Whether the most tokens cut it off.
        is_refused: Whether the model or its server did not want to answer.
    """

    text: str
    has_thought: bool
    is_cut: bool
    is_refused: bool


REFUSED = Answer(text="", has_thought=False, is_cut=False, is_refused=True)
"""In place of an answer, where a server's filter did not take the image."""


def address(url: str, path: str) -> str:
    """Return the address of a path of the API.

    Args:
        url: What stands before ``/chat/completions``, with or without it, and with the query that
            Azure wants.
        path: Such as ``/chat/completions``.
    """
    parts = urlsplit(url.strip())
    before = parts.path.rstrip("/").removesuffix(_PATH).rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, before + path, parts.query, ""))


def completions_address(url: str) -> str:
    """Return the address that questions are sent to."""
    return address(url, _PATH)


def question(image: "Image", model: str, settings: CaptionSettings) -> dict[str, Any]:
    """Return a question about an image as JSON."""
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
        _MOST_TOKENS: settings.max_new_tokens,
        "temperature": 0,
        "seed": 0,
    }


def other_name(parameters: Mapping[str, Any], refusal: str) -> tuple[str, str] | None:
    """Return the parameter that a server refuses, and its other name there, or empty for none.

    OpenAI's newer models call the most tokens otherwise and have a temperature of 1 alone; Mistral
    and others know no seed.

    Args:
        parameters: Of the question.
        refusal: The server's answer to it.
    """
    if _MOST_TOKENS in parameters and _MOST_TOKENS_ANEW in refusal:
        return _MOST_TOKENS, _MOST_TOKENS_ANEW
    named = (name for name in _OPTIONAL if re.search(rf"\b{name}\b", refusal))
    return next(((name, "") for name in named if name in parameters), None)


def is_filtered(failure: str) -> bool:
    """Return whether a failure is a server's filter, which refuses one image and not the next.

    Args:
        failure: What the server sent in place of an answer.
    """
    return _FILTER.search(failure) is not None


def failure_in(answer: Any) -> tuple[int, str] | None:
    """Return status and text of a failure that a server reports in an answer of status 200.

    OpenRouter does: for all of the answer, beside an empty choice, or in it.
    """
    if not isinstance(answer, dict):
        return None
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    error = answer.get("error") or (choice.get("error") if isinstance(choice, dict) else None)
    if not error:
        return None
    code = str(error.get("code") if isinstance(error, dict) else "")
    return int(code) if code.isdecimal() else 0, json.dumps(error, ensure_ascii=False)


def usage_in(answer: Any) -> dict[str, int]:
    """Return the tokens of question and answer, as far as a server states them in whatever form."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    stated = {name: usage.get(name) for name in _USAGE} if isinstance(usage, dict) else {}
    return {name: count for name, count in stated.items() if isinstance(count, int)}


def read_answer(answer: Any) -> Answer:
    """Return what an answer says.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: If it has another form.
    """
    choice = answer["choices"][0]
    # Gemini's reason is "content_filter: RECITATION", and with it or "length" it leaves out what
    # it did not write: the content, or all of the message.
    finish = str(choice.get("finish_reason") or "").partition(":")[0]
    message = choice["message"] if finish not in (_CUT, _FILTERED) else choice.get("message") or {}
    content, refusal = message.get("content"), message.get("refusal")
    if not finish and "content" not in message and "refusal" not in message:
        raise KeyError("content")
    return Answer(
        text=_text(content).strip(),
        has_thought=bool(message.get("reasoning_content") or message.get("reasoning")),
        is_cut=finish == _CUT,
        is_refused=bool(refusal) or finish == _FILTERED,
    )


def _text(content: Any) -> str:
    """Return the text of a message: a string, or the text among several parts."""
    if not isinstance(content, list):
        return str(content or "")
    return "".join(str(part.get("text") or "") for part in content if part.get("type") == "text")
