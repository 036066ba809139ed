"""A package index on 127.0.0.1 with wheels made on the spot, so that real managers resolve without a network."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def wheel(name: str, version: str) -> bytes:
    """Return a wheel that holds one module, with the metadata that installers check."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": f'VERSION = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},{_digest(text.encode())},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return buffer.getvalue()


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@contextmanager
def package_index(packages: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Serve packages (names and their versions) and yield the index URL, which ends in `/simple/`."""
    wheels = {
        f"{name.replace('-', '_')}-{version}-py3-none-any.whl": wheel(name, version)
        for name, versions in packages.items()
        for version in versions
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # asked for by the base class
            kind, _, name = self.path.strip("/").partition("/")
            if kind == "simple" and name in packages:
                links = [
                    f'<a href="/files/{file}#sha256={hashlib.sha256(data).hexdigest()}">{file}</a><br>'
                    for file, data in wheels.items()
                    if file.startswith(f"{name.replace('-', '_')}-")
                ]
                self._answer(200, "text/html", f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode())
            elif kind == "files" and name in wheels:
                self._answer(200, "application/octet-stream", wheels[name])
            else:
                self._answer(404, "text/plain", b"not here")

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
