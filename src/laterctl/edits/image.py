"""What the template of an image asks for: its Python, how it gets its dependencies, and what it starts."""

from __future__ import annotations

import json
from functools import cached_property

from laterctl.dialects.manifest import named
from laterctl.dialects.manifest.manager import Image
from laterctl.edits.context import FeatureContext
from laterctl.edits.manifest import manifest_of
from laterctl.patterns import pattern
from laterctl.refusal import Refusal, Refused

PYTHONS = ("3.13", "3.12", "3.14", "3.11", "3.10")
"""The versions to choose from, the best first."""

DRAIN = 25
"""The seconds that the server gives requests under way to end, once it is told to stop."""

_VERSION = pattern(r"3\.\d+")


class ImageFacts:
    """The facts, each found out when it is asked for, as text that stands in a Dockerfile."""

    def __init__(self, context: FeatureContext) -> None:
        self._context = context

    @cached_property
    def python(self) -> str:
        """The version that the project names, else the best one that it allows."""
        from laterctl.codemods.requirements import satisfiable

        chosen = _VERSION.match((self._context.project.tree.read(".python-version") or b"").decode("utf-8", "replace"))
        allowed = manifest_of(self._context, "").requires_python or "*"
        fitting = (version for version in PYTHONS if satisfiable(allowed, f"=={version}.*"))
        return chosen[0] if chosen is not None else next(fitting, PYTHONS[0])

    @cached_property
    def dependencies(self) -> Image:
        """How it gets its dependencies.

        Raises:
            Refused: the project's manager does not say.
        """
        manifest = manifest_of(self._context, "")
        found = named(manifest.manager).image(self._context.project.tree, manifest)
        if found is None:
            raise Refused(
                Refusal(
                    "manager-not-supported",
                    f"how {manifest.manager} installs into an image is not known",
                    manifest.evidence[0].place if manifest.evidence else None,
                    expected="uv, poetry, pdm or requirements files",
                    remedy="write the Dockerfile by hand",
                    feature=self._context.feature,
                )
            )
        return found

    @cached_property
    def copies(self) -> str:
        """The instructions that copy what lists or locks the dependencies."""
        folders: dict[str, list[str]] = {}
        for path in self.dependencies.files:
            folders.setdefault(path.rpartition("/")[0], []).append(path)
        return "\n".join(
            f"COPY {' '.join(paths)} ./{folder}{'/' if folder else ''}" for folder, paths in folders.items()
        )

    @cached_property
    def finish(self) -> str:
        """The instruction that installs the project itself, `""` without one."""
        return f"\nRUN {self.dependencies.finish}" if self.dependencies.finish else ""

    @cached_property
    def imports_from(self) -> str:
        """The folder, below the project's, that imports start from, with a slash in front; `""` for the project's own."""
        root = self._context.project.layout.import_root.strip("./")
        return f"/{root}" if root else ""

    @cached_property
    def command(self) -> str:
        """The server's command, in JSON.

        Raises:
            Refused: nothing says how the application is imported.
        """
        app = self._context.app("uvicorn package.module:app")
        if refusal := self._context.not_importable():
            raise Refused(refusal)
        words = ["uvicorn", app.reference, *(["--factory"] if app.factory else [])]
        return json.dumps([*words, "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", str(DRAIN)])  # noqa: S104

    @property
    def name(self) -> str:
        """What it is called, and what runs it: the application's package, as a host name may be."""
        package = self._context.project.layout.package.partition(".")[0]
        return package.replace("_", "-").strip("-").lower()[:63] or "app"

    @property
    def drain(self) -> int:
        """How long requests under way may take to end, in seconds."""
        return DRAIN

    @property
    def tests(self) -> str:
        """The folder of tests."""
        return self._context.project.layout.tests

    @property
    def above_tests(self) -> int:
        """How many folders the file of a test is below the project's."""
        return len(self.tests.split("/"))
