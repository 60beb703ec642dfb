"""Addresses that a site signs for minutes or hours: what of them lasts, and what does not."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from styledag.collect.web.addresses import parts_of


@dataclass(frozen=True)
class _Scheme:
    """A way of signing: it is one where all the needed names are there."""

    needs: frozenset[str]
    signs: re.Pattern[str]
    hosts: re.Pattern[str] = re.compile("")


def _scheme(needs: str, signs: str, hosts: str = "") -> _Scheme:
    return _Scheme(frozenset(needs.split()), re.compile(signs), re.compile(hosts))


_SCHEMES = (
    _scheme("x-amz-signature", "x-amz-.*"),
    _scheme("x-goog-signature", "x-goog-.*"),
    _scheme("x-oss-signature", "x-oss-(?!process$).*"),
    _scheme("awsaccesskeyid signature expires", "awsaccesskeyid|signature|expires|x-amz-.*"),
    _scheme("googleaccessid signature expires", "googleaccessid|signature|expires"),
    _scheme("ossaccesskeyid signature expires", "ossaccesskeyid|signature|expires"),
    _scheme("key-pair-id signature", "key-pair-id|signature|expires|policy"),
    # Azure: https://learn.microsoft.com/rest/api/storageservices/create-service-sas
    _scheme("sig se sv", "sig|s[eprtv]|ss|srt|spr|sip|ses|skoid|sktid|skt|ske|sks|skv|saoid|suoid"),
    _scheme("md5 expires", "md5|expires"),
    _scheme("token expires", "token|expires|token_path"),
    _scheme("token-time token-hash", "token-time|token-hash"),
    _scheme("x-expires x-signature", "x-expires|x-signature"),
    _scheme("q-sign-algorithm q-signature", "q-.*|x-cos-security-token"),
    _scheme("hdnts", "hdnts"),
    _scheme("hdnea", "hdnea"),
    _scheme("token", "token", r"\.wixmp\.com$"),
    _scheme("ex is hm", "ex|is|hm", r"(?:^|\.)discordapp\.(?:com|net)$"),
    _scheme("oh oe", "oh|oe|_nc_.*", r"(?:^|\.)(?:fbcdn\.net|cdninstagram\.com)$"),
)


def without_signature(url: str) -> str:
    """Return an address without a signature that expires; any other address as it is.

    Each run is given another signature of the same image, which is no other image for it.
    """
    path, mark, query = url.partition("?")
    if not mark:
        return url
    parts = query.split("&")
    names = [unquote(part.partition("=")[0]).lower() for part in parts]
    host = _host(url)
    for scheme in _SCHEMES:
        if scheme.needs <= set(names) and scheme.hosts.search(host):
            kept = [
                part
                for part, name in zip(parts, names, strict=True)
                if not scheme.signs.fullmatch(name)
            ]
            return path + (mark + "&".join(kept) if kept else "")
    return url


def _host(url: str) -> str:
    return parts_of(url).hostname or ""
