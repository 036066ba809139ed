# From laterctl: k8s.
"""What Kubernetes gets is valid, and fits the application and its image."""

import asyncio
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient

from order_service.core import health
from order_service.main import app

ROOT = Path(__file__).parents[1]
VERSION = '1.30'  # the oldest with a sleep before the stop
Manifest = dict[str, Any]

validate = import_module('kubernetes_validate').validate
yaml = import_module('yaml')
application = app


def manifests() -> dict[str, Manifest]:
    """Return the manifests by their kind."""
    texts = (
        path.read_text(encoding='utf-8')
        for path in sorted((ROOT / 'deploy/k8s').glob('*.yaml'))
    )
    found = (item for text in texts for item in yaml.safe_load_all(text))
    return {item['kind']: item for item in found if item}


def pod() -> Manifest:
    """Return what each pod is."""
    template: Manifest = manifests()['Deployment']['spec']['template']
    return template


def test_they_are_valid() -> None:
    for kind, manifest in manifests().items():
        if kind != 'Kustomization':
            validate(manifest, VERSION, strict=True)


def test_they_select_the_pods() -> None:
    every, labels = manifests(), pod()['metadata']['labels']
    (container,) = pod()['spec']['containers']
    ports = {port['name'] for port in container['ports']}

    for kind in ('Deployment', 'PodDisruptionBudget'):
        selected = every[kind]['spec']['selector']['matchLabels']
        assert selected.items() <= labels.items()
    service = every['Service']['spec']
    assert service['selector'].items() <= labels.items()
    assert {port['targetPort'] for port in service['ports']} <= ports


def test_what_is_under_way_may_end() -> None:
    (container,) = pod()['spec']['containers']
    sleep = container['lifecycle']['preStop']['sleep']['seconds']
    image = ROOT / 'Dockerfile'
    text = image.read_text(encoding='utf-8') if image.exists() else ''
    drain = re.search(r'graceful-(?:shutdown|timeout)\D+(\d+)', text)

    grace = pod()['spec']['terminationGracePeriodSeconds']
    assert grace > sleep + int(drain[1] if drain else 0)


def test_probes_ask_for_routes_that_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What they check may leave connections open.
    monkeypatch.setattr(health, 'CHECKS', [])
    (container,) = pod()['spec']['containers']
    probes = (
        container.get(name, {}).get('httpGet')
        for name in ('startupProbe', 'livenessProbe', 'readinessProbe')
    )
    asked = {probe['path'] for probe in probes if probe}

    answers = {path: asyncio.run(answer(path)) for path in asked}
    assert {path for path, status in answers.items() if status == 404} == set()


async def answer(path: str) -> int:
    """Return the status of what a path answers."""
    transport = ASGITransport(app=application, raise_app_exceptions=False)
    async with AsyncClient(
        transport=transport,
        base_url='http://test',
    ) as client:
        return (await client.get(path)).status_code
