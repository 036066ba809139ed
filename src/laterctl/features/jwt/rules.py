"""Doctor rules of `jwt`: tokens that are believed without a check, keys that everybody can read.

Sources: RFC 8725 (best practices), PyJWT's and python-jose's `decode`.
"""

from __future__ import annotations

import ast
import base64
import binascii
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from laterctl.dialects.manifest import may_have
from laterctl.doctor.code import Code, Codebase, Visit, also_in, constant, method_of, once
from laterctl.doctor.processes import kept_apart
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.doctor.settings import READERS, Given, given
from laterctl.patterns import pattern
from laterctl.project.installed import file_of
from laterctl.project.names import Own, dotted_path, resolve
from laterctl.project.places import Place
from laterctl.project.statements import Function, assigned_value, bound_targets, nodes

MINIMUM_KEY_BYTES = 32
SUBJECT_IS_TEXT = "2.10"
"""The first version of PyJWT that refuses a `sub` that is no text."""
GETTER = "get_user_authenticator"
UNAVAILABLE = "unavailable"

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
_HEADER_READERS = {"jwt.get_unverified_header", "jose.jwt.get_unverified_header", "jwt.api_jwt.get_unverified_header"}
_KEYED = {
    "fastapi_users.authentication.JWTStrategy": 0,
    "fastapi_users.authentication.strategy.JWTStrategy": 0,
    "fastapi_users.authentication.strategy.jwt.JWTStrategy": 0,
    "fastapi_users.jwt.generate_jwt": 1,
    "fastapi_users.jwt.decode_jwt": 1,
    "fastapi_login.LoginManager": 0,
    "fastapi_jwt.JwtAccessBearer": 0,
    "fastapi_jwt.JwtAccessBearerCookie": 0,
    "fastapi_jwt.JwtRefreshBearer": 0,
    "itsdangerous.URLSafeSerializer": 0,
    "itsdangerous.URLSafeTimedSerializer": 0,
    "itsdangerous.TimestampSigner": 0,
    "authlib.jose.jwt.encode": 2,
    "authlib.jose.jwt.decode": 1,
    "joserfc.jwt.encode": 2,
    "joserfc.jwt.decode": 1,
}
"""What signs or verifies tokens with a key, beside PyJWT and python-jose, and the place of the key."""

_KEYED_NEEDLES = (b"JWTStrategy", b"LoginManager", b"JwtAccess", b"JwtRefresh", b"itsdangerous")
_KEYED_WORDS = (b"strategy", b"generate_jwt", b"loginmanager", b"bearer", b"serializer", b"timestampsigner")
_KEY_NAMES = ("key", "secret", "secret_key")
_GRANTED = frozenset({"id_token", "access_token", "refresh_token"})
_CHECKS = pattern(r"verif|validat|introspect|authenticat", re.IGNORECASE)
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
    {
        "aud",
        "iss",
        "typ",
        "type",
        "token_type",
        "tokenType",
        "token_use",
        "use",
        "kind",
        "mode",
        "purpose",
        "scope",
        "scopes",
        "refresh",
        "is_refresh",
    }
)
_TIMES = frozenset({"exp", "iat", "nbf"})
_SETTINGS_FILES = (".env", "settings.", "docker-compose", "compose.")
_SYMMETRIC, _ASYMMETRIC = ("HS",), ("RS", "PS", "ES", "Ed")
_KEYS_LINE = pattern(
    r"^[\s-]*(?:export\s+)?[\"']?(?:\w+_)?jwt_keys[\"']?\s*[=:]\s*[\"']?(?P<keys>[^\"'\s#]+)", re.IGNORECASE
)


