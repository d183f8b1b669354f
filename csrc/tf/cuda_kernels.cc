// The ops on GPUs: the work is put on TensorFlow's stream. The seed stays on the device, where the kernels read it:
// fetching it to the host would stall the stream, and a seed that is on the host gets to the device without anybody
// waiting.
#include "csrc/cuda/kernel_table.h"
#include "csrc/tf/op.h"
#include "csrc/tf/register.h"
#include "xla/stream_executor/stream.h"

namespace tfvae {
namespace {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;

template <class Params>
class CudaOp final : public Op<Params> {
 public:
  using Op<Params>::Op;

 private:
  absl::Status allocate(OpKernelContext* context, int index, const TensorShape& shape, void** data) const final {
    Tensor* tensor = nullptr;
    TF_RETURN_IF_ERROR(
        context->forward_input_or_allocate_output(replaceable_inputs<Params>(index), index, shape, &tensor));
    *data = tensor->data();
    return absl::OkStatus();
  }

  absl::Status run(OpKernelContext* context, Params* params) const final {
    const CudaKernel<Params>& kernel = cuda_kernel<Params>();
    const Tensor& seed = context->input(kSeed);
    Tensor scratch;
    const int64_t bytes = kernel.scratch_bytes(*params);
    if (bytes > 0) {
      TF_RETURN_IF_ERROR(context->allocate_temp(tensorflow::DT_UINT8, TensorShape({bytes}), &scratch));
    }
    void* stream = context->op_device_context()->stream()->platform_specific_handle().stream;
    const char* message = kernel.launch(*params, {seed.data(), seed.dtype() == tensorflow::DT_INT64},
                                        bytes > 0 ? scratch.data() : nullptr, stream);
    if (message == nullptr) return absl::OkStatus();
    return absl::InternalError(absl::StrCat(kTarget<Params>, " did not start on the GPU: ", message, "."));
  }
};

TFVAE_REGISTER_OPS(tensorflow::DEVICE_GPU, CudaOp);

}  // namespace
}  // namespace tfvae
