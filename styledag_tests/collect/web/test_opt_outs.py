"""Opt-outs by draft-ietf-aipref-attach and -vocab, and by the words that crawlers read."""

import pytest
from protego import Protego

from styledag.collect.web.opt_outs import (
    forbids_training,
    header_opt_outs,
    meta_opt_outs,
    refusal_detail,
    usage_rules,
)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("train-ai=n", True),
        ("search=y,train-ai=n", True),
        ("train-ai=n;a=b", True),
        ("train-genai=n", True),
        ("train-ai=y", False),
        ("train-ai", False),
        ("train-ai=N", False),
        ("Train-AI=n", False),
        ('train-ai="n"', False),
        ("train-ai;allow=n, train-ai=y", False),
        ("train-ai=n, train-ai=y", False),
        ("train-ai=y, train-ai=n", True),
        ("search=n", False),
        ("", False),
    ],
)
def test_a_statement_is_read_as_the_vocabulary_says(statement: str, expected: bool) -> None:
    assert forbids_training(statement) is expected


EXAMPLE = """\
User-Agent: *
Allow: /
Disallow: /never/
Content-Usage: train-ai=n
Content-Usage: /ai-ok/ train-ai=y

User-Agent: ExampleBot
Allow: /
Content-Usage: train-ai=y
"""


@pytest.mark.parametrize(
    ("robots", "path", "agent", "allowed"),
    [
        (EXAMPLE, "/test", "styledag", False),
        (EXAMPLE, "/ai-ok/test", "styledag", True),
        (EXAMPLE, "/test", "ExampleBot", True),
        ("User-agent: *\nContent-Usage: /a/ train-ai=n", "/b", "styledag", True),
        ("User-agent: *\nContent-Usage: /a/ train-ai=n", "/a/b", "styledag", False),
        ("User-agent: *\nContent-Usage: /*.png$ train-ai=n", "/a.png", "styledag", False),
        ("User-agent: *\r\n content-usage :\t/a\ttrain-ai=n # no", "/a", "styledag", False),
        ("User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: train-ai=y", "/", "s", False),
        ("User-agent: *\nContent-Usage: train-ai=y\nContent-Usage: train-ai=n", "/", "s", False),
        ("User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /a search=n", "/a", "s", True),
        ("User-agent: a\nAllow: /\nUser-agent: b\nContent-Usage: train-ai=n", "/", "a", True),
        ("User-agent: a\nUser-agent: b\nContent-Usage: train-ai=n", "/", "a", False),
        ("User-agent: a\n\n# b\nUser-agent: b\nContent-Usage: train-ai=n", "/", "a", False),
        ("User-agent: *\nContent-Signal: search=yes, ai-train=no", "/", "styledag", False),
        ("User-agent: *\nContent-Signal: ai-train=yes", "/", "styledag", True),
        ("Content-Usage: train-ai=n", "/", "styledag", True),
        ("", "/", "styledag", True),
    ],
)
def test_usage_rules_are_matched_like_crawling_rules(
    robots: str, path: str, agent: str, allowed: bool
) -> None:
    rules = Protego.parse(usage_rules(robots))
    assert rules.can_fetch(f"https://example.org{path}", agent) is allowed


def test_headers_name_the_crawler_that_they_are_for() -> None:
    lines = ["otherbot: noai, noindex", "noimageai, styledag: noarchive", "max-snippet: 5, none"]
    assert header_opt_outs(lines, []) == {"noimageai", "noarchive", "max-snippet", "noindex"}


def test_a_page_may_opt_out_in_its_own_words() -> None:
    metas = [("ROBOTS", "NoAI,noimageai"), ("styledag", "noindex"), ("googlebot", "none")]
    assert meta_opt_outs(metas) == {"noai", "noimageai", "noindex"}
    assert refusal_detail({"noai", "x"}, ["noai"], "the page") == "the page asks for noai"
    assert refusal_detail({"noai"}, [], "the page") == ""