class Decoding(Struct, frozen=True):
    """A call that decodes a token, with its arguments by name. `library` is `pyjwt` or `jose`.

    `options` are those of the call by name, `None` when they cannot be read from the source; `own_options` says that
    the object whose method is called has some too.
    """

    call: Visit[ast.Call]
    library: str
    arguments: Mapping[str, ast.expr]
    options: Mapping[str, ast.expr] | None
    own_options: bool = False

    @property
    def scope(self) -> tuple[ast.stmt, ...]:
        """The functions and classes around it."""
        return self.call.spot.scope

    @property
    def unverified(self) -> bool:
        """Whether the signature is not checked."""
        return constant((self.options or {}).get("verify_signature")) is False

    @property
    def without_key(self) -> bool:
        """Whether there is nothing to verify a signature with."""
        key = self.arguments.get("key")
        return key is None or (isinstance(key, ast.Constant) and not key.value)

    @property
    def without_algorithms(self) -> bool:
        """Whether the token says itself how it was signed."""
        if (given := self.arguments.get("algorithms")) is not None:
            value = self.call.code.value(given)
            return isinstance(value, ast.Constant) and value.value is None
        # PyJWT takes the algorithm from a PyJWK, so only what is surely another kind of key counts there.
        return self.library == "jose" or self._has_plain_key

    @property
    def algorithms(self) -> list[str]:
        """The algorithms that are spelled out, in the call or as constants."""
        code, node = self.call.code, self.arguments.get("algorithms")
        value = code.value(node) if node is not None else None
        items = (
            value.elts if isinstance(value, ast.List | ast.Tuple | ast.Set) else [value] if value is not None else []
        )
        return [text for item in items if isinstance(text := constant(code.value(item)), str)]

    @property
    def _has_plain_key(self) -> bool:
        key = self.call.code.value(self.arguments["key"]) if "key" in self.arguments else None
        if isinstance(key, ast.Call):
            return self.call.resolve(key.func) in READERS
        return key is None or isinstance(key, ast.Constant | ast.JoinedStr | ast.Attribute)


@once
def decodings(code: Code) -> list[Decoding]:
    """Return the calls of a file that decode tokens, as far as their arguments are spelled out."""
    calls = code.calls if code.mentions(b"decode") else []
    return [found for call in calls if (found := _decoding(call)) is not None]


def _decoding(call: Visit[ast.Call]) -> Decoding | None:
    target, node, own_options = call.target, call.node, False
    if target not in _DECODERS and call.method.startswith("decode") and isinstance(node.func, ast.Attribute):
        maker = call.code.value(node.func.value)
        if isinstance(maker, ast.Call) and call.resolve(maker.func) in _CLASSES:
            target, own_options = f"jwt.{call.method}", bool(maker.args or maker.keywords)
    names = (
        "token",
        "key",
        "algorithms",
        "options",
    )  # by position, both libraries and all their versions agree on these
    spread = not all(item.arg for item in node.keywords) or any(isinstance(item, ast.Starred) for item in node.args)
    if target not in _DECODERS or spread or len(node.args) > len(names):
        return None
    arguments = dict(zip(names, node.args, strict=False)) | {str(item.arg): item.value for item in node.keywords}
    return Decoding(call, _DECODERS[target], arguments, _options(call.code, arguments.get("options")), own_options)


def _options(code: Code, node: ast.expr | None) -> dict[str, ast.expr] | None:
    value = code.value(node) if node is not None else None
    if value is None or (isinstance(value, ast.Constant) and value.value is None):
        return {}
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict" and not value.args:
        return {item.arg: item.value for item in value.keywords if item.arg}
    if not isinstance(value, ast.Dict):
        return None
    keys = [key for node in value.keys if isinstance(key := constant(node), str)]
    return dict(zip(keys, value.values, strict=True)) if len(keys) == len(value.keys) else None


def not_verified(code: Code) -> Iterator[Found]:
    """Look for what checks no signature, or lets the token choose how.

    Reading a token before it is verified (to find out which key to take) is fine when the same function also
    verifies one.
    """
    for found in decodings(code):
        if found.unverified:
            others = [other for other in decodings(code) if other.scope == found.scope and other is not found]
            verified = found.scope and any(not other.unverified for other in others)
            if not verified and not _on_purpose(found) and not _is_known(found):
                reason = "the signature is not verified: anybody can write a token that says what they like"
                fix = "drop verify_signature=False and give key and algorithms; or call what it gives `unverified_...`"
                yield Found(found.call.line, reason, fix)
        elif found.without_algorithms:
            yield Found(found.call.line, "no algorithms are given: the token says itself how it is to be verified")
        elif any(name.lower() == "none" for name in found.algorithms):
            reason = '"none" is among the algorithms: a token without any signature is accepted'
            yield Found(found.call.line, reason, 'drop "none" from the algorithms')
        elif _chosen_by_token(found):
            yield Found(
                found.call.line, "the algorithm is taken from the header of the token, which nobody has verified"
            )


def only_the_signature(code: Code) -> Iterator[Found]:
    """Look for tokens of which nothing else is checked: once a file, unless it reads a claim that tells tokens apart."""
    candidates = [found for found in decodings(code) if _checks_nothing_else(found)]
    if not candidates or any(map(_reads_purpose, nodes(code.tree))) or _is_told_apart_elsewhere(code):
        return
    making = {call.spot.scope for call in code.calls if call.target in _ENCODERS}
    lines = [
        found.call.line
        for found in candidates
        if not (found.scope and found.scope in making) and not _makes_what_it_reads(found)
    ]
    if lines:
        reason = "nothing but signature and expiry is checked: a token made with this key for something else passes"
        yield Found(lines[0], reason + also_in(lines[1:]))


