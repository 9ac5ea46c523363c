"""Programs that run in the container, in its Python (3.5 to 3.8). Never imported here: ``text`` gives their source."""

from __future__ import annotations

from pathlib import Path


def text(name: str) -> str:
    """The source of the program of that name."""
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
