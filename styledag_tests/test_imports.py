"""What import-linter's contracts cannot see: classes that are named without an import of theirs."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import diffusers.models
import diffusers.pipelines
import diffusers.schedulers
import transformers

REPOSITORY = Path(__file__).parents[1]
LIBRARIES = ["diffusers", "transformers"]
TRANSFORMERS_CLASS = re.compile(r"(Model|For[A-Z]\w+|Tokenizer|TokenizerFast|Processor)$")


def classes() -> set[str]:
    """The names of both libraries' models, pipelines, schedulers, tokenizers and processors."""
    modules = (diffusers.models, diffusers.pipelines, diffusers.schedulers)
    names = {name for module in modules for name in dir(module) if name[0].isupper()}
    return names | {name for name in dir(transformers) if TRANSFORMERS_CLASS.search(name)}


def allowed() -> re.Pattern[str]:
    """The modules that the contract in pyproject.toml lets import the libraries."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (contract,) = (each for each in contracts if each.get("forbidden_modules") == LIBRARIES)
    modules = {each.partition(" -> ")[0] for each in contract["ignore_imports"]}
    parts = (re.escape(each).replace(r"\*\*", r".+").replace(r"\*", r"[^.]+") for each in modules)
    return re.compile("|".join(parts))


def words(tree: ast.AST) -> Iterator[str]:
    """The identifiers of a module, and its strings: annotations and a configuration's classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.alias(name=word):
                yield word
            case ast.Constant(value=str(text)):
                yield text


def test_classes_of_models_are_named_only_where_the_libraries_may_be_imported() -> None:
    names, may = classes(), allowed()
    found = {
        f"{module} names {word}"
        for path in sorted((REPOSITORY / "styledag").rglob("*.py"))
        for module in [".".join(path.relative_to(REPOSITORY).with_suffix("").parts)]
        if not may.fullmatch(module)
        for word in words(ast.parse(path.read_text(encoding="utf-8")))
        if word in names
    }
    assert not found, "\n".join(sorted(found))
