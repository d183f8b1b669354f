// What a launch needs, as plain data: filled in by the TensorFlow kernels, the Python module and the tests alike.
#ifndef TFVAE_CORE_PARAMS_H_
#define TFVAE_CORE_PARAMS_H_

#include <stdint.h>

#include "csrc/core/storage.h"

namespace tfvae {

enum class PriorShape : int {
  kNone,    // the standard normal
  kFull,    // of the shape of mean
  kShared,  // [columns], one for all rows
};

// What all operations share. Tensors are of [rows, columns] elements of dtype; kl and dkl are float (double for
// kFloat64), of [rows] elements, or of [rows, columns] if per_dimension.
struct CommonParams {
  DType dtype;
  bool per_dimension;
  int64_t rows, columns;
  int64_t seed[2];
  const void* mean;
  const void* log_var;
  PriorShape prior;
  const void* prior_mean;
  const void* prior_log_var;
};

struct ForwardParams : CommonParams {
  void* z;
  void* kl;
};

struct BackwardParams : CommonParams {
  const void* dz;
  const void* dkl;
  void* dmean;
  void* dlog_var;
  void* dprior_mean;  // Of the shape of prior_mean.
  void* dprior_log_var;
};

// log q(z) - log p(z) of num_samples draws for every row: z and dz are [num_samples, rows, columns], log_ratio and
// dlog_ratio [num_samples, rows]; per_dimension is not used.
struct LogRatioParams : CommonParams {
  int64_t num_samples;
  void* z;
  void* log_ratio;
};

struct LogRatioGradParams : CommonParams {
  int64_t num_samples;
  // Whether log q keeps its parameters fixed and is differentiated through z alone ("sticking the landing").
  bool stop_density_gradient;
  const void* dz;
  const void* dlog_ratio;
  void* dmean;
  void* dlog_var;
  void* dprior_mean;
  void* dprior_log_var;
};

}  // namespace tfvae

#endif  // TFVAE_CORE_PARAMS_H_
