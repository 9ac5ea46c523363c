"""What the project promises about its own files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    """Every file that git keeps."""
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in out.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return tracked()


def test_the_top_level_is_as_the_customer_fixed_it(files: list[Path]) -> None:
    top = {path.relative_to(ROOT).parts[0] for path in files}
    fixed = {"pyproject.toml", "README.md", "wizard", "screens", "tests", "assets"}
    beside = {"LICENSE", "requirements.lock"}
    assert {name for name in top if not name.startswith(".")} == fixed | beside


def test_nothing_asks_for_the_deprecated_pynvml_distribution() -> None:
    words = (ROOT / "pyproject.toml").read_text() + (ROOT / "requirements.lock").read_text()
    assert "nvidia-ml-py" in words
    assert not re.search(r"^\W*pynvml\s*[=<>~]", words, re.MULTILINE)


def test_every_package_of_the_program_says_what_it_is_for(files: list[Path]) -> None:
    bare = [
        str(path.relative_to(ROOT))
        for path in files
        if path.suffix == ".py"
        and path.relative_to(ROOT).parts[0] in ("wizard", "screens")
        and not path.read_text(encoding="utf-8").lstrip().startswith('"""')
    ]
    assert bare == []
