"""Openings of captions that say only that there is an image: "In this image, we can see".

Words of BLIP, LLaVA, JoyCaption, Florence-2, Qwen-VL and GPT. What says how the image was made ("an
illustration of", "an aerial view of") is no such opening.

A pure function of a text on one line; it is a rule of :mod:`styledag.captions.cleaning.rules`,
whose version changes with it.
"""

import re

_MARK = r"(?:an?|the|some|another)"
_THE = r"(?:the|this|that)"
_GIVEN = r"(?:(?:given|provided|uploaded|attached|displayed|following|above) +)?"
_IMAGE = r"(?:image|picture|photo|photograph|pic|snapshot|close *-? *up|view)"
_SCENE = r"(?:scene|shot|composition)"
_HAVE = r"(?:'ve|\u2019ve| +have)?"
_SENT = rf"(?: +(?:that +)?(?:you{_HAVE} +)?(?:sent|provided|shared|uploaded|attached))?"
_HOW = (
    r"(?:(?:also|clearly|simply|just|mainly|mostly|primarily|predominantly|prominently|vividly) +)?"
)
_SHOW = (
    "(?:show|depict|feature|capture|display|present|portray|illustrate|contain|include|showcase"
    "|represent|reveal)"
)
_SHOWS = (
    rf"(?:{_HOW}(?:{_SHOW}s|consists +of|focuses +on|cent(?:er|re)s +on)"
    rf"|(?:provide|offer|give)s(?= +{_MARK} )"
    rf"|(?:appears|seems) +to +(?:be(?= +{_MARK} )|{_SHOW})"
    rf"|is(?: +of)?(?= +{_MARK} )|is +showing)"
)
_SHOWING = (
    "(?:show|depict|featur|captur|display|present|portray|illustrat|contain|showcas|represent"
    "|reveal)ing"
)
_THERE_IS = (
    r"(?:there|this|that|it|here) +(?:is|are)"
    r"|(?:there|this|that|it) +(?:appears?|seems?) +to +be"
    rf"|(?:this|that|it) +looks +like(?= +{_MARK} )"
    rf"|(?:there|that|it|here)['\u2019]s(?= +{_MARK} )"
)
_WE_SEE = (
    r"(?:we|you|i|one) +(?:can +)?(?:also +|clearly +)?(?:see|observe|notice|identify)"
    r"|(?:we|you)(?:['\u2019]re| +are) +looking +at"
)
_OPENING = re.compile(
    rf"^(?:"
    rf"(?:(?:{_MARK}|this|that) +)?(?:close *-? *up +)?{_GIVEN}{_IMAGE}{_SENT} +"
    rf"(?:of|{_SHOWING}|(?:that +)?{_SHOWS})"
    rf"|(?:the|this) +{_GIVEN}{_SCENE}{_SENT} +{_SHOWS}"
    rf"|(?:in|on|from|within|looking +at|based +on) +{_THE} +{_GIVEN}(?:{_IMAGE}|{_SCENE}|frame)"
    rf"{_SENT}(?:,|(?= +(?:{_MARK} |{_THERE_IS}|{_WE_SEE})))"
    rf"|{_THERE_IS}|{_WE_SEE}"
    rf"|(?:pictured|shown|depicted|featured|seen|visible)(?: +here| +in +{_THE} +{_IMAGE})?,?"
    rf" +(?:is|are)(?= +{_MARK} )"
    rf"|the +(?:(?:main|central|primary) +)?(?:subject|focus|focal +point)"
    rf"(?: +(?:of|in) +{_THE} +(?:{_IMAGE}|{_SCENE}))? +(?:is(?: +on)?|appears +to +be)"
    rf"(?= +{_MARK} )"
    rf")(?: +|$)",
    re.IGNORECASE | re.ASCII,
)


def drop_openings(text: str) -> str:
    """Return the text without openings that say nothing, such as "there is a picture of"."""
    shorter = _OPENING.sub("", text)
    while shorter != text:
        text, shorter = shorter, _OPENING.sub("", shorter)
    return text
