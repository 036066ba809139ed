"""Where a project is started with more than one process, and what sets a variable for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from laterctl.project.tree import Tree
from laterctl.project.variables import has_dotenv, is_set
from laterctl.project.workers import several_workers
from tests import memory

COMPOSE = "services:\n  db:\n    image: postgres:18\n  api:\n    build: .\n"
POD = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: shop
          image: registry.example.com/shop:1
          ports:
            - containerPort: 8000
"""


def started(files: dict[str, str], app: str = "app/main.py") -> list[str]:
    tree = memory.project({path: text.encode() for path, text in files.items()}).tree
    return [f"{item.place} {item.what}" for item in several_workers(tree, app)]


def sets(variable: str, files: dict[str, str]) -> bool:
    return is_set(memory.project({path: text.encode() for path, text in files.items()}).tree, variable)


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("Dockerfile", "FROM python\nCMD uvicorn app.main:app --workers 4\n", "2 --workers 4"),
        ("Dockerfile", 'CMD ["uvicorn", "app.main:app", "--workers", "4"]\n', "1 --workers 4"),
        ("Dockerfile", 'CMD ["uvicorn", "app.main:app", \\\n     "--workers", "4", \\\n     "--port", "80"]\n', "2 --workers 4"),
        ("Dockerfile", 'CMD [\n  "gunicorn",\n  "-w", "4",\n  "app.main:app"\n]\n', "3 -w 4"),
        ("Dockerfile", 'CMD ["sh", "-c", "alembic upgrade head && gunicorn app.main:app -w 4"]\n', "1 -w 4"),
        ("Dockerfile", "CMD gunicorn \\\n  # as many as cores\n  --workers=8 app.main:app\n", "3 --workers 8"),
        ("docker/api.Dockerfile", 'CMD ["fastapi", "run", "--workers", "2", "app/main.py"]\n', "1 --workers 2"),
        ("Dockerfile", 'ENV GUNICORN_CMD_ARGS="--bind=0.0.0.0 --workers=3"\n', "1 --workers 3"),
        ("Dockerfile", "ENV A=1 \\\n    WEB_CONCURRENCY=4\nCMD uvicorn app.main:app\n", "2 WEB_CONCURRENCY=4"),
        ("Dockerfile", "ENV WEB_CONCURRENCY 4\nCMD uvicorn app.main:app\n", "1 WEB_CONCURRENCY=4"),
        ("Procfile", "web: gunicorn -w4 -k uvicorn.workers.UvicornWorker app.main:app\n", "1 -w 4"),
        ("Procfile", "web: WEB_CONCURRENCY=2 uvicorn app.main:app\n", "1 WEB_CONCURRENCY=2"),
        ("Makefile", "run:\n\tpoetry run hypercorn app.main:app -w 2\n", "2 -w 2"),
        ("justfile", "run:\n  granian --interface asgi app.main:app --workers 2\n", "2 --workers 2"),
        ("start.sh", '#!/bin/sh\nexec gunicorn app.main:app --workers "${WORKERS:-4}"\n', "2 --workers ${WORKERS:-4}"),
        ("start.sh", "exec uvicorn app.main:app --workers $(nproc)\n", "1 --workers $(nproc)"),
        ("start.sh", 'export WEB_CONCURRENCY="${WEB_CONCURRENCY:-2}"\n', "1 WEB_CONCURRENCY=${WEB_CONCURRENCY:-2}"),
        ("start.sh", "celery -A app worker & uvicorn app.main:app --workers 2\n", "1 --workers 2"),
        ("start.sh", "gunicorn app.main:app --reload -w 2\n", "1 -w 2"),
        ("devops/api.service", "[Service]\nExecStart=/opt/venv/bin/gunicorn -w 3 app.main:app\n", "2 -w 3"),
        ("supervisord.conf", "[program:api]\ncommand=uvicorn app.main:app --workers 2\n", "2 --workers 2"),
        ("fly.toml", '[env]\n  WEB_CONCURRENCY = "2"\n', "2 WEB_CONCURRENCY=2"),
        ("pyproject.toml", '[tool.poe.tasks]\nserve = "uvicorn app.main:app --workers 2"\n', "2 --workers 2"),
        (
            "pyproject.toml",
            '[tool.pdm.scripts]\nserve = [\n  "uvicorn",\n  "app.main:app",\n  "--workers",\n  "2",\n]\n',
            "5 --workers 2",
        ),
        ("compose.yml", COMPOSE + "    command: uvicorn app.main:app --workers 4\n", "6 --workers 4"),
        ("compose.yml", COMPOSE + '    command: ["uvicorn", "app.main:app", "--workers", "4"]\n', "6 --workers 4"),
        ("compose.yml", COMPOSE + "    command: >\n      uvicorn app.main:app\n      --workers 4\n", "8 --workers 4"),
        (
            "docker-compose.prod.yaml",
            COMPOSE + '    command:\n      - uvicorn\n      - app.main:app\n      - --workers\n      - "4"\n',
            "9 --workers 4",
        ),
        ("compose.yml", COMPOSE + "    command:\n    - gunicorn\n    - --workers=4\n    - app.main:app\n", "8 --workers 4"),
        ("compose.yml", COMPOSE + "    environment:\n      WEB_CONCURRENCY: 4\n", "7 WEB_CONCURRENCY=4"),
        ("compose.yml", COMPOSE + '    environment:\n      - "WEB_CONCURRENCY=4"\n', "7 WEB_CONCURRENCY=4"),
        ("compose.yml", COMPOSE + "    deploy:\n      replicas: 2\n", "7 replicas: 2"),
        ("compose.yml", COMPOSE + "    scale: 2\n", "6 scale: 2"),
        ("k8s/deployment.yaml", POD, "6 replicas: 3"),
        ("k8s/all.yaml", "kind: Service\n---\n" + POD, "8 replicas: 3"),
        ("k8s/deployment.yaml", POD.replace("replicas: 3", "paused: false") + "          env:\n"
         "            - name: WEB_CONCURRENCY\n              value: \"4\"\n", "15 WEB_CONCURRENCY=4"),
        (
            "k8s/deployment.yaml",
            POD.replace("replicas: 3", "replicas: 1") + '          args: ["app.main:app", "--workers", "2"]\n'
            '          command: ["uvicorn"]\n',
            "14 --workers 2",
        ),
        ("gunicorn_conf.py", "bind = ':80'\nworkers = 4\n", "2 workers = 4"),
        (
            "gunicorn.conf.py",
            "import multiprocessing\nworkers = multiprocessing.cpu_count() * 2 + 1\n",
            "2 workers = multiprocessing.cpu_count() * 2 + 1",
        ),
        (
            "app/my_gunicorn_config.py",
            "import os\ncores = os.cpu_count() or 1\nworkers = int(os.environ.get('WORKERS', cores))\n",
            "3 workers = int(os.environ.get('WORKERS', cores))",
        ),
        ("gunicorn_conf.py", "workers = max(2, unknown())\n", "1 workers = max(2, unknown())"),
        ("gunicorn_conf.py", "import os\nworkers = os.getenv('N') or 2\n", "2 workers = os.getenv('N') or 2"),
        ("run.py", "import uvicorn\nuvicorn.run('app.main:app', workers=4)\n", "2 workers=4"),
        ("app/main.py", "def main():\n    from uvicorn import run\n    run('app.main:app', workers=4)\n", "3 workers=4"),
        ("run.py", "import uvicorn as u\nN = 2\nu.run('app.main:app', reload=DEBUG, workers=N)\n", "3 workers=N"),
    ],
)  # fmt: skip
def test_several_processes_are_found(path: str, text: str, found: str) -> None:
    assert started({path: text}) == [f"{path}:{found}"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Dockerfile", "CMD uvicorn app.main:app\n"),
        ("Dockerfile", "CMD uvicorn app.main:app --workers 1\n"),
        ("Dockerfile", "# CMD uvicorn app.main:app --workers 4\n"),
        ("Dockerfile", "CMD uvicorn app.main:app # --workers 4\n"),
        ("Dockerfile", "CMD uvicorn app.main:app --workers $WORKERS\n"),
        ("Dockerfile", "CMD uvicorn app.main:app --workers ${WORKERS}\n"),
        ("Dockerfile", "CMD uvicorn app.main:app --workers ${WORKERS:-1}\n"),
        ("Dockerfile", "CMD uvicorn app.main:app --reload --workers 4\n"),
        ("Dockerfile", "CMD uvicorn app.main:app --limit-concurrency 4 -w 4\n"),
        ("Dockerfile", "CMD uvicorn app.main:app -- --num-workers 4 --workers-max 4\n"),
        ("Dockerfile", "CMD gunicorn app.main:app --threads 4 -k uvicorn.workers.UvicornWorker\n"),
        ("Dockerfile", "RUN pip install uvicorn gunicorn && make --workers 4\n"),
        ("Dockerfile", "RUN poetry config installer.max-workers 10\n"),
        ("Dockerfile", "FROM node\nENV WEB_CONCURRENCY=4\nCMD node server.js\n"),
        ("Dockerfile", "ENV WEB_CONCURRENCY=4\nCMD uvicorn app.main:app --workers 1\n"),
        ("Dockerfile", "ENV WEB_CONCURRENCY=1\nCMD uvicorn app.main:app\n"),
        ("Dockerfile", 'CMD ["celery", "-A", "app.main", "worker", "--workers", "4"]\n'),
        ("Dockerfile.dev", "CMD uvicorn app.main:app --workers 4\n"),
        ("docker-compose.override.yml", COMPOSE + "    command: uvicorn app.main:app --workers 4\n"),
        ("Dockerfile", f"ENV WEB_CONCURRENCY={'9' * 5000}\n"),
        ("pyproject.toml", "a = [\n" + "x\n" * 60 + '"uvicorn",\n"--workers",\n"4"]\n'),
        ("Dockerfile-template", "CMD uvicorn app.main:app --workers 4\n"),
        ("Procfile", "worker: celery -A app worker --concurrency 4\n"),
        ("Procfile", "worker: dramatiq app.tasks --processes 4 --threads 8\nweb: uvicorn app.main:app\n"),
        ("Procfile", "web: uvicorn app.main:app\nworker: taskiq worker --workers 4 app.tasks:broker\n"),
        ("start.sh", "uvicorn app.main:app && taskiq worker --workers 4 app.tasks:broker\n"),
        ("start.sh", "uvicorn app.main:app & rq worker-pool --workers 4\n"),
        ("start.sh", 'echo "try: uvicorn app.main:app --workers 4"\n'),
        ("start.sh", "pkill -f 'gunicorn -w 4'\n"),
        ("start.sh", "uvicorn app.main:app | tee --workers 4\n"),
        ("start.sh", "pnpm exec playwright test --workers=4\n"),
        ("load_test.sh", "uvicorn app.main:app --workers 4\n"),
        ("Makefile", "WORKERS ?= 4\nrun: ## uvicorn app.main:app --workers 4\n\tuvicorn app.main:app --workers $(WORKERS)\n"),
        ("README.md", "    uvicorn app.main:app --workers 4\n"),
        ("README", "    uvicorn app.main:app --workers 4\n"),
        ("docs/start.sh", "uvicorn app.main:app --workers 4\n"),
        ("tests/compose.yml", COMPOSE + "    command: uvicorn app.main:app --workers 4\n"),
        ("examples/Dockerfile", "CMD uvicorn app.main:app --workers 4\n"),
        (".env", "WEB_CONCURRENCY=4\n"),
        (".env.example", "WEB_CONCURRENCY=4\n"),
        ("secrets.toml", "WEB_CONCURRENCY = 4\n"),
        (".github/workflows/test.yml", "run: uvicorn app.main:app --workers 4\n"),
        ("config.yaml", "server: uvicorn app.main:app --workers 4\nreplicas: 3\n"),
        ("pyproject.toml", '[project]\ndependencies = ["uvicorn", "gunicorn"]\n[tool.bench]\nargs = "--workers 4"\n'),
        ("compose.yml", COMPOSE + "    # command: uvicorn app.main:app --workers 4\n"),
        ("compose.yml", COMPOSE + "    command: celery -A app worker\n    environment:\n      WEB_CONCURRENCY: 4\n"),
        ("compose.yml", COMPOSE + "  worker:\n    build: .\n    deploy:\n      replicas: 4\n"),
        ("compose.yml", COMPOSE.replace("18\n", "18\n    deploy:\n      replicas: 2\n")),
        ("compose.yml", COMPOSE + "  web:\n    image: ghcr.io/somebody/imgproxy\n    scale: 4\n"),
        ("compose.yml", COMPOSE + "    command: uvicorn app.main:app\n  tasks:\n    command: taskiq --workers 4\n"),
        ("docker-compose.override.dev.yml", COMPOSE + "    command: uvicorn app.main:app --workers 4\n"),
        ("k8s/deployment.yaml", POD.replace("replicas: 3", "replicas: 1")),
        ("k8s/deployment.yaml", POD.replace("registry.example.com/shop:1", "redis:7")),
        ("k8s/deployment.yaml", POD.replace("  name: shop", "  name: shop-worker")),
        ("k8s/deployment.yaml", POD.replace("containerPort", "hostPort")),
        ("k8s/hpa.yaml", POD.replace("Deployment", "HorizontalPodAutoscaler")),
        ("k8s/deployments.yaml", POD + "---\n" + POD.replace("shop:1", "mails:1")),
        ("chart/templates/deployment.yaml", POD.replace("replicas: 3", "replicas: {{ .Values.replicas }}")),
        ("gunicorn_conf.py", "workers = 1\n"),
        ("gunicorn_conf.py", "workers = 4\nif SMALL:\n    workers = 1\n"),
        ("gunicorn_conf.py", "import os\nworkers = int(os.environ['WORKERS'])\n"),
        ("gunicorn_conf.py", "import os\nworkers = int(os.getenv('WORKERS', '1'))\n"),
        ("gunicorn_conf.py", "workers = settings.workers\nthreads = 4\n"),
        ("gunicorn_conf.py", "workers = cpu_count() // 2\n"),
        ("gunicorn_conf.py", "workers = workers\n"),
        ("gunicorn_conf.py", "workers = (\n"),
        ("gunicorn_conf.py", "class Settings:\n    workers = 4\n"),
        ("tests/gunicorn_conf.py", "workers = 4\n"),
        ("app/conf.py", "workers = 4\n"),
        ("run.py", "import uvicorn\nuvicorn.run('app.main:app', workers=1)\n"),
        ("run.py", "import uvicorn\nuvicorn.run('app.main:app', workers=settings.workers)\n"),
        ("run.py", "import uvicorn\nuvicorn.run('app.main:app', workers=4, reload=True)\n"),
        ("run.py", "import uvicorn\n# uvicorn.run('app.main:app', workers=4)\n"),
        ("run.py", "import uvicorn\n\ndef main(workers: int = 4):\n    uvicorn.run('app.main:app', workers=workers)\n"),
        ("run.py", "import uvicorn\nfrom app import server\nserver.run('app.main:app', workers=4)\n"),
        ("run_dev.py", "import uvicorn\nuvicorn.run('app.main:app', workers=4)\n"),
        ("docs/run.py", "import uvicorn\nuvicorn.run('app.main:app', workers=4)\n"),
        ("tests/run.py", "import uvicorn\nuvicorn.run('app.main:app', workers=4)\n"),
    ],
)  # fmt: skip
def test_what_is_no_second_process_of_the_application(path: str, text: str) -> None:
    assert started({path: text}) == []


