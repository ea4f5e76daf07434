"""Do imports point down, and has every heavy dependency one home?"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

from tests.architecture.source_tree import Module, complain, modules

# A package imports from lower layers and from itself: packages side by side do not know each
# other. So hardware (arch) and software (workload) meet only in mapping, and energy prices counts
# without knowing how timing found them.
LAYERS = (
    ("foundation", "kernels"),
    ("arch", "workload", "results"),
    ("mapping", "des", "functional"),
    ("timing", "network", "energy"),
    ("engine", "parallel"),
    ("scenarios",),
    ("explore", "validation", "report"),
    ("cli",),
)
FOUNDATION = ("errors", "units", "dtypes", "formats", "arithmetic", "documents", "files")
LAYER_OF = {name: level for level, names in enumerate(LAYERS) for name in names}

# accelsim/__init__.py re-exports the public names lazily, __main__.py starts the command line.
EXEMPT = ("accelsim", "accelsim.__main__")
# What any module may take from the top of the package.
PLAIN_NAMES = ("accelsim.__version__",)

HOMES = {
    "numba": ("kernels",),
    "llvmlite": ("kernels",),
    "simpy": ("des",),
    "matplotlib": ("report",),
    "plotly": ("report",),
    "typer": ("cli",),
    "click": ("cli",),
    "rich": ("cli",),
    "pint": ("units",),
    "ruamel": ("documents",),
    "pydantic": ("arch", "scenarios", "explore"),
    "pydantic_core": ("arch", "scenarios", "explore"),
}


def checked() -> list[Module]:
    return [module for module in modules() if module.name not in EXEMPT]


def group(package: str) -> str:
    return "foundation" if package in FOUNDATION else package


def test_every_package_has_a_layer() -> None:
    unknown = sorted({m.package for m in checked() if group(m.package) not in LAYER_OF})
    complain("packages without a layer: give each a place in LAYERS of this test", unknown)


def upward_imports(module: Module) -> Iterator[str]:
    own = group(module.package)
    level = LAYER_OF.get(own, 0)
    for node, name in module.imports():
        top, _, rest = name.partition(".")
        if top != "accelsim" or name in PLAIN_NAMES:
            continue
        target = group(rest.split(".")[0])
        if target not in LAYER_OF:
            yield f"{module.at(node)} imports {name}: the top gives away only __version__"
        elif target != own and LAYER_OF[target] >= level:
            yield (
                f"{module.at(node)} {own} (layer {level}) imports {name} (layer {LAYER_OF[target]})"
            )


def test_imports_point_down() -> None:
    offences = [line for module in checked() for line in upward_imports(module)]
    complain("a module imports from lower layers or its own package: move the code down", offences)


def hidden_imports(module: Module) -> Iterator[str]:
    for function in module.functions():
        inner = {id(node) for node in ast.walk(function)}
        for node, name in module.imports():
            if id(node) in inner and name.split(".")[0] == "accelsim":
                yield f"{module.at(node)} {function.name} imports {name}"


def test_no_accelsim_import_hides_in_a_function() -> None:
    # The command line imports inside its commands, so that --help answers at once.
    outside = [module for module in checked() if module.package != "cli"]
    offences = [line for module in outside for line in hidden_imports(module)]
    complain("accelsim imports stand at the head of the file, where a reader looks", offences)


# A contract of the Python API (RunResult.report) needs a writer from a higher layer.
NAMED_FROM_BELOW = {("accelsim.results.run_result", "accelsim.report.html_report:html_report")}


def imports_by_text(module: Module) -> Iterator[str]:
    """Modules that code names in a string, to be imported later."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            dotted = re.fullmatch(r"accelsim(\.\w+)+(:\w+)?", node.value)
            if dotted and (module.name, node.value) not in NAMED_FROM_BELOW:
                yield f"{module.at(node)} names {node.value}"


def test_no_module_is_imported_by_its_name_in_a_string() -> None:
    offences = [line for module in checked() for line in imports_by_text(module)]
    complain("an import hidden in a string escapes the layer test: import it openly", offences)


def homeless_imports(module: Module) -> Iterator[str]:
    for node, name in module.imports():
        homes = HOMES.get(name.split(".")[0], (module.package,))
        if module.package not in homes:
            yield f"{module.at(node)} imports {name}: its home is {', '.join(homes)}"


def test_each_heavy_dependency_has_one_home() -> None:
    offences = [line for module in modules() for line in homeless_imports(module)]
    complain("a heavy dependency is imported in its home only", offences)


def loaded_after(statement: str) -> set[str]:
    """Top-level modules in memory after a statement, in a fresh interpreter."""
    script = (
        f"import contextlib, sys\nwith contextlib.suppress(SystemExit):\n    {statement}\n"
        "print('loaded:', *{name.split('.')[0] for name in sys.modules})"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{statement}\n{done.stderr}"
    return set(done.stdout.rpartition("loaded:")[2].split())


SLOW_TO_IMPORT = {"numba", "pandas", "pyarrow", "matplotlib", "scipy", "simpy"}


def test_import_accelsim_is_light() -> None:
    heavy = loaded_after("import accelsim") & (SLOW_TO_IMPORT | set(HOMES))
    assert not heavy, f"'import accelsim' loads {sorted(heavy)}: export lazily in __init__.py"


def test_help_is_light() -> None:
    run = "sys.argv[:] = ['accelsim', '--help']; from accelsim.cli.main import main; main()"
    heavy = loaded_after(run) & SLOW_TO_IMPORT
    assert not heavy, f"'accelsim --help' loads {sorted(heavy)}: load them when a command runs"
