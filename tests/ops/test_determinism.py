"""The same bits from run to run, for any number of threads, and from several threads at once."""

import json
import threading

import numpy as np
import pytest
import tensorflow as tf

import tfvae
from tfvae.ops import reparameterize_kl

BUILT = tfvae.build_info()["built"] is not None
DTYPES = ["float16", "bfloat16", "float32", "float64"]
# Many short rows, rows just over a unit of 2048 elements, and one row that several threads share.
SHAPES = [(1024, 17), (7, 2049), (3, 5000), (1, 100_003), (2000, 1)]


def arguments(rng, shape, dtype):
    mean, dz = (tf.cast(rng.normal(size=shape), dtype).numpy() for _ in range(2))
    log_var = tf.cast(rng.uniform(-4, 2, size=shape), dtype).numpy()
    dkl = rng.normal(size=shape[:-1]).astype("float64" if dtype == "float64" else "float32")
    return mean, log_var, dz, dkl


def equal_bits(a, b):
    return a.shape == b.shape and a.tobytes() == b.tobytes()


if BUILT:

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_any_number_of_threads_req_9(kernels, isa, shape, dtype, rng):
        mean, log_var, dz, dkl = arguments(rng, shape, dtype)
        results = []
        for threads in (1, 2, 8, 1):
            common = {"seed": (1, 2), "threads": threads, "isa": isa}
            forward = kernels.reparameterize_kl(mean, log_var, **common)
            each = kernels.reparameterize_kl(mean, log_var, per_dimension=True, **common)
            backward = kernels.reparameterize_kl_grad(mean, log_var, dz=dz, dkl=dkl, **common)
            results.append([*forward, *each, *backward])
        for again in results[1:]:
            assert all(equal_bits(a, b) for a, b in zip(results[0], again, strict=True))

    @pytest.mark.parametrize("columns", [2, 5, 10, 16, 20, 33, 64, 100, 129, 256, 500, 1000, 3000])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_equal_rows_have_equal_kl_wherever_they_stand(kernels, isa, dtype, columns, rng):
        """Rows are added up several at a time, and what is left one by one: in one order."""
        mean, log_var, *_ = arguments(rng, (1, columns), dtype)
        _, alone = kernels.reparameterize_kl(mean, log_var, seed=(1, 2), isa=isa)
        rows = 443  # Of no multiple that units or vectors have.
        _, kl = kernels.reparameterize_kl(mean.repeat(rows, 0), log_var.repeat(rows, 0), seed=(1, 2), isa=isa)
        assert equal_bits(kl, alone.repeat(rows))

    def test_denormals_are_kept_on_every_thread_req_9(kernels, isa, exact):
        """sigma = e^-100 is a float32 denormal; a thread that flushes those would give 0 where another does not."""
        mean, log_var = np.zeros((64, 2048), np.float32), np.full((64, 2048), -200, np.float32)
        eps = exact.noise([64, 2048], [1, 2], tf.float32).astype(np.float64)
        for threads in (1, 2, 8):
            z, _ = kernels.reparameterize_kl(mean, log_var, seed=(1, 2), threads=threads, isa=isa)
            # sigma is 26.5 times the smallest denormal: rounded to 27 of them, then the product is rounded.
            np.testing.assert_allclose(z, 27 * 2.0**-149 * eps, rtol=0, atol=0.51 * 2.0**-149)

    def test_the_op_gives_the_bits_of_the_module(kernels, rng):
        """TensorFlow's thread pool and the module's threads run the same kernels, so also the same rounding."""
        for shape in SHAPES:
            mean, log_var, *_ = arguments(rng, shape, "float32")
            mean[:, -1], log_var[:, -1] = 0, -200  # Denormals, which TensorFlow's own ops flush.
            with tfvae.use_backend("native"), tf.device("CPU:0"):
                got = reparameterize_kl(mean, log_var, seed=[1, 2])
            expected = kernels.reparameterize_kl(mean, log_var, seed=(1, 2))
            assert all(equal_bits(a.numpy(), b) for a, b in zip(got, expected, strict=True))

    @pytest.mark.parametrize("columns", [1024, 80, 2064])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_results_too_large_for_the_caches(kernels, isa, dtype, columns):
        """From 16 MiB on they are written around the caches, which wants every store aligned: some rows are not."""
        dtype = tf.as_dtype(dtype)
        mean = np.zeros([2**24 // (columns * dtype.size) + 1, columns], dtype.as_numpy_dtype)
        whole, _ = kernels.reparameterize_kl(mean, mean, seed=(1, 2), isa=isa)
        part, _ = kernels.reparameterize_kl(mean[:9], mean[:9], seed=(1, 2), isa=isa)
        assert equal_bits(whole[:9], part)

    def test_threads_that_cannot_be_started_are_an_error(run_python):
        code = """
import resource
import numpy as np
from tfvae._lib import tfvae_kernels

zeros = np.zeros([20_000, 2048], np.float16)
resource.setrlimit(resource.RLIMIT_AS, (20 * 2**30, resource.RLIM_INFINITY))  # A thread wants 8 MiB of addresses.
try:
    tfvae_kernels.reparameterize_kl(zeros, zeros, seed=(1, 2), threads=20_000)
except RuntimeError as error:
    print(error)
"""
        printed = run_python(code).stdout
        assert printed.startswith("The system starts no more than ")
        assert printed.endswith("of 20000 threads: Resource temporarily unavailable. Ask for fewer.\n")


def test_run_to_run_req_9(backend, rng):
    for shape in SHAPES:
        mean, log_var, *_ = arguments(rng, shape, "float32")
        first, second = (reparameterize_kl(mean, log_var, seed=[1, 2]) for _ in range(2))
        assert all(equal_bits(a.numpy(), b.numpy()) for a, b in zip(first, second, strict=True))


_HASHES = """
import hashlib, json, sys
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(THREADS)
import tfvae

rng = np.random.default_rng(5)
hashes = {}
for backend in BACKENDS:
    with tfvae.use_backend(backend):
        for shape in SHAPES:
            mean = tf.constant(rng.normal(size=shape), tf.float32)
            log_var = tf.constant(rng.uniform(-4, 2, size=shape), tf.float32)
            if backend == "native":  # TensorFlow's own ops flush denormals or not, by thread.
                log_var = tf.concat([log_var[:, :-1], tf.fill([shape[0], 1], -200.0)], axis=-1)
            with tf.GradientTape() as tape:
                tape.watch([mean, log_var])
                z, kl = tfvae.ops.reparameterize_kl(mean, log_var, seed=[1, 2])
            # Of z alone, because TensorFlow's own row sums may depend on the threads.
            results = [z, *tape.gradient([z, kl], [mean, log_var])] + ([kl] if backend == "native" else [])
            digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in results)).hexdigest()
            hashes[f"{backend} {shape}"] = digest
print(json.dumps({"threads": tf.config.threading.get_intra_op_parallelism_threads(), "hashes": hashes}))
"""


def test_tensorflow_thread_pools_of_any_size_req_9(run_python):
    backends = ["native", "reference"] if BUILT else ["reference"]
    results = []
    for threads in (1, 2):
        # The last one is large enough for TensorFlow to share it out.
        code = f"THREADS = {threads}\nBACKENDS = {backends}\nSHAPES = {[*SHAPES, (64, 20_000)]}\n{_HASHES}"
        done = run_python(code)
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout))
    assert [result["threads"] for result in results] == [1, 2]
    assert results[0]["hashes"] == results[1]["hashes"]


def test_two_threads_of_1000_calls_equal_serial_calls_req_17(backend, rng):
    mean = tf.constant(rng.normal(size=(5, 33)), tf.float32)
    log_var = tf.constant(rng.normal(size=(5, 33)), tf.float32)
    seeds = [[tf.constant([thread, call], tf.int64) for call in range(1000)] for thread in range(2)]

    @tf.function
    def op(seed):
        return reparameterize_kl(mean, log_var, seed=seed)

    op(seeds[0][0])  # Traced here, on the backend under test.

    def calls(thread):
        return [[tensor.numpy() for tensor in op(seed)] for seed in seeds[thread]]

    results = [None, None]

    def work(thread):
        results[thread] = calls(thread)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for thread in range(2):
        for together, alone in zip(results[thread], calls(thread), strict=True):
            assert all(equal_bits(a, b) for a, b in zip(together, alone, strict=True))
