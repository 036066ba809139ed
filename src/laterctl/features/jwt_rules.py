"""Doctor rules of `jwt`: tokens that are believed without a check, keys that everybody can read.

Each rule takes the path and the tree of one file and yields (rule id, line, reason, fix); JWT004 takes the declared
dependencies, `check_jwt003_text` any other file. Sources: RFC 8725 (best practices), PyJWT's and python-jose's `decode`.
"""

from __future__ import annotations

import ast
import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from laterctl.features.rule_code import Code, Found
from laterctl.project.bodies import Function, Spot
from laterctl.project.facts import Requirement
from laterctl.project.names import resolve
from laterctl.project.places import Place

if TYPE_CHECKING:
    from laterctl.project.discover import Project

NEEDLES = (b"jwt", b"jose", b"authlib", b"authenticator")
"""One of these is in every file that a rule of this module may report."""

MINIMUM_KEY_BYTES = 32
PLACEHOLDER_CLASS = "PlaceholderAuthenticator"
GETTER = "get_user_authenticator"

_DECODERS = {
    "jwt.decode": "pyjwt",
    "jwt.decode_complete": "pyjwt",
    "jwt.api_jwt.decode": "pyjwt",
    "jwt.api_jwt.decode_complete": "pyjwt",
    "jose.jwt.decode": "jose",
}
_ENCODERS = {"jwt.encode", "jwt.api_jwt.encode", "jose.jwt.encode"}
_CLASSES = {"jwt.PyJWT", "jwt.api_jwt.PyJWT"}
_LIBRARIES = ("jwt", "jose", "authlib", "joserfc")
_NAIVE = {"datetime.datetime.utcnow", "datetime.datetime.utcfromtimestamp"}
_READERS = {"os.getenv", "os.environ.get", "decouple.config"}
_SUPERSEDED = {
    "python-jose": (
        "it is hardly maintained, and FastAPI's documentation has left it",
        "use PyJWT: `laterctl add jwt`",
    ),
    "passlib": ("its last release is from 2020 and it breaks with newer bcrypt", "use pwdlib: `pwdlib[argon2]`"),
}
_SETTINGS_FILES = (".env", "settings.", "docker-compose", "compose.")
_SYMMETRIC, _ASYMMETRIC = ("HS",), ("RS", "PS", "ES", "Ed")
_KEYS_LINE = re.compile(
    r"^[\s-]*(?:export\s+)?[\"']?(?:\w+_)?jwt_keys[\"']?\s*[=:]\s*[\"']?(?P<keys>[^\"'\s#]+)", re.IGNORECASE
)


@dataclass(frozen=True)
class Decoding:
    """A call that decodes a token: its arguments by name, and where it stands. `library` is `pyjwt` or `jose`."""

    call: ast.Call
    library: str
    arguments: Mapping[str, ast.expr]
    spot: Spot
    imports: Mapping[str, str]
    own_options: bool = False


def check_jwt001(path: str, tree: ast.Module) -> Iterator[Found]:
    """A token is decoded without saying which algorithms may have signed it, or with no check of the signature.

    Reading a token before it is verified (to find out which key to take) is fine when the same function also
    verifies one. https://pyjwt.readthedocs.io/en/stable/api.html#jwt.decode
    """
    code = Code(path, tree)
    decodings = list(_decodings(code))
    for found in decodings:
        if _unverified(code, found):
            others = [other for other in decodings if other.spot.scope == found.spot.scope and other is not found]
            if not found.spot.scope or not any(not _unverified(code, other) for other in others):
                reason = "the signature is not verified: everybody can write such a token"
                yield "JWT001", found.call.lineno, reason, "drop verify_signature=False and give key and algorithms"
        elif _without_algorithms(code, found):
            reason = "no algorithms are given: the token says itself how it is to be verified"
            yield "JWT001", found.call.lineno, reason, 'name the one you sign with: algorithms=["HS256"]'
        elif any(name.lower() == "none" for name in _algorithms(code, found)):
            reason = '"none" is among the algorithms: a token without any signature is accepted'
            yield "JWT001", found.call.lineno, reason, 'drop "none" from the algorithms'


def check_jwt002(path: str, tree: ast.Module) -> Iterator[Found]:
    """A token's signature is verified, but not that it was issued by us, for us, and for how long.

    A claim that is missing passes unless it is required: RFC 8725, sections 3.8 to 3.10.
    """
    code = Code(path, tree)
    for found in _decodings(code):
        if _unverified(code, found):
            continue
        options = _options(code, found)
        missing = [
            name
            for name, switch in (("audience", "verify_aud"), ("issuer", "verify_iss"))
            if name not in found.arguments and options is not None and not _off(options, switch)
        ]
        required = options is None or found.own_options or any(name.startswith("require") for name in options)
        if missing or not required:
            reason = f"the token is believed without {_listed(missing, required=required)}"
            fix = 'give issuer=, audience= and options={"require": ["exp", "iat", "sub", "iss", "aud"]}'
            yield "JWT002", found.call.lineno, reason, fix


