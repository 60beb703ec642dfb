"""Answers by which a site asks for a browser, and so for a person, before it shows anything.

They come with a success's status as well as with an error's, so what a program takes for a page, or
for a refusal of one image, may be a question to the program itself.
"""

import re
from collections.abc import Mapping

_HEADERS = {
    ("cf-mitigated", "challenge"): "Cloudflare",
    ("x-amzn-waf-action", "challenge"): "AWS WAF",
    ("x-amzn-waf-action", "captcha"): "AWS WAF",
    ("x-vercel-mitigated", "challenge"): "Vercel",
}
# Each stands in the challenge's page alone, not in every page of a site that is so guarded.
_MARKS = (
    (re.compile(rb"window\._cf_chl_opt|/challenge-platform/h/[a-z]/orchestrate/"), "Cloudflare"),
    (re.compile(rb"id=[\"']?anubis_challenge\b"), "Anubis"),
    (re.compile(rb"window\.gokuProps\s*="), "AWS WAF"),
    (re.compile(rb"\bsucuri_cloudproxy_js\s*="), "Sucuri"),
    (re.compile(rb"/\.well-known/\.git\.gammaspectra\.live/git/go-away/"), "go-away"),
    (re.compile(rb"Request unsuccessful\. Incapsula incident ID"), "Imperva"),
    (
        re.compile(rb"/\.well-known/ddos-guard/(?:js-challenge|ddg-captcha-page|h-captcha)/"),
        "DDoS-Guard",
    ),
    (re.compile(rb"id=[\"']?sec-if-cpt-container\b"), "Akamai"),
    (re.compile(rb"id=[\"']?px-captcha\b"), "HUMAN"),
)
_BLOCKING_MARKS = (
    (re.compile(rb"captcha-delivery\.com/"), "DataDome"),
    (re.compile(rb"//check\.ddos-guard\.net/"), "DDoS-Guard"),
    (re.compile(rb"\bwindow\.KPSDK\s*="), "Kasada"),
)
"""Marks that mean a challenge beside an error's status only."""
_MOST_BYTES = 65_536


def challenge_by(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Return whose challenge an answer is; empty if it is none.

    Args:
        status: The answer's status.
        headers: The answer's headers, by names of any case.
        body: The answer's bytes, or the first of them.
    """
    for (name, value), guard in _HEADERS.items():
        if headers.get(name, "").strip().lower() == value:
            return guard
    head = body[:_MOST_BYTES]
    if b"<" not in head[:1_024]:
        return ""
    marks = _MARKS if status == 200 else _MARKS + _BLOCKING_MARKS
    return next((guard for mark, guard in marks if mark.search(head)), "")
