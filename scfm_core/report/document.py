"""A report as one HTML file: no scripts, nothing from the network, light, and ready to be printed."""

from scfm_core.report.markup import Markup, joined, tag, trusted

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f5f7; color: #1b1f24;
  font: 16px/1.55 "Source Sans 3", "Source Sans Pro", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 40px 48px 64px; background: #fff; }
h1 { font-size: 29px; line-height: 1.25; margin: 0 0 8px; overflow-wrap: anywhere; }
h2 { font-size: 21px; margin: 44px 0 10px; padding-top: 14px; border-top: 1px solid #d9dde3; }
h3 { font-size: 16.5px; margin: 0 0 6px; overflow-wrap: anywhere; }
p { margin: 0 0 10px; max-width: 82ch; overflow-wrap: anywhere; }
.question { font-size: 18px; color: #34404d; }
.note, figcaption { color: #55606d; font-size: 14px; }
.card { border: 1px solid #cfd6de; border-left: 5px solid #0072b2; border-radius: 6px; padding: 16px 20px 10px;
  margin: 0 0 16px; break-inside: avoid; }
.card.doubted { border-left-color: #9aa3ad; background: #f3f4f6; color: #5b6570; }
.card .headline { font-size: 18px; font-weight: 600; line-height: 1.4; }
.card ul { margin: 6px 0 10px; padding-left: 20px; }
.card li { margin: 0 0 4px; max-width: 84ch; }
.warning { border-left: 3px solid #d08700; padding: 2px 0 2px 12px; color: #6b4600; }
.reason { border-left: 3px solid #b3261e; padding: 2px 0 2px 12px; color: #8c1d18; }
.scroll { overflow-x: auto; margin: 10px 0 14px; }
table { border-collapse: collapse; font-size: 13.5px; line-height: 1.35; width: 100%; }
th, td { padding: 5px 9px; border-bottom: 1px solid #e4e8ec; vertical-align: top; }
th { color: #55606d; font-weight: 600; border-bottom: 1.5px solid #b6bfc9; vertical-align: bottom; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number { white-space: normal; }
td.words { min-width: 15em; overflow-wrap: anywhere; }
td.text { overflow-wrap: break-word; max-width: 24em; }
figure { margin: 18px 0 26px; break-inside: avoid; }
.gallery { display: grid; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); gap: 8px 40px; }
figure svg { width: 100%; height: auto; display: block; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
figcaption p { margin: 8px 0 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0 0 14px; font-size: 14px; }
dt { color: #55606d; } dd { margin: 0; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f5f7; padding: 12px 14px; font-size: 12px; }
ol.cited li { margin-bottom: 4px; font-size: 14px; overflow-wrap: anywhere; }
@media (max-width: 720px) { main { padding: 20px 16px 40px; } dl, .gallery { grid-template-columns: 1fr; } }
@media print { body { background: #fff; font-size: 10.5pt; } main { max-width: none; padding: 0; }
  h2 { break-after: avoid; } .scroll { overflow: visible; } table { font-size: 8pt; } }
"""


def document(title: str, *children: object) -> bytes:
    """Return a whole page as UTF-8."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", trusted(_STYLE)),
    )
    page = tag("html", head, tag("body", tag("main", *children)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n".encode()


def section(title: str, *children: object, anchor: str) -> Markup:
    """Return a part of a report under its title."""
    return tag("section", tag("h2", title), *children, id=anchor)


def facts(pairs: dict[str, object]) -> Markup:
    """Return names and values, a line each."""
    return tag("dl", joined(joined([tag("dt", name), tag("dd", value)]) for name, value in pairs.items()))
