"""torchvision beside a torch of another build."""

from __future__ import annotations

import subprocess
import sys

CODE = """
from mmauto.engine.compat import mend_torchvision
mended = mend_torchvision()
assert mend_torchvision() == mended  # a second call changes nothing
import torch, torchvision
from torchvision.transforms import v2
image = torch.zeros(1, 3, 40, 40, dtype=torch.uint8)
assert v2.Resize((32, 32))(image).shape == (1, 3, 32, 32)
model = torchvision.models.resnet18(weights=None).eval()
assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)
print("mended" if mended else "native")
"""


def test_torchvision_imports_transforms_and_models_work() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    native = subprocess.run([sys.executable, "-c", "import torchvision"], check=False)
    # the operators are declared only where torchvision cannot bring its own
    assert run.stdout.strip() == ("native" if native.returncode == 0 else "mended")
