"""Doctor rules of `logging`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import found

RULES = ["LOG001", "LOG002", "LOG003"]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("import structlog.processors as p\nCHAIN = [p.dict_tracebacks]\n", "LOG001"),
        ("from structlog import tracebacks as t\nx = t.ExceptionDictTransformer(show_locals=True)\n", "LOG001"),
        ("from structlog.tracebacks import ExceptionDictTransformer as T\nx = T(True)\n", "LOG001"),
        ("import loguru\nloguru.logger.add('x', diagnose=True)\n", "LOG002"),
        ("import sys\nfrom loguru import logger as log\ndef f():\n    log.add(sys.stderr)\nf()\n", "LOG002"),
        ("import structlog\nlog = structlog.get_logger()\nmine = log.bind(a=1)\n", "LOG003"),
        ("from structlog.stdlib import get_logger\nlog = get_logger().new(a=1)\n", "LOG003"),
    ],
)
def test_found(code: str, rule: str) -> None:
    assert [item.rule for item in found(code, RULES)] == [rule]


@pytest.mark.parametrize(
    "code",
    [
        "from structlog.tracebacks import ExceptionDictTransformer as T\nx = T(False)\n",
        "from structlog.tracebacks import ExceptionDictTransformer as T\ndef f(options):\n    return T(**options)\nf({})\n",
        "from loguru import logger\nimport os\nlogger.add('x', diagnose=os.environ.get('DEBUG') == '1')\n",
        "from loguru import logger\ndef f(options):\n    logger.add('x', **options)\nf({})\n",
        "from own import logger\nlogger.add('x')\n",
        "import structlog\nlog = structlog.get_logger()\ndef f():\n    log.bind(a=1).info('x')\nf()\n",
        "from own import get_logger\nlog = get_logger().bind(a=1)\n",
    ],
)
def test_left_alone(code: str) -> None:
    assert found(code, RULES) == []