def test_all_places_are_found_in_their_order() -> None:
    files = {
        "start.sh": "gunicorn -w 2 app.main:app\n",
        "Dockerfile": "CMD uvicorn app.main:app --workers 4\n",
        "compose.yml": COMPOSE + "    command: gunicorn -w 3 app.main:app\n    scale: 2\n",
    }
    assert started(files) == [
        "Dockerfile:1 --workers 4",
        "compose.yml:6 -w 3",
        "compose.yml:7 scale: 2",
        "start.sh:1 -w 2",
    ]


def test_one_worker_in_a_command_goes_before_what_is_configured_elsewhere() -> None:
    files = {"Dockerfile": "CMD gunicorn -w 1 app.main:app\n", "gunicorn_conf.py": "workers = 4\n"}
    assert started(files) == []
    assert started({**files, "Dockerfile": "CMD gunicorn app.main:app\n"}) == ["gunicorn_conf.py:1 workers = 4"]


def test_what_starts_another_project_is_left_out() -> None:
    files = {
        "orders/pyproject.toml": '[project]\nname = "orders"\n',
        "orders/Dockerfile": "CMD uvicorn main:app --workers 4\n",
        "users/pyproject.toml": '[project]\nname = "users"\n',
        "users/Dockerfile": "CMD uvicorn main:app\n",
    }
    assert started(files, "orders/main.py") == ["orders/Dockerfile:1 --workers 4"]
    assert started(files, "users/main.py") == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Dockerfile", "ENV REDIS_URL=redis://redis\n"),
        ("compose.yml", COMPOSE + "    environment:\n      - REDIS_URL=redis://redis\n"),
        ("compose.yml", COMPOSE + "    environment:\n      - REDIS_URL\n"),
        ("compose.yml", COMPOSE + "    environment:\n      APP_REDIS_URL: ${REDIS_URL}\n"),
        ("compose.yml", COMPOSE + "    env_file: .env\n"),
        ("compose.yml", COMPOSE + "    env_file:\n      - .env\n"),
        ("compose.dev.yml", COMPOSE + "    environment:\n      REDIS_URL: redis://redis\n"),
        ("k8s/deployment.yaml", POD + "          envFrom:\n            - secretRef:\n                name: shop\n"),
        ("k8s/config.yaml", "kind: ConfigMap\ndata:\n  REDIS_URL: redis://redis\n"),
        ("chart/templates/deployment.yaml", POD + "          envFrom: {{ .Values.from }}\n"),
        ("app.json", json.dumps({"env": {"REDIS_URL": {"required": True}}})),
        ("settings.toml", '[production]\nredis_url = "redis://redis"\n'),
        ("deploy/api.service", "[Service]\nEnvironmentFile=/etc/shop\n"),
        ("start.sh", "set -a; . ./.env\nuvicorn app.main:app\n"),
        ("start.sh", "docker run --env-file .env shop\n"),
        ("start.sh", "doppler run -- uvicorn app.main:app\n"),
        ("Makefile", "include .env\nexport\n"),
        ("infra/main.tf", 'env = { REDIS_URL = "redis://redis" }\n'),
        ("app/config.py", "class Settings(BaseSettings):\n    redis_url: str\n"),
        ("app/config.py", "class Settings(BaseSettings):\n    REDIS_URL: str = 'redis://redis'\n"),
        ("app/config.py", "import os\nURL = os.environ['REDIS_URL']\n"),
        ("gunicorn_conf.py", "raw_env = ['REDIS_URL=redis://redis']\n"),
    ],
)
def test_a_variable_is_set(path: str, text: str) -> None:
    assert sets("REDIS_URL", {path: text})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Dockerfile", "ENV REDIS_URL=\n"),
        ("Dockerfile", 'ENV A=1 \\\n    REDIS_URL="" \\\n    B=2\n'),
        ("Dockerfile", "# ENV REDIS_URL=redis://redis\n"),
        ("compose.yml", COMPOSE + '    environment:\n      - "REDIS_URL="\n      - B=2\n'),
        ("compose.yml", COMPOSE + '    environment:\n      REDIS_URL: ""\n      B: 2\n'),
        ("compose.yml", COMPOSE + "    environment:\n      REDIS_URL:\n      B: 2\n"),
        ("compose.yml", COMPOSE.replace("18\n", "18\n    env_file: .env\n")),
        ("settings.toml", 'redis_url = ""\n'),
        ("settings.json", '{\n  "redis_url": "",\n  "b": 2\n}\n'),
        (".env", "REDIS_URL=redis://redis\n"),
        (".env.example", "REDIS_URL=redis://redis\n"),
        (".secrets.toml", 'redis_url = "redis://redis"\n'),
        ("secrets.yaml", 'redis_url = "redis://redis"\n'),
        ("README.md", "Set REDIS_URL=redis://redis.\n"),
        ("tests/compose.yml", COMPOSE + "    environment:\n      - REDIS_URL=redis://redis\n"),
        ("tests/conftest.py", "import os\nos.environ['REDIS_URL'] = 'redis://redis'\n"),
        ("app/core/redis.py", "# From laterctl: redis.\nimport os\nurl = os.environ['REDIS_URL']\n"),
        ("app/config.py", "# REDIS_URL=redis://redis\n"),
        ("app/config.py", "class Settings(BaseSettings):\n    redis_url: str = ''  # REDIS_URL\n"),
        ("app/config.py", 'class Settings(BaseSettings):\n    REDIS_URL: str | None = None\n'),
        ("app/config.py", "import os\nREDIS_URL = os.getenv('REDIS_URL', '')\n"),
        ("app/config.py", "from dotenv import load_dotenv\nload_dotenv()\n"),
    ],
)  # fmt: skip
def test_a_variable_is_not_set(path: str, text: str) -> None:
    assert not sets("REDIS_URL", {path: text})


