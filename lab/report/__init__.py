"""The report of an evaluation, the same bytes each time: a page that opens offline, or Markdown."""

from lab.report.html import render_html
from lab.report.markdown import render_markdown

__all__ = ["render_html", "render_markdown"]
