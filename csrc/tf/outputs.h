// Where the outputs of an op go: into an input that nothing else needs, or into new memory, large of it in huge pages.
#ifndef TFVAE_TF_OUTPUTS_H_
#define TFVAE_TF_OUTPUTS_H_

#include <sys/mman.h>
#include <unistd.h>

#include "tensorflow/core/framework/op_kernel.h"

namespace tfvae {

// Asks for huge pages under new memory of some size. The C library maps large blocks anew at every allocation, and the
// system clears their 4 KiB pages one fault at a time, which can take longer than the op's own work. NumPy does the
// same from the same size on. A hint: where it is refused, nothing changes.
inline void advise_huge_pages(void* data, size_t bytes) {
  constexpr size_t kWorthwhile = size_t{1} << 22;
#ifdef MADV_HUGEPAGE
  if (bytes < kWorthwhile) return;
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

// Allocates output `index`; gives where its elements go.
inline absl::Status output(tensorflow::OpKernelContext* context, int index, const tensorflow::TensorShape& shape,
                           void** data) {
  tensorflow::Tensor* tensor = nullptr;
  TF_RETURN_IF_ERROR(context->allocate_output(index, shape, &tensor));
  *data = tensor->data();
  advise_huge_pages(*data, tensor->TotalBytes());
  return absl::OkStatus();
}

// The same, but takes the memory of one of `inputs` of this shape if this op is the last to need it. For kernels that
// read all inputs of an element before they write its outputs.
inline absl::Status output_in_place(tensorflow::OpKernelContext* context, absl::Span<const int> inputs, int index,
                                    const tensorflow::TensorShape& shape, void** data) {
  for (const int input : inputs) {
    tensorflow::Tensor* tensor = nullptr;
    if (context->forward_input_to_output_with_shape(input, index, shape, &tensor)) {
      *data = tensor->data();
      return absl::OkStatus();
    }
  }
  return output(context, index, shape, data);
}

}  // namespace tfvae

#endif  // TFVAE_TF_OUTPUTS_H_
