// GPU kernels: check the inputs, allocate the outputs, put the work on TensorFlow's stream. The seed stays on the
// device, where the kernels read it: fetching it to the host would stall the stream, and a seed that is on the host
// gets to the device without anybody waiting.
#include <array>

#include "csrc/cuda/kernel_table.h"
#include "csrc/tf/calls.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "xla/stream_executor/stream.h"

namespace tfvae {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;

// What differs between the operations: the inputs whose memory outputs 0 and 1 may take over, because a
// thread reads all inputs of an element before it writes any output of it.
template <class Params>
struct OnCuda;

template <>
struct OnCuda<ForwardParams> {
  static constexpr int kInPlaceOutputs = 1;
  static constexpr std::array<int, 2> kReused = {0, 1};
};

template <>
struct OnCuda<BackwardParams> {
  static constexpr int kInPlaceOutputs = 2;
  static constexpr std::array<int, 3> kReused = {3, 0, 1};
};

template <>
struct OnCuda<LogRatioParams> {
  static constexpr int kInPlaceOutputs = 0;
  static constexpr std::array<int, 0> kReused = {};
};

template <>
struct OnCuda<LogRatioGradParams> {
  static constexpr int kInPlaceOutputs = 0;
  static constexpr std::array<int, 0> kReused = {};
};

template <class Params, class T>
class CudaOp : public OpKernel {
 public:
  explicit CudaOp(OpKernelConstruction* context) : OpKernel(context) {
    if constexpr (kDraws<Params>) {
      OP_REQUIRES_OK(context, context->GetAttr("num_samples", &attributes_.num_samples));
      OP_REQUIRES_OK(context, context->GetAttr("stop_density_gradient", &attributes_.stop_density_gradient));
    } else {
      OP_REQUIRES_OK(context, context->GetAttr("per_dimension", &attributes_.per_dimension));
    }
  }

  void Compute(OpKernelContext* context) override { OP_REQUIRES_OK(context, compute(context)); }

 private:
  absl::Status compute(OpKernelContext* context) const {
    std::vector<TensorShape> inputs, outputs;
    std::vector<void*> from, to;
    for (int i = 0; i < context->num_inputs(); ++i) {
      inputs.push_back(context->input(i).shape());
      from.push_back(context->input(i).data());
    }
    Params params{};
    params.dtype = std::is_same_v<T, Eigen::half>       ? DType::kFloat16
                   : std::is_same_v<T, Eigen::bfloat16> ? DType::kBFloat16
                   : std::is_same_v<T, float>           ? DType::kFloat32
                                                        : DType::kFloat64;
    TF_RETURN_IF_ERROR(check_call(attributes_, inputs, &params, &outputs));
    const DeviceSeed seed{from[kSeed], context->input(kSeed).dtype() == tensorflow::DT_INT64};
    TF_RETURN_IF_ERROR(allocate(context, outputs, &to));
    set_data(from, to, &params);
    return launch(context, params, seed);
  }

  static absl::Status allocate(OpKernelContext* context, const std::vector<TensorShape>& shapes,
                               std::vector<void*>* to) {
    for (size_t i = 0; i < shapes.size(); ++i) {
      const int output = static_cast<int>(i);
      const bool in_place = output < OnCuda<Params>::kInPlaceOutputs;
      Tensor* tensor = nullptr;
      if (in_place) {
        TF_RETURN_IF_ERROR(
            context->forward_input_or_allocate_output(OnCuda<Params>::kReused, output, shapes[i], &tensor));
      } else {
        TF_RETURN_IF_ERROR(context->allocate_output(output, shapes[i], &tensor));
      }
      to->push_back(tensor->data());
    }
    return absl::OkStatus();
  }

  static absl::Status launch(OpKernelContext* context, const Params& params, const DeviceSeed& seed) {
    const CudaKernel<Params>& kernel = cuda_kernel<Params>();
    Tensor scratch;
    const int64_t bytes = kernel.scratch_bytes(params);
    if (bytes > 0) {
      TF_RETURN_IF_ERROR(context->allocate_temp(tensorflow::DT_UINT8, TensorShape({bytes}), &scratch));
    }
    void* stream = context->op_device_context()->stream()->platform_specific_handle().stream;
    const char* message = kernel.launch(params, seed, bytes > 0 ? scratch.data() : nullptr, stream);
    if (message == nullptr) return absl::OkStatus();
    return absl::InternalError(absl::StrCat(kTarget<Params>, " did not start on the GPU: ", message, "."));
  }

  CallAttributes attributes_;
};

#define TFVAE_REGISTER_ONE(op, Params, T, Sum)                                                                  \
  REGISTER_KERNEL_BUILDER(                                                                                      \
      Name("Tfvae" #op).Device(tensorflow::DEVICE_GPU).TypeConstraint<T>("T").TypeConstraint<Sum>("sum_dtype"), \
      CudaOp<Params, T>)

#define TFVAE_REGISTER(op, Params)                        \
  TFVAE_REGISTER_ONE(op, Params, Eigen::half, float);     \
  TFVAE_REGISTER_ONE(op, Params, Eigen::bfloat16, float); \
  TFVAE_REGISTER_ONE(op, Params, float, float);           \
  TFVAE_REGISTER_ONE(op, Params, double, double)

TFVAE_REGISTER(ReparameterizeKl, ForwardParams);
TFVAE_REGISTER(ReparameterizeKlGrad, BackwardParams);
TFVAE_REGISTER(ReparameterizeLogRatio, LogRatioParams);
TFVAE_REGISTER(ReparameterizeLogRatioGrad, LogRatioGradParams);

#undef TFVAE_REGISTER
#undef TFVAE_REGISTER_ONE

}  // namespace
}  // namespace tfvae
