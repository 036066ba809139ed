# From laterctl: load.
"""Load on a running application, in a process of its own.

locust -f load/locustfile.py --headless -u 20 -r 5 -t 60s \
    --host http://127.0.0.1:8000

It ends with 1 when too many requests fail or the slowest take too long. Tests
must not import it: locust changes sockets for the whole process.
"""

import json
import logging
import os
import sys
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit
from urllib.request import build_opener

from locust import FastHttpUser, constant_throughput, events, task
from locust.env import Environment
from locust.runners import WorkerRunner

LOOPBACK = {'127.0.0.1', '::1', 'localhost'}
ALLOW_REMOTE = os.environ.get('LOAD_ALLOW_REMOTE') == '1'
# The part of all that may fail, and how long 19 of 20 requests may take.
FAILURES = float(os.environ.get('LOAD_FAILURES', '0.01'))
P95_MS = float(os.environ.get('LOAD_P95_MS', '500'))
PATHS = os.environ.get('LOAD_PATHS', '').split()

logger = logging.getLogger(__name__)


class Visitor(FastHttpUser):
    """Asks for one path after the other, one each second."""

    wait_time = constant_throughput(1)

    def on_start(self) -> None:
        """Begin with the first path."""
        self.paths = cycle(PATHS)

    @task
    def visit(self) -> None:
        """Ask for the next path, and stay with this host."""
        self.client.get(next(self.paths), allow_redirects=False)


def needs_nothing(path: str, methods: dict[str, Any]) -> bool:
    """Whether a path can be asked for without parameters and credentials."""
    operation = methods.get('get', {'security': ()})
    needed = (item.get('required') for item in operation.get('parameters', ()))
    return '{' not in path and 'security' not in operation and not any(needed)


def find_paths(environment: Environment, **_: object) -> None:
    """Check where the application is, and what to ask for if none is named."""
    host = environment.host or ''
    if not ALLOW_REMOTE and urlsplit(host).hostname not in LOOPBACK:
        sys.exit(f'{host!r} is not this machine; LOAD_ALLOW_REMOTE=1 is yes')
    if PATHS:
        return
    try:
        with build_opener().open(f'{host}/openapi.json', timeout=10) as answer:
            found = json.load(answer)['paths']
    except (OSError, ValueError) as error:
        sys.exit(f'LOAD_PATHS names no path, and {host}/openapi.json: {error}')
    PATHS.extend(path for path in found if needs_nothing(path, found[path]))


def judge(environment: Environment, **_: object) -> None:
    """Let the process fail by what was measured."""
    if isinstance(environment.runner, WorkerRunner):
        return  # its master has the counts
    total = environment.stats.total
    p95 = total.get_response_time_percentile(0.95) or 0
    bounds = {
        'no request was made': not total.num_requests,
        f'{total.fail_ratio:.1%} failed': total.fail_ratio > FAILURES,
        f'19 of 20 requests took up to {p95} ms': p95 > P95_MS,
    }
    for reason, is_crossed in bounds.items():
        if is_crossed:
            logger.error(reason)
    environment.process_exit_code = int(any(bounds.values()))


listeners: Any = events  # whose types locust does not tell
listeners.test_start.add_listener(find_paths)
listeners.quitting.add_listener(judge)
