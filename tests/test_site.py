"""The documentation builds without a warning, has a page for each feature and rule, and its links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from laterctl.cli.exits import Exit
from laterctl.doctor import rules
from laterctl.features import catalogue
from laterctl.project.configuration import KEYS

ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    """The links, the ids and the text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in {"href", "src"}:
                self.links.add(value)
            elif value and name in {"id", "name"}:
                self.ids.add(value)

    def handle_data(self, data: str) -> None:
        self.text += data


def built(folder: Path) -> None:
    """Build the site into a folder."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_site(tmp_path: Path) -> None:
    """One test, so that it is built once."""
    built(tmp_path)
    pages = {path: Page(path) for path in tmp_path.rglob("*.html")}
    assert broken(tmp_path, pages) == []
    check_each_listed_feature_has_a_page(tmp_path, pages)
    check_a_page_shows_what_a_feature_changes(tmp_path, pages)
    check_each_rule_has_a_page(tmp_path, pages)
    check_the_order_is_taught(tmp_path, pages)
    check_the_reference_is_whole(tmp_path, pages)


def broken(site: Path, pages: dict[Path, Page]) -> list[tuple[str, str]]:
    """Return the pages and links of a site that lead to no file, or to no place in a page."""
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = unquote(urldefrag(parts._replace(query="").geturl()).url)
            there = path if not target else (site / target[1:] if target[0] == "/" else path.parent / target).resolve()
            there = there / "index.html" if there.is_dir() else there
            if not there.is_file() or (parts.fragment and there in pages and parts.fragment not in pages[there].ids):
                found.append((path.relative_to(site).as_posix(), link))
    return found


def test_a_broken_link_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text('<a id="here" href="#here"></a><a href="#there"></a><a href="none.html"></a>', encoding="utf-8")
    assert [link for _, link in broken(tmp_path, {page: Page(page)})] == ["#there", "none.html"]


def check_each_listed_feature_has_a_page(site: Path, pages: dict[Path, Page]) -> None:
    listed = {feature.name: feature for feature in catalogue.every() if not feature.hidden}
    assert {path.stem for path in (site / "features").iterdir()} == {*listed, "index"}
    for name, feature in listed.items():
        text = pages[site / "features" / f"{name}.html"].text
        missing = [option.name for option in feature.options if f"--set {name}.{option.name}=" not in text]
        assert (name, missing, "It creates:" in text or "It edits:" in text) == (name, [], True)
        assert f"{name}.html" in pages[site / "features" / "index.html"].links


def check_a_page_shows_what_a_feature_changes(site: Path, pages: dict[Path, Page]) -> None:
    text = pages[site / "features" / "cors.html"].text
    assert "\n+app.add_middleware(CorsMiddleware, settings=CorsSettings())\n" in text
    assert "src/shop/core/cors.py" in text
    assert "APP_CORS_ORIGINS" in text


def check_each_rule_has_a_page(site: Path, pages: dict[Path, Page]) -> None:
    assert {path.stem for path in (site / "rules").iterdir()} == {*(rule.id for rule in rules.every()), "index"}
    for rule in rules.every():
        text = pages[site / "rules" / f"{rule.id}.html"].text
        said = [part for each in (rule.title, rule.why) for part in each.split("`")]
        codes = [code for each in rule.bad for code in ([each] if isinstance(each, str) else each.values())]
        assert [part for part in (*said, *(code.strip() for code in codes)) if part not in text] == [], rule.id


def check_the_order_is_taught(site: Path, pages: dict[Path, Page]) -> None:
    text = pages[site / "guide.html"].text
    places = [text.index(f"\n{item.name}\n") for item in catalogue.in_order()]
    assert places == sorted(places)


def check_the_reference_is_whole(site: Path, pages: dict[Path, Page]) -> None:
    assert [key.example for key in KEYS if key.example not in pages[site / "configuration.html"].text] == []
    assert [code.name for code in Exit if code.name.lower() not in pages[site / "exit-codes.html"].text] == []
    assert "kind" in json.loads((site / "schema.json").read_text(encoding="utf-8"))["required"]


LOOK = """<script>addEventListener("load", () => {
  const seen = {
    pictures: [...document.images].map(image => image.naturalWidth),
    from: [...document.querySelectorAll("link, script[src], img")].map(item => new URL(item.href || item.src).protocol),
    overflow: document.documentElement.scrollWidth - innerWidth,
    menu: document.querySelectorAll("nav a").length,
    font: getComputedStyle(document.querySelector("h1")).fontSize,
  };
  document.body.innerHTML = `<pre>${JSON.stringify(seen)}</pre>`;
});</script>"""


def test_the_first_page_in_a_browser(tmp_path: Path) -> None:
    """It is read from disk: the pictures and the style are there, nothing comes from elsewhere, no line sticks out."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("chromium is not on PATH")
    built(tmp_path)
    page = tmp_path / "seen.html"
    page.write_text((tmp_path / "index.html").read_text(encoding="utf-8") + LOOK, encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    for width in (1280, 500):
        command = [browser, *flags, f"--window-size={width},900", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True)
        found = re.search("<pre>(.*)</pre>", done.stdout)
        assert found, done.stdout + done.stderr
        seen = json.loads(found[1])
        assert seen["pictures"], "there is a picture"
        assert min(seen["pictures"]) > 0, "each is loaded"
        assert {*seen["from"]} == {"file:"}
        assert seen["overflow"] <= 0, width
        assert seen["menu"] > 10
        assert seen["font"] != "32px", "that is a page without a style"
