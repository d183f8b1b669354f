"""Arrays of PyTorch, and calls from XLA programs through JAX, where those are installed with a GPU."""

import secrets

import numpy as np
import pytest

SEED = np.array([11, -12], np.int32)


def test_tensors_of_pytorch(gpu):
    _, module = gpu
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU to run on: this PyTorch has none")
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        mean, log_var = torch.randn(2, 100, 33, device="cuda", dtype=dtype)
        z = torch.full_like(mean, torch.nan)
        kl = torch.full((100,), torch.nan, device="cuda", dtype=torch.promote_types(dtype, torch.float32))
        seed = torch.tensor([11, -12], device="cuda")
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        module.cuda.reparameterize_kl(mean, log_var, seed, z=z, kl=kl, stream=stream.cuda_stream)
        stream.synchronize()
        m, v = mean.double(), log_var.double()
        expected = 0.5 * (m**2 + torch.expm1(v) - v).sum(-1)
        torch.testing.assert_close(kl.double(), expected, rtol=1e-5, atol=1e-5)
        name = "float64" if dtype == torch.float64 else "float32"
        eps = torch.from_numpy(module.standard_normal(3300, seed=(11, -12), dtype=name)).cuda().double()
        error = (z.double() - (m + torch.exp(v / 2) * eps.reshape(100, 33))).abs().max()
        assert error < {torch.bfloat16: 0.1, torch.float16: 0.02}.get(dtype, 3e-5)


def test_calls_from_xla(gpu):
    """Forward and backward inside one jitted function: real XLA, with its own memory for outputs, seed and scratch."""
    _, module = gpu
    jax = pytest.importorskip("jax")
    try:
        jax.devices("gpu")
    except RuntimeError as error:
        pytest.skip(f"no GPU to run on: this JAX has none ({error})")
    for name, handler in module.cuda.xla_handlers().items():
        jax.ffi.register_ffi_target(name, handler, platform="CUDA")
    attributes = {"per_dimension": False, "num_samples": np.int64(1), "stop_density_gradient": False}
    seed = secrets.randbits(32)
    print("inputs from seed", seed)  # Shown where the test fails.
    rng = np.random.default_rng(seed)
    mean, log_var, dz = rng.normal(size=(3, 64, 5000)).astype(np.float32)
    prior = rng.normal(size=(2, 5000)).astype(np.float32)
    like, rows, columns = (jax.ShapeDtypeStruct(s, np.float32) for s in (mean.shape, (64,), (5000,)))

    def both(mean, log_var, dz, seed, prior):
        forward = jax.ffi.ffi_call("tfvae_reparameterize_kl", (like, rows))
        z, kl = forward(mean, log_var, seed, *prior, **attributes)
        backward = jax.ffi.ffi_call("tfvae_reparameterize_kl_grad", (like, like, columns, columns))
        return z, kl, backward(mean, log_var, seed, dz, kl, *prior, **attributes)

    z, kl, gradients = jax.jit(both)(mean, log_var, dz, SEED, prior)
    cpu = {"seed": (11, -12), "prior_mean": prior[0], "prior_log_var": prior[1]}
    expected_z, expected_kl = module.reparameterize_kl(mean, log_var, **cpu)
    # The CPU kernels contract other products; normals differ by a few roundings.
    np.testing.assert_allclose(z, expected_z, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(kl, expected_kl, rtol=1e-5)
    expected = module.reparameterize_kl_grad(mean, log_var, dz=dz, dkl=np.asarray(kl), **cpu)
    for found, value in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-3, atol=1e-3 * np.abs(value).max())
    wrong = jax.ffi.ffi_call("tfvae_reparameterize_kl", (rows, rows))
    with pytest.raises(Exception, match="every output of the shape and dtype that follow from mean"):
        jax.block_until_ready(jax.jit(lambda m, v: wrong(m, v, SEED, **attributes))(mean, log_var))
