"""The house: rooms whose imports only go down, short functions and files, and scripts that read as the experiment."""

import ast
import io
import runpy
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DATALOADER, INTENSITY_DATALOADER, INTENSITY_MODEL, MODEL, REPOSITORY
from transformers import ProgressCallback, Trainer

from artificial_pain.training.callbacks import ProgressBars
from artificial_pain.training.trainer import EmotionTrainer

PACKAGE = REPOSITORY / "artificial_pain"
# A room imports from its own floor and from those below it (which stand before it).
FLOORS = [
    {"errors"},
    {"distributed", "environment", "storage"},
    {"encoders", "hub"},
    {"data"},
    {"modeling"},
    {"evaluation"},
    {"training"},
    {"runs"},
    {"reporting", "analysis"},
    {"cli"},
    {"flags"},
    {"predict", "study", "report", "compare", "convert", "represent", "trajectory"},
]
MAX_FUNCTION, MAX_FILE = 50, 250  # lines
MAX_PACKAGE = 6294  # lines of code, without blanks, comments and docstrings
SCRIPT_LINES = range(60, 111)
SCRIPTS = [DATALOADER, MODEL, INTENSITY_DATALOADER, INTENSITY_MODEL]
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "sample" not in path.parts)


def name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


NAMES = {name(path) for path in MODULES}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the module of each import of ours, at the top or in a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "artificial_pain":
            base = node.module.removeprefix("artificial_pain").removeprefix(".")
            for alias in node.names:
                module = f"{base}.{alias.name}" if base else alias.name
                yield node.lineno, module if module in NAMES else base


def floor(module: str) -> int:
    room = module.split(".")[0]
    (number,) = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    return number


def test_imports_only_go_down():
    up = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {module}, which lies above it"
        for path in MODULES
        if path.stem != "__init__"
        for line, module in imports(path)
        if floor(module) > floor(name(path))
    ]
    assert not up, "\n".join(up)


def test_no_module_imports_itself_in_a_circle():
    graph = {name(path): {module for _, module in imports(path)} for path in MODULES}

    def circle(module: str, way: list[str]) -> None:
        assert module not in way, " imports ".join([*way[way.index(module) :], module])
        if module not in done:
            for imported in sorted(graph[module]):
                circle(imported, [*way, module])
            done.add(module)

    done: set[str] = set()
    for module in graph:
        circle(module, [])


def test_rooms_import_nothing_by_themselves():
    assert [path for path in PACKAGE.rglob("__init__.py") if path.read_text()] == []


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_functions_and_files_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < MAX_FUNCTION, f"line {node.lineno}: {node.name} is too long"


def code_lines(path: Path) -> int:
    """Without blanks, comments and docstrings."""
    text = path.read_text()
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_the_package_is_small():
    assert sum(map(code_lines, MODULES)) <= MAX_PACKAGE


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_the_experiment_on_a_page_or_two(script):
    assert len(script.read_text().splitlines()) in SCRIPT_LINES


@pytest.mark.parametrize(
    ("pair", "different"),
    [
        ((DATALOADER, INTENSITY_DATALOADER), {"TASK", "DATASETS"}),
        ((MODEL, INTENSITY_MODEL), {"TASK", "DATASETS", "WARMUP_STEPS", "MODEL_METRIC"}),
    ],
    ids=["dataloaders", "models"],
)
def test_published_numbers_are_the_same_in_both_scripts(pair, different):
    one, other = ({name: value for name, value in runpy.run_path(str(path)).items() if name.isupper()} for path in pair)
    assert {name for name in one.keys() & other.keys() if one[name] != other[name]} == different


@pytest.mark.parametrize(
    ("ours", "library", "shims"),
    [(EmotionTrainer, Trainer, {"_load_scaler"}), (ProgressBars, ProgressCallback, set())],
)
def test_libraries_are_used_by_their_public_hooks(ours, library, shims):
    private = {name for name in vars(ours) if name.startswith("_") and not name.startswith("__")}
    assert {name for name in private if hasattr(library, name)} == shims


def test_the_device_is_chosen_in_one_place():
    questions = ("cuda.is_available", "accelerator.is_available", "current_accelerator", "cuda.device_count")
    asking = {name(path) for path in MODULES for question in questions if question in path.read_text()}
    assert asking == {"distributed"}
