"""A challenge is known by what stands in it alone; a guarded site's own pages are none."""

from collections.abc import Mapping

import pytest

from styledag.collect.web.challenge import challenge_by

PAGE = b"<!doctype html><html><head><title>x</title></head><body>%s</body></html>"


@pytest.mark.parametrize(
    ("status", "headers", "body", "guard"),
    [
        (403, {"cf-mitigated": "challenge"}, b"", "Cloudflare"),
        (202, {"x-amzn-waf-action": "challenge"}, b"", "AWS WAF"),
        (405, {"x-amzn-waf-action": "captcha"}, PAGE % b"", "AWS WAF"),
        (429, {"x-vercel-mitigated": "challenge"}, b"", "Vercel"),
        (200, {}, PAGE % b'<script id="anubis_challenge" type="application/json">', "Anubis"),
        (200, {}, PAGE % b"<script>window.gokuProps = {}</script>", "AWS WAF"),
        (200, {}, PAGE % b"Request unsuccessful. Incapsula incident ID: 1", "Imperva"),
        (403, {}, PAGE % b'<script src="https://ct.captcha-delivery.com/c.js">', "DataDome"),
        (
            403,
            {"server": "ddos-guard"},
            PAGE % b'<script src="/.well-known/ddos-guard/js-challenge/index.js"></script>',
            "DDoS-Guard",
        ),
        (
            403,
            {"server": "ddos-guard"},
            PAGE % b"<script src='https://check.ddos-guard.net/check.js'></script>",
            "DDoS-Guard",
        ),
        (200, {}, PAGE % b'<div id="sec-if-cpt-container">Please wait</div>', "Akamai"),
        (412, {}, PAGE % b'<div id="px-captcha" style="margin:16px"></div>', "HUMAN"),
        (429, {}, PAGE % b"<script>window.KPSDK={};</script>", "Kasada"),
        (403, {}, PAGE % b"/cdn-cgi/challenge-platform/h/g/orchestrate/chl_page/v1", "Cloudflare"),
    ],
)
def test_challenges_are_known(
    status: int, headers: Mapping[str, str], body: bytes, guard: str
) -> None:
    assert challenge_by(status, headers, body) == guard


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, PAGE % b"/cdn-cgi/challenge-platform/scripts/jsd/main.js"),
        (200, {}, PAGE % b'<script src="https://js.captcha-delivery.com/tags.js">'),
        (200, {}, PAGE % b"<script src=/_Incapsula_Resource?x>"),
        (200, {}, PAGE % b"Anubis is the god of the dead; see anubis_challenge"),
        (403, {"server": "cloudflare"}, PAGE % b"Attention Required! | Cloudflare"),
        (200, {"server": "ddos-guard"}, PAGE % b"//check.ddos-guard.net/check.js"),
        (403, {"server": "ddos-guard"}, PAGE % b"Forbidden"),
        (200, {}, PAGE % b"<script>window._pxAppId = 'PX1'; window.KPSDK = {}</script>"),
        (404, {}, b""),
        (200, {}, b"\x89PNG window._cf_chl_opt"),
    ],
)
def test_what_is_none_is_none(status: int, headers: Mapping[str, str], body: bytes) -> None:
    assert challenge_by(status, headers, body) == ""
