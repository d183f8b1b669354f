// What a launch needs, as plain data: filled in by the TensorFlow kernels, the Python module and the tests alike.
#ifndef TFVAE_CORE_PARAMS_H_
#define TFVAE_CORE_PARAMS_H_

#include <stdint.h>

#include "csrc/core/storage.h"

namespace tfvae {

// Tensors of [rows, columns] elements of dtype; kl and dkl are float (double for kFloat64), of [rows] elements, or of
// [rows, columns] if per_dimension.
struct ForwardParams {
  DType dtype;
  bool per_dimension;
  int64_t rows, columns;
  int64_t seed[2];
  const void* mean;
  const void* log_var;
  void* z;
  void* kl;
};

struct BackwardParams {
  DType dtype;
  bool per_dimension;
  int64_t rows, columns;
  int64_t seed[2];
  const void* mean;
  const void* log_var;
  const void* dz;
  const void* dkl;
  void* dmean;
  void* dlog_var;
};

}  // namespace tfvae

#endif  // TFVAE_CORE_PARAMS_H_
