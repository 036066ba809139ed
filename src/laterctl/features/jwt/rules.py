"""Doctor rules of `jwt`: tokens that are believed without a check, keys that everybody can read.

Each rule takes the path and the tree of one file and yields (rule id, line, reason, fix); JWT004 takes the declared
dependencies, `check_jwt003_text` any other file, JWT008 the whole project. Sources: RFC 8725 (best practices), PyJWT's
and python-jose's `decode`.
"""

from __future__ import annotations

import ast
import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.doctor.code import Code, Found, also_in
from laterctl.project.facts import Requirement
from laterctl.project.names import resolve
from laterctl.project.places import Place
from laterctl.project.statements import Function, Spot, assigned_value, bound_targets
from laterctl.project.variables import has_dotenv, is_set
from laterctl.project.workers import several_workers
from laterctl.targets.owned_file import ORIGIN_COMMENT

if TYPE_CHECKING:
    from laterctl.project.discover import Project

NEEDLES = (b"jwt", b"jose", b"authlib", b"authenticator")
"""One of these is in every file that a rule of this module may report."""

PROJECT_RULES = {
    "JWT008": "The application is started as several workers or replicas, and nothing sets REDIS_URL: refresh tokens "
    "are kept in one process, so that another one refuses them, and does not notice a stolen one.",
}

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
        "it is hardly maintained, and FastAPI's documentation has moved to PyJWT",
        "move to PyJWT: its jwt.encode and jwt.decode take the same arguments for this",
    ),
    "passlib": (
        "its last release is from 2020, and it breaks with bcrypt 5 and newer",
        "move to pwdlib: `pwdlib[argon2,bcrypt]` still verifies the bcrypt hashes that you have",
    ),
}
_PURPOSES = frozenset(
    {"aud", "iss", "typ", "type", "token_type", "tokenType", "token_use", "use", "kind", "purpose", "scope", "scopes"}
)
_TIMES = frozenset({"exp", "iat", "nbf"})
_SETTINGS_FILES = (".env", "settings.", "docker-compose", "compose.")
_SYMMETRIC, _ASYMMETRIC = ("HS",), ("RS", "PS", "ES", "Ed")
_KEYS_LINE = re.compile(
    r"^[\s-]*(?:export\s+)?[\"']?(?:\w+_)?jwt_keys[\"']?\s*[=:]\s*[\"']?(?P<keys>[^\"'\s#]+)", re.IGNORECASE
)


