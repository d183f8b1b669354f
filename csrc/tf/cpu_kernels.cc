// The ops on the CPU: into an input that nothing else needs or memory of huge pages, by the kernels of csrc/cpu.
#include <functional>
#include <utility>

#include "csrc/cpu/run.h"
#include "csrc/cpu/share_work.h"
#include "csrc/tf/find_kernels.h"
#include "csrc/tf/op.h"
#include "csrc/tf/outputs.h"
#include "csrc/tf/register.h"
#include "tensorflow/core/platform/threadpool.h"

namespace tfvae {
namespace {

using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;

// The calling thread and TensorFlow's own pool.
ParallelFor parallel_for(OpKernelContext* context) {
  auto* workers = context->device()->tensorflow_cpu_worker_threads()->workers;
  return [workers](int64_t count, int64_t cycles, const std::function<void(int64_t, int64_t)>& body) {
    share_work(count, cycles, workers->NumThreads(), body,
               [workers](std::function<void()> task) { workers->Schedule(std::move(task)); });
  };
}

template <class Params>
class CpuOp final : public Op<Params> {
 public:
  explicit CpuOp(OpKernelConstruction* context) : Op<Params>(context) {
    OP_REQUIRES_OK(context, find_kernels(&kernels_));
  }

  // The executor hands expensive ops to another thread, whose waking takes longer than the op does for the small
  // tensors of most models. Large ones divide themselves over the threads, wherever they start.
  bool IsExpensive() final { return false; }

 private:
  absl::Status allocate(OpKernelContext* context, int index, const TensorShape& shape, void** data) const final {
    return output_in_place(context, replaceable_inputs<Params>(index), index, shape, data);
  }

  absl::Status run(OpKernelContext* context, Params* params) const final {
    const Tensor& seed = context->input(kSeed);
    for (int i = 0; i < 2; ++i) {
      params->seed[i] =
          seed.dtype() == tensorflow::DT_INT32 ? int64_t{seed.flat<int32_t>()(i)} : seed.flat<int64_t>()(i);
    }
    const Kernel<Params>& kernel = kernel_for(*params, *kernels_);
    Tensor scratch;
    const int64_t bytes = kernel.work(*params).scratch_bytes;
    if (bytes > 0) {
      TF_RETURN_IF_ERROR(context->allocate_temp(tensorflow::DT_UINT8, TensorShape({bytes}), &scratch));
    }
    run_kernel(kernel, *params, bytes > 0 ? scratch.data() : nullptr, parallel_for(context));
    return absl::OkStatus();
  }

  const KernelTable* kernels_ = nullptr;
};

TFVAE_REGISTER_OPS(tensorflow::DEVICE_CPU, CpuOp);

}  // namespace
}  // namespace tfvae
