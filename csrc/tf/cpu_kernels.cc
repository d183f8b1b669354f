// CPU kernels: unpack and check the inputs, then hand plain pointers to csrc/cpu. Each op checks everything itself: a
// gradient op can be called without its forward op.
#include "csrc/cpu/run.h"
#include "csrc/cpu/share_work.h"
#include "csrc/tf/checks.h"
#include "csrc/tf/find_kernels.h"
#include "csrc/tf/outputs.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/register_types.h"
#include "tensorflow/core/platform/threadpool.h"

namespace tfvae {
namespace {

using tensorflow::OpInputList;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;

template <class T>
constexpr DType kDType = DType::kFloat32;
template <>
constexpr DType kDType<Eigen::half> = DType::kFloat16;
template <>
constexpr DType kDType<Eigen::bfloat16> = DType::kBFloat16;
template <>
constexpr DType kDType<double> = DType::kFloat64;

// The calling thread and TensorFlow's own pool.
ParallelFor parallel_for(OpKernelContext* context) {
  auto* workers = context->device()->tensorflow_cpu_worker_threads()->workers;
  return [workers](int64_t count, int64_t cycles, const std::function<void(int64_t, int64_t)>& body) {
    share_work(count, cycles, workers->NumThreads(), body,
               [workers](std::function<void()> task) { workers->Schedule(std::move(task)); });
  };
}

absl::Status fill_prior(OpKernelContext* context, const TensorShape& shape, CommonParams* params) {
  OpInputList prior;
  TF_RETURN_IF_ERROR(context->input_list("prior", &prior));
  params->prior = PriorShape::kNone;
  TF_RETURN_IF_ERROR(check_num_prior(prior.size()));
  if (prior.size() == 0) return absl::OkStatus();
  TF_RETURN_IF_ERROR(check_prior(shape, prior[0].shape(), prior[1].shape(), params));
  params->prior_mean = prior[0].data();
  params->prior_log_var = prior[1].data();
  return absl::OkStatus();
}

// row_shape: the shape of mean without its last axis.
absl::Status fill_common(OpKernelContext* context, CommonParams* params, TensorShape* row_shape) {
  const Tensor& mean = context->input(0);
  const Tensor& seed = context->input(2);
  TF_RETURN_IF_ERROR(check_parameters(mean.shape(), context->input(1).shape(), seed.shape(), params, row_shape));
  for (int i = 0; i < 2; ++i) {
    params->seed[i] = seed.dtype() == tensorflow::DT_INT32 ? int64_t{seed.flat<int32_t>()(i)} : seed.flat<int64_t>()(i);
  }
  params->mean = mean.data();
  params->log_var = context->input(1).data();
  return fill_prior(context, mean.shape(), params);
}

// inputs: those of the shape of mean that are read element by element with the outputs.
template <class Params>
absl::Status gradient_outputs(OpKernelContext* context, absl::Span<const int> inputs, Params* params) {
  const TensorShape shape = context->input(0).shape();
  TF_RETURN_IF_ERROR(output_in_place(context, inputs, 0, shape, &params->dmean));
  TF_RETURN_IF_ERROR(output_in_place(context, inputs, 1, shape, &params->dlog_var));
  if (params->prior == PriorShape::kNone) return absl::OkStatus();
  const TensorShape prior = params->prior == PriorShape::kFull ? shape : TensorShape({params->columns});
  TF_RETURN_IF_ERROR(output(context, 2, prior, &params->dprior_mean));
  return output(context, 3, prior, &params->dprior_log_var);
}

template <class Params>
absl::Status run(OpKernelContext* context, const KernelTable& kernels, const Params& params) {
  const Kernel<Params>& kernel = kernel_for(params, kernels);
  Tensor scratch;
  const int64_t bytes = kernel.work(params).scratch_bytes;
  if (bytes > 0) {
    TF_RETURN_IF_ERROR(context->allocate_temp(tensorflow::DT_UINT8, TensorShape({bytes}), &scratch));
  }
  run_kernel(kernel, params, bytes > 0 ? scratch.data() : nullptr, parallel_for(context));
  return absl::OkStatus();
}

class KernelBase : public OpKernel {
 public:
  explicit KernelBase(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, find_kernels(&kernels_));
  }

  void Compute(OpKernelContext* context) final { OP_REQUIRES_OK(context, compute(context)); }

  // The executor hands expensive ops to another thread, whose waking takes longer than the op does for the small
  // tensors of most models. Large ones divide themselves over the threads, wherever they start.
  bool IsExpensive() final { return false; }

 protected:
  virtual absl::Status compute(OpKernelContext* context) = 0;
  const KernelTable* kernels_ = nullptr;
};

template <class T>
class ReparameterizeKl : public KernelBase {
 public:
  explicit ReparameterizeKl(OpKernelConstruction* context) : KernelBase(context) {
    OP_REQUIRES_OK(context, context->GetAttr("per_dimension", &per_dimension_));
  }

