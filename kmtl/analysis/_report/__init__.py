"""The page that `kmtl.analysis.report` writes."""

from kmtl.analysis._report._page import report

__all__ = ["report"]
