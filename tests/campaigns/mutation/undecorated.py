"""Decorators as assignments below the function, where mutmut can see the body: it leaves decorated functions alone."""

from __future__ import annotations

import ast

# These take a function and give what is bound to its name: applied a line later, they do the same.
WRAPPERS = frozenset({"property", "contextmanager", "asynccontextmanager"})
# What those of a module remember from before a function was mutated would hide the mutant.
CACHES = frozenset({"cache", "lru_cache"})


def undecorated(source: str) -> str:
    """The same program: `name = decorator(name)` after what had one of `WRAPPERS`, and no cache of a module."""
    lines = source.splitlines(keepends=True)
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    # From the last to the first, and the inner before the outer one: what is inserted moves no line still needed.
    for function in sorted(functions, key=lambda node: node.lineno, reverse=True):
        if len(function.decorator_list) != 1 or _name(function.decorator_list[0]) not in WRAPPERS | CACHES:
            continue
        decorator = function.decorator_list[0]
        if _name(decorator) in WRAPPERS or function.col_offset:
            indent = " " * function.col_offset
            end = function.end_lineno or function.lineno
            lines.insert(end, f"{indent}{function.name} = {ast.unparse(decorator)}({function.name})\n")
        del lines[decorator.lineno - 1 : function.lineno - 1]
    return "".join(lines)


def _name(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.id if isinstance(called, ast.Name) else ""