 protected:
  absl::Status compute(OpKernelContext* context) override {
    ForwardParams params{};
    TensorShape rows;
    params.dtype = kDType<T>;
    params.per_dimension = per_dimension_;
    TF_RETURN_IF_ERROR(fill_common(context, &params, &rows));
    const TensorShape shape = context->input(0).shape();
    TF_RETURN_IF_ERROR(output_in_place(context, {0, 1}, 0, shape, &params.z));
    TF_RETURN_IF_ERROR(output(context, 1, per_dimension_ ? shape : rows, &params.kl));
    return run(context, *kernels_, params);
  }

 private:
  bool per_dimension_ = false;
};

template <class T>
class ReparameterizeKlGrad : public KernelBase {
 public:
  explicit ReparameterizeKlGrad(OpKernelConstruction* context) : KernelBase(context) {
    OP_REQUIRES_OK(context, context->GetAttr("per_dimension", &per_dimension_));
  }

 protected:
  absl::Status compute(OpKernelContext* context) override {
    BackwardParams params{};
    TensorShape rows;
    params.dtype = kDType<T>;
    params.per_dimension = per_dimension_;
    TF_RETURN_IF_ERROR(fill_common(context, &params, &rows));
    const TensorShape& shape = context->input(0).shape();
    TF_RETURN_IF_ERROR(expect_shape("dz", context->input(3).shape(), "the shape of z", shape));
    TF_RETURN_IF_ERROR(
        expect_shape("dkl", context->input(4).shape(), "the shape of kl", per_dimension_ ? shape : rows));
    params.dz = context->input(3).data();
    params.dkl = context->input(4).data();
    TF_RETURN_IF_ERROR(gradient_outputs(context, {3, 0, 1}, &params));
    return run(context, *kernels_, params);
  }

 private:
  bool per_dimension_ = false;
};

template <class T>
class ReparameterizeLogRatio : public KernelBase {
 public:
  explicit ReparameterizeLogRatio(OpKernelConstruction* context) : KernelBase(context) {
    OP_REQUIRES_OK(context, context->GetAttr("num_samples", &num_samples_));
  }

 protected:
  absl::Status compute(OpKernelContext* context) override {
    LogRatioParams params{};
    TensorShape rows, shape = context->input(0).shape();
    params.dtype = kDType<T>;
    params.num_samples = num_samples_;
    TF_RETURN_IF_ERROR(fill_common(context, &params, &rows));
    TF_RETURN_IF_ERROR(insert_samples(num_samples_, &shape, &rows));
    TF_RETURN_IF_ERROR(output(context, 0, shape, &params.z));
    TF_RETURN_IF_ERROR(output(context, 1, rows, &params.log_ratio));
    return run(context, *kernels_, params);
  }

 private:
  int64_t num_samples_ = 1;
};

template <class T>
class ReparameterizeLogRatioGrad : public KernelBase {
 public:
  explicit ReparameterizeLogRatioGrad(OpKernelConstruction* context) : KernelBase(context) {
    OP_REQUIRES_OK(context, context->GetAttr("num_samples", &num_samples_));
    OP_REQUIRES_OK(context, context->GetAttr("stop_density_gradient", &stop_density_gradient_));
  }

 protected:
  absl::Status compute(OpKernelContext* context) override {
    LogRatioGradParams params{};
    TensorShape rows, shape = context->input(0).shape();
    params.dtype = kDType<T>;
    params.num_samples = num_samples_;
    params.stop_density_gradient = stop_density_gradient_;
    TF_RETURN_IF_ERROR(fill_common(context, &params, &rows));
    TF_RETURN_IF_ERROR(insert_samples(num_samples_, &shape, &rows));
    TF_RETURN_IF_ERROR(expect_shape("dz", context->input(3).shape(), "the shape of z", shape));
    TF_RETURN_IF_ERROR(expect_shape("dlog_ratio", context->input(4).shape(), "the shape of log_ratio", rows));
    params.dz = context->input(3).data();
    params.dlog_ratio = context->input(4).data();
    TF_RETURN_IF_ERROR(gradient_outputs(context, {}, &params));
    return run(context, *kernels_, params);
  }

 private:
  int64_t num_samples_ = 1;
  bool stop_density_gradient_ = false;
};

#define TFVAE_REGISTER_ONE(op, T, Sum) \
  REGISTER_KERNEL_BUILDER(             \
      Name("Tfvae" #op).Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T").TypeConstraint<Sum>("sum_dtype"), op<T>)

#define TFVAE_REGISTER(T, Sum)                        \
  TFVAE_REGISTER_ONE(ReparameterizeKl, T, Sum);       \
  TFVAE_REGISTER_ONE(ReparameterizeKlGrad, T, Sum);   \
  TFVAE_REGISTER_ONE(ReparameterizeLogRatio, T, Sum); \
  TFVAE_REGISTER_ONE(ReparameterizeLogRatioGrad, T, Sum)

TFVAE_REGISTER(Eigen::half, float);
TFVAE_REGISTER(Eigen::bfloat16, float);
TFVAE_REGISTER(float, float);
TFVAE_REGISTER(double, double);

#undef TFVAE_REGISTER
#undef TFVAE_REGISTER_ONE

}  // namespace
}  // namespace tfvae
