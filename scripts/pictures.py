"""Make the pictures of the terminal in `docs/pictures` from real runs: `python scripts/pictures.py`.

Each run is on a new project, on a terminal of 80 columns. The text of a picture is what was seen, so a test can say when
one is out of date. A picture is dark, or light where whoever looks at it prefers that.
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
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyte
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from rich.text import Text

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
LATERCTL: Final = (sys.executable, "-m", "laterctl")
COLUMNS: Final = 80
ROWS: Final = 60
PATIENCE_SECONDS: Final = 60.0
CORS: Final = ("add", "cors", "--no-install", "--no-prove")
INTERRUPT: Final = "\x03"
PASSING: Final = re.compile(r"\r\x1b\[K(?:[^\r\n]*(?=\r\x1b\[K))?")
"""What is shown of a step that takes long, until it is over."""
SCREENS: Final[Mapping[str, tuple[Sequence[str], str, str]]] = {
    "plan": (("add", "metrics", "--dry-run"), "", ""),
    "picker": (("add",), "which features", INTERRUPT),
    "add": (CORS, "[y/N", "y\n"),
    "doctor": (("doctor",), "", ""),
    "list": (("list",), "", ""),
    "info": (("info", "rate-limit"), "", ""),
    "project": (("info", "--project"), "", ""),
    "explain": (("explain", "JWT007"), "", ""),
    "picker-remove": (("remove",), "which features", INTERRUPT),
    "refused": (("remove", "cors", "--no-install", "--no-prove"), "", ""),
}
"""By the picture's name: what follows `laterctl`, what is waited for, and what is typed then.

They run one after the other in one project. What is interrupted is seen as it was before.
"""


def screens(folder: Path) -> Iterator[tuple[str, str]]:
    """Run all commands in a new project below a folder; yield the name of each picture and the text with its styles."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"XDG_STATE_HOME": str(folder / "state"), "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    environment |= {"PROMPT_TOOLKIT_NO_CPR": "1"}  # nobody answers where the cursor is
    subprocess.run([*LATERCTL, "new", "shop"], cwd=folder, env=environment, check=True, capture_output=True)
    shop = folder / "shop"
    owner = ("-c", "user.name=Owner", "-c", "user.email=owner@example.com")
    for words in (("init", "--quiet"), ("add", "--all"), (*owner, "commit", "--quiet", "--message=foundation")):
        subprocess.run(["git", *words], cwd=shop, env=environment, check=True)
    for name, (arguments, awaited, typed) in SCREENS.items():
        if name == "refused":  # somebody has changed the wiring in the meantime
            main = shop / "src/shop/main.py"
            main.write_text(main.read_text().replace("(CorsMiddleware, ", "(CorsMiddleware,  # ours\n    "))
        yield name, f"$ laterctl {' '.join(arguments)}\r\n{_seen(shop, environment, arguments, awaited, typed)}"


def _seen(folder: Path, environment: Mapping[str, str], arguments: Sequence[str], awaited: str, typed: str) -> str:
    """Return what a person sees who types when something awaited has come up and the screen stands still."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(folder)
        termios.tcsetwinsize(0, (ROWS, COLUMNS))
        os.execve(LATERCTL[0], [*LATERCTL, *arguments], dict(environment))  # noqa: S606 - no shell is wanted
    seen, before, deadline = b"", None, time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.3)
        if before is None and not ready and awaited and awaited.encode() in seen:
            before = seen
            os.write(terminal, typed.encode())
        try:
            data = os.read(terminal, 65536) if ready else b" "
        except OSError:  # what Linux says when the other end is closed
            break
        if not data:
            break
        seen += data if ready else b""
    os.close(terminal)
    os.waitpid(process, 0)
    return _drawn(before.decode()) if before and typed == INTERRUPT else PASSING.sub("", seen.decode())


def _drawn(seen: str) -> str:
    """Return the screen that is left of text which moves the cursor, in lines with their styles."""
    screen = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(screen).feed(seen)
    lines = []
    for number in range(ROWS):
        row = [screen.buffer[number][column] for column in range(len(screen.display[number].rstrip()))]
        styled = (
            f"\x1b[{';'.join(['0', *(['1'] if cell.bold else []), *(['7'] if cell.reverse else [])])}m{cell.data}"
            for cell in row
        )
        lines.append("".join(styled))
    return "\n".join(lines).rstrip()


def picture(name: str, text: str) -> str:
    """Return a screen as an SVG picture with the colours of both themes.

    Raises:
        ValueError: the themes do not tell the same styles apart.
    """
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text.replace("\r\n", "\n").rstrip()), end="\n\n")
    dark, light = (
        console.export_svg(title="laterctl", unique_id=name, theme=theme, clear=False)
        for theme in (SVG_EXPORT_THEME, DEFAULT_TERMINAL_THEME)
    )
    if (found := re.findall(r'class="[^"]*"', dark)) != re.findall(r'class="[^"]*"', light):
        raise ValueError(f"{name}: the {len(found)} pieces of text have other styles in the light theme")
    rules = re.findall(rf"\.{name}-r\d+ {{[^}}]*}}", light)
    paper = "svg > rect { fill: #ffffff; stroke: rgba(0, 0, 0, 0.35) }"
    preferred = (
        f"@media (prefers-color-scheme: light) {{ {' '.join([*rules, paper])} .{name}-title {{ fill: #333333 }} }}"
    )
    return dark.replace("</style>", f"{preferred}\n    </style>", 1)


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
