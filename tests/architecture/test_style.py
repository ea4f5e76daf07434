"""Is the code of the size, the shape and the manners that the house style asks for?"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source_tree import (
    CHECKOUT,
    Function,
    Module,
    body_without_docstring,
    complain,
    modules,
    parameters,
)

MAX_FILE_LINES = 400
MAX_BODY_LINES = 60  # 40 is the style; above 60 it is two functions
MAX_PARAMETERS = 9  # 7 is the style; more is a dataclass
MAX_NESTING = 5

BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def test_files_are_short() -> None:
    offences = [
        f"{module.path}: {module.lines} lines, at most {MAX_FILE_LINES}"
        for module in modules()
        if module.lines > MAX_FILE_LINES
    ]
    complain("split the file by concept", offences)


def body_lines(function: Function) -> int:
    body = body_without_docstring(function)
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    offences = [
        f"{module.at(function)} {function.name}: {lines} lines, at most {MAX_BODY_LINES}"
        for module in modules()
        for function in module.functions()
        if (lines := body_lines(function)) > MAX_BODY_LINES
    ]
    complain("give the steps of a long function names of their own", offences)


def is_command(function: Function) -> bool:
    """Typer turns each parameter of a command into one option, so they are not ours to bundle."""
    annotations = [ast.unparse(p.annotation) for p in parameters(function) if p.annotation]
    return any("typer.Option" in text or "typer.Argument" in text for text in annotations)


def test_functions_have_few_parameters() -> None:
    offences = [
        f"{module.at(function)} {function.name}: {count} parameters, at most {MAX_PARAMETERS}"
        for module in modules()
        if module.package != "kernels"  # compiled kernels take arrays and scalars only
        for function in module.functions()
        if (count := len(parameters(function))) > MAX_PARAMETERS and not is_command(function)
    ]
    complain("what travels together is a dataclass", offences)


def nesting(node: ast.AST, depth: int = 0) -> int:
    """Depth of the deepest block; ``elif`` is a sibling, a nested function is counted alone."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        is_elif = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
        inner = depth + (isinstance(child, BLOCKS) and not is_elif)
        deepest = max(deepest, nesting(child, inner))
    return deepest


def test_functions_are_flat() -> None:
    offences = [
        f"{module.at(function)} {function.name}: {depth} levels, at most {MAX_NESTING}"
        for module in modules()
        for function in module.functions()
        if (depth := nesting(function)) > MAX_NESTING
    ]
    complain("return early, or name the inner loop", offences)


def public(scope: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """Public classes, functions and methods, those inside functions apart."""
    for node in scope.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from public(node)


def test_everything_public_has_a_docstring() -> None:
    offences = [f"{m.path}: the module" for m in modules() if not ast.get_docstring(m.tree)]
    offences += [
        f"{module.at(node)} {node.name}"
        for module in modules()
        for node in public(module.tree)
        if not ast.get_docstring(node)
    ]
    complain("say in one sentence what it is, with units, or make it private", offences)


def prints(module: Module) -> Iterator[str]:
    for node in module.nodes(ast.Call, ast.Attribute):
        name = dotted_name(node.func if isinstance(node, ast.Call) else node)
        if name in ("print", "sys.stdout", "sys.stderr"):
            yield f"{module.at(node)} {name}"


def test_only_the_command_line_prints() -> None:
    silent = [module for module in modules() if module.package not in ("cli", "__main__")]
    offences = [line for module in silent for line in prints(module)]
    complain("return data; accelsim/cli decides what is shown", offences)


def thawed_dataclasses(module: Module) -> Iterator[str]:
    for owner in module.nodes(ast.ClassDef):
        for decorator in owner.decorator_list:
            text = ast.unparse(decorator)
            is_dataclass = text.split("(")[0] in ("dataclass", "dataclasses.dataclass")
            if is_dataclass and "frozen=True" not in text:
                yield f"{module.at(owner)} {owner.name}: @{text}"


def test_data_is_frozen() -> None:
    offences = [line for module in modules() for line in thawed_dataclasses(module)]
    complain("data is frozen (frozen=True); what changes over time is an ordinary class", offences)


BANNED_CALLS = {
    "eval": "parse the text instead",
    "exec": "parse the text instead",
    "__import__": "import at the head of the file",
    "importlib.import_module": "import at the head of the file",
    "import_module": "import at the head of the file",
    "os.system": "subprocess.run with a list",
    "os.popen": "subprocess.run with a list",
    "yaml.load": "accelsim.documents.read_yaml",
    "pandas.read_pickle": "Parquet",
    "pd.read_pickle": "Parquet",
}
BANNED_IMPORTS = {
    **dict.fromkeys(("pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"),
                    "files of data are JSON, CSV or Parquet: loading them must not run code"),
    "yaml": "accelsim.documents.read_yaml",
    **dict.fromkeys(("requests", "urllib.request", "urllib3", "http.client", "httpx", "aiohttp",
                     "socket", "ftplib", "huggingface_hub"),
                    "a simulator does not reach into the network"),
}  # fmt: skip
BANNED_KEYWORDS = {"shell": "no shell", "allow_pickle": "no pickled arrays"}
# The lazy exports and the lazy commands are the two places that import by name.
IMPORTS_BY_NAME = ("", "cli", "__main__")


def dotted_name(node: ast.AST) -> str:
    """``a.b.c`` of an attribute chain; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted_name(node.value)}.{node.attr}"
    return ""


def banned_calls(module: Module) -> Iterator[str]:
    for call in module.nodes(ast.Call):
        name = dotted_name(call.func)
        by_name = name.endswith("import_module") and module.package in IMPORTS_BY_NAME
        if name in BANNED_CALLS and not by_name:
            yield f"{module.at(call)} {name}(): {BANNED_CALLS[name]}"
        for keyword in call.keywords:
            value = getattr(keyword.value, "value", None)
            if keyword.arg in BANNED_KEYWORDS and value is not False:
                yield f"{module.at(call)} {keyword.arg}=: {BANNED_KEYWORDS[keyword.arg]}"


def banned_imports(module: Module) -> Iterator[str]:
    for node, name in module.imports():
        for banned, instead in BANNED_IMPORTS.items():
            if name == banned or name.startswith(banned + "."):
                yield f"{module.at(node)} imports {name}: {instead}"


def test_nothing_dangerous() -> None:
    offences = [line for m in modules() for line in (*banned_calls(m), *banned_imports(m))]
    complain("input is data, never code", offences)


def test_test_folders_are_packages() -> None:
    folders = {path.parent for path in (CHECKOUT / "tests").rglob("*.py")}
    offences = [
        str(folder.relative_to(CHECKOUT))
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists() and folder.name != "__pycache__"
    ]
    complain("add an __init__.py: two tests in two folders may then have the same name", offences)
