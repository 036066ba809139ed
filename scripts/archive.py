"""Keep what this version of laterctl writes, so that every later version can be tested on it. Run once per release.

Usage: python scripts/archive.py
       python scripts/archive.py --unpack VERSION FOLDER

The first form adds features to projects, by the command line alone, and writes `tests/archive/VERSION.json.xz`; it
refuses to overwrite. `tests/test_archive.py` then holds every later version to it. The second form unpacks an archive
for reading, as `FOLDER/NAME/before` and `FOLDER/NAME/after`.

An archive is one JSON object: for each project its `features` as they were asked for, the `options` they were given,
and the files `before` and `after` by path, as text (in UTF-8 each of them gives back its bytes). It is compressed because
a project with every feature is 300 kB, most of which the next one repeats.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laterctl import __version__

TESTS = Path(__file__).parents[1] / "tests"
ARCHIVE = TESTS / "archive"


@dataclass(frozen=True)
class Case:
    """A project to add features to.

    `source` is a folder of `tests/fixtures`, or `new` and the settings for `laterctl new`. Without `features` it gets
    all there are.
    """

    source: str
    features: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


CASES = {
    "foundation": Case("new dynaconf"),
    "foundation_pydantic": Case("new pydantic"),
    "flat": Case("flat"),
    "factory": Case("factory"),
    "own_lifespan": Case("own_lifespan"),
    "middleware_list": Case("middleware_list"),
    "nested_containers": Case("nested_containers"),
    "poetry": Case("poetry"),
    "crlf": Case("crlf"),
    "cached_getter": Case("cached_getter"),
    "starlette_config": Case("starlette_config", ("jwt",)),
    "environ": Case("environ", ("resources",)),
    "relative": Case("relative", ("security-headers",)),
    "setup_cfg": Case("setup_cfg", ("metrics", "cors")),
    "pdm": Case("pdm", ("coverage",), ("coverage.fail_under=85",)),
}


def main() -> int:
    """Write or unpack an archive and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpack", nargs=2, metavar=("VERSION", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.unpack:
        version, folder = arguments.unpack
        unpack(ARCHIVE / f"{version}.json.xz", Path(folder))
        return 0
    target = ARCHIVE / f"{__version__}.json.xz"
    if target.exists():
        print(f"{target} exists: what a release wrote does not change", file=sys.stderr)
        return 1
    text = json.dumps({name: made(case) for name, case in CASES.items()}, ensure_ascii=False, sort_keys=True)
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{target}: {len(CASES)} projects, {target.stat().st_size} bytes")
    return 0


def made(case: Case) -> dict[str, Any]:
    """Return a project before and after its features were added."""
    with tempfile.TemporaryDirectory(prefix="laterctl-archive-") as scratch:
        folder = Path(scratch, "order-service")
        kind, _, settings = case.source.partition(" ")
        if settings:
            laterctl(Path(scratch), "new", folder.name, "--settings", settings)
        else:
            for path, text in read(TESTS / "fixtures" / kind).items():
                write(folder / path, text)
        before = read(folder)
        listed = json.loads(laterctl(folder, "list", "--json"))["features"]
        features = case.features or tuple(sorted(item["name"] for item in listed))
        options = [word for option in case.options for word in ("--set", option)]
        laterctl(folder, "add", *features, *options, "--yes", "--no-install")
        return {"features": features, "options": case.options, "before": before, "after": read(folder)}


def laterctl(folder: Path, *arguments: str) -> str:
    """Run laterctl in a folder and return what it printed. Raises `CalledProcessError`."""
    environment = os.environ | {"XDG_STATE_HOME": str(folder.parent / "state"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = (sys.executable, "-m", "laterctl", *arguments)
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    )
    return done.stdout.decode()


def read(folder: Path) -> dict[str, str]:
    """Return the files of a folder by their POSIX paths, without those of git."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder): path for path in found}
    left_out = {".git", "__pycache__"}
    return {name.as_posix(): path.read_bytes().decode() for name, path in names.items() if not left_out & {*name.parts}}


def write(path: Path, text: str) -> None:
    """Write a file as it was read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def unpack(archive: Path, folder: Path) -> None:
    """Write the projects of an archive to a folder."""
    for name, case in json.loads(lzma.decompress(archive.read_bytes())).items():
        for state in ("before", "after"):
            for path, text in case[state].items():
                write(folder / name / state / path, text)


if __name__ == "__main__":
    raise SystemExit(main())
