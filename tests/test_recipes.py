"""The recipes of docs/extending.md are applied to copies of the project, and keep what they promise there."""

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

import pytest

from students_api.mongodb.driver import ON_MOTOR
from tests.conftest import SHARED_DATABASE, SHARED_URL, cannot_run
from tests.recipes import EXTENDING, PROJECT, Recipe, recipes

RECIPES = recipes()
BUILT_ON = {base for recipe in RECIPES.values() for base in recipe.after}
LAST = {name: recipe for name, recipe in RECIPES.items() if name not in BUILT_ON}
"""The recipes that no other builds on; in the copies of these the others are as well."""

TOGETHER = [
    (
        *("a-filter", "an-index", "a-field-validator", "saved-changes"),
        *("an-aggregation", "inheritance", "a-migration", "links-both-ways"),
    ),
    ("a-unique-field", "unique-in-any-case", "a-model-validator", "a-hook", "soft-delete", "a-view"),
]
"""The recipes that are tested in one copy: in the first the service changes a student in one operation, in the second
it has to read the student before that, for the hook and the validator."""

IGNORED = [line.rstrip("/") for line in (PROJECT / ".gitignore").read_text().splitlines()]
NOT_COPIED = shutil.ignore_patterns(".git", *IGNORED)
"""What is no part of the project: what a run or a build leaves, and the virtual environment."""

ABOUT_DOCUMENTS = [
    f"tests/test_{name}.py"
    for name in (
        "indexes",
        "plans",
        "resources",
        "stored_documents",
        "students",
    )
]
"""The files in which it makes most difference what a student declares; the others are for `make test-recipes`."""

IN_MEMORY_TOO = ("test_filters", "test_openapi", "test_schemas", "test_stored_documents", "test_recipe_")
"""What is tested in memory as well, as it takes little time."""

A_SCHOOLS_OWN = PROJECT / "tests/recipes/a_school.diff"
"""Fields, indexes and a route such as a school may add to its students, beyond the recipes."""

IN_MEMORY = ("resources", "stored_documents")
ON_BOTH = ("filters", "openapi", "plans", "schemas", "students")
LONG = ("answers_at_most_1000", "no_combination")
"""The files that are tested with them, those of most tests in memory alone, and what takes long in these."""

LINES = {
    "a-field": 1,
    "a-filter": 1,
    "an-index": 1,
    "a-unique-field": 1,
    "unique-in-any-case": 6,
    "a-field-validator": 7,
    "a-model-validator": 8,
    "a-hook": 4,
    "saved-changes": 14,
    "soft-delete": 3,
    "an-aggregation": 17,
    "a-view": 29,
    "inheritance": 26,
    "a-migration": 21,
    "a-link": 20,
    "links-both-ways": 8,
}
"""How many lines of the project each recipe may change."""

LINES_ELSEWHERE = 3
"""How many lines a second resource may change outside its own folder."""

QUICK = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
"""Nothing is written into a copy, and Hypothesis's plugin is left out, which takes as long to start as all the rest."""

WHOLE = ["-p", "no:cacheprovider", "-m", "mongod", "-n", "auto", "--dist", "loadfile", "--ignore=tests/test_recipes.py"]
"""The whole suite on a real MongoDB, on all cores; but for this file, whose recipe is applied there already."""


def changed(patch: str) -> dict[str, list[tuple[str, str]]]:
    """The lines that a patch changes in each file, as pairs of old and new; either can be empty."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path, body in re.findall(r"^\+\+\+ b/(\S+)\n(.*?)(?=^diff --git|\Z)", patch, re.DOTALL | re.MULTILINE):
        pairs: list[tuple[str, str]] = []
        for old, new in re.findall(r"((?:^-.*\n)*)((?:^\+.*\n)*)", body, re.MULTILINE):
            before, after = ([line[1:] for line in part.splitlines() if line[1:].strip()] for part in (old, new))
            longest = max(len(before), len(after))
            pairs += zip(before + [""] * (longest - len(before)), after + [""] * (longest - len(after)), strict=True)
        found[path] = pairs
    return found


def test_every_recipe_has_tests_and_a_goal_and_there_are_no_others() -> None:
    files = {path for path in (PROJECT / "tests/recipes").glob("*.py") if not path.stem.startswith("__")}
    assert {recipe.tests for recipe in RECIPES.values()} == files
    assert set(RECIPES) == {*LINES, "a-second-resource"}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_what_a_recipe_tests_on_a_real_mongod_is_marked_so(recipe: Recipe) -> None:
    tests = re.findall(r"((?:^@.*\n)*)^(?:async )?def test_\w+\(([^)]*)\)", recipe.tests.read_text(), re.MULTILINE)
    assert tests
    for marks, fixtures in tests:
        assert ("real_" in fixtures) == ("pytest.mark.mongod" in marks), fixtures


@pytest.mark.parametrize("name", LINES)
def test_a_recipe_changes_no_more_lines_than_its_goal(name: str) -> None:
    lines = sum(map(len, changed(RECIPES[name].patch).values()))
    assert lines <= LINES[name]


def test_a_filter_is_one_word() -> None:
    ((old, new),) = changed(RECIPES["a-filter"].patch)["students_api/students/student.py"]
    words = old.split(), new.split()
    edits = [edit for edit in SequenceMatcher(None, *words, autojunk=False).get_opcodes() if edit[0] != "equal"]
    assert [(kind, words[1][start:end]) for kind, _, _, start, end in edits] == [("insert", ["Indexed(),"])]


def test_a_second_resource_is_a_folder_and_three_lines_elsewhere() -> None:
    elsewhere = {
        path: len(lines)
        for path, lines in changed(RECIPES["a-second-resource"].patch).items()
        if not path.startswith("students_api/courses/")
    }
    assert elsewhere == {"students_api/main.py": LINES_ELSEWHERE}


def test_what_the_document_says_of_the_lines_is_so() -> None:
    rows = re.findall(r"^\| [^|]+ \| \[.+?\]\(#([\w-]+)\) \| (\d+)[^|]* \|", EXTENDING.read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == list(RECIPES)
    for name, lines in rows:
        new = "/courses/" if name == "a-second-resource" else None  # the folder does not count
        changes = changed(RECIPES[name].patch).items()
        assert int(lines) == sum(len(pairs) for path, pairs in changes if new is None or new not in path), name


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A copy of the project, with nothing that a run has left in it."""
    if shutil.which("git") is None:
        cannot_run(NO_GIT)
    folder = tmp_path / "copy"
    shutil.copytree(PROJECT, folder, ignore=NOT_COPIED)
    yield folder
    shutil.rmtree(folder)


