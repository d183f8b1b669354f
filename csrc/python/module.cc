// The CPU kernels on NumPy arrays, with no TensorFlow: for tests, benchmarks and machines without it.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#ifdef __x86_64__
#include <emmintrin.h>
#endif

#include "csrc/cpu/dispatch.h"
#include "csrc/cpu/run.h"
#include "csrc/python/arguments.h"
#ifdef TFVAE_WITH_CUDA
#include "csrc/python/cuda.h"
#endif

namespace py = pybind11;

namespace tfvae {
namespace {

using Seed = std::array<int64_t, 2>;

struct JoinedThreads {
  std::vector<std::thread> started;
  ~JoinedThreads() {
    for (std::thread& thread : started) thread.join();
  }
};

// Even shares for `threads` threads, the calling one among them.
ParallelFor on_threads(int threads) {
  return [threads](int64_t count, int64_t, const std::function<void(int64_t, int64_t)>& body) {
    if (count == 0) return;
    const int64_t used = threads < count ? threads : count;
    JoinedThreads others;
    try {
      for (int64_t t = 1; t < used; ++t) others.started.emplace_back(body, count * t / used, count * (t + 1) / used);
    } catch (const std::system_error& error) {
      throw std::runtime_error("The system starts no more than " + std::to_string(others.started.size() + 1) + " of " +
                               std::to_string(used) + " threads: " + error.what() + ". Ask for fewer.");
    }
    body(0, count / used);
  };
}

const KernelTable& kernels_named(const std::string& isa) {
  if (isa.empty() && active_kernels() != nullptr) return *active_kernels();
  const std::string what = isa.empty() ? "The environment variable TFVAE_ISA" : "isa";
  std::string names;
  for (const KernelTable* table : usable_kernels()) {
    if (isa == table->isa) return *table;
    names += std::string(names.empty() ? "" : ", ") + table->isa;
  }
  throw py::value_error(what + " must be one of " + names + " on this machine" +
                        (isa.empty() ? "." : ", not '" + isa + "'."));
}

DType dtype_of(const py::array& array, const char* name) {
  const std::string dtype = py::str(array.dtype().attr("name"));
  if (!array.dtype().attr("isnative").cast<bool>()) {
    throw py::type_error(std::string(name) + " must be of this machine's byte order; convert it with astype('" + dtype +
                         "').");
  }
  return dtype_named(dtype, name);
}

py::dtype sum_dtype(DType dtype) { return py::dtype(dtype == DType::kFloat64 ? "float64" : "float32"); }

std::vector<py::ssize_t> shape_of(const py::array& array) { return {array.shape(), array.shape() + array.ndim()}; }

void expect(const char* name, const py::array& array, const std::vector<py::ssize_t>& shape, const py::dtype& dtype) {
  if (shape_of(array) != shape) {
    throw py::value_error(std::string(name) + " must have shape " + show(shape) + ", not " + show(shape_of(array)) +
                          ".");
  }
  if (!array.dtype().equal(dtype)) {
    throw py::type_error(std::string(name) + " must be " + std::string(py::str(dtype)) + ", not " +
                         std::string(py::str(array.dtype())) + ".");
  }
}

// Contiguous, and every element at a multiple of its size.
py::array contiguous(const py::object& object) {
  const py::array array = py::module_::import("numpy").attr("asarray")(object, py::none(), "C");
  const bool is_aligned = array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  return is_aligned ? array : array.attr("copy")().cast<py::array>();
}

using Shape = std::vector<py::ssize_t>;

// The arguments that every kernel takes, kept alive for the call.
struct Arguments {
  py::array mean, log_var, prior_mean, prior_log_var;
  Shape shape, row_shape;
  const KernelTable* kernels;

  Arguments(const py::array& mean_in, const py::array& log_var_in, const py::object& prior_mean_in,
            const py::object& prior_log_var_in, const Seed& seed, int threads, const std::string& isa,
            CommonParams* params)
      : mean(contiguous(mean_in)), log_var(contiguous(log_var_in)), kernels(&kernels_named(isa)) {
    params->dtype = dtype_of(mean, "mean");
    if (mean.ndim() < 1) throw py::value_error("mean must have rank 1 or more, not shape ().");
    if (threads < 1) throw py::value_error("threads must be 1 or more, not " + std::to_string(threads) + ".");
    shape = row_shape = shape_of(mean);
    row_shape.pop_back();
    expect("log_var", log_var, shape, mean.dtype());
    params->columns = shape.back();
    params->rows = 1;
    for (py::ssize_t size : row_shape) params->rows *= size;
    params->seed[0] = seed[0];
    params->seed[1] = seed[1];
    params->mean = mean.data();
    params->log_var = log_var.data();
    params->prior = PriorShape::kNone;
    if (prior_mean_in.is_none() != prior_log_var_in.is_none()) {
      throw py::type_error("prior_mean and prior_log_var must be given together.");
    }
    if (!prior_mean_in.is_none()) take_prior(prior_mean_in, prior_log_var_in, params);
  }

