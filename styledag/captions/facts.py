"""Figures of a style's captions: where they come from, how long they are, how often they repeat."""

from collections import Counter
from itertools import chain
from pathlib import Path

from styledag.bases.base import Tokens
from styledag.captions.agreement import Agreement
from styledag.captions.language import find_languages
from styledag.captions.overrides import read_overrides
from styledag.captions.records import CaptionedImage
from styledag.captions.settings import SOURCES
from styledag.manifest import Manifest
from styledag.store.artifact import Facts
from styledag.store.items import Items


def caption_facts(
    captioned: Manifest[CaptionedImage],
    tokens: Tokens,
    *,
    items: Items | None = None,
    overrides: Path | None = None,
    agreement: Agreement | None = None,
) -> Facts:
    """Return counts and shares over all captions.

    Args:
        captioned: The captioned images.
        tokens: Counts tokens as the base's text encoder will.
        items: Where languages that were told are kept, if anywhere.
        overrides: CSV of a person's captions; what in it names no image is stated.
        agreement: How often the captioner agrees with the words that were used in its place.

    Returns:
        The manifest's own counts; captions by source and by rule; the commonest caption and its
        share of all; mean and most tokens, the two special ones included; how many were cut, and
        the most tokens that one had before; languages by where words are from; how many further
        templates each is written in.

    Raises:
        StyleFileError: If the CSV is wrong.
    """
    captions, cleaned = captioned.column("caption"), captioned.column("cleaned_caption")
    hits, variants = captioned.column("rule_hits"), captioned.column("variants")
    sources = Counter(captioned.column("source"))
    rules = Counter(chain.from_iterable(hits))
    facts: dict[str, object] = {
        **captioned.facts,
        **{f"source_{source}": sources[source] for source in SOURCES},
        **{f"rule_{rule}": count for rule, count in sorted(rules.items())},
        "cut_to_fit": rules["cut"],
        "variants": max(
            (len({*each} - {caption}) for each, caption in zip(variants, captions, strict=True)),
            default=0,
        ),
    }
    cut = [caption for caption, each in zip(cleaned, hits, strict=True) if "cut" in each]
    if cut:
        lines = (line for caption in cut for line in caption.split("\n"))
        facts["most_tokens_before_cut"] = max(map(tokens.count, lines))
    if captions:
        lengths = [tokens.count(caption) for caption in captions]
        counts = Counter(captions)
        commonest = min(counts, key=lambda caption: (-counts[caption], caption))
        facts |= {
            "distinct_captions": len(counts),
            "commonest_caption": commonest,
            "commonest_caption_share": round(counts[commonest] / len(captions), 4),
            "mean_tokens": round(sum(lengths) / len(lengths), 2),
            "most_tokens": max(lengths),
            "languages": find_languages(
                zip(
                    captioned.column("source"),
                    captioned.column("image.origin.page_url"),
                    cleaned,
                    strict=True,
                ),
                items,
            ),
        }
    if agreement is not None:
        facts |= {"compared": agreement.compared, "agree": agreement.agree}
    if overrides is not None:
        unmatched = read_overrides(overrides).unmatched([row.image for row in captioned.rows])
        facts |= {"overrides_unmatched": len(unmatched), "overrides_unmatched_first": unmatched[:5]}
    return facts
