# From laterctl: docker.
"""What the image starts is there, and does not run as root."""

import json
from importlib import import_module
from operator import attrgetter
from pathlib import Path

DOCKERFILE = Path(__file__).parents[1] / 'Dockerfile'


def last(word: str) -> str:
    """Return what stands behind the last instruction of a kind."""
    lines = DOCKERFILE.read_text(encoding='utf-8').splitlines()
    found = [line.partition(' ') for line in lines]
    return [rest for kind, _, rest in found if kind == word][-1]


def test_the_application_is_where_it_is_looked_for() -> None:
    command: list[str] = json.loads(last('CMD'))
    module, _, name = command[1].partition(':')

    assert callable(attrgetter(name)(import_module(module)))


def test_it_does_not_run_as_root() -> None:
    assert last('USER').partition(':')[0] not in {'root', '0'}