def check_jwt003(path: str, tree: ast.Module) -> Iterator[Found]:
    """The key that signs tokens stands in the source, or is what is used when a setting is missing."""
    code = Code(path, tree)
    for call, spot, imports in code.calls():
        key = _key(call, spot, imports, code)
        if key is None:
            continue
        value = code.value(key)
        if _secret_text(value):
            reason = "the key is a literal: whoever reads the source can sign tokens"
            yield "JWT003", key.lineno, reason, "read it from the environment; `laterctl secret jwt` prints a new one"
        elif isinstance(value, ast.Call) and resolve(value.func, imports) in _READERS:
            fallbacks = [*value.args[1:2], *(item.value for item in value.keywords if item.arg == "default")]
            if any(_secret_text(code.value(fallback)) for fallback in fallbacks):
                reason = "without the setting, the key is a literal that whoever reads the source can sign tokens with"
                yield "JWT003", value.lineno, reason, "drop the default, and let it fail when the key is missing"


def check_project(project: Project) -> Iterator[tuple[str, Place, str, str]]:
    """Look at the declared dependencies, and for keys in files of settings that git does not ignore."""
    from laterctl import git

    if project.manifest is not None:
        yield from check_jwt004(project.manifest.requirements)
    names = [name for name in project.tree.names() if name.startswith(_SETTINGS_FILES)]
    ignored = git.ignored(project.root, names)
    for name in names:
        data = project.tree.read(name) if name not in ignored else None
        for rule, line, reason, fix in check_jwt003_text((data or b"").decode("utf-8", errors="replace")):
            yield rule, Place(name, line), reason, fix


