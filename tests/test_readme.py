"""The README says what is tested."""

import pytest
from conftest import REPOSITORY


def test_the_readme_promises_what_is_tested(request: pytest.FixtureRequest):
    """A row for each fault of the tests that are run with this one."""
    readme = (REPOSITORY / "README.md").read_text()
    rows = {
        f"| {mark.args[0]} | {mark.args[1]} |" for item in request.session.items for mark in item.iter_markers("fault")
    }
    assert not [row for row in rows if row not in readme]
