"""Makes a stand-in for the image `python:3.11-slim`, which no registry is needed for: `scripts/base_image.py FOLDER`.

It is Debian with its own Python. Buildah keeps it in FOLDER, where tests build upon it; it takes root, buildah and
debootstrap.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAME = "docker.io/library/python:3.11-slim"
READY = ".ready"
_DRIVER = "driver"
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_RECIPE = f"FROM scratch\nCOPY root/ /\nENV PIP_CERT=/{_CERTIFICATES} SSL_CERT_FILE=/{_CERTIFICATES}\n"


def buildah(store: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run buildah with what it keeps in `store`, without namespaces of its own.

    Raises:
        subprocess.CalledProcessError: it fails; `stderr` says why.
    """
    driver = (store / _DRIVER).read_text(encoding="utf-8")
    kept = ["--storage-driver", driver, "--root", str(store / "images"), "--runroot", str(store / "run")]
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
    return subprocess.run(["buildah", *kept, *arguments], env=environment, capture_output=True, text=True, check=True)


def make(store: Path) -> None:
    """Make the image in `store`, unless it is there."""
    if (store / READY).exists():
        return
    root = store / "root"
    shutil.rmtree(store, ignore_errors=True)
    root.mkdir(parents=True)
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    _prepare(root)
    (store / "Dockerfile").write_text(_RECIPE, encoding="utf-8")
    _build(store)
    shutil.rmtree(root)
    (store / READY).touch()


def _prepare(root: Path) -> None:
    """Make Debian's Python that of an image: called `python`, with what pip installs beside it."""
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    (root / "usr/bin/python").symlink_to("python3")
    shutil.copyfile(f"/{_CERTIFICATES}", root / _CERTIFICATES)  # a network may have one of its own


def _build(store: Path) -> None:
    """Build it with the quicker driver, or where the system does not have it, with the one that copies whole layers."""
    for driver in ("overlay", "vfs"):
        (store / _DRIVER).write_text(driver, encoding="utf-8")
        try:
            buildah(store, "bud", "--format", "docker", "--tag", NAME, str(store))
        except subprocess.CalledProcessError as error:
            if driver == "vfs":
                sys.exit(error.stderr)
            shutil.rmtree(store / "images", ignore_errors=True)
        else:
            return


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
