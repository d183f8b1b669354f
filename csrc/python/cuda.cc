// The CUDA kernels on arrays in device memory: into outputs of the caller's, on a stream of the caller's, nothing
// waits.
#include "csrc/python/cuda.h"

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "csrc/cuda/kernel_table.h"
#include "csrc/python/arguments.h"
#include "csrc/python/device_array.h"
#ifdef TFVAE_WITH_FFI
#include "csrc/cuda/xla_ffi.h"
#endif

namespace tfvae {
namespace {

using Optional = std::optional<py::object>;

void expect_success(const char* message) {
  if (message == nullptr) return;
  throw std::runtime_error(std::string("The kernel did not start on the GPU: ") + message + ".");
}

// The arguments of one call, checked as they are taken.
class Arguments {
 public:
  Arguments(const py::object& mean, const py::object& log_var, const py::object& seed, const Optional& prior_mean,
            const Optional& prior_log_var, int64_t num_samples, uintptr_t stream, CommonParams* params)
      : stream_(stream) {
    const DeviceArray& m = arrays_.emplace_back("mean", mean, stream_);
    if (m.shape.empty()) throw py::value_error("mean must have rank 1 or more, not shape ().");
    shape = samples = sums = m.shape;
    sums.pop_back();
    if (num_samples > 0) samples.insert(samples.begin(), num_samples), sums.insert(sums.begin(), num_samples);
    dtype = m.dtype;
    params->dtype = dtype_named(m.dtype, m.name);
    sum_dtype = params->dtype == DType::kFloat64 ? "float64" : "float32";
    params->columns = shape.back();
    params->rows = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i) params->rows *= shape[i];
    params->mean = m.data;
    params->log_var = take("log_var", log_var, shape, dtype);
    take_seed(seed);
    params->prior = PriorShape::kNone;
    if (prior_mean.has_value() != prior_log_var.has_value()) {
      throw py::type_error("prior_mean and prior_log_var must be given together.");
    }
    if (prior_mean.has_value()) {
      const DeviceArray& p = arrays_.emplace_back("prior_mean", *prior_mean, stream_);
      const bool full = p.shape == shape;
      params->prior = full ? PriorShape::kFull : PriorShape::kShared;
      prior = full ? shape : Shape{shape.back()};
      p.expect(prior, dtype);
      params->prior_mean = p.data;
      params->prior_log_var = take("prior_log_var", *prior_log_var, prior, dtype);
    }
  }

  void* take(const char* name, const py::object& object, const Shape& expected, const std::string& expected_dtype) {
    arrays_.emplace_back(name, object, stream_).expect(expected, expected_dtype);
    return arrays_.back().data;
  }

  void* take_output(const char* name, const py::object& object, const Shape& expected,
                    const std::string& expected_dtype) {
    void* data = take(name, object, expected, expected_dtype);
    if (arrays_.back().read_only)
      throw py::value_error(std::string(name) + " is written to, and must not be read-only.");
    return data;
  }

  template <class Params>
  void take_gradients(const py::object& dmean, const py::object& dlog_var, const Optional& dprior_mean,
                      const Optional& dprior_log_var, Params* params) {
    params->dmean = take_output("dmean", dmean, shape, dtype);
    params->dlog_var = take_output("dlog_var", dlog_var, shape, dtype);
    const bool wanted = params->prior != PriorShape::kNone;
    if (dprior_mean.has_value() != wanted || dprior_log_var.has_value() != wanted) {
      throw py::type_error("dprior_mean and dprior_log_var must be given with a prior, and only then.");
    }
    if (!wanted) return;
    params->dprior_mean = take_output("dprior_mean", *dprior_mean, prior, dtype);
    params->dprior_log_var = take_output("dprior_log_var", *dprior_log_var, prior, dtype);
  }

  // Another device's memory would be an error like a wrong address; the default stream has the same number on all.
  void expect_current_device() const {
    for (const DeviceArray& array : arrays_) {
      bool usable = true;
      if (!array.is_empty()) expect_success(is_usable_here(array.data, &usable));
      if (!usable) throw py::value_error(array.name + " must lie in the memory of the current CUDA device.");
    }
  }

  Shape shape, samples, sums, prior;
  std::string dtype, sum_dtype;
  DeviceSeed seed{};

 private:
  void take_seed(const py::object& object) {
    const DeviceArray& array = arrays_.emplace_back("seed", object, stream_);
    array.expect({2}, array.dtype == "int32" ? "int32" : "int64");
    seed = {array.data, array.dtype == "int64"};
  }