def key_in_source(code: Code) -> Iterator[Found]:
    """Look for literal keys, and for literals that stand in when a variable is not set; each once."""
    seen: set[Place] = set()
    for call in code.calls if code.mentions(b"encode", b"decode", *_KEYED_WORDS) else ():
        at = 1 if call.target in {*_DECODERS, *_ENCODERS} else _KEYED.get(call.target)
        key = call.argument(at, *_KEY_NAMES) if at is not None else None
        # In a function, a parameter or a local of the same name hides the constant of the module.
        found = given(call, key) if key is not None else None
        if found is None or (isinstance(key, ast.Name) and found.node is key) or _is_refused(found):
            continue
        place = Place(found.code.path, found.node.lineno)
        if place in seen or not _is_secret(found.default):
            continue
        seen.add(place)
        if found.owner is not None or found.default is not found.node:
            reason = "when the variable is not set, tokens are signed with a key that everybody can read here"
            yield Found(place, reason, "drop the default, and let it fail when the key is missing")
        else:
            yield Found(place, "the key is a literal: whoever reads the source can sign tokens")


def _is_refused(found: Given) -> bool:
    """Whether the class of the settings looks for the default itself, to refuse it."""
    value = constant(found.default)
    same = [node for node in nodes(found.owner) if constant(node) == value] if found.owner is not None else []
    return len(same) > 1


def key_in_a_tracked_file(codebase: Codebase) -> Iterator[Found]:
    """Look for real keys for `JWT_KEYS` in settings, compose files and `.env`, where git does not ignore them."""
    from laterctl import git

    names = [name for name in codebase.project.tree.names() if name.startswith(_SETTINGS_FILES)]
    private = [name for name in names if name.startswith(".env") and "example" not in name]
    hidden = git.ignored(codebase.project.root, private) if private else set()  # these are not even opened
    names = [name for name in names if name not in hidden]
    found: list[Place] = []
    for name, text in codebase.texts(names):
        for number, line in enumerate(text.splitlines(), start=1):
            match = _KEYS_LINE.match(line)
            if match and any(_is_real_key(entry) for entry in match["keys"].split(",")):
                found.append(Place(name, number))
    ignored = git.ignored(codebase.project.root, [place.path for place in found]) if found else set()
    for place in found:
        if place.path not in ignored:
            fix = "put it where git does not look, and replace it: `laterctl secret jwt` prints a new one"
            yield Found(place, "a key that signs tokens is in a file that git tracks", fix)


def superseded_library(codebase: Codebase) -> Iterator[Found]:
    """Look at the declared dependencies."""
    manifest = codebase.project.manifest
    for requirement in manifest.requirements if manifest is not None else ():
        if requirement.name in _SUPERSEDED:
            why, instead = _SUPERSEDED[requirement.name]
            yield Found(requirement.place, f"{requirement.name}: {why}", instead)


def number_as_subject(code: Code) -> Iterator[Found]:
    """Look for claims whose `sub` is surely a number, where PyJWT verifies tokens and insists on a text."""
    found = [
        value
        for visit in code.visits(ast.Dict)
        for key, value in zip(visit.node.keys, visit.node.values, strict=True)
        if constant(key) == "sub" and _is_number(visit, value)
    ]
    if found and _insists_on_text(code.codebase):
        yield Found(
            found[0].lineno,
            f"sub is a number: jwt.decode refuses the token{also_in(item.lineno for item in found[1:])}",
        )


@once
def _insists_on_text(codebase: Codebase) -> bool:
    """Whether tokens are decoded by a PyJWT that may be 2.10 or newer, with the check of `sub` left on."""
    manifest = codebase.project.manifest
    if manifest is not None and not may_have(manifest, "pyjwt", SUBJECT_IS_TEXT):
        return False
    read = [item for code in codebase.containing(b"jwt") for item in decodings(code) if item.library == "pyjwt"]
    return any(not item.unverified and constant((item.options or {}).get("verify_sub")) is not False for item in read)


def _is_number(near: Visit[ast.Dict], node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "int"
    name = node.value if isinstance(node, ast.Attribute) else node
    if not isinstance(name, ast.Name):
        return False
    for function in reversed(near.spot.scope):
        arguments = function.args if isinstance(function, Function) else None
        for item in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs] if arguments else ():
            if item.arg == name.id and item.annotation is not None and not _is_rebound(function, name.id):
                annotation = near.code.codebase.project.names.lookup(item.annotation, near.code.path, near.spot.scope)
                return (
                    _is_number_type(item.annotation)
                    if node is name
                    else _has_number(near.code.codebase, annotation, node)
                )
    return False