  Shape prior_shape(const CommonParams& params) const {
    return params.prior == PriorShape::kFull ? shape : Shape{shape.back()};
  }

 private:
  void take_prior(const py::object& mean_in, const py::object& log_var_in, CommonParams* params) {
    prior_mean = contiguous(mean_in);
    prior_log_var = contiguous(log_var_in);
    params->prior = shape_of(prior_mean) == shape ? PriorShape::kFull : PriorShape::kShared;
    expect("prior_mean", prior_mean, prior_shape(*params), mean.dtype());
    expect("prior_log_var", prior_log_var, prior_shape(*params), mean.dtype());
    params->prior_mean = prior_mean.data();
    params->prior_log_var = prior_log_var.data();
  }
};

template <class Params>
void run(const Kernel<Params>& kernel, const Params& params, int threads) {
  std::vector<double> scratch((kernel.work(params).scratch_bytes + 7) / 8);
  const py::gil_scoped_release release;
  run_kernel(kernel, params, scratch.data(), on_threads(threads));
}

Shape with_samples(int64_t num_samples, const Shape& shape) {
  Shape all = {static_cast<py::ssize_t>(num_samples)};
  all.insert(all.end(), shape.begin(), shape.end());
  return all;
}

// Allocates the gradients, runs the kernel, and returns (dmean, dlog_var) or, with a prior, its two as well.
template <class Params>
py::tuple run_gradient(const Kernel<Params>& kernel, const Arguments& arguments, Params* params, int threads) {
  py::array dmean(arguments.mean.dtype(), arguments.shape), dlog_var(arguments.mean.dtype(), arguments.shape);
  params->dmean = dmean.mutable_data();
  params->dlog_var = dlog_var.mutable_data();
  if (params->prior == PriorShape::kNone) {
    run(kernel, *params, threads);
    return py::make_tuple(dmean, dlog_var);
  }
  const Shape prior = arguments.prior_shape(*params);
  py::array dprior_mean(arguments.mean.dtype(), prior), dprior_log_var(arguments.mean.dtype(), prior);
  params->dprior_mean = dprior_mean.mutable_data();
  params->dprior_log_var = dprior_log_var.mutable_data();
  run(kernel, *params, threads);
  return py::make_tuple(dmean, dlog_var, dprior_mean, dprior_log_var);
}

py::tuple reparameterize_kl(const py::array& mean, const py::array& log_var, const Seed& seed,
                            const py::object& prior_mean, const py::object& prior_log_var, bool per_dimension,
                            int threads, const std::string& isa) {
  ForwardParams params{};
  const Arguments arguments(mean, log_var, prior_mean, prior_log_var, seed, threads, isa, &params);
  params.per_dimension = per_dimension;
  py::array z(mean.dtype(), arguments.shape);
  py::array kl(sum_dtype(params.dtype), per_dimension ? arguments.shape : arguments.row_shape);
  params.z = z.mutable_data();
  params.kl = kl.mutable_data();
  run(arguments.kernels->forward, params, threads);
  return py::make_tuple(z, kl);
}

py::tuple reparameterize_kl_grad(const py::array& mean, const py::array& log_var, const Seed& seed, py::array dz,
                                 py::array dkl, const py::object& prior_mean, const py::object& prior_log_var,
                                 bool per_dimension, int threads, const std::string& isa) {
  BackwardParams params{};
  const Arguments arguments(mean, log_var, prior_mean, prior_log_var, seed, threads, isa, &params);
  params.per_dimension = per_dimension;
  dz = contiguous(dz);
  dkl = contiguous(dkl);
  expect("dz", dz, arguments.shape, mean.dtype());
  expect("dkl", dkl, per_dimension ? arguments.shape : arguments.row_shape, sum_dtype(params.dtype));
  params.dz = dz.data();
  params.dkl = dkl.data();
  return run_gradient(arguments.kernels->backward, arguments, &params, threads);
}

py::tuple reparameterize_log_ratio(const py::array& mean, const py::array& log_var, const Seed& seed,
                                   int64_t num_samples, const py::object& prior_mean, const py::object& prior_log_var,
                                   int threads, const std::string& isa) {
  LogRatioParams params{};
  const Arguments arguments(mean, log_var, prior_mean, prior_log_var, seed, threads, isa, &params);
  params.num_samples = check_samples(num_samples);
  py::array z(mean.dtype(), with_samples(num_samples, arguments.shape));
  py::array log_ratio(sum_dtype(params.dtype), with_samples(num_samples, arguments.row_shape));
  params.z = z.mutable_data();
  params.log_ratio = log_ratio.mutable_data();
  run(arguments.kernels->log_ratio, params, threads);
  return py::make_tuple(z, log_ratio);
}

py::tuple reparameterize_log_ratio_grad(const py::array& mean, const py::array& log_var, const Seed& seed,
                                        int64_t num_samples, py::array dz, py::array dlog_ratio,
                                        const py::object& prior_mean, const py::object& prior_log_var,
                                        bool stop_density_gradient, int threads, const std::string& isa) {
  LogRatioGradParams params{};
  const Arguments arguments(mean, log_var, prior_mean, prior_log_var, seed, threads, isa, &params);
  params.num_samples = check_samples(num_samples);
  params.stop_density_gradient = stop_density_gradient;
  dz = contiguous(dz);
  dlog_ratio = contiguous(dlog_ratio);
  expect("dz", dz, with_samples(num_samples, arguments.shape), mean.dtype());
  expect("dlog_ratio", dlog_ratio, with_samples(num_samples, arguments.row_shape), sum_dtype(params.dtype));
  params.dz = dz.data();
  params.dlog_ratio = dlog_ratio.data();
  return run_gradient(arguments.kernels->log_ratio_grad, arguments, &params, threads);
}

py::array standard_normal(py::ssize_t count, const Seed& seed, const std::string& dtype, int64_t begin,
                          const std::string& isa) {
  if (dtype != "float32" && dtype != "float64") {
    throw py::type_error("dtype must be float32 or float64, not " + dtype + ".");
  }
  if (count < 0 || begin < 0) throw py::value_error("count and begin must not be negative.");
  if (begin > std::numeric_limits<int64_t>::max() - count) throw py::value_error("begin + count must be below 2**63.");
  py::array out(py::dtype(dtype), std::vector<py::ssize_t>{count});
  const DType type = dtype == "float64" ? DType::kFloat64 : DType::kFloat32;
  kernels_named(isa).normals(type, seed.data(), begin, count, out.mutable_data());
  return out;
}

py::array_t<uint32_t> philox_words(py::ssize_t count, const Seed& seed, const std::string& isa) {
  if (count < 0) throw py::value_error("count must not be negative.");
  py::array_t<uint32_t> out(count);
  kernels_named(isa).words(seed.data(), count, out.mutable_data());
  return out;
}

py::array_t<float> elementary(const std::string& function, py::array_t<float, py::array::c_style> x,
                              const std::string& isa) {
  if (function.size() != 1 || std::string("emxlsc").find(function) == std::string::npos) {
    throw py::value_error("function must be one of e, m, x, l, s, c, not '" + function + "'.");
  }
  py::array_t<float> out(x.size());
  kernels_named(isa).elementary(function.c_str(), x.size(), x.data(), out.mutable_data());
  return out;
}

// Where there are such stores.
void store_around(const uint64_t* from, int64_t count, uint64_t* to) {
#ifdef __x86_64__
  for (int64_t i = 0; i < count; ++i) _mm_stream_si64(reinterpret_cast<long long*>(to + i), from[i]);
  _mm_sfence();
#else
  std::copy_n(from, count, to);
#endif
}

// One pass that reads every source and writes every target, as whole 8-byte words: what moving the bytes alone costs.
void stream(const std::vector<py::array>& sources, const std::vector<py::array>& targets, int threads,
            bool around_caches) {
  std::vector<const uint64_t*> from;
  std::vector<uint64_t*> to;
  py::ssize_t bytes = -1;
  const auto add = [&](const py::array& array) {
    if (bytes < 0) bytes = array.nbytes();
    if (array.nbytes() != bytes || !(array.flags() & py::array::c_style)) {
      throw py::value_error("every array must be contiguous and of one size in bytes.");
    }
    if (array.dtype().attr("hasobject").cast<bool>() || reinterpret_cast<uintptr_t>(array.data()) % 8 != 0) {
      throw py::value_error("every array must be of numbers, and begin at a multiple of 8 bytes.");
    }
  };
  for (const py::array& array : sources) add(array), from.push_back(static_cast<const uint64_t*>(array.data()));
  for (py::array array : targets) add(array), to.push_back(static_cast<uint64_t*>(array.mutable_data()));
  if (from.empty() || to.empty() || threads < 1) {
    throw py::value_error("stream takes one source or more, one target or more, and one thread or more.");
  }
  if (bytes % 8 != 0) {
    throw py::value_error("stream moves whole words of 8 bytes, and the arrays have " + std::to_string(bytes) + ".");
  }
  const py::gil_scoped_release release;
  on_threads(threads)(bytes / 8, 1, [&](int64_t begin, int64_t end) {
    constexpr int64_t kBlock = 512;
    uint64_t mixed[kBlock];
    for (int64_t start = begin; start < end; start += kBlock) {
      const int64_t size = std::min(kBlock, end - start);
      std::copy_n(from[0] + start, size, mixed);
      for (size_t s = 1; s < from.size(); ++s) {
        for (int64_t i = 0; i < size; ++i) mixed[i] ^= from[s][start + i];
      }
      for (uint64_t* target : to) {
        if (around_caches) {
          store_around(mixed, size, target + start);
        } else {
          std::copy_n(mixed, size, target + start);
        }
      }
    }
  });
}

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (const KernelTable* table : usable_kernels()) names.push_back(table->isa);
  return names;
}

}  // namespace

