"""Notebooks run from their first cell to their last, and what is committed of them is fit to be read."""

import json
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
# Trainings are shorter here: the program is the same, and what was learned is looked at where it was committed.
LASTS, SHORTER = "total_steps=3_500", "total_steps=1_000"


def test_the_tutorial_is_there():
    assert [path.name for path in NOTEBOOKS] == ["tutorial.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_run_in_a_fresh_kernel(path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    book = nbformat.read(path, 4)
    for cell in book.cells:
        cell.source = cell.source.replace(LASTS, SHORTER)
    assert any(SHORTER in cell.source for cell in book.cells)
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_committed_as_they_were_run_and_name_no_machine(path):
    text = path.read_text()
    assert len(text) < 500_000
    cells = json.loads(text)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "in order, all of them"
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not {output["output_type"] for output in outputs} & {"error"}
    assert "stderr" not in {output.get("name") for output in outputs}, "no warnings"
    assert all(cell["metadata"] == {} for cell in cells), "no times"
    words = "".join("".join(output.get("text", [])) for output in outputs)
    assert not [place for place in ("/home/", "/root/", "/tmp/", "/Users/", "site-packages") if place in words]
