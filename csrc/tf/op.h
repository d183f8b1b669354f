// An op as TensorFlow runs it, on any device: it checks its inputs, allocates its outputs and fills in the parameters.
// How outputs are allocated and what runs is the device's. Each op checks everything itself: a gradient op can be
// called without its forward op.
#ifndef TFVAE_TF_OP_H_
#define TFVAE_TF_OP_H_

#include <type_traits>

#include "csrc/tf/calls.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tfvae {

// Inputs whose memory an output may take over if nothing else needs them: those of its shape that are read element by
// element with it, because kernels read all inputs of an element before they write its outputs.
template <class Params>
absl::Span<const int> replaceable_inputs(int output) {
  static constexpr int kOfForward[] = {0, 1}, kOfBackward[] = {3, 0, 1};
  if (std::is_same_v<Params, ForwardParams> && output == 0) return kOfForward;
  if (std::is_same_v<Params, BackwardParams> && output < 2) return kOfBackward;
  return {};
}

template <class Params>
class Op : public tensorflow::OpKernel {
 public:
  explicit Op(tensorflow::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, get_attributes<Params>(context, &attributes_));
    const tensorflow::DataType type = context->input_type(0);
    dtype_ = type == tensorflow::DT_HALF       ? DType::kFloat16
             : type == tensorflow::DT_BFLOAT16 ? DType::kBFloat16
             : type == tensorflow::DT_FLOAT    ? DType::kFloat32
                                               : DType::kFloat64;
  }

  void Compute(tensorflow::OpKernelContext* context) final { OP_REQUIRES_OK(context, compute(context)); }

 protected:
  // Gives where the elements of an output go.
  virtual absl::Status allocate(tensorflow::OpKernelContext* context, int output, const TensorShape& shape,
                                void** data) const = 0;
  // With everything filled in but the seed.
  virtual absl::Status run(tensorflow::OpKernelContext* context, Params* params) const = 0;

 private:
  absl::Status compute(tensorflow::OpKernelContext* context) const {
    Shapes inputs, outputs;
    Pointers from, to;
    for (int i = 0; i < context->num_inputs(); ++i) {
      inputs.push_back(context->input(i).shape());
      from.push_back(context->input(i).data());
    }
    Params params{};
    params.dtype = dtype_;
    TF_RETURN_IF_ERROR(check_call(attributes_, inputs, &params, &outputs));
    for (size_t i = 0; i < outputs.size(); ++i) {
      TF_RETURN_IF_ERROR(allocate(context, static_cast<int>(i), outputs[i], &to.emplace_back()));
    }
    set_data(from, to, &params);
    return run(context, &params);
  }

  CallAttributes attributes_;
  DType dtype_;
};

}  // namespace tfvae

#endif  // TFVAE_TF_OP_H_