def _is_rebound(function: ast.AST, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store) for node in nodes(function)
    )


def _is_number_type(annotation: ast.expr) -> bool:
    inner = annotation.slice if isinstance(annotation, ast.Subscript) else annotation  # Mapped[int]
    return ast.unparse(inner) in {"int", "int | None"}


def _has_number(codebase: Codebase, own: Own | str, node: ast.expr) -> bool:
    """Whether the attribute is a number by the annotation of the class, which is one of the project's own."""
    names = codebase.project.names
    statement = names.statement(own) if isinstance(own, Own) else None
    members = statement.body if isinstance(statement, ast.ClassDef) else []
    return isinstance(node, ast.Attribute) and any(
        isinstance(item, ast.AnnAssign) and dotted_path(item.target) == node.attr and _is_number_type(item.annotation)
        for item in members
    )


def naive_times(code: Code) -> Iterator[Found]:
    """Look for `utcnow()` where claims are made: once a file, where it is wrong already if it is."""
    made = [call for call in code.calls if call.target in _NAIVE]
    if not made or not _imports_a_library(code):
        return
    lines: list[int] = []
    wrong: list[int] = []
    for call in made:
        around: ast.AST = call.spot.scope[-1] if call.spot.scope else code.tree
        if _makes_claims(around, call.imports):
            lines.append(call.line)
            if _becomes_timestamp(around, call.node):
                wrong.append(call.line)
    if lines:
        line = (wrong or lines)[0]
        reason = "utcnow() is deprecated since Python 3.12, and its timestamp() would be that of local time"
        if wrong:
            reason = "the timestamp() of utcnow() is that of local time: where that is not UTC, times are hours off"
        yield Found(line, reason + also_in(other for other in lines if other != line))


def placeholder(code: Code) -> Iterator[Found]:
    """Look for the function that does nothing yet but raise."""
    for node in code.tree.body:
        if isinstance(node, Function) and node.name == GETTER:
            last = node.body[-1]
            raised = last.exc if isinstance(last, ast.Raise) else None
            if isinstance(raised, ast.Call) and dotted_path(raised.func) == UNAVAILABLE and len(node.body) <= 2:
                yield Found(last.lineno, f"{GETTER}() is not written: signing in answers 503")


def mixed_algorithms(code: Code) -> Iterator[Found]:
    """Look for algorithms with a shared secret beside algorithms with a pair of keys."""
    for found in decodings(code):
        if found.unverified or found.without_key:
            continue  # nothing is verified: JWT001 says so
        symmetric = [name for name in found.algorithms if name.startswith(_SYMMETRIC)]
        asymmetric = [name for name in found.algorithms if name.startswith(_ASYMMETRIC)]
        if symmetric and asymmetric:
            reason = f"{symmetric[0]} and {asymmetric[0]} in one call: the public key is good as the secret"
            yield Found(found.call.line, reason)


def sessions_apart(codebase: Codebase) -> Iterator[Found]:
    """Look for places that start several processes, where each keeps its own sessions."""
    what = "has sessions of its own, and refuses the refresh tokens of the others"
    return kept_apart(codebase, "jwt", "refresh", what)


def _on_purpose(found: Decoding) -> bool:
    """Whether the code says that it knows the claims to be unverified, or whom it has the token from."""
    node, scopes = found.call.spot.node, found.call.spot.scope
    targets = [ast.unparse(target) for target in bound_targets(node)] if assigned_value(node) is not None else []
    if any("unverified" in name.lower() for name in (*targets, *(scope.name for scope in scopes))):
        return True
    if isinstance(node, ast.Expr) and node.value is found.call.node:
        return True  # whether it is a token at all: nobody looks at what it says
    token = _token(found)
    if isinstance(token, ast.Subscript) and constant(token.slice) is not None:
        return constant(token.slice) in _GRANTED and not _is_from_request(token.value)
    if isinstance(token, ast.Call) and method_of(token) == "get" and token.args and constant(token.args[0]) in _GRANTED:
        return not _is_from_request(token.func)
    if isinstance(token, ast.Attribute) and isinstance(token.value, ast.Name) and token.value.id == "self":
        return "token" in token.attr  # a client's own: it wants to know when to ask for another
    return token is not None and ".state." in ast.unparse(token)


