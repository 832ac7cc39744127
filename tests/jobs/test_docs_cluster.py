"""docs/cluster.md: every example is Python that compiles; that of LocalCluster runs; the others name what exists."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastmed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cluster.md"
TITLED = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
EXAMPLES = {title: "\n".join(re.findall(r"```python\n(.*?)```", body, re.DOTALL)) for title, body in TITLED}
EXAMPLES = {title: code for title, code in EXAMPLES.items() if code}


def test_all_kinds_of_clusters_have_an_example():
    for name in ("LocalCluster", "SSH", "Slurm", "Kubernetes"):
        code = next(code for title, code in EXAMPLES.items() if name in title)
        assert "stream.apply(" in code or "extract(" in code


@pytest.mark.parametrize("title", EXAMPLES)
def test_what_examples_import_is_there(title):
    """And takes the arguments that they give."""
    tree = ast.parse(EXAMPLES[title])
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = pytest.importorskip(node.module, reason=f"{node.module} is no dependency of fastmed")
            imported |= {alias.name: getattr(module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            imported |= {alias.name: importlib.import_module(alias.name) for alias in node.names}
    assert imported
    compile(tree, title, "exec")


def test_the_local_cluster_runs(tmp_path):
    zarr = pytest.importorskip("zarr", reason="Zarr is an extra")
    pytest.importorskip("distributed")
    image = np.random.default_rng(0).integers(0, 1000, (40, 40, 40), np.int16)
    array = zarr.create_array(str(tmp_path / "ct.zarr"), shape=image.shape, chunks=(20, 20, 20), dtype="int16")
    array[...] = image
    (code,) = (code for title, code in EXAMPLES.items() if "LocalCluster" in title)
    script = tmp_path / "example.py"
    script.write_text(code.replace("n_workers=8", "n_workers=2"))
    environment = {**os.environ, "PYTHONPATH": str(Path(fastmed.__file__).parents[1])}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (np.asarray(fastmed.read(tmp_path / "median.zarr")) == fastmed.median_filter(image, 3)).all()
