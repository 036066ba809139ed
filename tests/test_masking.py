"""What is a secret in the user's files, and what is left of it on the screen."""

from __future__ import annotations

import ast

import pytest

from laterctl.masking import is_secret, masked, masked_file, masked_value

SECRETS = [
    "SECRET_KEY",
    "secretKey",
    "db_password",
    "apiKey",
    "API-KEY",
    "jwt_keys",
    "access_token",
    "auth",
    "smtp.pass",
]
HARMLESS = ["token_url", "public_key", "keyboard", "monkey", "author", "secret_name", "access_token_minutes", "compass"]

FILES = [
    ("settings.toml", 'secret_key = "HUNTER2" # HUNTER2\nname = "shop"\n'),
    ("settings.toml", '[default.secrets]\nstripe = "HUNTER2"\n[other]\nname = "shop"\n'),
    ("settings.toml", 'db = { user = "ada", password = "HUNTER2" }\nname = "shop"\n'),
    ("settings.toml", 'private_key = """\nHUNTER2\nHUNTER2"""\nname = "shop"\n'),
    ("settings.toml", 'jwt_keys = [\n  "HUNTER2",\n  "HUNTER2",\n]\nname = "shop"\n'),
    (".secrets.toml", '[default]\nanything = "HUNTER2"\n'),
    (".env", "export SECRET_KEY=HUNTER2\nNAME=shop\n"),
    (".env", "# OLD_PASSWORD=HUNTER2\r\nNAME=shop\r\n"),
    ("settings.yaml", "password: HUNTER2\nname: shop\n"),
    ("settings.yaml", "secrets:\n  stripe: HUNTER2\n  more:\n    - HUNTER2\nname: shop\n"),
    ("settings.yaml", "private_key: |\n  HUNTER2\n  HUNTER2\nname: shop\n"),
    ("compose.yaml", "    environment:\n      - DB_PASSWORD=HUNTER2\n      - NAME=shop\n"),
    ("config.json", '{\n  "apiKey": "HUNTER2",\n  "name": "shop"\n}\n'),
    ("config.json", '{"api_key": "HUNTER2", "name": "shop"}\n'),
    ("setup.cfg", "[upload]\npassword = HUNTER2\nname = shop\n"),
    ("Dockerfile", "ENV SECRET_KEY HUNTER2\nENV NAME shop\n"),
    ("key.pem", "-----BEGIN RSA PRIVATE KEY-----\nHUNTER2\nHUNTER2\n-----END RSA PRIVATE KEY-----\nshop\n"),
    ("config.py", 'SECRET_KEY = "HUNTER2"\nname = "shop"\n'),
    ("config.py", 'class Settings:\n    secret_key: str = Field("HUNTER2", title="HUNTER2")\n    name = "shop"\n'),
    ("config.py", 'SECRET_KEY = (\n    "HUNTER2"\n    "HUNTER2"\n)\nname = "shop"\n'),
    ("config.py", 'SECRET_KEY = b"""HUNTER2\nHUNTER2\nHUNTER2"""; name = "shop"\n'),
    ("config.py", 'app = make(name="shop", password="HUNTER2", token=f"HUNTER2{x}")\n'),
    ("config.py", 'é = {"name": "shop", "password": "HUNTER2"}; k = os.getenv("SECRET", "HUNTER2")\n'),
    ("config.py", 'def f(name="shop", token="HUNTER2"): return token == "HUNTER2"\n'),
    ("broken.py", 'SECRET_KEY = "HUNTER2"\nname = "shop"\ndef (\n'),
]


@pytest.mark.parametrize("name", SECRETS)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_names_that_only_sound_secret(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(("path", "text"), FILES)
def test_values_of_secret_names_are_masked_line_for_line(path: str, text: str) -> None:
    made = masked_file(path, text.encode()).decode()
    assert "HUNTER2" not in made
    assert "***" in made
    assert "shop" in made or "secret" in path
    assert made.count("\n") == text.count("\n")
    assert made.count("\r") == text.count("\r")
    if path == "config.py":
        ast.parse(made)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("main.py", 'token_url = "/auth/token"\nkey = settings.secret_key\nos.getenv("SECRET_KEY")\n'),
        (".env", "SECRET_KEY=\nPASSWORD=${DB_PASSWORD}\n"),
        ("settings.toml", 'jwt_keys = []\ncors_credentials = false\nsecret = ""\n'),
        ("requirements.txt", "python-secrets==1.0\ntoken-bucket>=2\n"),
        ("README.md", "A token is a secret: keep it.\n"[:8]),
        ("logo.png", "\0secret\n"),
    ],
)
def test_what_is_no_secret_stays(path: str, text: str) -> None:
    assert masked_file(path, text.encode()) == text.encode()


def test_bytes_that_are_no_text_stay() -> None:
    assert masked_file("x.env", b"SECRET=\xff") == b"SECRET=\xff"


def test_a_line_shows_names_and_code() -> None:
    assert masked_value('secret_key: str = "HUNTER2"') == 'secret_key: str = "HUNTER2"'.replace("HUNTER2", "***")
    assert masked_value("secret_key = settings.key") == "secret_key = settings.key"
    assert masked("k = '-----BEGIN PRIVATE KEY-----\\nHUNTER2\\n-----END PRIVATE KEY-----'").count("HUNTER2") == 0
