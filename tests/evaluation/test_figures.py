"""Figures are files, wherever the scripts are started."""

import os
import subprocess
import sys

import pytest
from conftest import REPOSITORY


@pytest.mark.parametrize("imported_before", [False, True])
def test_figures_need_no_display_and_no_notebook(imported_before, tmp_path):
    """In a notebook, `!python` hands on a backend that is installed for the notebook's own Python alone."""
    backend = "tkagg" if imported_before else "module://matplotlib_inline.backend_inline"
    code = f"""
{"import matplotlib" if imported_before else ""}
from artificial_pain.evaluation import figures
figures.draw_confusion_matrix({str(tmp_path / "figure.png")!r}, [[1, 2], [0, 3]], ["a", "b"], "title")
"""
    environment = {**os.environ, "MPLBACKEND": backend}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
