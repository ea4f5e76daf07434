"""A run as one self-contained HTML file: answer, pictures, tables, sources."""

from __future__ import annotations

import base64
import html
import tempfile
from pathlib import Path

from accelsim.files import write_text
from accelsim.report.event_tables import execution_tables
from accelsim.report.figures import run_figures
from accelsim.report.tables import bounds_table, memory_table, ops_table, to_html
from accelsim.report.words import answer, bottleneck_sentence, detail
from accelsim.results.run_result import RunResult

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.detail { color: #666; margin-top: 0; } .lead { font-size: 1.1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; }
dt { color: #666; } dd { margin: 0; font-variant-numeric: tabular-nums; }
img { width: 100%; border: 1px solid #e4e4e4; border-radius: 6px; margin: .6rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums;
  margin: .6rem 0 1.2rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .22rem .6rem; text-align: left; white-space: nowrap; }
th { border-bottom: 2px solid #999; } td { border-bottom: 1px solid #eee; }
tr.group td { border-top: 2px solid #bbb; } .num { text-align: right; }
""".strip()


def html_report(result: RunResult, path: str | Path) -> Path:
    """Write the report of a run; it needs no other file and no network to be read.

    Parameters
    ----------
    result : RunResult
        What to report.
    path : str or Path
        The HTML file.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = [_picture(picture) for picture in run_figures(result, folder)]
    title = html.escape(f"{result.model} {result.phase} on {result.system}")
    facts = "\n".join(
        f"<dt>{html.escape(label)}</dt><dd>{html.escape(value)}</dd>"
        for label, value in answer(result)
    )
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f'<p class="detail">{html.escape(detail(result))}</p>',
        f'<p class="lead">{html.escape(_sentence(bottleneck_sentence(result)))}</p>',
        *(f'<p class="lead">Warning: {html.escape(text)}.</p>' for text in result.warnings),
        f"<dl>{facts}</dl>",
        "<h2>Pictures</h2>",
        *pictures,
        "<h2>Tables</h2>",
        *(to_html(table) for table in (bounds_table(result), memory_table(result))),
        *_executions(result),
        f'<div class="scroll">{to_html(ops_table(result))}</div>',
        _listing("Assumptions", result.assumptions),
        _listing("Sources", result.sources),
        "</body></html>",
    ]
    write_text(path, "\n".join(part for part in parts if part) + "\n")
    return Path(path)


def _executions(result: RunResult) -> list[str]:
    """Tables of what the event engine saw, a scroll box each: they are wide."""
    parts = []
    for words, (_, _, execution, ideal_s) in result.shown_passes:
        if len(result.executions) > 1:
            parts.append(f"<h2>{html.escape(words.capitalize())}</h2>")
        tables = execution_tables(execution, ideal_s or None)
        parts += [f'<div class="scroll">{to_html(table)}</div>' for table in tables]
    return parts


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}">'


def _listing(title: str, lines: tuple[str, ...]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>"
