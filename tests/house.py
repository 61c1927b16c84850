"""What the house forbids, found by reading the source: arrows, cycles, sizes, broad handlers."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
MOST_KERNEL_LINES = 160
"""Of a function in Triton's language: a loop that is moved into a function of its own hands all its
accumulators through it, and makes attention 4 to 9 % slower on a GPU. Arguments and docstring take
some thirty of these lines.
"""

ROOMS = {
    "schemas": {"schemas"},
    "transforms.core": {"schemas", "transforms.core"},
    "transforms": {"schemas", "transforms.core", "transforms"},
    "kafka_client": {"schemas", "kafka_client"},
    "kernels": {"kernels"},
    "model": {"schemas", "kafka_client", "kernels", "model"},
    "pipeline": {
        *("schemas", "kafka_client", "transforms.core", "transforms", "kernels", "model"),
        "pipeline",
    },
    "chaos": {
        *("schemas", "kafka_client", "transforms.core", "transforms", "kernels", "model"),
        *("pipeline", "chaos"),
    },
}
"""Each room, and the rooms that it may import from."""

PURE = {"apache_beam", "kafka", "random", "secrets", "time", "torch", "uuid"}
FOREIGN = {
    "schemas": PURE,
    "transforms.core": PURE,
    "transforms": {"kafka", "torch"},
    "kafka_client": {"apache_beam", "torch"},
    "kernels": {"apache_beam", "kafka"},
    "model": {"apache_beam"},
    "pipeline": set[str](),
    "chaos": set[str](),
}
"""Packages from outside that a room must not import."""

CLOCKS = {"now", "utcnow", "today"}

UNSAFE = {
    f"{module}.{name}"
    for module in ("pickle", "cloudpickle", "dill", "marshal", "shelve", "jsonpickle")
    for name in ("load", "loads", "Unpickler", "open", "decode")
}


def sources() -> dict[str, str]:
    """The text of every module of the rooms that exist, by its dotted name."""
    files = [file for room in ROOMS for file in (ROOT / room.replace(".", "/")).rglob("*.py")]
    return {module_of(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


def module_of(file: Path) -> str:
    """The dotted name of a module in a file, of a package for its __init__.py."""
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str | None:
    """The innermost room that a module stands in."""
    rooms = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


def imports(module: str, text: str) -> Iterator[tuple[int, str]]:
    """The line and dotted name of all that a module imports, at any depth, `a.b` for from a."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level]
                base = ".".join([*parent, *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def wrong_arrows(module: str, text: str) -> Iterator[str]:
    """Imports that the room of a module does not allow."""
    room = room_of(module)
    if room is None:
        return
    for line, name in imports(module, text):
        target = room_of(name)
        inside = target is None or target in ROOMS[room]
        if not inside or name.split(".")[0] in FOREIGN[room] | {"tests"}:
            yield f"{module}:{line}: {room} must not import {name}"


def clocks(module: str, text: str) -> Iterator[str]:
    """Looks at the clock in a room that has none."""
    if FOREIGN.get(room_of(module) or "") is PURE:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and node.attr in CLOCKS:
                yield f"{module}:{node.lineno}: {ast.unparse(node)}"


def cycle(texts: Mapping[str, str]) -> list[str]:
    """The modules of one import cycle in order, or an empty list."""
    graph = {module: sorted(_targets(module, text, texts)) for module, text in texts.items()}
    done: set[str] = set()

    def walk(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module not in done:
            for target in graph[module]:
                if found := walk(target, [*trail, module]):
                    return found
            done.add(module)
        return []

    return next((found for module in graph if (found := walk(module, []))), [])


def _targets(module: str, text: str, texts: Mapping[str, str]) -> set[str]:
    found = set()
    for _, name in imports(module, text):
        target = name if name in texts else name.rpartition(".")[0]
        if target in texts:
            found.add(target)
    return found - {module}


def too_long(module: str, text: str) -> Iterator[str]:
    """A file over 400 lines, and functions over 60, kernels over 160."""
    lines = text.count("\n")
    if lines > MOST_LINES:
        yield f"{module}: {lines} lines, {MOST_LINES} at most"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            kernel = any(ast.unparse(each).startswith("triton.jit") for each in node.decorator_list)
            if length > (MOST_KERNEL_LINES if kernel else MOST_FUNCTION_LINES):
                yield f"{module}:{node.lineno}: {node.name} has {length} lines"


def dangers(module: str, text: str) -> Iterator[str]:
    """Handlers that catch everything; unpickling; evaluating."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
            yield f"{module}:{node.lineno}: catches everything"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in UNSAFE:
            yield f"{module}:{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("eval", "exec"):
            yield f"{module}:{node.lineno}: {ast.unparse(node.func)}"
    for line, name in imports(module, text):
        if name in UNSAFE:
            yield f"{module}:{line}: {name}"


def _is_broad(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(ast.unparse(each) in ("Exception", "BaseException") for each in kinds)