@cache
def unfit() -> list[str]:
    """The diffs that cannot be applied to the project; of recipes those that build on no other."""
    if shutil.which("git") is None:
        cannot_run(NO_GIT)
    alone = {name: recipe.patch for name, recipe in RECIPES.items() if not recipe.after}
    git = ["git", "apply", "--check", "-"]
    return [
        name
        for name, patch in {**alone, "a school": A_SCHOOLS_OWN.read_text()}.items()
        if subprocess.run(git, cwd=PROJECT, input=patch, text=True, capture_output=True, check=False).returncode
    ]


NO_GIT = "the recipes are applied by git: `apt-get install git`"
OTHER_STUDENTS = "the diff is for the project as it is published, and does not fit this one any more"


def test_the_diffs_fit_the_project() -> None:
    """Where this fails, the tests of what does not fit are skipped."""
    assert not unfit(), OTHER_STUDENTS


def apply_patch(patch: str, copy: Path) -> None:
    git = ["git", "apply", "--whitespace=error-all", "-"]
    done = subprocess.run(git, cwd=copy, input=patch, text=True, capture_output=True, check=False)
    if done.returncode != 0 and unfit():
        pytest.skip(OTHER_STUDENTS)
    assert done.returncode == 0, done.stderr


def apply(recipe: Recipe, copy: Path) -> None:
    for name in (*recipe.after, recipe.name):
        apply_patch(RECIPES[name].patch, copy)
    for name in (*recipe.after, recipe.name):
        shutil.copy(RECIPES[name].tests, copy / "tests" / f"test_recipe_{RECIPES[name].tests.name}")


def run_ruff(copy: Path, *arguments: str) -> None:
    """Run ruff on the copy's code, in which it finds nothing."""
    command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "students_api", "migrations"]
    done = subprocess.run(command, cwd=copy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


# Each copy's tests run in a process of their own, forked from one that has imported the libraries.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["beanie", "fastapi", "httpx2", "mongomock_motor", "pytest_asyncio.plugin", "structlog"])


def run_pytest(copy: Path, printed: Path, mongodb_url: str | None, arguments: Sequence[str]) -> None:
    """Run pytest in the copy, all of whose code is the copy's. The process ends with pytest's exit code."""
    for name in [name for name in sys.modules if name.partition(".")[0] in {"students_api", "tests"}]:
        del sys.modules[name]
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "COV"))]:
        del os.environ[name]
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(copy), os.environ.get("PYTHONPATH"))))
    if mongodb_url is not None:
        os.environ |= {SHARED_URL: mongodb_url, SHARED_DATABASE: f"copy_{os.getpid()}"}
    with printed.open("w") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    # The libraries are there before pytest, which has no assertions of theirs to rewrite.
    code = pytest.main(["-W", "ignore::pytest.PytestAssertRewriteWarning", *arguments])
    loaded = {sys.modules[name].__file__ for name in ("students_api", "tests")}
    assert all(str(file).startswith(str(copy)) for file in loaded), loaded
    sys.exit(code)


def own_tests(copy: Path) -> list[str]:
    """Those of the recipes that are applied to the copy."""
    return [str(path.relative_to(copy)) for path in (copy / "tests").glob("test_recipe_*.py")]


