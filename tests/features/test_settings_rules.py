"""The doctor rules of `settings`: what they find, what they leave alone, and that what they say is true."""

from __future__ import annotations

import pydantic
import pytest
from pydantic.errors import PydanticImportError
from pydantic_settings import BaseSettings, SettingsError

from tests.ruling import places

HEAD = "from typing import Annotated, List\nfrom pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict\n"


@pytest.mark.parametrize(
    ("requirements", "reported"),
    [
        ("pydantic>=2", True),
        ("pydantic==2.7.1", True),
        ("pydantic~=2.0", True),
        ("pydantic-settings", True),
        ("pydantic[email]>=2.4,<3", True),
        ("pydantic", False),
        ("pydantic<2", False),
        ("pydantic==1.10.2", False),
        ("pydantic>=1.2", False),
    ],
)
@pytest.mark.parametrize(
    "source",
    [
        "from pydantic import BaseModel, BaseSettings\n",
        "from pydantic import BaseSettings as Base\n",
        "import pydantic\nclass S(pydantic.BaseSettings): ...\n",
        "import pydantic as p\nclass S(p.BaseSettings): ...\n",
    ],
)
def test_set001_finds(source: str, requirements: str, reported: bool) -> None:
    files = {"app/config.py": source, "requirements.txt": f"fastapi\n{requirements}\n"}
    assert len(places(files, "SET001")) == reported


@pytest.mark.parametrize(
    "source",
    [
        "from pydantic_settings import BaseSettings\n",
        "from pydantic.v1 import BaseSettings\n",
        "try:\n    from pydantic_settings import BaseSettings\nexcept ImportError:\n    from pydantic import BaseSettings\n",
        "from app.base import BaseSettings\n",
    ],
)
def test_set001_leaves_alone(source: str) -> None:
    assert places({"app/config.py": source, "requirements.txt": "fastapi\npydantic>=2\n"}, "SET001") == []


def test_set001_asks_the_lock_file() -> None:
    lock = 'version = 1\n\n[[package]]\nname = "pydantic"\nversion = "{}"\n'
    files = {
        "app/config.py": "from pydantic import BaseSettings\n",
        "pyproject.toml": '[project]\nname = "app"\ndependencies = ["fastapi"]\n',
    }
    assert len(places({**files, "uv.lock": lock.format("2.11.0")}, "SET001")) == 1
    assert places({**files, "uv.lock": lock.format("1.10.2")}, "SET001") == []


@pytest.mark.parametrize(
    ("body", "example", "reported"),
    [
        ("origins: list[str] = []", "ORIGINS=a,b", True),
        ("origins: List[str]", "export ORIGINS = a", True),
        ("origins: set[int]", 'origins="1,2"', True),
        ("origins: list[str]\n    model_config = SettingsConfigDict(env_prefix='app_')", "APP_ORIGINS=a,b", True),
        ("origins: list[str]\n    class Config:\n        env_prefix = 'app_'", "APP_ORIGINS=a,b", True),
        ("origins: list[str] = []", "ORIGINS=", False),
        ("origins: list[str] = []", '# ORIGINS=a,b\nORIGINS=["a"]', False),
        ("origins: list[str] = []", "OTHERS=a,b", False),
        ("origins: str = ''", "ORIGINS=a,b", False),
        ("origins: list[str] | str = []", "ORIGINS=a,b", False),
        ("origins: Annotated[list[str], NoDecode]", "ORIGINS=a,b", False),
        ("origins: list[str]\n    model_config = SettingsConfigDict(enable_decoding=False)", "ORIGINS=a,b", False),
    ],
)
def test_set002(body: str, example: str, reported: bool) -> None:
    files = {"app/config.py": f"{HEAD}class Settings(BaseSettings):\n    {body}\n", ".env.example": f"{example}\n"}
    assert places(files, "SET002") == (["app/config.py:4"] if reported else [])


def test_what_they_say_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PydanticImportError):
        _ = pydantic.BaseSettings  # type: ignore[attr-defined]

    class Settings(BaseSettings):
        origins: list[str] = []

    monkeypatch.setenv("ORIGINS", "a,b")
    with pytest.raises(SettingsError):
        Settings()
