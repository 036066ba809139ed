"""Make the pictures of the terminal in `docs/pictures` from real runs: `python scripts/pictures.py`.

Each run is on a new project, on a terminal of 80 columns. The text of a picture is what was seen, so a test can say when
one is out of date.
"""

from __future__ import annotations

import html
import io
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
LATERCTL: Final = (sys.executable, "-m", "laterctl")
COLUMNS: Final = 80
PATIENCE_SECONDS: Final = 60.0
CORS: Final = ("add", "cors", "--no-install", "--no-prove")
SCREENS: Final[Mapping[str, tuple[Sequence[str], str]]] = {
    "plan": (("add", "metrics", "--dry-run"), ""),
    "add": (CORS, "y\n"),
    "doctor": (("doctor",), ""),
    "list": (("list",), ""),
    "info": (("info", "rate-limit"), ""),
    "explain": (("explain", "JWT007"), ""),
    "refused": (("remove", "cors", "--no-install", "--no-prove"), ""),
}
"""By the picture's name: what follows `laterctl`, and what is typed. They run one after the other in one project."""


def screens(folder: Path) -> Iterator[tuple[str, str]]:
    """Run all commands in a new project below a folder; yield the name of each picture and the text with its styles."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"XDG_STATE_HOME": str(folder / "state"), "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run([*LATERCTL, "new", "shop"], cwd=folder, env=environment, check=True, capture_output=True)
    shop = folder / "shop"
    subprocess.run(["git", "init", "--quiet"], cwd=shop, env=environment, check=True)
    for name, (arguments, typed) in SCREENS.items():
        if name == "refused":  # somebody has changed the wiring in the meantime
            main = shop / "src/shop/main.py"
            main.write_text(main.read_text().replace("(CorsMiddleware, ", "(CorsMiddleware,  # ours\n    "))
        yield name, f"$ laterctl {' '.join(arguments)}\r\n{_seen(shop, environment, arguments, typed)}"


def _seen(folder: Path, environment: Mapping[str, str], arguments: Sequence[str], typed: str) -> str:
    """Return what a person sees who types an answer when the screen stands still."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(folder)
        os.execve(LATERCTL[0], [*LATERCTL, *arguments], dict(environment))  # noqa: S606 - no shell is wanted
    seen, deadline = b"", time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.2)
        if typed and not ready and b"[y/N" in seen:
            os.write(terminal, typed.encode())
            typed = ""
        try:
            data = os.read(terminal, 65536) if ready else b" "
        except OSError:  # what Linux says when the other end is closed
            break
        if not data:
            break
        seen += data if ready else b""
    os.close(terminal)
    os.waitpid(process, 0)
    return seen.decode()


def picture(name: str, text: str) -> str:
    """Return a screen as an SVG picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text.replace("\r\n", "\n").rstrip()))
    return console.export_svg(title="laterctl", unique_id=name)


def words(svg: str) -> list[str]:
    """Return the words of a picture."""
    found = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return html.unescape(" ".join(found)).split()


def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in screens(Path(folder)):
            (FOLDER / f"{name}.svg").write_text(picture(name, text), encoding="utf-8")


if __name__ == "__main__":
    main()
