"""Odd manifests and settings files, written by hand: layouts that TOML allows and people use."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "empty": "",
    "one newline": "\n",
    "blank lines only": "\n\n  \n",
    "comment only": "# nothing here yet\n",
    "two comments, then blanks": "# one\n\n# two\n\n\n",
    "plain uv project": """\
[project]
name = "shop"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = [
    "fastapi>=0.115",
    "sqlalchemy[asyncio]>=2",
    "uvicorn",
]

[dependency-groups]
dev = ["pytest>=8", "ruff"]

[tool.ruff]
line-length = 100
""",
    "no trailing comma": """\
[project]
name = "shop"
dependencies = [
  "uvicorn",
  "fastapi"
]
""",
    "single line, unsorted": '[project]\nname = "x"\ndependencies = ["uvicorn", "fastapi>=0.1"]\n',
    "single line, trailing comma, tight": '[project]\nname="x"\ndependencies=["fastapi","uvicorn",]\n',
    "single line, padded": '[project]\nname  =  "x"\ndependencies = [ "fastapi",  "uvicorn" ]\n',
    "single quotes": """\
[project]
name = 'x'
dependencies = [
\t'fastapi',
\t'uvicorn; python_version < "3.13"',
]
""",
    "empty array": '[project]\nname = "x"\ndependencies = []\n\n[dependency-groups]\ndev = [ ]\n',
    "empty array on two lines": "[project]\ndependencies = [\n]\n[dependency-groups]\ndev = [\n    ]\n",
    "empty array with comments": """\
[project]
dependencies = [  # none yet
  # "fastapi",

  # "uvicorn",
  ]  # end
[dependency-groups]
dev = [ # tools
]
""",
    "comments everywhere": """\
# The shop.

# Metadata
[project]  # PEP 621
name = "shop"  # the name
# What it needs
dependencies = [  # run time
    # web
    "fastapi",  # the framework, "really"
    "uvicorn[standard]",# server
    # data, [1]

    "alembic"  # last, no comma
    # "redis",
]  # end of list
# trailing remark of project

# About tools
[tool.ruff]
# nothing set
[tool.mypy] # strict
strict = true
# python_version = "3.11"

# The end
""",
    "closing bracket beside the last item": """\
[project]
dependencies = ["fastapi",
                "sqlalchemy",
                "uvicorn"]
[dependency-groups]
dev = ["ruff",
    "pytest",]
""",
    "commas in front": '[project]\ndependencies = [\n    "fastapi"\n  , "uvicorn"\n  , "anyio"\n]\n',
    "comma on its own line": '[project]\ndependencies = [\n    "fastapi" # c\n    ,\n    "uvicorn"\n    ,\n]\n',
    "several on a line": '[project]\ndependencies = [\n    "anyio", "fastapi",\n    "sqlalchemy", "uvicorn",\n]\n',
    "inline tables": """\
project = { name = "x", dependencies = ["fastapi", "uvicorn"], optional-dependencies = {} }
tool = { ruff = { line-length = 88 }, uv = { } }
dependency-groups = {dev = ["pytest", {include-group = "lint"}], lint = [
    "ruff",
]}
""",
    "dotted keys": """\
project.name = "x"
project.dependencies = ["fastapi"]
tool.ruff.line-length = 88
tool.ruff.lint.select = ["ALL"]
dependency-groups.dev = ["pytest"]

[tool.mypy]
strict = true
""",
    "dotted keys below a header": """\
[tool]
coverage.run.branch = true
ruff.line-length = 88
ruff.lint.ignore = ["D"] # docs
coverage.run.source = ["src"]
[project]
optional-dependencies.web = ["fastapi"]
name = "x"
""",
    "quoted keys": """\
[ project ]
"name" = "x"
'dependencies' = ["fastapi"]
[ tool . "ruff" . 'per-file-ignores' ]
"tests/*.py" = ["S101"]
"a.b" = 1
[dependency-groups]
"dev" = ['pytest']
""",
    "tables out of order": """\
[tool.ruff.lint]
select = ["ALL"]

[project]
name = "x"
dependencies = ["fastapi", "uvicorn"]

[tool.ruff]
line-length = 88

[build-system]
requires = ["hatchling"]

[project.optional-dependencies]
web = ["uvicorn"]

[tool.ruff.format]
quote-style = "single"
""",
    "arrays of tables": """\
[[tool.uv.index]]
name = "one"
url = "https://example.org/simple"

