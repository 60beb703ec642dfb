"""The words in an image's file name, as people name files after what they show.

Pure functions of the text alone; part of the rules of :mod:`styledag.captions.cleaning.rules`,
whose version changes with them.
"""

import re
from pathlib import PurePosixPath
from urllib.parse import unquote

from styledag.collect.web.addresses import parts_of

_FLAGS = re.IGNORECASE | re.ASCII
IMAGE_ENDING = re.compile(
    r"\.(?:a?png|jpe?g|jpe|jfif|gif|webp|svg|bmp|tiff?|avif|heic|heif|jxl|ico)$", _FLAGS
)
_COUNTER = re.compile(
    r"(?:(?:[ _-]+|^)(?:\d+x\d+(?:px)?|\d+px|scaled|copy|[0-9a-f]*\d[0-9a-f]{7,}|0\d*)"
    r"|[_-]+\d+|[ _-]*[(\[]\d+[)\]])$",
    _FLAGS,
)
"""What tells files of one name apart: "-01", "_2", " (3)", " 007", "-300x200", a digest. A number
behind a blank is a part of the name, as in "Route 66"."""
_WIDTH = re.compile(r"^\d+px-", _FLAGS)
"""In front of the names of MediaWiki's smaller copies."""
_OF_NO_MEANING = re.compile(
    r"(?:img|image|images|imagen|dsc[a-z]?|dscn|dscf|pxl|mvimg|gopr|pict?|picture|photo|screenshot"
    r"|screen|shot|scan|untitled|unnamed|download|file|frame|thumb|thumbnail|wa|latest|original"
    r"|whatsapp|fb|received|at|am|pm|[!-~]|[!-~]*\d[!-~]*)",
    _FLAGS,
)
"""A word that a camera, a phone or a program gives to each file."""


def file_name(address: str) -> str:
    """Return the name of the file that an address or a path leads to.

    Of several parts of a path that end as images do, the last one counts, since wikis add others
    behind it (``Red_fox.png/revision/latest``).
    """
    path = parts_of(address).path if "://" in address else address
    parts = [unquote(part) for part in PurePosixPath(path).parts]
    names = [part for part in parts if IMAGE_ENDING.search(part)] or parts
    return names[-1] if names else ""


def words_of_file_name(name: str) -> str:
    """Return a file's name as words: "tiger_sitting-01.png" as "tiger sitting".

    Nothing of one that only counts ("IMG_0042.jpg", a digest). Where underscores or blanks part the
    words, a hyphen belongs to a word.
    """
    words = _WIDTH.sub("", IMAGE_ENDING.sub("", IMAGE_ENDING.sub("", name))).strip(" ")
    shorter = _COUNTER.sub("", words)
    while shorter != words:
        words, shorter = shorter, _COUNTER.sub("", shorter)
    hyphen = "" if re.search("[ _]", words) else "-"
    words = " ".join(re.split(f"[ _{hyphen}]+", words)).strip(" -")
    if all(_OF_NO_MEANING.fullmatch(word) for word in re.split("[ -]", words)):
        return ""
    return words