def _token(found: Decoding) -> ast.expr | None:
    """Return the token that is decoded; where a local name holds it, what was put into that once."""
    token = found.arguments.get("token")
    inner = found.scope[-1] if found.scope else None
    if not isinstance(token, ast.Name) or not isinstance(inner, Function):
        return token
    values = [
        node.value
        for node in nodes(inner)
        if isinstance(node, ast.Assign) and token.id in map(dotted_path, bound_targets(node))
    ]
    value = values[0] if len(values) == 1 else token
    return value.value if isinstance(value, ast.Await) else value


def _is_known(found: Decoding) -> bool:
    """Whether the function has made the token itself, or has had it checked by another."""
    inner = found.scope[-1] if found.scope else None
    if _makes_what_it_reads(found):
        return True
    given_token = found.arguments.get("token")
    if not isinstance(inner, Function) or not isinstance(given_token, ast.Name):
        return False
    defaults = [*inner.args.defaults, *(item for item in inner.args.kw_defaults if item is not None)]
    checks = [node for node in nodes(inner) if isinstance(node, ast.Call) and node is not found.call.node]
    name = given_token.id
    return any(
        _CHECKS.search(dotted_path(call.func).rpartition(".")[2])
        and any(isinstance(item, ast.Name) and item.id == name for part in _passed(call) for item in nodes(part))
        for call in checks
    ) or any(
        isinstance(item, ast.Call) and item.args and _CHECKS.search(dotted_path(item.args[0])) for item in defaults
    )


def _passed(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(item.value for item in call.keywords)]


def _makes_what_it_reads(found: Decoding) -> bool:
    token = _token(found)
    return isinstance(token, ast.Call) and _makes_token(found.call, token)


def _makes_token(near: Visit[ast.Call], call: ast.Call, deeper: int = 3) -> bool:
    """Whether a call gives a token that is signed here: `jwt.encode(...)`, or a function of the project that does it.

    The function may have it from another one, `deeper` times.
    """
    if near.resolve(call.func) in _ENCODERS:
        return True
    codebase = near.code.codebase
    own = codebase.project.names.lookup(call.func, near.code.path, near.spot.scope) if deeper else ""
    statement = codebase.project.names.statement(own) if isinstance(own, Own) else None
    code = codebase.readable(own.path) if isinstance(own, Own) else None
    if code is None or not isinstance(statement, Function):
        return False
    inside = [inner for inner in code.calls if statement in inner.spot.scope]
    if any(inner.target in _ENCODERS for inner in inside):
        return True
    given_back = [node.value for node in nodes(statement) if isinstance(node, ast.Return) and node.value is not None]
    names = {item.id for value in given_back for item in nodes(value) if isinstance(item, ast.Name)}
    return any(
        _makes_token(inner, inner.node, deeper - 1)
        for inner in inside
        if any(inner.node is item for value in given_back for item in nodes(value))
        or (
            assigned_value(inner.spot.node) is not None
            and names & set(map(dotted_path, bound_targets(inner.spot.node)))
        )
    )


def _chosen_by_token(found: Decoding) -> bool:
    """Whether the algorithms come from the header of a token, and nobody compares them with those that are allowed."""
    inner: ast.AST = found.scope[-1] if found.scope else found.call.code.tree
    inside = list(nodes(inner))
    headers = {
        name
        for node in inside
        if isinstance(node, ast.Assign) and any(_reads_header(found.call, item) for item in nodes(node.value))
        for name in map(dotted_path, bound_targets(node))
    }

    def is_algorithm(node: ast.AST) -> bool:
        from_header = any(
            _reads_header(found.call, item) or (isinstance(item, ast.Name) and item.id in headers)
            for item in nodes(node)
        )
        return from_header and any(constant(item) == "alg" for item in nodes(node))

    held = {
        name
        for node in inside
        if isinstance(node, ast.Assign) and is_algorithm(node.value)
        for name in map(dotted_path, bound_targets(node))
    }

    def holds(node: ast.AST) -> bool:
        return is_algorithm(node) or any(isinstance(item, ast.Name) and item.id in held for item in nodes(node))

    algorithms = found.arguments.get("algorithms")
    if algorithms is None or not holds(algorithms):
        return False
    return not any(isinstance(node, ast.Compare) and holds(node) for node in inside)


