"""The certificate as one self-contained HTML page: figures, promises and charts.

Every text is escaped: typed values and error messages are data.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hub.simulation.certificate import PROMISES, Certificate

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d8dee6;
  --paper: #fff; --good: #1a7f4b; --bad: #b3261e; --bar: #2f6fb3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #9aa6b5; --line: #37424f;
  --paper: #12171d; --good: #4cc38a; --bad: #ff8a80; --bar: #6ba6e8; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } th { font-weight: 600; }
.kept { color: var(--good); } .broken { color: var(--bad); font-weight: 600; }
.soft { color: var(--soft); } pre { white-space: pre-wrap; overflow-wrap: anywhere;
  border: 1px solid var(--line); border-radius: .4rem; padding: .8rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
svg rect { fill: var(--bar); } svg line { stroke: var(--line); }
"""
_WIDTH, _HEIGHT, _LEFT, _BELOW = 900, 220, 60, 28


def page(certificate: Certificate) -> str:
    """Returns the whole page."""
    kept = certificate.kept
    state = "every promise was kept" if kept else "a promise is broken"
    figures = _table(("what", "figure"), certificate.rows())
    times = [(_span(upto), number) for upto, number in _merged(certificate.latencies)]
    day = [(_span(at), number) for at, number in certificate.over_time]
    parts = [
        f"<h1>Rehearsal {certificate.seed}</h1>",
        f'<p class="{"kept" if kept else "broken"}">{certificate.changes:,} changes: {state}</p>',
        "<h2>Figures</h2>",
        figures,
        "<h2>Promises</h2>",
        _promises(certificate),
        _broken(certificate),
        "<h2>Changes over the day</h2>",
        _bars(day, "changes"),
        "<h2>Latency of changes</h2>",
        _bars(times, "values"),
        "<h2>Injected faults</h2>",
        _bars([(name, number) for name, number in certificate.struck.items()], "times"),
        "<h2>Workload</h2>",
        _table(("what", "times"), [(n, f"{k:,}") for n, k in certificate.verbs.items()]),
        "<h2>Again</h2>",
        f"<pre>{escape(certificate.command)}</pre>",
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Tulay: rehearsal {certificate.seed}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _promises(certificate: Certificate) -> str:
    states = certificate.promises
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td class="{states[name]}">{states[name]}</td>'
        f"<td>{escape(words)}</td></tr>"
        for name, words in PROMISES.items()
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _broken(certificate: Certificate) -> str:
    if certificate.kept:
        return ""
    found = "".join(
        f"<h3>{name}: {escape(PROMISES[name])}</h3><ul>"
        + "".join(f"<li>{escape(what)}</li>" for what in whats[:20])
        + "</ul>"
        for name, whats in certificate.broken.items()
    )
    story = escape("\n".join(certificate.story))
    return f"{found}<h3>The shortest history that breaks it</h3><pre>{story}</pre>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _bars(bars: Sequence[tuple[str, int]], unit: str) -> str:
    """Returns a bar chart as inline SVG, with a title for each bar."""
    if not bars:
        return '<p class="soft">nothing</p>'
    most = max(number for _, number in bars) or 1
    room = (_WIDTH - _LEFT) / len(bars)
    every = max(1, len(bars) // 8)
    drawn = []
    for index, (name, number) in enumerate(bars):
        height = (_HEIGHT - _BELOW - 12) * number / most
        x, y = _LEFT + index * room, _HEIGHT - _BELOW - height
        label = f"{escape(name)}: {number:,} {escape(unit)}"
        drawn.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(room - 2, 1):.1f}"'
            f' height="{height:.1f}"><title>{label}</title></rect>'
        )
        if index % every == 0:
            drawn.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}">{escape(name)}</text>')
    baseline = _HEIGHT - _BELOW
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(unit)}">'
        f'<line x1="{_LEFT}" y1="{baseline}" x2="{_WIDTH}" y2="{baseline}"/>'
        f'<text x="0" y="20">{most:,}</text><text x="0" y="{baseline}">0</text>'
        + "".join(drawn)
        + "</svg>"
    )


def _merged(bars: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Doubles the width of the buckets: a chart needs fewer than a quantile."""
    found: dict[int, tuple[float, int]] = {}
    for upto, number in bars:
        exponent = 0
        while 2**exponent < upto * 1000:
            exponent += 1
        found[exponent] = (2**exponent / 1000, found.get(exponent, (0.0, 0))[1] + number)
    return [found[exponent] for exponent in sorted(found)]


def _span(seconds: float) -> str:
    """Returns a short form of a duration.

    >>> _span(0.25), _span(90), _span(7200)
    ('0.25 s', '1.5 min', '2 h')
    """
    for name, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.2g} {name}"
    return f"{seconds:.2g} s"
