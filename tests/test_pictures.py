"""The pictures of the documentation are what is seen today."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pty", reason="pseudo-terminals of POSIX")

from scripts import pictures


def test_no_picture_is_out_of_date(tmp_path: Path) -> None:
    known = {path.stem: pictures.words(path.read_text(encoding="utf-8")) for path in pictures.FOLDER.glob("*.svg")}
    seen = {name: pictures.words(pictures.picture(name, text)) for name, text in pictures.screens(tmp_path)}
    assert seen == known, "python scripts/pictures.py makes them anew"
    assert "doctor" in seen["doctor"]
