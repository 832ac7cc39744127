"""The report of a run: one self-contained HTML file, with charts and pictures, that needs no network and no
script."""

from ._report import Content, Outcome, Panel, Picture, Step, duration, write_report

__all__ = ["Content", "Outcome", "Panel", "Picture", "Step", "duration", "write_report"]