  std::vector<DeviceArray> arrays_;
  uintptr_t stream_;
};

template <class Params>
void run(const CudaKernel<Params>& kernel, const Params& params, const Arguments& arguments, uintptr_t stream_number) {
  arguments.expect_current_device();
  void* stream = reinterpret_cast<void*>(stream_number);
  void* scratch = nullptr;
  const char* message = nullptr;
  {
    // A launch may wait for work of the stream, as where its queue is full, and that for Python.
    const py::gil_scoped_release release;
    message = allocate_scratch(kernel.scratch_bytes(params), stream, &scratch);
    if (message == nullptr) message = kernel.launch(params, arguments.seed, scratch, stream);
    free_scratch(scratch, stream);
  }
  expect_success(message);
}

void reparameterize_kl(const py::object& mean, const py::object& log_var, const py::object& seed, const py::object& z,
                       const py::object& kl, const Optional& prior_mean, const Optional& prior_log_var,
                       bool per_dimension, uintptr_t stream) {
  ForwardParams params{};
  Arguments a(mean, log_var, seed, prior_mean, prior_log_var, 0, stream, &params);
  params.per_dimension = per_dimension;
  params.z = a.take_output("z", z, a.shape, a.dtype);
  params.kl = a.take_output("kl", kl, per_dimension ? a.shape : a.sums, a.sum_dtype);
  run(cuda_kernels().forward, params, a, stream);
}

void reparameterize_kl_grad(const py::object& mean, const py::object& log_var, const py::object& seed,
                            const py::object& dz, const py::object& dkl, const py::object& dmean,
                            const py::object& dlog_var, const Optional& prior_mean, const Optional& prior_log_var,
                            const Optional& dprior_mean, const Optional& dprior_log_var, bool per_dimension,
                            uintptr_t stream) {
  BackwardParams params{};
  Arguments a(mean, log_var, seed, prior_mean, prior_log_var, 0, stream, &params);
  params.per_dimension = per_dimension;
  params.dz = a.take("dz", dz, a.shape, a.dtype);
  params.dkl = a.take("dkl", dkl, per_dimension ? a.shape : a.sums, a.sum_dtype);
  a.take_gradients(dmean, dlog_var, dprior_mean, dprior_log_var, &params);
  run(cuda_kernels().backward, params, a, stream);
}

void reparameterize_log_ratio(const py::object& mean, const py::object& log_var, const py::object& seed,
                              int64_t num_samples, const py::object& z, const py::object& log_ratio,
                              const Optional& prior_mean, const Optional& prior_log_var, uintptr_t stream) {
  LogRatioParams params{};
  Arguments a(mean, log_var, seed, prior_mean, prior_log_var, check_samples(num_samples), stream, &params);
  params.num_samples = num_samples;
  params.z = a.take_output("z", z, a.samples, a.dtype);
  params.log_ratio = a.take_output("log_ratio", log_ratio, a.sums, a.sum_dtype);
  run(cuda_kernels().log_ratio, params, a, stream);
}

void reparameterize_log_ratio_grad(const py::object& mean, const py::object& log_var, const py::object& seed,
                                   int64_t num_samples, const py::object& dz, const py::object& dlog_ratio,
                                   const py::object& dmean, const py::object& dlog_var, const Optional& prior_mean,
                                   const Optional& prior_log_var, const Optional& dprior_mean,
                                   const Optional& dprior_log_var, bool stop_density_gradient, uintptr_t stream) {
  LogRatioGradParams params{};
  Arguments a(mean, log_var, seed, prior_mean, prior_log_var, check_samples(num_samples), stream, &params);
  params.num_samples = num_samples;
  params.stop_density_gradient = stop_density_gradient;
  params.dz = a.take("dz", dz, a.samples, a.dtype);
  params.dlog_ratio = a.take("dlog_ratio", dlog_ratio, a.sums, a.sum_dtype);
  a.take_gradients(dmean, dlog_var, dprior_mean, dprior_log_var, &params);
  run(cuda_kernels().log_ratio_grad, params, a, stream);
}

py::dict xla_handlers() {
  py::dict found;
#ifdef TFVAE_WITH_FFI
  for (const XlaHandler& handler : cuda_xla_handlers()) found[handler.target] = py::capsule(handler.handler);
#endif
  return found;
}

}  // namespace

void add_cuda(py::module_& parent) {
  py::module_ module = parent.def_submodule(
      "cuda",
      "The CUDA kernels on arrays in the memory of the current device (__dlpack__ or __cuda_array_interface__). "
      "Outputs are arguments; the work is put on `stream`, the address of a CUDA stream, and nothing waits for it.");
  const auto mean = py::arg("mean"), log_var = py::arg("log_var"), seed = py::arg("seed"), z = py::arg("z");
  const auto dz = py::arg("dz"), dmean = py::arg("dmean"), dlog_var = py::arg("dlog_var");
  const auto prior_mean = py::arg("prior_mean") = py::none(), prior_log_var = py::arg("prior_log_var") = py::none();
  const auto dprior_mean = py::arg("dprior_mean") = py::none(), dprior_log_var = py::arg("dprior_log_var") = py::none();
  const auto num_samples = py::arg("num_samples");
  const auto per_dimension = py::arg("per_dimension") = false;
  const auto stream = py::arg("stream") = 0;
  module.def("reparameterize_kl", reparameterize_kl, mean, log_var, seed, py::kw_only(), z, py::arg("kl"), prior_mean,
             prior_log_var, per_dimension, stream, "As tfvae.ops.reparameterize_kl, into z and kl.");
  module.def("reparameterize_kl_grad", reparameterize_kl_grad, mean, log_var, seed, py::kw_only(), dz, py::arg("dkl"),
             dmean, dlog_var, prior_mean, prior_log_var, dprior_mean, dprior_log_var, per_dimension, stream,
             "Its gradients, into dmean and dlog_var and, with a prior, dprior_mean and dprior_log_var.");
  module.def("reparameterize_log_ratio", reparameterize_log_ratio, mean, log_var, seed, py::kw_only(), num_samples, z,
             py::arg("log_ratio"), prior_mean, prior_log_var, stream,
             "As tfvae.ops.reparameterize_log_ratio, into z and log_ratio.");
  module.def("reparameterize_log_ratio_grad", reparameterize_log_ratio_grad, mean, log_var, seed, py::kw_only(),
             num_samples, dz, py::arg("dlog_ratio"), dmean, dlog_var, prior_mean, prior_log_var, dprior_mean,
             dprior_log_var, py::arg("stop_density_gradient") = false, stream,
             "Its gradients, into dmean and dlog_var and, with a prior, dprior_mean and dprior_log_var.");
  module.def("device_count", cuda_device_count, "The CUDA devices that this process can use.");
  module.def("xla_handlers", xla_handlers,
             "Handlers for XLA's foreign function interface on platform CUDA, by target name, for jax.ffi.");
}

}  // namespace tfvae
