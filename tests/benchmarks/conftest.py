"""Makes the folder of the benchmarks importable."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)  # Behind the installed tfvae, which is the one under test.