[[tool.uv.index]]
name = "two"
[tool.uv.index.extra]
deep = [[1, 2], ["a"]]

[project]
name = "x"
dependencies = ["fastapi"]

[[tool.mypy.overrides]]
module = ["a.*", "b"]
ignore_missing_imports = true
[[tool.mypy.overrides]]
""",
    "bare headers": "[project]\n[tool.a]\n\n[tool.b]\n# remark\n[tool.c]\n\n\n[dependency-groups]\n",
    "bare header at the end": '[project]\nname = "x"\n\n[tool.coverage.run]\n',
    "bare header and blank lines at the end": '[project]\nname = "x"\n\n[dependency-groups]\n\n\n',
    "indented tables": """\
[project]
    name = "x"
    dependencies = [
        "fastapi",
    ]

    [project.optional-dependencies]
        web = [
            "uvicorn"
        ]
        [tool.ruff]
        line-length=88
""",
    "strings that look like structure": '''\
[project]
name = "a # b"
description = """
[tool.coverage.run]
branch = true  # not a comment
dependencies = ["x"]
\\"""quoted\\"""
"""
readme = \'\'\'
]]] # {{{ "'
\'\'\'
note = """a""\\"b"""""
path = 'C:\\x\\'
dependencies = [
    """fastapi""",
    "uvicorn ; platform_machine == 'x86_64' # no",
]
''',
    "all kinds of values": """\
a = 1_000
b = 0xDEAD_beef
c = -1.5e+10
d = inf
e = 1979-05-27 07:32:00Z
f = 1979-05-27T07:32:00.999-07:00 # when
g = 07:32:00
1.5 = "a float for a key"
h = [[1, 2,], [], [{x = 1, y.z = 2}, {}]]
i = { a = [1, 2], b = "}" , c = { d = ']' } }
"" = "empty key"

[default]
debug = true
""",
    "poetry": """\
[tool.poetry]
name = "shop"

[tool.poetry.dependencies]
python = "^3.11"
fastapi = "^0.115"
SQLAlchemy = {version = "^2.0", extras = ["asyncio"]}  # async
uvicorn = { extras = ["standard"], version = "*" }

[tool.poetry.group.dev.dependencies]
pytest = "^8"

[build-system]
requires = ["poetry-core"]
""",
    "poetry, unsorted, sub-table": """\
[tool.poetry.dependencies]
python = ">=3.11,<4"
uvicorn = "^0.30"
# framework
fastapi = [
    {version = "^0.110", python = "<3.12"},
    {version = "^0.115", python = ">=3.12"},
]
[tool.poetry.dependencies.redis]
version = "^5"
extras = ["hiredis"]
[tool.poetry.dev-dependencies]
""",
    "poetry, interpreter only": '[tool.poetry.dependencies]\npython = "^3.12"\n# end\n\n[tool.x]\n',
    "dynaconf settings": """\
dynaconf_merge = true

[default]
DEBUG = false
NAME = 'shop'
DATABASE = "@format {env[DB]}"
HOSTS = [
  'a',
  'b',
]

[development]
DEBUG = true

[production] # careful
""",
    "pdm": """\
[project]
name = "x"
dependencies = [
    "fastapi>=0.115.0",
    "python_multipart",
    "python-jose",
]
[tool.pdm]
distribution = false
[tool.pdm.dev-dependencies]
test = [
    "pytest>=8",
    "-e file:///${PROJECT_ROOT}/sub#egg=sub",
]
""",
    "trailing blanks": '[project]  \nname = "x"\t \ndependencies = [  \n    "fastapi" , \n    "uvicorn" \n]  \n \n',
    "many blank lines": '\n\n[project]\n\n\nname = "x"\n\n\n\n[tool.x]\n\n\na = 1\n\n\n',
    "header right below a comment": """\
# licence
[project]
name = "x"
# groups
[dependency-groups]
# types
[tool.y]
z = 1
""",
}


def variants(text: str) -> dict[str, str]:
    """The same text as other editors save it; those that are the same, or no TOML, are left out."""
    forms = {
        "as it is": text,
        "open end, CRLF": text.rstrip("\n").replace("\n", "\r\n"),
        "BOM, both line ends": "\ufeff" + text.replace("\n", "\r\n", text.count("\n") // 2),
    }
    return {name: form for name, form in forms.items() if name == "as it is" or form != text}


CASES = {f"{name} ({form})": text for name, base in TEXTS.items() for form, text in variants(base).items()}
