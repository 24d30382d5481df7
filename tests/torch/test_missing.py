"""PyTorch is an extra: nothing but the layer imports it, and one sentence tells how to get it."""

import subprocess
import sys


def printed(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return result.stdout + result.stderr


def test_without_pytorch_one_sentence_says_what_to_install() -> None:
    *_, last = printed("import sys; sys.modules['torch'] = None\nimport harness.torch").splitlines()
    assert last.startswith("ImportError: harness.torch needs PyTorch (")
    assert "install it: pip install '" in last
    assert last.endswith("Debian's package python3-torch")


def test_the_package_imports_no_pytorch() -> None:
    code = "import sys, harness\nharness.CircuitClassifier().experiment\nharness.Experiment.load('iris')"
    assert printed(f"{code}\nprint('torch' in sys.modules)").strip() == "False"