def check_jwt003_text(text: str) -> Iterator[Found]:
    """A file that git tracks (settings, compose, `.env`) holds real keys for `JWT_KEYS`; a placeholder is none."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = _KEYS_LINE.match(line)
        if match and any(_is_real_key(entry) for entry in match["keys"].split(",")):
            reason = "a key that signs tokens is in a file that git tracks"
            fix = "put it where git does not look, and replace it: `laterctl secret jwt` prints a new one"
            yield "JWT003", number, reason, fix


def check_jwt004(requirements: Iterable[Requirement]) -> Iterator[tuple[str, Place, str, str]]:
    """A library that security code should not stand on any more is a dependency."""
    for requirement in requirements:
        if requirement.name in _SUPERSEDED:
            why, instead = _SUPERSEDED[requirement.name]
            yield "JWT004", requirement.place, f"{requirement.name}: {why}", instead


def check_jwt005(path: str, tree: ast.Module) -> Iterator[Found]:
    """Code that works with tokens uses `utcnow()`: deprecated, and naive.

    `timestamp()` of what it gives takes it for local time, so that tokens expire hours early or late.
    https://docs.python.org/3/library/datetime.html#datetime.datetime.utcnow
    """
    code = Code(path, tree)
    if not any(module.split(".")[0] in _LIBRARIES for module in _imported(tree)):
        return
    for call, _, imports in code.calls():
        target = resolve(call.func, imports)
        if target in _NAIVE:
            name = target.rpartition(".")[2]
            reason = f"{name}() is deprecated and has no time zone: its timestamp() is that of local time"
            yield "JWT005", call.lineno, reason, "use datetime.now(tz=timezone.utc), or int(time.time())"


def check_jwt006(path: str, tree: ast.Module) -> Iterator[Found]:
    """Nobody can sign in yet: the authenticator is still the placeholder that `laterctl add jwt` put there."""
    if not any(isinstance(node, ast.ClassDef) and node.name == PLACEHOLDER_CLASS for node in tree.body):
        return
    for node in tree.body:
        if not isinstance(node, Function) or node.name != GETTER:
            continue
        for item in ast.walk(node):
            if isinstance(item, ast.Return) and isinstance(item.value, ast.Call) and _named(item.value.func):
                reason = f"{GETTER}() still gives the placeholder: signing in answers 503"
                yield "JWT006", item.lineno, reason, "write a UserAuthenticator and return it from this function"


def check_jwt007(path: str, tree: ast.Module) -> Iterator[Found]:
    """Tokens signed with a shared secret and tokens signed with a private key are accepted by one call.

    The public key is then good for signing, as if it were the secret: RFC 8725, section 2.1.
    """
    code = Code(path, tree)
    for found in _decodings(code):
        names = _algorithms(code, found)
        symmetric = [name for name in names if name.startswith(_SYMMETRIC)]
        asymmetric = [name for name in names if name.startswith(_ASYMMETRIC)]
        if symmetric and asymmetric:
            reason = f"{symmetric[0]} and {asymmetric[0]} in one call: the public key can be used as the secret"
            yield "JWT007", found.call.lineno, reason, "allow the one algorithm that the key is for"


def _decodings(code: Code) -> Iterator[Decoding]:
    for call, spot, imports in code.calls():
        target = resolve(call.func, imports)
        own_options = False
        if target not in _DECODERS and isinstance(call.func, ast.Attribute) and call.func.attr.startswith("decode"):
            maker = code.value(call.func.value)
            if isinstance(maker, ast.Call) and resolve(maker.func, imports) in _CLASSES:
                target, own_options = f"jwt.{call.func.attr}", bool(maker.args or maker.keywords)
        library = _DECODERS.get(target)
        whole = all(keyword.arg for keyword in call.keywords) and not any(isinstance(a, ast.Starred) for a in call.args)
        if library is not None and whole:
            arguments = dict(zip(("token", "key", "algorithms", "options"), call.args, strict=False))
            if len(call.args) > len(arguments):
                continue  # by position beyond what both libraries and all their versions agree on
            arguments.update({keyword.arg: keyword.value for keyword in call.keywords if keyword.arg})
            yield Decoding(call, library, arguments, spot, imports, own_options)


def _options(code: Code, found: Decoding) -> dict[str, ast.expr] | None:
    """Return the options of a call by name, `None` when they cannot be read from the source."""
    node = found.arguments.get("options")
    if node is None:
        return {}
    value = code.value(node)
    if isinstance(value, ast.Constant) and value.value is None:
        return {}
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict" and not value.args:
        return {item.arg: item.value for item in value.keywords if item.arg}
    if not isinstance(value, ast.Dict):
        return None
    names = [key.value if isinstance(key, ast.Constant) else None for key in value.keys]
    if not all(isinstance(name, str) for name in names):
        return None
    return {str(name): item for name, item in zip(names, value.values, strict=True)}


def _off(options: Mapping[str, ast.expr], name: str) -> bool:
    node = options.get(name)
    return isinstance(node, ast.Constant) and node.value is False


def _unverified(code: Code, found: Decoding) -> bool:
    return _off(_options(code, found) or {}, "verify_signature")


def _without_algorithms(code: Code, found: Decoding) -> bool:
    given = found.arguments.get("algorithms")
    if given is not None:
        value = code.value(given)
        return isinstance(value, ast.Constant) and value.value is None
    # PyJWT takes the algorithm from a PyJWK, so only what is surely another kind of key counts there.
    return found.library == "jose" or _is_plain_key(code, found)


def _is_plain_key(code: Code, found: Decoding) -> bool:
    key = code.value(found.arguments["key"]) if "key" in found.arguments else None
    if isinstance(key, ast.Call):
        return resolve(key.func, found.imports) in _READERS
    return key is None or isinstance(key, ast.Constant | ast.JoinedStr | ast.Attribute)


def _algorithms(code: Code, found: Decoding) -> list[str]:
    node = found.arguments.get("algorithms")
    value = code.value(node) if node is not None else None
    items = value.elts if isinstance(value, ast.List | ast.Tuple | ast.Set) else [value] if value is not None else []
    values = [code.value(item) for item in items]
    return [item.value for item in values if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def _key(call: ast.Call, spot: Spot, imports: Mapping[str, str], code: Code) -> ast.expr | None:
    if resolve(call.func, imports) not in {*_DECODERS, *_ENCODERS}:
        return None
    if any(isinstance(item, ast.Starred) for item in call.args):
        return None
    named = [keyword.value for keyword in call.keywords if keyword.arg == "key"]
    key = call.args[1] if len(call.args) > 1 else named[0] if named else None
    # In a function, a parameter or a local of the same name hides the constant of the module.
    if isinstance(key, ast.Name) and code.value(key) is key:
        return None
    return key


def _secret_text(node: ast.expr) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str | bytes) or not node.value:
        return False
    text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
    return "PUBLIC KEY" not in text and "CERTIFICATE" not in text


def _is_real_key(entry: str) -> bool:
    encoded = entry.partition(":")[2].rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(key) >= MINIMUM_KEY_BYTES


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def _named(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == PLACEHOLDER_CLASS


def _listed(missing: list[str], *, required: bool) -> str:
    parts = [f"a check of its {' and '.join(missing)}"] if missing else []
    if not required:
        parts.append("any claim being required")
    return " and without ".join(parts)
