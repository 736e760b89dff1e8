"""Bytes as text."""

import codecs

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def decoded(content: bytes) -> str:
    """UTF-8 or UTF-16 by its mark, UTF-16 without one by its zeros, else UTF-8, else Windows' Latin-1."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, errors="replace").lstrip("\ufeff")
    head = content[:1000]
    if len(head) > 3 and head[1::2].count(0) > len(head) / 4:
        return content.decode("utf-16-le", errors="replace")
    if len(head) > 3 and head[0::2].count(0) > len(head) / 4:
        return content.decode("utf-16-be", errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
