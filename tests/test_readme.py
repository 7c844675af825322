"""The README says what is tested."""

import re
from pathlib import Path

import pytest
from conftest import REPOSITORY


def test_the_readme_promises_what_is_tested(request: pytest.FixtureRequest):
    """A row for each fault of the tests that are run with this one; where all are, no row more."""
    table = re.search(r"\| what goes wrong .*\n\| --- .*\n((?:\|.*\n)+)", (REPOSITORY / "README.md").read_text())[1]
    promised, items = set(table.splitlines()), request.session.items
    tested = {f"| {mark.args[0]} | {mark.args[1]} |" for item in items for mark in item.iter_markers("fault")}
    assert tested <= promised
    if {item.path for item in items} == set(Path(__file__).parent.rglob("test_*.py")):
        assert tested == promised


def test_the_readmes_results_are_those_of_the_report():
    """Each row and each command of its results stands on one of the report's pages"""
    results = re.search(r"^## Results\n(.*?)^## ", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    told = re.findall(r"^(?:\| .*|python .*)$", results, re.MULTILINE)
    assert len(told) > 10
    pages = [path.read_text().splitlines() for path in REPOSITORY.glob("RESULTS*.md")]
    assert set(told) <= set().union(*pages)
