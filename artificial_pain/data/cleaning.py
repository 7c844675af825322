"""Cleaning of the texts and labels of a corpus."""

import re
import unicodedata

INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # Unicode's categories of controls, formats and blanks


def clean_text(value: object) -> str:
    """Strip a text; "" where the value is no text, or has nothing to see in it (control, zero-width, blank alone).

    A lone surrogate, which JSON can carry and no file can, becomes U+FFFD.
    """
    if not isinstance(value, str) or all(unicodedata.category(character) in INVISIBLE for character in value):
        return ""
    return re.sub("[\ud800-\udfff]", "\ufffd", value).strip()


def clean_label(value: object) -> str:
    """Clean a text and put it on one line, for it heads columns and rows."""
    return " ".join(clean_text(value).split())
