"""What owners of images ask of those who train on them, read from headers, pages and robots.txt."""

import re
from collections.abc import Collection, Iterable

from styledag.collect.settings import AGENT, CONTENT_USAGE

_NAMES = frozenset(("robots", AGENT))
_IMPLIED = {"none": "noindex"}
_LABELS = ("train-ai", "train-genai")
_LINE_END = re.compile(r"\r\n|\r|\n")


def header_opt_outs(robots_tags: Iterable[str], usages: Iterable[str]) -> frozenset[str]:
    """Return the directives of an answer that are meant for us, in lower case.

    Args:
        robots_tags: The values of each ``X-Robots-Tag`` line, which may name the crawler that it
            is for, as in ``otherbot: noindex, nofollow``.
        usages: The values of each ``Content-Usage`` line (draft-ietf-aipref-attach).
    """
    found: set[str] = set()
    for line in robots_tags:
        ours = True
        for part in re.split("[,;]", line.lower()):
            name, colon, rule = (each.strip() for each in part.partition(":"))
            if colon and not name.startswith(("unavailable_after", "max-")):
                ours = name in (AGENT, "*")
                name = rule
            if ours:
                found.add(_IMPLIED.get(name, name))
    if forbids_training(",".join(usages)):
        found.add(CONTENT_USAGE)
    return frozenset(found)


def meta_opt_outs(metas: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the directives of a page's ``meta`` elements, given by name and content."""
    words = (
        word
        for name, content in metas
        if name.strip().lower() in _NAMES
        for word in re.split(r"[\s,;]+", content.lower())
    )
    return frozenset(_IMPLIED.get(word, word) for word in words if word)


def refusal_detail(found: Collection[str], obeyed: Collection[str], where: str) -> str:
    """Return why an image may not be used; empty if nothing found is to be obeyed."""
    named = sorted(set(found) & set(obeyed))
    return f"{where} asks for {', '.join(named)}" if named else ""


def forbids_training(statement: str) -> bool:
    """Return whether a statement of the AI preferences vocabulary declines training.

    The last value of a label counts, and what is not a token means nothing
    (draft-ietf-aipref-vocab, section 6).
    """
    values: dict[str, str] = {}
    for entry in statement.split(","):
        key, _, value = entry.partition(";")[0].strip().partition("=")
        values[key] = value
    return any(values.get(label) == "n" for label in _LABELS)


def usage_rules(robots: str) -> str:
    """Return a robots.txt that forbids exactly what another one declines to have trained on.

    ``Content-Usage`` rules are matched like ``Allow`` and ``Disallow`` ones, save that of two with
    one path the stricter counts; so they are written as such, for the same parser to read.
    ``Content-Signal`` lines, which one large host writes in their place, are read too.
    """
    lines: list[str] = []
    rules: dict[str, bool] = {}

    def close_group() -> None:
        # A group without rules must not run into the next one.
        for path, is_declined in (rules or {"/": False}).items():
            lines.append(f"{'Disallow' if is_declined else 'Allow'}: {path}")
        rules.clear()

    in_agents = False
    for line in _LINE_END.split(robots):
        label, _, value = (each.strip() for each in line.partition("#")[0].partition(":"))
        label = label.lower()
        if label in ("user-agent", "useragent", "user agent"):
            if not in_agents:
                close_group()
            lines.append(f"User-agent: {value}")
        elif label in (CONTENT_USAGE, "content-signal"):
            path, statement = "/", value
            if value.startswith("/"):
                path, _, statement = value.replace("\t", " ").partition(" ")
            declined = forbids_training(statement) or "ai-train=no" in statement.replace(" ", "")
            rules[path] = rules.get(path, False) or declined
        in_agents = label in ("user-agent", "useragent", "user agent") or (in_agents and not label)
    close_group()
    return "\n".join(lines)
