"""HTML that cannot be broken by a name: every text is escaped unless it was built here; knows no report."""

import html
import re
from collections.abc import Iterable

_ENTIRE_NAME = re.compile(r"[a-z][a-z0-9-]*")
_EMPTY_ELEMENTS = ("meta", "br", "hr")


class Markup(str):
    """Text that is HTML already: made by `tag`, `joined` or `trusted`, never from a name or a table."""

    __slots__ = ()


def escaped(value: object) -> Markup:
    """Return any value as text that shows itself, control characters taken out.

    Examples
    --------
    >>> escaped("<script>") + escaped(tag("b", "x"))
    '&lt;script&gt;<b>x</b>'
    """
    if isinstance(value, Markup):
        return value
    shown = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in str(value))
    return Markup(html.escape(shown, quote=True))


def tag(name: str, /, *children: object, **attributes: str) -> Markup:
    """Return an element; ``class_`` stands for ``class``, and ``_`` in a name of an attribute for ``-``.

    Examples
    --------
    >>> tag("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    said = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    if not all(map(_ENTIRE_NAME.fullmatch, (name, *said))):
        msg = f"Expected names of an element and its attributes, found {(name, *said)}."
        raise ValueError(msg)
    head = "".join([name, *(f' {key}="{escaped(value)}"' for key, value in said.items())])
    if name in _EMPTY_ELEMENTS:
        return Markup(f"<{head}>")
    return Markup(f"<{head}>{joined(children)}</{name}>")


def joined(parts: Iterable[object]) -> Markup:
    """Return texts and elements one after another."""
    return Markup("".join(escaped(part) for part in parts))


def trusted(text: str) -> Markup:
    """Return text that this application itself wrote as HTML, such as a drawing or a style sheet."""
    return Markup(text)
