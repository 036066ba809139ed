"""Doctor rules of `tracing`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import Example, found

RULES = ["TRC001", "TRC002", "TRC003", "TRC004", "TRC005"]
SQL = "from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor as S\n"
GRPC = "from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as t\n"
EXPORT = "from opentelemetry.sdk.trace import export\nexport.BatchSpanProcessor(x)\n"
LATE = (
    "import contextlib\nfrom opentelemetry.instrumentation.fastapi import FastAPIInstrumentor as F\n"
    "@contextlib.asynccontextmanager\nasync def {}(app):\n    {}(app)\n    yield\n"
)


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        (
            {
                "app/db.py": "from sqlalchemy.ext import asyncio as a\nmine = a.create_async_engine('sqlite://')\n",
                "app/main.py": f"{SQL}from app.db import mine\ns = S()\ns.instrument(engine=mine)\n",
            },
            "TRC001",
        ),
        (f"{GRPC}t.OTLPSpanExporter(endpoint='localhost:4317')\n", "TRC002"),
        (f"{GRPC}AT = 'localhost:4317'\nt.OTLPSpanExporter(endpoint=AT, timeout=3)\n", "TRC002"),
        (EXPORT, "TRC003"),
        (LATE.format("lifespan", "F.instrument_app"), "TRC004"),
        (LATE.format("app_lifespan", "F().instrument_app"), "TRC004"),
    ],
)
def test_found(code: Example, rule: str) -> None:
    assert [item.rule for item in found(code, RULES)] == [rule]


@pytest.mark.parametrize(
    "code",
    [
        f"{SQL}from sqlalchemy import create_engine\nS().instrument(engine=create_engine('sqlite://'))\n",
        f"{SQL}from elsewhere import engine\nS().instrument(engine=engine)\n",
        f"{GRPC}t.OTLPSpanExporter(endpoint='localhost:4317', insecure=True)\n",
        f"{GRPC}def f(options):\n    t.OTLPSpanExporter(endpoint='localhost:4317', **options)\nf({{}})\n",
        f"{GRPC}import os\nt.OTLPSpanExporter(endpoint=os.environ['COLLECTOR'])\n",
        f"{EXPORT}provider.shutdown()\n",
        LATE.format("other", "F.instrument_app"),
        LATE.format("lifespan", "own.instrument_app"),
        f"{SQL}S().instrument()\n",
    ],
)
def test_left_alone(code: str) -> None:
    assert found(code, RULES) == []
