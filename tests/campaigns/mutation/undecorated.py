"""Rewrites decorators as assignments below the function, because mutmut does not mutate decorated functions."""

from __future__ import annotations

import ast

# These can be applied in a separate assignment with the same effect.
WRAPPERS = frozenset({"property", "contextmanager", "asynccontextmanager"})
# Values cached at module level before a mutation would hide the mutant.
CACHES = frozenset({"cache", "lru_cache"})


def undecorated(source: str) -> str:
    """The same program with `name = decorator(name)` for decorators of `WRAPPERS`, and without caches of modules."""
    lines = source.splitlines(keepends=True)
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    # From the last to the first, and inner before outer: insertions do not move lines that are still needed.
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
