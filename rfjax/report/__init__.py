"""One self-contained HTML page from the stores of experiments: `page(sections)`."""

from rfjax.report.page import page
from rfjax.report.section import Section, section

__all__ = ["Section", "page", "section"]
