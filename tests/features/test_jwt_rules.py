"""The doctor rules of `jwt`: what they find, what they leave alone, and that what they say is true."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import jwt
import pytest

from tests import memory, ruling
from tests.features.jwt_app import write_app, write_foundation
from tests.ruling import code as reported
from tests.shapes import SHAPES
from tests.shapes import files as files_of

HEAD = """
import datetime, datetime as dt, os
from datetime import datetime as DateTime
import jwt, jwt as pyjwt
from jwt import decode, encode as sign, PyJWT, PyJWK, PyJWKClient
from jose import jwt as jose_jwt
from app.config import settings
"""

GOOD = 'jwt.decode(token, settings.key, algorithms=["HS256"], audience="a", issuer="i", options={"require": ["exp", "sub"]})'


def found(rule: str, code: str, head: str = HEAD) -> list[str]:
    """Return the source lines that a rule reports."""
    return reported(rule, head + dedent(code))


def message(rule: str, code: str, head: str = HEAD) -> tuple[int, str]:
    """Return the line and the reason of the one thing that a rule reports."""
    (finding,) = ruling.found(head + dedent(code), [rule])
    assert finding.place is not None
    return finding.place.line, finding.message


def ids(rule: str, code: str, head: str = HEAD) -> list[str]:
    return [item.rule for item in ruling.found(head + dedent(code), [rule])]


@pytest.mark.parametrize(
    "line",
    [
        "jwt.decode(token, settings.key)",
        "pyjwt.decode(token, settings.key)",
        "decode(token, settings.key)",
        "jwt.decode_complete(token, settings.key)",
        'jwt.decode(token, "secret")',
        "jwt.decode(token, settings.key, None)",
        "jwt.decode(token, key=settings.key, algorithms=None)",
        'jwt.decode(token, os.environ.get("KEY"))',
        "jose_jwt.decode(token, key)",
        'jwt.decode(token, options={"verify_signature": False})',
        'jwt.decode(token, key, ["HS256"], {"verify_signature": False})',
        "jwt.decode(token, options=dict(verify_signature=False))",
        'jose_jwt.decode(token, "", options={"verify_signature": False})',
        'jwt.decode(token, key, algorithms=["HS256", "none"])',
        "PyJWT().decode(token, settings.key)",
    ],
)
def test_jwt001_reports_tokens_that_are_not_checked(line: str) -> None:
    assert found("JWT001", f"claims = {line}") == [f"claims = {line}"]
    assert ids("JWT001", f"def current_user(token, key):\n    return {line}") == ["JWT001"]


@pytest.mark.parametrize(
    "line",
    [
        GOOD,
        'jwt.decode(token, settings.key, ["HS256"])',
        "jwt.decode(token, settings.key, [settings.algorithm])",
        "jwt.decode(token, settings.key, algorithms=ALGORITHMS)",
        "jwt.decode(token, settings.key, **options)",
        "jwt.decode(*arguments)",
        'jwt.decode(token, settings.key, ["HS256"], options=OPTIONS)',
        'jwt.decode(token, settings.key, ["HS256"], options={**OPTIONS})',
        'jwt.decode(token, settings.key, ["HS256"], options={"verify_signature": True})',
        'jwt.decode(token, settings.key, ["HS256"], options={"verify_signature": settings.verify})',
        "jwt.decode(token, key)",
        'jwt.decode(token, PyJWK.from_json("{}"))',
        "jwt.decode(token, PyJWKClient(url).get_signing_key_from_jwt(token))",
        "jwt.get_unverified_header(token)",
        "other.decode(token)",
        "token.decode()",
    ],
)
def test_jwt001_leaves_alone(line: str) -> None:
    assert found("JWT001", line) == []


@pytest.mark.parametrize(
    "code",
    [
        "token = sign(claims, key)\n    return jwt.decode(token, options=NO)",
        "return jwt.decode(fresh(), options=NO)",
        "token = await fresh()\n    return jwt.decode(token, options=NO)",
        "verify(token)\n    return jwt.decode(token, options=NO)",
        "await self.keys.validate(token=token)\n    return jwt.decode(token, options=NO)",
        "token = tokens['id_token']\n    return jwt.decode(token, options=NO)",
        "return jwt.decode(tokens.get('access_token'), options=NO)",
        "return jwt.decode(self.access_token, options=NO)['exp']",
        "jwt.decode(token, options=NO)\n    return True",
    ],
)
def test_jwt001_leaves_tokens_alone_that_are_known(code: str) -> None:
    fresh = "async def fresh():\n    return sign({'sub': 'me'}, settings.key)\n"
    code = code.replace("NO", '{"verify_signature": False}')
    assert found("JWT001", f"{fresh}async def use(self, token, tokens, claims, key):\n    {code}\n") == []


@pytest.mark.parametrize(
    "code",
    [
        "token = request.headers['id_token']\n    return jwt.decode(token, options=NO)",
        "return jwt.decode(request.cookies.get('access_token'), options=NO)",
        "print(token)\n    return jwt.decode(token, options=NO)",
        "verify(other)\n    return jwt.decode(token, options=NO)",
        "return jwt.decode(read(), options=NO)",
    ],
)
def test_jwt001_finds_tokens_that_come_from_outside(code: str) -> None:
    code = code.replace("NO", '{"verify_signature": False}')
    read = "def read():\n    return input()\n"
    assert len(found("JWT001", f"{read}def use(request, token, other):\n    {code}\n")) == 1


def test_jwt001_leaves_a_token_alone_that_a_dependency_has_checked() -> None:
    code = "def use(token=Depends(verify_token)):\n    return jwt.decode(token, options={'verify_signature': False})\n"
    assert found("JWT001", code) == []
    assert len(found("JWT001", code.replace("verify_token", "bearer"))) == 1


@pytest.mark.parametrize(
    "code",
    [
        'return jwt.decode(token, key, algorithms=[jwt.get_unverified_header(token)["alg"]])',
        'header = jwt.get_unverified_header(token)\n    return jwt.decode(token, key, algorithms=header["alg"])',
        'alg = jwt.get_unverified_header(token).get("alg")\n    return jwt.decode(token, key, algorithms=[alg])',
        'header = jose_jwt.get_unverified_header(token)\n    return jose_jwt.decode(token, key, [header["alg"]])',
    ],
)
def test_jwt001_finds_an_algorithm_that_the_token_chooses(code: str) -> None:
    assert len(found("JWT001", f"def read(token, key):\n    {code}\n")) == 1


@pytest.mark.parametrize(
    "code",
    [
        'header = jwt.get_unverified_header(token)\n    return jwt.decode(token, keys[header["kid"]], algorithms=["RS256"])',
        'alg = jwt.get_unverified_header(token)["alg"]\n    assert alg in ALLOWED\n    return jwt.decode(token, key, [alg])',
    ],
)
def test_jwt001_leaves_an_algorithm_alone_that_is_fixed_or_compared(code: str) -> None:
    assert found("JWT001", f"def read(token, key):\n    {code}\n") == []


IMPORTS = "from pydantic import Field, SecretStr\nfrom pydantic_settings import BaseSettings\n"
SIGNS = 'import jwt\nfrom app import config\nfrom app.config import *\ntoken = jwt.encode({"sub": "1"}, KEY, "HS256")\n'


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ("class Settings(BaseSettings):\n    key: str = 'x'\nsettings = Settings()\n", "config.settings.key"),
        ("class Settings(BaseSettings):\n    key: str = Field('x')\nsettings = Settings()\n", "config.settings.key"),
        (
            "class Settings(BaseSettings):\n    key: SecretStr = SecretStr('x')\ndef get():\n    return Settings()\n",
            "config.get().key.get_secret_value()",
        ),
        (
            "class Base(BaseSettings):\n    key: str = 'x'\nclass Settings(Base):\n    a: int\nsettings = Settings()\n",
            "config.settings.key",
        ),
        (
            "class Part(BaseSettings):\n    key: str = 'x'\nclass All(BaseSettings):\n    jwt: Part = Part()\ns = All()\n",
            "config.s.jwt.key",
        ),
        ("class Config:\n    KEY = 'x'\n", "config.Config.KEY"),
        ("KEY = 'x'\n", "config.KEY"),
        ("import os\nKEY = os.environ.get('KEY', 'x')\n", "config.KEY"),
    ],
)
def test_jwt003_finds_a_key_in_another_module(config: str, key: str) -> None:
    files = {"app/config.py": IMPORTS + config, "app/main.py": SIGNS.replace("KEY", key)}
    assert [place.partition(":")[0] for place in ruling.places(files, "JWT003")] == ["app/config.py"]
    assert ruling.places({**files, "app/config.py": IMPORTS + config.replace("'x'", "read()")}, "JWT003") == []


def test_jwt003_leaves_a_default_alone_that_the_settings_refuse() -> None:
    config = "class Settings(BaseSettings):\n    key: str = 'x'\n    def check(self):\n        assert self.key != 'x'\ns = Settings()\n"
    files = {"app/config.py": IMPORTS + config, "app/main.py": SIGNS.replace("KEY", "config.s.key")}
    assert ruling.places(files, "JWT003") == []


@pytest.mark.parametrize(
    "line",
    [
        'from fastapi_login import LoginManager\nx = LoginManager("s", "/login")',
        'from fastapi_jwt import JwtAccessBearer\nx = JwtAccessBearer(secret_key="s")',
        'from itsdangerous import URLSafeTimedSerializer\nx = URLSafeTimedSerializer("s")',
        'from authlib.jose import jwt\nx = jwt.encode({}, {}, "s")',
    ],
)
def test_jwt003_knows_other_signers(line: str) -> None:
    assert ruling.lines("JWT003", line) == [2]
    assert ruling.lines("JWT003", line.replace('"s"', "read()")) == []


DECODES = '\njwt.decode(token, settings.key, algorithms=["HS256"])\n'


@pytest.mark.parametrize(
    ("signature", "subject"),
    [
        ("user_id: int", "user_id"),
        ("user_id: int | None", "user_id"),
        ("user_id", "int(user_id)"),
        ("user_id", "1"),
        ("user: User", "user.id"),
    ],
)
def test_jwt009_finds_a_subject_that_is_a_number(signature: str, subject: str) -> None:
    user = "class User:\n    id: Mapped[int]\n"
    code = f'{user}def make({signature}):\n    data = {{"sub": SUB}}\n    return jwt.encode(data, settings.key)\n'
    assert found("JWT009", code.replace("SUB", subject) + DECODES) == [f'data = {{"sub": {subject}}}']
    assert found("JWT009", code.replace("SUB", f"str({subject})") + DECODES) == []
    assert found("JWT009", code.replace("SUB", subject)) == []  # nothing decodes it
    unchecked = DECODES.replace(")", ', options={"verify_sub": False})')
    assert found("JWT009", code.replace("SUB", subject) + unchecked) == []


@pytest.mark.parametrize("subject", ["user.name", "name", "user_id"])
def test_jwt009_leaves_alone_what_may_be_a_text(subject: str) -> None:
    code = (
        f'def make(user: User, name: str, user_id: int):\n    user_id = str(user_id)\n    return {{"sub": {subject}}}\n'
    )
    assert found("JWT009", f"class User:\n    id: int\n    name: str\n{code}{DECODES}") == []


@pytest.mark.parametrize(
    ("pin", "reported"),
    [
        ("pyjwt", 1),
        ("pyjwt>=2.10", 1),
        ("pyjwt<3", 1),
        ("pyjwt==2.9.0", 0),
        ("pyjwt<2.10", 0),
        ("pyjwt~=2.10.1", 1),
        ("pyjwt~=2.9", 1),
        ("pyjwt~=2.9.0", 0),
        ("pyjwt<=2.9.5", 0),
        ("pyjwt!=2.10.0", 1),
        ("pyjwt==2.9.*", 0),
        ("pyjwt>=2.8,<2.11", 1),
    ],
)
def test_jwt009_asks_which_pyjwt_is_installed(pin: str, reported: int) -> None:
    files = {
        "app/main.py": f'{HEAD}def make(n: int):\n    return {{"sub": n}}\n{DECODES}',
        "requirements.txt": f"fastapi\n{pin}\n",
    }
    assert len(ruling.places(files, "JWT009")) == reported


def test_what_jwt009_says_is_true() -> None:
    token = jwt.encode({"sub": 1}, "k" * 32, algorithm="HS256")
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(token, "k" * 32, algorithms=["HS256"])


def test_jwt001_lets_a_function_look_before_it_verifies() -> None:
    code = """
    def current_user(token):
        peeked = jwt.decode(token, options={"verify_signature": False})
        return jwt.decode(token, keys[peeked["iss"]], algorithms=["RS256"])

    def other(token):
        return jwt.decode(token, options={"verify_signature": False})
    """

    assert found("JWT001", code) == ['return jwt.decode(token, options={"verify_signature": False})']


@pytest.mark.parametrize(
    "code",
    [
        'def read(jwt):\n    return jwt.decode("utf-8")',
        'def read(path):\n    jwt = path.read_bytes()\n    return jwt.decode("utf-8")',
        'for decode in codecs:\n    decode("x")',
        'class jwt:\n    pass\njwt.decode("x")',
    ],
)
def test_a_name_that_means_something_else_is_left_alone(code: str) -> None:
    assert [ids(rule, code) for rule in ("JWT001", "JWT002")] == [[], []]


def test_a_name_from_another_library_is_left_alone() -> None:
    head = "from authlib.jose import jwt\nfrom app import jwt as mine\n"

    assert ids("JWT001", "jwt.decode(token, key)\nmine.decode(token, key)", head) == []


@pytest.mark.parametrize(
    "code",
    [
        """
        peeked = jwt.decode(token, options={"verify_signature": False})
        """,
        """
        def current_user(request):
            return jwt.decode(request.cookies["access_token"], options={"verify_signature": False})
        """,
        """
        def verified(token):
            return jwt.decode(token, options={"verify_signature": False})
        """,
    ],
)
def test_jwt001_reports_a_token_that_a_stranger_may_have_written(code: str) -> None:
    assert ids("JWT001", code) == ["JWT001"]


@pytest.mark.parametrize(
    "code",
    [
        """
        unverified = jwt.decode(token, options={"verify_signature": False})
        """,
        """
        def unverified_claims(token):
            return dict(jwt.decode(token, options={"verify_signature": False}))
        """,
        """
        def claims(request):
            return jwt.decode(request.state.user.token, options={"verify_signature": False})
        """,
        """
        def who(answer):
            return jwt.decode(answer.json()["id_token"], options={"verify_signature": False})["email"]
        """,
    ],
)
def test_jwt001_leaves_what_is_unverified_on_purpose(code: str) -> None:
    assert ids("JWT001", code) == []


@pytest.mark.parametrize(
    "line",
    [
        'jwt.decode(token, settings.key, algorithms=["HS256"])',
        'jwt.decode(token, settings.key, ["HS256"], options={})',
        'jwt.decode(token, settings.key, ["HS256"], options={"verify_exp": False})',
        'jwt.decode(token, key, ["HS256"], {"verify_aud": False})',
        'jose_jwt.decode(token, settings.key, ["HS256"])',
    ],
)
def test_jwt002_reports_that_only_the_signature_is_checked(line: str) -> None:
    assert found("JWT002", line) == [line]


def test_jwt002_is_said_once_a_file_with_the_other_lines() -> None:
    code = "\n".join(f'def read{number}(token):\n    return jwt.decode(token, KEY, ["HS256"])' for number in range(3))
    line, reason = message("JWT002", code, "import jwt\n")

    assert line == 3
    assert reason.endswith("(also in lines 5, 7)")


@pytest.mark.parametrize(
    "more",
    [
        'claims["type"]',
        'claims.get("token_type")',
        'claims.pop("scope", None)',
        'claims["mode"]',
        'jwt.get_unverified_header(token)["typ"]',
    ],
)
def test_jwt002_leaves_code_alone_that_tells_tokens_apart(more: str) -> None:
    code = f'def read(token):\n    claims = jwt.decode(token, KEY, ["HS256"])\n    return {more}'

    assert found("JWT002", code) == []
    assert found("JWT002", code.replace(more, 'claims["sub"]')) != []


def test_jwt002_leaves_a_trial_of_the_keys_alone() -> None:
    code = """
    def check(private, public):
        token = jwt.encode({"some": "thing"}, private, algorithm="RS256")
        jwt.decode(token, public, algorithms=["RS256"])
    """

    assert found("JWT002", code) == []


@pytest.mark.parametrize("made", ["await rotate(old)", "sign(old)", "named(old)", "jwt.encode(old, KEY)"])
def test_jwt002_leaves_a_token_alone_that_was_just_made(made: str) -> None:
    code = f"""
    def sign(claims):
        return jwt.encode(claims, KEY)

    def named(claims):
        token = sign(claims)
        return token

    async def rotate(old):
        return named(old)

    async def refresh(old):
        new = {made}
        return jwt.decode(new, KEY, ["HS256"])["exp"]
    """

    assert found("JWT002", code) == []
    assert found("JWT002", code.replace(made, "await asked(old)")) != []


def test_what_jwt001_says_is_not_said_again_by_jwt002() -> None:
    assert found("JWT002", "jose_jwt.decode(token, settings.key)") == []


@pytest.mark.parametrize(
    "line",
    [
        GOOD,
        GOOD.replace('options={"require": ["exp", "sub"]}', "options=OPTIONS"),
        'jwt.decode(token, settings.key, ["HS256"], **CHECKS)',
        'jwt.decode(token, settings.key, ["HS256"], options=OPTIONS)',
        'jwt.decode(token, options={"verify_signature": False})',
        'jwt.decode(token, settings.key, ["HS256"], audience="a")',
        'jwt.decode(token, settings.key, ["HS256"], issuer="i", options={"verify_exp": True})',
        'jwt.decode(token, settings.key, ["HS256"], options={"require": ["exp", "sub"]})',
        'PyJWT(options={"require": ["exp"]}).decode(token, settings.key, ["HS256"], issuer="i", audience="a")',
        'jose_jwt.decode(token, key, "HS256", {"require_exp": True}, audience="a", issuer="i")',
    ],
)
def test_jwt002_leaves_alone(line: str) -> None:
    assert found("JWT002", line) == []


def test_what_jwt002_says_is_true_of_pyjwt() -> None:
    key = "k" * 32
    token = jwt.encode({"iss": "somebody else"}, key)

    assert jwt.decode(token, key, algorithms=["HS256"]) == {"iss": "somebody else"}
    checks = {"issuer": "i", "audience": "a", "options": {"require": ["exp", "iat", "sub", "iss", "aud"]}}
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(token, key, algorithms=["HS256"], **checks)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ('jwt.encode(claims, "secret")', 'jwt.encode(claims, "secret")'),
        ('sign(claims, b"secret", "HS256")', 'sign(claims, b"secret", "HS256")'),
        ('jwt.encode(payload=claims, key="secret")', 'jwt.encode(payload=claims, key="secret")'),
        ('KEY = "secret"\njose_jwt.encode(claims, KEY, "HS256")', 'KEY = "secret"'),
        (
            'KEY = "secret"\njwt.encode(claims, KEY)\ndef read(token):\n    return jwt.decode(token, KEY, ["HS256"])',
            'KEY = "secret"',
        ),
        ('KEY = os.getenv("KEY", "secret")\njwt.encode(claims, KEY)', 'KEY = os.getenv("KEY", "secret")'),
        (
            'KEY = os.environ.get("KEY", default="secret")\njwt.encode(claims, KEY)',
            'KEY = os.environ.get("KEY", default="secret")',
        ),
        ('jwt.encode(claims, "-----BEGIN PRIVATE KEY-----")', 'jwt.encode(claims, "-----BEGIN PRIVATE KEY-----")'),
    ],
)
def test_jwt003_reports_keys_in_the_source(code: str, line: str) -> None:
    assert found("JWT003", code) == [line]


@pytest.mark.parametrize(
    "code",
    [
        "jwt.encode(claims, settings.key)",
        'KEY = os.getenv("KEY")\njwt.encode(claims, KEY)',
        'KEY = os.getenv("KEY", "")\njwt.encode(claims, KEY)',
        'KEY = os.environ["KEY"]\njwt.encode(claims, KEY)',
        'jwt.decode(token, "", options={"verify_signature": False})',
        'jwt.decode(token, "-----BEGIN PUBLIC KEY-----", ["RS256"])',
        'KEY = "secret"\nKEY = settings.key\njwt.encode(claims, KEY)',
        'KEY = "secret"\ndef make(KEY):\n    return jwt.encode({}, KEY)',
        'KEY = "secret"\nother.encode({}, KEY)',
        '"text".encode("utf-8", "strict")',
    ],
)
def test_jwt003_leaves_alone(code: str) -> None:
    assert found("JWT003", code) == []


REAL = f"k1:{base64.b64encode(bytes(range(32))).decode()}"


@pytest.mark.parametrize(
    "line",
    [
        f"APP_JWT_KEYS={REAL}",
        f"export JWT_KEYS='{REAL}'",
        f'jwt_keys = "{REAL}"',
        f"      JWT_KEYS: {REAL.replace('/', '_').replace('+', '-')}",
        f"      - JWT_KEYS={REAL}",
        f"JWT_KEYS=old:replace-me,{REAL}",
    ],
)
@pytest.mark.parametrize("name", [".env", ".env.example", "settings.toml", "compose.yml", "docker-compose.prod.yml"])
def test_jwt003_reports_keys_in_tracked_files(line: str, name: str) -> None:
    (finding,) = ruling.found({name: f"# settings\n{line}\n"}, ["JWT003"])

    assert str(finding.place) == f"{name}:2"
    assert REAL.partition(":")[2] not in finding.message


@pytest.mark.parametrize(
    "line",
    ["JWT_KEYS=", "JWT_KEYS=main:replace-me", "JWT_KEYS=${JWT_KEYS}", "JWT_KEYS=k1:c2hvcnQ=", f"# JWT_KEYS={REAL}"],
)
def test_jwt003_leaves_placeholders_alone(line: str) -> None:
    assert ruling.found({".env": line}, ["JWT003"]) == []


def test_jwt004_reports_superseded_libraries() -> None:
    lines = [f'    "{name}>=1",' for name in ("python-jose", "pyjwt", "passlib")]
    text = "\n".join(['[project]\nname = "app"\ndependencies = [', *lines, "]", ""])
    results = ruling.found({"pyproject.toml": text}, ["JWT004"])

    assert [(str(item.place), item.message.partition(":")[0]) for item in results] == [
        ("pyproject.toml:4", "python-jose"),
        ("pyproject.toml:6", "passlib"),
    ]


@pytest.mark.parametrize(
    "made",
    ["datetime.datetime.utcnow() + delta", "dt.datetime.utcnow()", "DateTime.utcnow()", "DateTime.utcfromtimestamp(0)"],
)
@pytest.mark.parametrize(
    "used", ['claims["exp"] = expires', "claims = Claims(exp=expires)", "token = sign(claims, settings.key)"]
)
def test_jwt005_reports_naive_times(made: str, used: str) -> None:
    assert found("JWT005", f"def make(claims):\n    expires = {made}\n    {used}") == [f"expires = {made}"]


def test_jwt005_is_said_once_a_file_where_it_is_wrong_already() -> None:
    code = """
    def make(delta):
        return sign({"exp": DateTime.utcnow() + delta}, settings.key)

    def make_number(delta):
        now = DateTime.utcnow()
        expires = (now + delta).timestamp()
        return sign({"exp": expires}, settings.key)
    """
    line, reason = message("JWT005", code)

    assert (HEAD + dedent(code)).splitlines()[line - 1].strip() == "now = DateTime.utcnow()"
    assert "hours off (also in line" in reason


def test_jwt005_leaves_times_alone_that_are_not_in_a_token() -> None:
    code = """
    def refresh(self):
        self.fetched = DateTime.utcnow()

    def make(claims):
        return sign(claims, settings.key)
    """

    assert found("JWT005", code) == []


def test_jwt005_leaves_times_alone_where_a_token_is_only_read() -> None:
    code = """
    async def watch(socket, started):
        claims = jwt.decode(token, settings.key, ["HS256"])
        await socket.send(claims["sub"], (DateTime.utcnow() - started).total_seconds())
    """

    assert found("JWT005", code) == []
    assert found("JWT005", code.replace("- started", '- claims["exp"]')) != []


def test_jwt005_looks_at_code_about_tokens_only() -> None:
    assert found("JWT005", "datetime.utcnow()", "from datetime import datetime\n") == []
    assert found("JWT005", "DateTime.now(tz=dt.timezone.utc)\nclock.utcnow()") == []


def test_jwt006_reports_the_placeholder_until_it_is_replaced(tmp_path: Path) -> None:
    text = (write_app(tmp_path / "plain", filled_in=False) / "project/core/auth/authenticator.py").read_text()
    founded = (write_foundation(tmp_path / "foundation") / "src/shop/core/auth/authenticator.py").read_text()

    (line,) = found("JWT006", text, "")
    assert line.startswith("raise unavailable(")
    assert found("JWT006", text.replace(line, "return Mine()"), "") == []
    assert found("JWT006", text.replace(line, f"if locked:\n        {line}\n    return Mine()"), "") == []
    assert found("JWT006", founded, "") == []


@pytest.mark.parametrize(
    ("line", "reported"),
    [
        ('jwt.decode(token, key, algorithms=["HS256", "RS256"])', True),
        ('jwt.decode(token, key, ("ES256", "HS512"))', True),
        ('jose_jwt.decode(token, key, algorithms=["HS256", "RS256"])', True),
        ('jwt.decode(token, key, algorithms=["HS256", "HS512"])', False),
        ('jwt.decode(token, key, algorithms=["RS256", "ES256"])', False),
        ('jwt.decode(token, key, algorithms=[settings.algorithm, "RS256"])', False),
        ('other(algorithms=["HS256", "RS256"])', False),
    ],
)
def test_jwt007_reports_mixed_algorithms(line: str, *, reported: bool) -> None:
    assert found("JWT007", line) == ([line] if reported else [])


def test_jwt007_follows_a_constant() -> None:
    code = 'ALGORITHMS = ["HS256", "RS256"]\njwt.decode(token, key, algorithms=ALGORITHMS)'

    assert ids("JWT007", code) == ["JWT007"]


@pytest.mark.parametrize("write", [write_app, write_foundation])
def test_the_feature_itself_is_clean(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    files = {path: data.decode() for path, data in memory.read(write(tmp_path)).items() if path.endswith(".py")}
    assert any(path.endswith("tokens.py") for path in files)
    assert ruling.found(files, [f"JWT00{number}" for number in (1, 2, 3, 5, 7)]) == []


APP = {"app/main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n", "pyproject.toml": "[project]\nname = 'app'\n"}
LEDGER = ".laterctl/feature-jwt.json"
INSTALLED = {**APP, LEDGER: '{"options": {}}'}
START = {"Dockerfile": "CMD gunicorn -w 4 app.main:app\n"}


def jwt008(files: dict[str, str]) -> list[str]:
    return [f"{item.place} {item.message}" for item in ruling.found(files, ["JWT008"])]


def test_jwt008_reports_processes_that_share_no_sessions() -> None:
    compose = "services:\n  api:\n    build: .\n    deploy:\n      replicas: 3\n"
    reason = "each process has sessions of its own, and refuses the refresh tokens of the others"

    assert jwt008({**INSTALLED, **START, "compose.yml": compose}) == [
        f"Dockerfile:1 with -w 4 {reason}",
        f"compose.yml:5 with replicas: 3 {reason}",
    ]
    assert len(jwt008({**START, **INSTALLED, LEDGER: '{"options": {"refresh": "memory"}}'})) == 1


@pytest.mark.parametrize(
    "files",
    [
        {LEDGER: '{"options": {"refresh": "redis"}}'},
        {LEDGER: '{"options": {"refresh": "off"}}'},
        {LEDGER: "{"},
        {LEDGER: "[]"},
        {"Dockerfile": "CMD gunicorn -w 1 app.main:app\n"},
        {"Dockerfile": "CMD gunicorn app.main:app\n"},
        {"app/main.py": "print()\n"},
    ],
)
def test_jwt008_leaves_alone(files: dict[str, str]) -> None:
    assert jwt008({**INSTALLED, **START, **files}) == []
    assert jwt008({**APP, **START}) == []


@pytest.mark.parametrize("name", ["foundation", "foundation_pydantic", "dynaconf", "environ", "subfolder"])
def test_what_the_features_write_sets_nothing(name: str) -> None:
    shape = next(item for item in SHAPES if item.name == name)
    prefix = f"{shape.root}/" if shape.root else ""
    base = {path.removeprefix(prefix): data for path, data in files_of(shape).items() if path.startswith(prefix)}
    after = memory.add({**base, "Dockerfile": b"CMD uvicorn app:app --workers 2\n"}, "jwt", "metrics")

    files = {path: data.decode() for path, data in after.items()}
    assert [item.rule for item in ruling.found(files, ["JWT008", "MET004"])] == ["JWT008", "MET004"]


@pytest.mark.parametrize(
    ("reads", "reported"),
    [('claims["refresh"]', []), ('claims.get("type")', []), ('claims["name"]', ["app/tokens.py:3"])],
)
def test_jwt002_looks_where_the_claims_go(reads: str, reported: list[str]) -> None:
    files = {
        "app/tokens.py": 'import jwt\ndef read(token, key):\n    return jwt.decode(token, key, algorithms=["HS256"])\n',
        "app/users.py": f"from app.tokens import read\ndef user(token):\n    claims = read(token, 1)\n    return {reads}\n",
    }
    assert ruling.places(files, "JWT002") == reported