class Decoding(Struct, frozen=True):
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
    verifies one, and when a name says that it is `unverified`; so is reading a token that the application itself put
    in `request.state`, or that came straight from the token endpoint. https://pyjwt.readthedocs.io/en/stable/api.html#jwt.decode
    """
    code = Code(path, tree)
    decodings = list(_decodings(code))
    for found in decodings:
        if _unverified(code, found):
            others = [other for other in decodings if other.spot.scope == found.spot.scope and other is not found]
            verified = found.spot.scope and any(not _unverified(code, other) for other in others)
            if not verified and not _on_purpose(found):
                reason = "the signature is not verified: anybody can write a token that says what they like"
                fix = "drop verify_signature=False and give key and algorithms; or call what it gives `unverified_...`"
                yield "JWT001", found.call.lineno, reason, fix
        elif _without_algorithms(code, found):
            reason = "no algorithms are given: the token says itself how it is to be verified"
            fix = 'name the one it is signed with: algorithms=["HS256"] with a secret, ["RS256"] or alike with a public key'
            yield "JWT001", found.call.lineno, reason, fix
        elif any(name.lower() == "none" for name in _algorithms(code, found)):
            reason = '"none" is among the algorithms: a token without any signature is accepted'
            yield "JWT001", found.call.lineno, reason, 'drop "none" from the algorithms'


def check_jwt002(path: str, tree: ast.Module) -> Iterator[Found]:
    """Nothing but a token's signature and expiry is checked, so that a token made for something else passes.

    With one key for access, refresh and password-reset tokens, each of them is good for all of it: RFC 8725,
    sections 3.8, 3.9 and 3.12. Said once a file, and not where the code reads a claim that tells tokens apart.
    """
    code = Code(path, tree)
    if any(_reads_purpose(node) for node in ast.walk(tree)):
        return
    making = {spot.scope for call, spot, imports in code.calls() if resolve(call.func, imports) in _ENCODERS}
    lines = [
        found.call.lineno
        for found in _decodings(code)
        if _only_signature(code, found) and not (found.spot.scope and found.spot.scope in making)
    ]
    if lines:
        reason = "nothing but signature and expiry is checked: a token made with this key for something else passes"
        fix = 'sign with "iss" and "aud" and pass issuer= and audience= here, or check a claim such as "token_type"'
        yield "JWT002", lines[0], reason + also_in(lines[1:]), fix


def check_jwt003(path: str, tree: ast.Module) -> Iterator[Found]:
    """The key that signs tokens stands in the source, or is what is used when a setting is missing."""
    code = Code(path, tree)
    seen: set[int] = set()
    for call, spot, imports in code.calls():
        key = _key(call, spot, imports, code)
        value = code.value(key) if key is not None else None
        if value is None or value.lineno in seen:
            continue
        if _secret_text(value):
            seen.add(value.lineno)
            reason = "the key is a literal: whoever reads the source can sign tokens"
            yield "JWT003", value.lineno, reason, "read it from the environment; `laterctl secret jwt` prints a new one"
        elif isinstance(value, ast.Call) and resolve(value.func, imports) in _READERS:
            fallbacks = [*value.args[1:2], *(item.value for item in value.keywords if item.arg == "default")]
            if any(_secret_text(code.value(fallback)) for fallback in fallbacks):
                seen.add(value.lineno)
                reason = "when the variable is not set, tokens are signed with a key that everybody can read here"
                yield "JWT003", value.lineno, reason, "drop the default, and let it fail when the key is missing"


def check_project(project: Project) -> Iterator[tuple[str, Place, str, str]]:
    """Look at the declared dependencies, at how it is started, and for keys in files that git does not ignore."""
    from laterctl import git

    if project.manifest is not None:
        yield from check_jwt004(project.manifest.requirements)
    yield from _kept_apart(project)
    names = [name for name in project.tree.names() if name.startswith(_SETTINGS_FILES)]
    ignored = git.ignored(project.root, names)
    for name in names:
        data = project.tree.read(name) if name not in ignored else None
        for rule, line, reason, fix in check_jwt003_text((data or b"").decode("utf-8", errors="replace")):
            yield rule, Place(name, line), reason, fix


def _kept_apart(project: Project) -> Iterator[tuple[str, Place, str, str]]:
    """Yield JWT008 for every place that starts several processes that share no store of refresh tokens."""
    if project.app is None or not project.tree.exists(".laterctl/jwt.json"):
        return
    started = several_workers(project.tree, project.app.path)
    if started and not has_dotenv(project.tree) and not is_set(project.tree, "REDIS_URL", ORIGIN_COMMENT):
        variable = f"{project.settings.prefix if project.settings else ''}redis_url".upper()
        for item in started:
            reason = f"with {item.what} and no {variable} each process refuses the refresh tokens of the others"
            yield "JWT008", item.place, reason, f"set {variable} for all of them, or start one process"


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
    """The times in a token are made with `utcnow()`: deprecated since Python 3.12, and without a time zone.

    Its `timestamp()` takes it for local time, so that on a server whose clock is not set to UTC tokens expire hours
    early or late. Said once a file, where it is wrong already if it is.
    https://docs.python.org/3/library/datetime.html#datetime.datetime.utcnow
    """
    code = Code(path, tree)
    if not any(module.split(".")[0] in _LIBRARIES for module in _imported(tree)):
        return
    lines: list[int] = []
    wrong: list[int] = []
    for call, spot, imports in code.calls():
        around: ast.AST = spot.scope[-1] if spot.scope else tree
        if resolve(call.func, imports) in _NAIVE and _makes_claims(around, imports):
            lines.append(call.lineno)
            if _becomes_timestamp(around, call):
                wrong.append(call.lineno)
    if not lines:
        return
    line = (wrong or lines)[0]
    reason = "the timestamp() of utcnow() is that of local time: where that is not UTC, the token's times are hours off"
    if not wrong:
        reason = "utcnow() is deprecated since Python 3.12, and its timestamp() would be that of local time"
    more = also_in(other for other in lines if other != line)
    yield "JWT005", line, reason + more, "use datetime.now(tz=timezone.utc)"


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


def _on_purpose(found: Decoding) -> bool:
    """Whether the code says that it knows the claims to be unverified, or whom it has the token from."""
    assigned = assigned_value(found.spot.node) is not None
    targets = [ast.unparse(target) for target in bound_targets(found.spot.node)] if assigned else []
    names = [*targets, *(scope.name for scope in found.spot.scope)]
    if any("unverified" in name.lower() for name in names):
        return True
    token = found.arguments.get("token")
    if isinstance(token, ast.Subscript) and isinstance(token.slice, ast.Constant):
        return token.slice.value in {"id_token", "access_token"} and not _from_request(token.value)
    return token is not None and ".state." in ast.unparse(token)


def _from_request(node: ast.expr) -> bool:
    return any(part in {"request", "cookies", "headers", "query_params", "websocket"} for part in _words(node))


def _words(node: ast.expr) -> Iterator[str]:
    for item in ast.walk(node):
        if isinstance(item, ast.Name):
            yield item.id
        elif isinstance(item, ast.Attribute):
            yield item.attr


def _only_signature(code: Code, found: Decoding) -> bool:
    options = _options(code, found)
    if options is None or found.own_options or any(name.startswith("require") for name in options):
        return False
    if {"audience", "issuer", "subject"} & set(found.arguments):
        return False
    return not _unverified(code, found) and not _without_algorithms(code, found)


def _reads_purpose(node: ast.AST) -> bool:
    """Whether a claim is read that says what a token is for: `claims["type"]`, `claims.get("type")`, `.pop("type")`."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return isinstance(node.slice, ast.Constant) and node.slice.value in _PURPOSES
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "pop"}:
        return bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value in _PURPOSES
    return False


def _makes_claims(around: ast.AST, imports: Mapping[str, str]) -> bool:
    return any(
        (isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in _TIMES)
        or (isinstance(node, ast.keyword) and node.arg in _TIMES)
        or (isinstance(node, ast.Call) and resolve(node.func, imports) in {*_ENCODERS, *_DECODERS})
        for node in ast.walk(around)
    )


def _becomes_timestamp(around: ast.AST, made: ast.Call) -> bool:
    """Whether `timestamp()` is asked of what `made` gives, or of what a name holds that was computed from it."""
    assigned = [node for node in ast.walk(around) if isinstance(node, ast.Assign)]
    names: set[str] = set()

    def holds(node: ast.AST) -> bool:
        return any(item is made or (isinstance(item, ast.Name) and item.id in names) for item in ast.walk(node))

    for node in sorted(assigned, key=lambda node: node.lineno):
        if holds(node.value):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "timestamp"
        and holds(node.func.value)
        for node in ast.walk(around)
    )


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
