"""The mutants of a module: its syntax tree with one small defect in each.

Module and class level are mutated as well as functions, since limits and caps are constants there. Left alone are
docstrings, texts, annotations, decorators, type parameters and what only logs.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

OPPOSITE: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "bases"}
SKIPPED_CALLS = {"TypeVar", "ParamSpec", "getLogger", "cast"}
LOGGING = {"debug", "info", "warning", "error", "exception"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect: where it is, what it does, and the module with it.

    ``lines`` are those of the mutated statement, of a compound one its header; a test that executes none of them
    cannot notice the defect. ``in_function`` is False where the defect is executed when the module is imported.
    """

    line: int
    text: str
    lines: range
    what: str
    tree: ast.Module
    in_function: bool


@dataclass(frozen=True, slots=True)
class _Site:
    node: ast.AST
    statement: ast.stmt
    in_function: bool


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines; ``text`` and ``what`` together are different for each."""
    tree, texts = ast.parse(source), source.splitlines()
    times = Counter[tuple[str, str]]()
    for number, site in enumerate(_sites(tree)):
        for variant in range(len(_replacements(site.node))):
            mutated = copy.deepcopy(tree)
            node = list(_sites(mutated))[number].node
            replacement = _replacements(node)[variant]
            line = getattr(site.node, "lineno", site.statement.lineno)
            text, what = texts[line - 1].strip(), f"{_text(node)} -> {_text(replacement)}"
            times[text, what] += 1
            if times[text, what] > 1:  # "0 -> 1 #2": the second 0 of lines with this text
                what = f"{what} #{times[text, what]}"
            _Replace(node, replacement).visit(mutated)
            yield Mutant(
                line=line,
                text=text,
                lines=_header(site.statement),
                what=what,
                tree=ast.fix_missing_locations(mutated),
                in_function=site.in_function,
            )


def _header(statement: ast.stmt) -> range:
    body: list[ast.stmt] = getattr(statement, "body", [])
    end = max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno
    return range(statement.lineno, (end or statement.lineno) + 1)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else f"{text[:90]}..."


class _Replace(ast.NodeTransformer):
    def __init__(self, node: ast.AST, replacement: ast.AST) -> None:
        self._node = node
        self._replacement = ast.copy_location(replacement, node)

    def visit(self, node: ast.AST) -> ast.AST:
        return self._replacement if node is self._node else self.generic_visit(node)


def _sites(tree: ast.Module) -> Iterator[_Site]:
    for statement in tree.body:
        yield from _within(statement, statement, in_function=False)


def _within(node: ast.AST, statement: ast.stmt, *, in_function: bool) -> Iterator[_Site]:
    if _is_skipped(node):
        return
    if isinstance(node, ast.stmt):
        statement = node
    yield _Site(node, statement, in_function)
    for name, value in ast.iter_fields(node):
        if (type(node), name) != (ast.ClassDef, "keywords") and name not in SKIPPED_FIELDS:
            inside = in_function or (isinstance(node, Function) and name == "body")
            for child in _nodes(value):
                yield from _within(child, statement, in_function=inside)


def _nodes(value: Any) -> list[ast.AST]:
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [it for it in values if isinstance(it, ast.AST)]


def _is_skipped(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant()) | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in SKIPPED_CALLS
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=logger), attr=name))):
            return name in LOGGING and "log" in logger.lower()
        case _:
            return False


def _replacements(node: ast.AST) -> Sequence[ast.AST]:
    """What a node is replaced with; new nodes at each call."""
    match node:
        case ast.Compare(ops=[operator], left=left, comparators=others):
            return [ast.Compare(left, [OPPOSITE[type(operator)]()], others)]
        case ast.BoolOp(op=operator, values=values):
            return [ast.BoolOp(OPPOSITE[type(operator)](), values)]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [operand]
        case ast.Constant(value=bool() | int() | float() as value):
            return [ast.Constant(_another(value))]
        case ast.BinOp() | ast.AugAssign():
            return _arithmetic(node)
        case _:
            return _statement(node)


def _another(value: float) -> float:
    if isinstance(value, bool):
        return not value
    return value * 2 if 0 < value < 1 else value + 1


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Sequence[ast.AST]:
    opposite = OPPOSITE.get(type(node.op))
    if opposite is None or _is_text(node):
        return []
    mutated = copy.copy(node)
    mutated.op = opposite()
    return [mutated]


def _is_text(node: ast.AST) -> bool:
    return any(
        isinstance(it, ast.JoinedStr)
        or (isinstance(it, ast.Constant) and isinstance(it.value, str))
        for it in ast.walk(node)
    )


def _statement(node: ast.AST) -> Sequence[ast.AST]:
    match node:
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            return [ast.Return(ast.Constant(None))]
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call() | ast.Await() as test):
            negated = copy.copy(node)
            negated.test = ast.UnaryOp(ast.Not(), test)
            return [negated]
        case ast.IfExp(test=ast.Name() | ast.Attribute() | ast.Call() as test):
            return [ast.IfExp(ast.UnaryOp(ast.Not(), test), node.body, node.orelse)]
        case ast.Expr() | ast.Delete() | ast.Raise() | ast.Continue() | ast.Break():
            return [ast.Pass()]
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return [ast.Pass()]
        case _:
            return []