PYBIND11_MODULE(tfvae_kernels, module) {
  module.doc() = "tfvae's CPU kernels on NumPy arrays, without TensorFlow.";
  const auto mean = py::arg("mean"), log_var = py::arg("log_var"), seed = py::arg("seed"), dz = py::arg("dz");
  const auto num_samples = py::arg("num_samples");
  const auto prior_mean = py::arg("prior_mean") = py::none(), prior_log_var = py::arg("prior_log_var") = py::none();
  const auto per_dimension = py::arg("per_dimension") = false;
  const auto threads = py::arg("threads") = 1;
  const auto isa = py::arg("isa") = "";
  module.def("reparameterize_kl", reparameterize_kl, mean, log_var, py::kw_only(), seed, prior_mean, prior_log_var,
             per_dimension, threads, isa, "(z, kl), as tfvae.ops.reparameterize_kl.");
  module.def("reparameterize_kl_grad", reparameterize_kl_grad, mean, log_var, py::kw_only(), seed, dz, py::arg("dkl"),
             prior_mean, prior_log_var, per_dimension, threads, isa,
             "(dmean, dlog_var), and with a prior (dprior_mean, dprior_log_var) behind.");
  module.def("reparameterize_log_ratio", reparameterize_log_ratio, mean, log_var, py::kw_only(), seed, num_samples,
             prior_mean, prior_log_var, threads, isa, "(z, log_ratio), as tfvae.ops.reparameterize_log_ratio.");
  module.def("reparameterize_log_ratio_grad", reparameterize_log_ratio_grad, mean, log_var, py::kw_only(), seed,
             num_samples, dz, py::arg("dlog_ratio"), prior_mean, prior_log_var,
             py::arg("stop_density_gradient") = false, threads, isa,
             "(dmean, dlog_var), and with a prior (dprior_mean, dprior_log_var) behind.");
  module.def("standard_normal", standard_normal, py::arg("count"), py::kw_only(), seed, py::arg("dtype") = "float32",
             py::arg("begin") = 0, isa, "The noise alone.");
  module.def("philox_words", philox_words, py::arg("count"), py::kw_only(), seed, isa, "The random words alone.");
  module.def("elementary", elementary, py::arg("function"), py::arg("x"), py::kw_only(), isa,
             "e: exp, m: exp - 1, x: exp - 1 - x, l: log, s and c: sin and cos of x turns of 2^-23.");
  module.def("stream", stream, py::arg("sources"), py::arg("targets"), threads, py::arg("around_caches") = false,
             "Read every source and write every target once: the rival that only moves the bytes.");
  module.def("isas", isas, "The instruction sets compiled in that this processor has, the best first.");
#ifdef TFVAE_WITH_CUDA
  add_cuda(module);
#endif
}

}  // namespace tfvae