def _reads_header(near: Visit[ast.Call], node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and near.resolve(node.func) in _HEADER_READERS


def _is_from_request(node: ast.expr) -> bool:
    words = {getattr(item, "id", getattr(item, "attr", "")) for item in nodes(node)}
    return bool(words & {"request", "cookies", "headers", "query_params", "websocket"})


def _checks_nothing_else(found: Decoding) -> bool:
    if found.options is None or found.own_options or any(name.startswith("require") for name in found.options):
        return False
    told = {"audience", "issuer", "subject"} & set(found.arguments)
    return not told and not found.unverified and not found.without_algorithms


def _is_told_apart_elsewhere(code: Code) -> bool:
    """Whether a file that imports the one with the decoding reads a claim that says what a token is for."""
    codebase = code.codebase
    stem = code.path.removesuffix(".py").removesuffix("/__init__")
    for other in codebase.containing(stem.rpartition("/")[2].encode()):
        imported = [codebase.project.names.trace(dotted, other.path) for dotted in other.imports().values()]
        uses = other is not code and any(isinstance(own, Own) and own.path == code.path for own in imported)
        if uses and any(map(_reads_purpose, nodes(other.tree))):
            return True
    return False


def _reads_purpose(node: ast.AST) -> bool:
    """Whether a claim is read that says what a token is for: `claims["type"]`, `claims.get("type")`, `.pop("type")`."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return constant(node.slice) in _PURPOSES
    if isinstance(node, ast.Call) and method_of(node) in {"get", "pop"}:
        return bool(node.args) and constant(node.args[0]) in _PURPOSES
    return False


def _makes_claims(around: ast.AST, imports: Mapping[str, str]) -> bool:
    return any(
        (isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in _TIMES)
        or (isinstance(node, ast.keyword) and node.arg in _TIMES)
        or (isinstance(node, ast.Call) and resolve(node.func, imports) in _ENCODERS)
        for node in nodes(around)
    )


def _becomes_timestamp(around: ast.AST, made: ast.Call) -> bool:
    """Whether `timestamp()` is asked of what `made` gives, or of what a name holds that was computed from it."""
    assigned = [node for node in nodes(around) if isinstance(node, ast.Assign)]
    names: set[str] = set()

    def holds(node: ast.AST) -> bool:
        return any(item is made or (isinstance(item, ast.Name) and item.id in names) for item in nodes(node))

    for node in sorted(assigned, key=lambda node: node.lineno):
        if holds(node.value):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    asked = (node.func for node in nodes(around) if isinstance(node, ast.Call) and method_of(node) == "timestamp")
    return any(isinstance(function, ast.Attribute) and holds(function.value) for function in asked)


def _is_secret(node: ast.expr) -> bool:
    value = constant(node)
    if not isinstance(value, str | bytes) or not value:
        return False
    text = value if isinstance(value, str) else value.decode("latin-1")
    return "PUBLIC KEY" not in text and "CERTIFICATE" not in text


def _is_real_key(entry: str) -> bool:
    encoded = entry.partition(":")[2].rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(key) >= MINIMUM_KEY_BYTES


def _imports_a_library(code: Code) -> bool:
    imported = [alias.name for visit in code.visits(ast.Import) for alias in visit.node.names]
    imported += [visit.node.module or "" for visit in code.visits(ast.ImportFrom) if not visit.node.level]
    return any(module.split(".")[0] in _LIBRARIES for module in imported)


_NEEDLES = (b"jwt", b"jose")
_HEAD = "import jwt\n\nfrom app.config import settings\n\n\ndef read(token: str) -> dict[str, object]:\n"
_CLAIMS = 'algorithms=["HS256"], audience="shop", issuer="shop"'
_KEY = base64.b64encode(bytes(range(MINIMUM_KEY_BYTES))).decode()
_MAKE = "from datetime import datetime, timedelta, timezone\n\nimport jwt\n\n\ndef make(key: str) -> str:\n"
_SUBJECT = "import jwt\n\nfrom app.config import settings\n\n\ndef make(user_id: int) -> str:\n"
_USER_ID = '    return jwt.encode({"sub": user_id}, settings.key, algorithm="HS256")'
_READ = f"\n\n{_HEAD[_HEAD.index('def read') :]}    return jwt.decode(token, settings.key, {_CLAIMS})\n"
_AUTHENTICATOR = f"from app.core.auth.tokens import unavailable\n\n\nclass Users: ...\n\n\nasync def {GETTER}():\n"
_INSTALLED = {
    MAIN: "from fastapi import FastAPI\n\napp = FastAPI()\n",
    file_of("jwt"): '{"feature": "jwt", "format": 1, "laterctl": "0.1.0", "options": {}, "records": [], '
    '"requested": true}',
}

JWT001 = Rule(
    id="JWT001",
    title="A token is decoded without a check of its signature, or with any algorithm",
    why="Anybody can then write a token that says what they like: RFC 8725, sections 3.1 and 3.2. Reading a token "
    "before it is verified is fine in a function that also verifies one, where a name says that it is `unverified`, "
    "and where it came straight from the token endpoint. https://pyjwt.readthedocs.io/en/stable/api.html#jwt.decode",
    fix='name what it is signed with: algorithms=["HS256"] with a secret, ["RS256"] or alike with a public key',
    severity=Severity.ERROR,
    needles=_NEEDLES,
    checks={Code: not_verified},
    bad=(
        f'{_HEAD}    return jwt.decode(token, options={{"verify_signature": False}})  # JWT001\n',
        f"{_HEAD}    return jwt.decode(token, settings.key)  # JWT001\n",
        f"{_HEAD}    header = jwt.get_unverified_header(token)\n"
        '    return jwt.decode(token, settings.key, algorithms=[header["alg"]], audience="shop")  # JWT001\n',
    ),
    good=(
        f"{_HEAD}    return jwt.decode(token, settings.key, {_CLAIMS})\n",
        f'{_HEAD}    header = jwt.get_unverified_header(token)\n    if header["alg"] not in ("RS256", "ES256"):\n'
        '        raise ValueError\n    return jwt.decode(token, settings.key, algorithms=[header["alg"]], audience="shop")\n',
        f'{_HEAD}    verify(token)\n    return jwt.decode(token, options={{"verify_signature": False}})\n',
        "import jwt\n\nfrom app.config import settings\n\n\ndef sign(user: str) -> str:\n"
        '    return jwt.encode({"sub": user}, settings.key)\n\n\ndef expires(user: str) -> int:\n    token = sign(user)\n'
        '    return jwt.decode(token, options={"verify_signature": False})["exp"]\n',
    ),
)
JWT002 = Rule(
    id="JWT002",
    title="Nothing but a token's signature and expiry is checked",
    why="With one key for access, refresh and password-reset tokens, each of them is good for all of it: RFC 8725, "
    "sections 3.8, 3.9 and 3.12. Said once a file, and not where the code reads a claim that tells tokens apart.",
    fix='sign with "iss" and "aud" and pass issuer= and audience= here, or check a claim such as "token_type"',
    needles=_NEEDLES,
    checks={Code: only_the_signature},
    bad=(f'{_HEAD}    return jwt.decode(token, settings.key, algorithms=["HS256"])  # JWT002\n',),
    good=(
        f"{_HEAD}    return jwt.decode(token, settings.key, {_CLAIMS})\n",
        f'{_HEAD}    claims = jwt.decode(token, settings.key, algorithms=["HS256"])\n'
        '    if claims["token_type"] != "access":\n        raise ValueError\n    return claims\n',
    ),
)
JWT003 = Rule(
    id="JWT003",
    title="A key that signs tokens stands in the source, or in a file that git tracks",
    why="Whoever reads the repository can sign tokens, as whatever user they like. A literal that stands in for a "
    "variable that is not set is as good as the key.",
    fix="read it from the environment; `laterctl secret jwt` prints a new one",
    severity=Severity.ERROR,
    needles=(*_NEEDLES, *_KEYED_NEEDLES),
    checks={Code: key_in_source, Codebase: key_in_a_tracked_file},
    bad=(
        'import jwt\n\ntoken = jwt.encode({"sub": "1"}, "secret", algorithm="HS256")  # JWT003\n',
        'import os\n\nimport jwt\n\nKEY = os.getenv("KEY", "secret")  # JWT003\n\n\n'
        'def make() -> str:\n    return jwt.encode({"sub": "1"}, KEY, algorithm="HS256")\n',
        {MAIN: "", "settings.toml": f'jwt_keys = "main:{_KEY}"  # JWT003\n'},
        {
            MAIN: "import jwt\n\nfrom app.config import settings\n\n\ndef make() -> str:\n"
            '    return jwt.encode({"sub": "1"}, settings.key, algorithm="HS256")\n',
            "app/config.py": "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
            '    key: str = "changethis"  # JWT003\n\n\nsettings = Settings()\n',
        },
        "from fastapi_users.authentication import JWTStrategy\n\n\ndef strategy() -> JWTStrategy:\n"
        '    return JWTStrategy(secret="SECRET", lifetime_seconds=3600)  # JWT003\n',
    ),
    good=(
        {
            MAIN: "import jwt\n\nfrom app.config import settings\n\n\ndef make() -> str:\n"
            '    return jwt.encode({"sub": "1"}, settings.key, algorithm="HS256")\n',
            "app/config.py": "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
            "    key: str\n\n\nsettings = Settings()\n",
        },
        'import os\n\nimport jwt\n\ntoken = jwt.encode({"sub": "1"}, os.environ["KEY"], algorithm="HS256")\n',
        {MAIN: "", "settings.toml": 'jwt_keys = "main:replace-me"\n'},
    ),
)
JWT004 = Rule(
    id="JWT004",
    title="A library that security code should not stand on any more is a dependency",
    why="python-jose is hardly maintained; passlib's last release is from 2020, and it breaks with bcrypt 5.",
    fix="move to PyJWT, and to pwdlib",
    checks={Codebase: superseded_library},
    bad=({MAIN: "", "pyproject.toml": '[project]\nname = "app"\ndependencies = ["python-jose>=3"]  # JWT004\n'},),
    good=({MAIN: "", "pyproject.toml": '[project]\nname = "app"\ndependencies = ["pyjwt>=2.10"]\n'},),
)
JWT005 = Rule(
    id="JWT005",
    title="The times in a token are made with `utcnow()`",
    why="It is deprecated since Python 3.12, and without a time zone: its `timestamp()` takes it for local time, so "
    "that on a server whose clock is not set to UTC tokens expire hours early or late. Said once a file, where it is "
    "wrong already if it is. https://docs.python.org/3/library/datetime.html#datetime.datetime.utcnow",
    fix="use datetime.now(tz=timezone.utc)",
    needles=(b"utcnow", b"utcfromtimestamp"),
    checks={Code: naive_times},
    bad=(
        f"{_MAKE}    expires = datetime.utcnow() + timedelta(hours=1)  # JWT005\n"
        '    return jwt.encode({"exp": expires}, key)\n',
    ),
    good=(
        f"{_MAKE}    expires = datetime.now(tz=timezone.utc) + timedelta(hours=1)\n"
        '    return jwt.encode({"exp": expires}, key)\n',
    ),
)
JWT006 = Rule(
    id="JWT006",
    title="Nobody can sign in yet",
    why="The authenticator is still what `laterctl add jwt` put there: signing in answers 503.",
    fix=f"write a UserAuthenticator and return it from {GETTER}(), whose docstring has an example",
    needles=(GETTER.encode(),),
    checks={Code: placeholder},
    bad=(f'{_AUTHENTICATOR}    raise unavailable(reason="not written")  # JWT006\n',),
    good=(f"{_AUTHENTICATOR}    return Users()\n",),
)
JWT007 = Rule(
    id="JWT007",
    title="Tokens signed with a shared secret and tokens signed with a private key are accepted by one call",
    why="The public key is then good for signing, as if it were the secret: RFC 8725, section 2.1.",
    fix="allow the one algorithm that the key is for",
    severity=Severity.ERROR,
    needles=_NEEDLES,
    checks={Code: mixed_algorithms},
    bad=(f"{_HEAD}    return jwt.decode(token, settings.key, {_CLAIMS})  # JWT007\n".replace('"]', '", "RS256"]'),),
    good=(
        f"{_HEAD}    return jwt.decode(token, settings.key, {_CLAIMS})\n",
        f'{_HEAD}    unverified = jwt.decode(token, algorithms=["HS256", "RS256"], options={{"verify_signature": False}})\n'
        "    return unverified\n",
    ),
)
JWT008 = Rule(
    id="JWT008",
    title="Several processes have sessions of their own",
    why="The application is started as several workers or replicas, and jwt keeps sessions in the memory of each: "
    "another process refuses their refresh tokens, and does not notice a stolen one.",
    fix="laterctl add jwt --set jwt.refresh=redis, or start one process",
    severity=Severity.ERROR,
    scripts=True,
    checks={Codebase: sessions_apart},
    bad=({**_INSTALLED, "Dockerfile": "CMD gunicorn -w 4 app.main:app  # JWT008\n"},),
    good=(
        {
            **_INSTALLED,
            file_of("jwt"): _INSTALLED[file_of("jwt")].replace("{}", '{"refresh": "redis"}'),
            "Dockerfile": "CMD gunicorn -w 4 app.main:app\n",
        },
    ),
)
JWT009 = Rule(
    id="JWT009",
    title="The subject of a token is no text",
    why="From PyJWT 2.10 on `decode` refuses it, as RFC 7519 has it in section 4.1.2: every login succeeds, and every "
    "request after it fails. https://pyjwt.readthedocs.io/en/stable/changelog.html",
    fix='write "sub": str(user.id)',
    severity=Severity.ERROR,
    needles=(b'"sub"', b"'sub'"),
    checks={Code: number_as_subject},
    bad=(f"{_SUBJECT}{_USER_ID}  # JWT009\n{_READ}",),
    good=(
        f"{_SUBJECT}{_USER_ID.replace('user_id}', 'str(user_id)}')}\n{_READ}",
        {
            MAIN: f"{_SUBJECT}{_USER_ID}\n{_READ}",
            "pyproject.toml": '[project]\nname = "app"\ndependencies = ["pyjwt<2.10"]\n',
        },
    ),
)
