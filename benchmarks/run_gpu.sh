#!/usr/bin/env bash
# Builds the kernels without TensorFlow, tests them and measures them on a CUDA machine, unattended, in under eight
# minutes: benchmarks/run_gpu.sh OUTPUT_FOLDER
# Needs nvcc, g++, cmake, ninja and a python3 with pybind11, numpy and pytest; PyTorch and JAX are rivals where they are
# there. Leaves CSVs and logs in OUTPUT_FOLDER. The exit code tells whether all tests passed.
set -uo pipefail
output=$(mkdir -p "${1:?usage: benchmarks/run_gpu.sh OUTPUT_FOLDER}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
export PATH=$PATH:/usr/local/cuda/bin PYTHONUNBUFFERED=1 PYTHONPATH=$build XLA_PYTHON_CLIENT_PREALLOCATE=false
failed=0

step() { # seconds at most, name, command
  local limit=$1 name=$2
  shift 2
  printf '\n=== %s (after %s s)\n' "$name" "$SECONDS"
  timeout "$limit" "$@" 2>&1 | tee "$output/$name.log"
  local code=$?
  [ $code -eq 0 ] || { echo "=== $name: exit code $code"; failed=1; }
  return $code
}

python3 - <<'PYTHON' | tee "$output/machine.txt"
import importlib.metadata as m, platform, subprocess
print(platform.platform(), platform.python_version())
for name in ("numpy", "pytest", "pybind11", "torch", "jax", "jaxlib"):
    try:
        print(name, m.version(name))
    except m.PackageNotFoundError:
        print(name, "is not installed")
for command in (["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv"], ["nvcc", "--version"]):
    try:
        print(subprocess.run(command, capture_output=True, text=True).stdout)
    except OSError as error:
        print(error)
PYTHON

# Of this machine's GPU alone, which takes a quarter of the time of all.
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
step 40 configure cmake -S . -B "$build" -G Ninja -DTFVAE_WITH_TENSORFLOW=OFF -DTFVAE_ENABLE_CUDA=ON \
  -DPython_EXECUTABLE="$(command -v python3)" -DTFVAE_CUDA_ARCHITECTURES="${capability:-90}" || exit 1
step 95 build cmake --build "$build" || exit 1
step 85 test python3 -m pytest tests/gpu -q -p no:cacheprovider -W default
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    step 40 "$tool" compute-sanitizer --tool $tool --error-exitcode 9 python3 -m benchmarks.gpu_sanitize
  done
fi
rm -f "$output/gpu_reparameterize_kl.csv"
step 170 bench python3 -m benchmarks.gpu_reparameterize_kl --rounds 15 --output "$output/gpu_reparameterize_kl.csv"
printf '\n=== done after %s s\n' "$SECONDS"
exit $failed