def apply_together(names: tuple[str, ...], copy: Path) -> None:
    """Apply each to the project as it is, and merge: of lines that several change, such as an import, all are kept."""
    for name in names:
        recipe, alone = RECIPES[name], copy.with_name(name)
        shutil.copytree(PROJECT, alone, ignore=NOT_COPIED)
        apply(recipe, alone)
        for path in {path for step in (*recipe.after, name) for path in changed(RECIPES[step].patch)}:
            merged, base = copy / path, PROJECT / path
            if base.exists():
                subprocess.run(["git", "merge-file", "-q", "--union", merged, base, alone / path], check=True)
            else:
                merged.parent.mkdir(exist_ok=True)
                shutil.copy(alone / path, merged)
        for tests in own_tests(alone):
            shutil.copy(alone / tests, copy / tests)
        shutil.rmtree(alone)


def run_tests(copy: Path, mongodb_url: str | None, *arguments: str) -> str:
    """What pytest prints of tests in the copy, which pass; without a URL they have a mongod of their own."""
    printed = copy.with_suffix(".log")
    process = FORKS.Process(target=run_pytest, args=(copy, printed, mongodb_url, arguments))
    process.start()
    process.join()
    assert process.exitcode == 0, printed.read_text()
    return printed.read_text()


def test_every_recipe_is_tested_in_one_copy() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(LAST)


@pytest.mark.mongod
@pytest.mark.recipes
@pytest.mark.slow
@pytest.mark.parametrize("names", TOGETHER, ids=" ".join)
def test_with_several_recipes_their_own_tests_and_those_about_documents_pass(
    names: tuple[str, ...], copy: Path, mongodb_url: str
) -> None:
    """But for the slow ones, on a real MongoDB and some in memory. On Beanie 2, the recipes' own tests."""
    apply_together(names, copy)
    if ON_MOTOR:
        more = [f"tests/{name}.py" for name in IN_MEMORY_TOO[:3]]
        chosen = ["-m", "not slow", "-k", f"mongod or {' or '.join(IN_MEMORY_TOO)}", *ABOUT_DOCUMENTS, *more]
    else:
        chosen = ["-m", "mongod and not slow"]
    printed = run_tests(copy, mongodb_url, *QUICK, *chosen, *own_tests(copy))
    assert int(re.findall(r"(\d+) passed", printed)[-1]) >= (200 if ON_MOTOR else len(names))


@pytest.mark.any_driver
@pytest.mark.mongod
@pytest.mark.recipes
@pytest.mark.slow
def test_what_a_school_adds_to_its_students_breaks_no_test_of_something_else(copy: Path, mongodb_url: str) -> None:
    apply_patch(A_SCHOOLS_OWN.read_text(), copy)
    files = [f"tests/test_{name}.py" for name in (*IN_MEMORY, *ON_BOTH)]
    others = " or ".join((*LONG, *(f"(mongod and test_{name})" for name in IN_MEMORY)))
    printed = run_tests(copy, mongodb_url, *QUICK, "-m", "not slow", "-k", f"not ({others})", *files)
    on_mongod, passed = map(int, re.findall(r"(\d+) of (\d+) tests ran on a real mongod", printed)[-1])
    assert (on_mongod >= 70, passed - on_mongod >= 150) == (True, True)


@pytest.mark.any_driver
@pytest.mark.mongod
@pytest.mark.recipes
@pytest.mark.slow
@pytest.mark.parametrize("recipe", LAST.values(), ids=LAST)
def test_with_a_recipe_its_own_tests_and_all_others_pass_on_a_real_mongod(
    recipe: Recipe, copy: Path, mongodb_url: str, pytestconfig: pytest.Config
) -> None:
    """All others with `--whole`."""
    apply(recipe, copy)
    whole = pytestconfig.getoption("whole")
    printed = (
        run_tests(copy, None, *WHOLE)
        if whole
        else run_tests(copy, mongodb_url, *QUICK, "-m", "mongod", *own_tests(copy))
    )
    assert int(re.findall(r"(\d+) passed", printed)[-1]) >= (200 if whole else 1)


@pytest.mark.recipes
@pytest.mark.slow
def test_with_a_second_resource_the_contracts_tests_pass_for_it_in_memory_too(copy: Path) -> None:
    apply(RECIPES["a-second-resource"], copy)
    contract = [str(path) for path in (copy / "tests").glob("test_*.py") if "resource: Resource" in path.read_text()]
    printed = run_tests(
        copy, None, *QUICK, "-v", "-m", "not mongod and not slow", "-k", "mongomock and courses", *contract
    )
    assert len(re.findall(r"courses\S*\] PASSED", printed)) > 50


@pytest.mark.recipes
@pytest.mark.slow
@pytest.mark.parametrize("recipe", LAST.values(), ids=LAST)
def test_a_recipe_leaves_the_project_as_tidy_as_it_was(recipe: Recipe, copy: Path) -> None:
    apply(recipe, copy)
    run_ruff(copy, "check")
    run_ruff(copy, "format", "--check")
