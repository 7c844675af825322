"""Texts and labels as they are read from a corpus."""

import re
import unicodedata

UNSEEN = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # Unicode's categories of controls, formats and blanks


def clean_text(value: object) -> str:
    """Stripped; "" where there is no text, or nothing to see in it (control, zero-width and blank characters alone).

    A lone surrogate, which JSON can carry and no file can, becomes U+FFFD.
    """
    if not isinstance(value, str) or all(unicodedata.category(character) in UNSEEN for character in value):
        return ""
    return re.sub("[\ud800-\udfff]", "\ufffd", value).strip()


def clean_label(value: object) -> str:
    """A text in one line, for it heads columns and rows."""
    return " ".join(clean_text(value).split())