def test_files_that_are_never_read_may_set_it() -> None:
    loads = {"app/config.py": "from dotenv import load_dotenv\nload_dotenv()\n"}

    assert sets("REDIS_URL", {".env": "", **loads})
    assert not sets("REDIS_URL", {".env": ""})
    assert not sets("REDIS_URL", {".env.example": "", ".secrets.toml": "", **loads})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".env", True),
        (".env.production", True),
        (".envrc", True),
        (".secrets.toml", False),
        (".env.example", False),
        (".env.template", False),
        (".envs", False),
        ("settings.toml", False),
        ("web/.env", False),
    ],
)
def test_a_dotenv_file_is_known_by_its_name(path: str, *, found: bool) -> None:
    assert has_dotenv(memory.project({path: b""}).tree) is found


def test_the_repository_around_the_project_may_set_it(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend/Dockerfile").write_text("CMD uvicorn main:app --workers 4\n")
    (tmp_path / "compose.yml").write_text(COMPOSE)

    assert not is_set(Tree(tmp_path / "backend"), "REDIS_URL")
    (tmp_path / "compose.yml").write_text(COMPOSE + "    environment:\n      REDIS_URL: redis://redis\n")
    assert is_set(Tree(tmp_path / "backend"), "REDIS_URL")
    assert not has_dotenv(Tree(tmp_path / "backend"))
    (tmp_path / ".env").write_text("")
    assert has_dotenv(Tree(tmp_path / "backend"))


# Charts and hosting platforms

RENDER = """\
services:
  - type: worker
    name: queue
    numInstances: 4
    startCommand: celery -A app worker
  - type: web
    name: shop
    startCommand: uvicorn app.main:app --workers 3
    numInstances: 2
"""
CHART = {"chart/Chart.yaml": "name: shop\n"}


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("chart/values.yaml", "image: shop\nreplicaCount: 3\n", ["2 replicaCount: 3"]),
        ("chart/values-prod.yaml", "replicas: 2\n", ["1 replicas: 2"]),
        ("chart/values.yaml", "replicaCount: 1\nautoscaling:\n  enabled: true\n  minReplicas: 2\n", ["4 minReplicas: 2"]),
        ("chart/values.yaml", "env:\n  WEB_CONCURRENCY: 4\n", ["2 WEB_CONCURRENCY=4"]),
        ("chart/values.yaml", "args: [uvicorn, app.main:app, --workers, 4]\n", ["1 --workers 4"]),
        ("render.yaml", RENDER, ["8 --workers 3", "9 numInstances = 2"]),
        ("fly.toml", "[http_service]\ninternal_port = 80\nmin_machines_running = 2\n", ["3 min_machines_running = 2"]),
        ("fly.toml", '[env]\nWEB_CONCURRENCY = "3"\n', ["2 WEB_CONCURRENCY=3"]),
        ("railway.toml", "[deploy]\nnumReplicas = 2\n", ["2 numReplicas = 2"]),
        ("railway.json", '{"deploy": {\n"numReplicas": 2}}\n', ["2 numReplicas = 2"]),
        ("app.json", '{"formation": {"web": {\n  "quantity": 2}}}\n', ["2 quantity = 2"]),
        ("app.yaml", "runtime: python312\nautomatic_scaling:\n  min_instances: 2\n", ["3 min_instances = 2"]),
        ("app.yaml", "runtime: python312\nentrypoint: gunicorn -w 4 app.main:app\n", ["2 -w 4"]),
        (
            "service.yaml",
            "apiVersion: serving.knative.dev/v1\nmetadata:\n  annotations:\n    autoscaling.knative.dev/minScale: '2'\n",
            ["4 autoscaling.knative.dev/minScale = 2"],
        ),
        ("copilot/api/manifest.yml", "name: api\ntype: Load Balanced Web Service\ncount: 2\n", ["3 count = 2"]),
    ],
)  # fmt: skip
def test_charts_and_platforms(path: str, text: str, found: list[str]) -> None:
    assert started({**CHART, path: text}) == [f"{path}:{item}" for item in found]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("chart/values.yaml", "replicaCount: 1\n"),
        ("chart/values.yaml", "redis:\n  replicaCount: 3\n"),
        ("chart/values.yaml", "autoscaling:\n  enabled: false\n  minReplicas: 2\n"),
        ("chart/values-dev.yaml", "replicaCount: 3\n"),
        ("values.yaml", "replicaCount: 3\n"),
        ("render.yaml", RENDER.replace("numInstances: 2", "numInstances: 1").replace(" --workers 3", "")),
        ("app.json", '{"formation": {"worker": {"quantity": 2}}}\n'),
        ("app.yaml", "runtime: nodejs20\nmin_instances: 2\n"),
        ("service.yaml", "apiVersion: v1\nkind: Service\nminScale: 2\n"),
        ("copilot/jobs/manifest.yml", "type: Worker Service\ncount: 2\n"),
    ],
)
def test_other_numbers_of_charts_and_platforms(path: str, text: str) -> None:
    assert started({**CHART, path: text}) == []


def test_a_replica_has_an_address_of_its_own() -> None:
    tree = memory.project({"fly.toml": b"[http_service]\nmin_machines_running = 2\n"}).tree
    assert [item.replicas for item in several_workers(tree, "main.py")] == [True]
