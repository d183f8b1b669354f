// CPU kernels: unpack and check the inputs, then hand plain pointers to csrc/cpu.
#include "csrc/cpu/dispatch.h"
#include "csrc/cpu/run.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/register_types.h"
#include "tensorflow/core/platform/threadpool.h"

namespace tfvae {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

template <class T>
constexpr DType kDType = DType::kFloat32;
template <>
constexpr DType kDType<Eigen::half> = DType::kFloat16;
template <>
constexpr DType kDType<Eigen::bfloat16> = DType::kBFloat16;
template <>
constexpr DType kDType<double> = DType::kFloat64;

// TensorFlow's own pool; a piece of work too small to share runs at once on the calling thread.
ParallelFor parallel_for(OpKernelContext* context) {
  auto* workers = context->device()->tensorflow_cpu_worker_threads()->workers;
  return [workers](int64_t count, int64_t nanoseconds, const std::function<void(int64_t, int64_t)>& body) {
    using tensorflow::thread::ThreadPool;
    workers->ParallelFor(count, ThreadPool::SchedulingParams::Adaptive(nanoseconds), body);
  };
}

absl::Status expect_shape(const char* name, const Tensor& tensor, const char* what, const TensorShape& expected) {
  if (tensor.shape() == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " must have ", what, ", ", expected.DebugString(), ", not ",
                                                 tensor.shape().DebugString(), "."));
}

// The checks and the fields that forward and backward share. Each op checks everything itself: the gradient op can be
// called without the forward one.
template <class Params>
absl::Status fill_common(OpKernelContext* context, bool per_dimension, Params* params, TensorShape* kl_shape) {
  const Tensor& mean = context->input(0);
  const Tensor& seed = context->input(2);
  if (mean.dims() < 1) {
    return absl::InvalidArgumentError("mean must have rank 1 or more (its last axis is the latent one), not shape [].");
  }
  TF_RETURN_IF_ERROR(expect_shape("log_var", context->input(1), "the shape of mean", mean.shape()));
  if (seed.shape() != TensorShape({2})) {
    return absl::InvalidArgumentError(absl::StrCat("seed must have shape [2], not ", seed.shape().DebugString(), "."));
  }
  for (int i = 0; i < 2; ++i) {
    params->seed[i] = seed.dtype() == tensorflow::DT_INT32 ? int64_t{seed.flat<int32_t>()(i)} : seed.flat<int64_t>()(i);
  }
  *kl_shape = mean.shape();
  kl_shape->RemoveLastDims(1);
  params->columns = mean.dim_size(mean.dims() - 1);
  params->rows = kl_shape->num_elements();
  if (per_dimension) *kl_shape = mean.shape();
  params->per_dimension = per_dimension;
  params->mean = mean.data();
  params->log_var = context->input(1).data();
  return absl::OkStatus();
}

class KernelBase : public OpKernel {
 public:
  explicit KernelBase(OpKernelConstruction* context) : OpKernel(context), kernels_(active_kernels()) {
    OP_REQUIRES_OK(context, context->GetAttr("per_dimension", &per_dimension_));
    if (kernels_ != nullptr) return;
    std::string names;
    for (const KernelTable* table : usable_kernels()) absl::StrAppend(&names, names.empty() ? "" : ", ", table->isa);
    OP_REQUIRES(
        context, false,
        absl::InvalidArgumentError(absl::StrCat("The environment variable TFVAE_ISA must be one of ", names,
                                                " on this machine. Correct it, or unset it to let tfvae choose.")));
  }

 protected:
  bool per_dimension_ = false;
  const KernelTable* kernels_;
};

template <class T>
class ReparameterizeKl : public KernelBase {
 public:
  using KernelBase::KernelBase;

  void Compute(OpKernelContext* context) override {
    ForwardParams params{};
    params.dtype = kDType<T>;
    TensorShape kl_shape;
    OP_REQUIRES_OK(context, fill_common(context, per_dimension_, &params, &kl_shape));
    Tensor* z = nullptr;
    Tensor* kl = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(0).shape(), &z));
    OP_REQUIRES_OK(context, context->allocate_output(1, kl_shape, &kl));
    params.z = z->data();
    params.kl = kl->data();
    Tensor scratch;
    const int64_t scratch_bytes = forward_scratch_bytes(*kernels_, params);
    if (scratch_bytes > 0) {
      OP_REQUIRES_OK(context, context->allocate_temp(tensorflow::DT_UINT8, TensorShape({scratch_bytes}), &scratch));
    }
    run_forward(*kernels_, params, scratch_bytes > 0 ? scratch.data() : nullptr, parallel_for(context));
  }
};

template <class T>
class ReparameterizeKlGrad : public KernelBase {
 public:
  using KernelBase::KernelBase;

  void Compute(OpKernelContext* context) override {
    BackwardParams params{};
    params.dtype = kDType<T>;
    TensorShape kl_shape;
    OP_REQUIRES_OK(context, fill_common(context, per_dimension_, &params, &kl_shape));
    const TensorShape& shape = context->input(0).shape();
    OP_REQUIRES_OK(context, expect_shape("dz", context->input(3), "the shape of z", shape));
    OP_REQUIRES_OK(context, expect_shape("dkl", context->input(4), "the shape of kl", kl_shape));
    Tensor* dmean = nullptr;
    Tensor* dlog_var = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &dmean));
    OP_REQUIRES_OK(context, context->allocate_output(1, shape, &dlog_var));
    params.dz = context->input(3).data();
    params.dkl = context->input(4).data();
    params.dmean = dmean->data();
    params.dlog_var = dlog_var->data();
    run_backward(*kernels_, params, parallel_for(context));
  }
};

#define TFVAE_REGISTER(T, K)                                  \
  REGISTER_KERNEL_BUILDER(Name("TfvaeReparameterizeKl")       \
                              .Device(tensorflow::DEVICE_CPU) \
                              .TypeConstraint<T>("T")         \
                              .TypeConstraint<K>("kl_dtype"), \
                          ReparameterizeKl<T>);               \
  REGISTER_KERNEL_BUILDER(Name("TfvaeReparameterizeKlGrad")   \
                              .Device(tensorflow::DEVICE_CPU) \
                              .TypeConstraint<T>("T")         \
                              .TypeConstraint<K>("kl_dtype"), \
                          ReparameterizeKlGrad<T>)

TFVAE_REGISTER(Eigen::half, float);
TFVAE_REGISTER(Eigen::bfloat16, float);
TFVAE_REGISTER(float, float);
TFVAE_REGISTER(double, double);

#undef TFVAE_REGISTER

}  // namespace
}  // namespace tfvae
