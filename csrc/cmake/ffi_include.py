"""Print the folder that holds ``xla/ffi/api/ffi.h``, of TensorFlow or of JAX, or nothing."""

from importlib.util import find_spec
from pathlib import Path

HEADER = Path("xla", "ffi", "api", "ffi.h")


def candidates() -> list[Path]:
    """Return where the headers of either lie."""
    specs = [find_spec(name) for name in ("tensorflow", "jaxlib")]
    return [Path(folder, "include") for spec in specs if spec for folder in spec.submodule_search_locations or []]


print(next((folder for folder in candidates() if (folder / HEADER).is_file()), ""))
