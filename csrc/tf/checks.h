// What the kernels of every device check of their inputs' shapes.
#ifndef TFVAE_TF_CHECKS_H_
#define TFVAE_TF_CHECKS_H_

#include <algorithm>
#include <limits>

#include "csrc/core/params.h"
#include "tensorflow/core/framework/tensor_shape.h"
#include "tensorflow/core/platform/errors.h"

namespace tfvae {

using tensorflow::TensorShape;

inline absl::Status expect_shape(const char* name, const TensorShape& shape, const char* what,
                                 const TensorShape& expected) {
  if (shape == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " must have ", what, ", ", expected.DebugString(), ", not ", shape.DebugString(), "."));
}

// Gives the rows and columns, and the shape of the rows: that of mean without its last axis.
inline absl::Status check_parameters(const TensorShape& mean, const TensorShape& log_var, const TensorShape& seed,
                                     CommonParams* params, TensorShape* rows) {
  if (mean.dims() < 1) {
    return absl::InvalidArgumentError("mean must have rank 1 or more (its last axis is the latent one), not shape [].");
  }
  TF_RETURN_IF_ERROR(expect_shape("log_var", log_var, "the shape of mean", mean));
  if (seed != TensorShape({2})) {
    return absl::InvalidArgumentError(absl::StrCat("seed must have shape [2], not ", seed.DebugString(), "."));
  }
  *rows = mean;
  rows->RemoveLastDims(1);
  params->columns = mean.dim_size(mean.dims() - 1);
  params->rows = rows->num_elements();
  return absl::OkStatus();
}

inline absl::Status check_num_prior(int64_t count) {
  if (count == 0 || count == 2) return absl::OkStatus();
  return absl::InvalidArgumentError("prior must be nothing, or prior_mean and prior_log_var.");
}

// After check_parameters.
inline absl::Status check_prior(const TensorShape& mean, const TensorShape& prior_mean,
                                const TensorShape& prior_log_var, CommonParams* params) {
  TF_RETURN_IF_ERROR(expect_shape("prior_log_var", prior_log_var, "the shape of prior_mean", prior_mean));
  if (prior_mean == mean) {
    params->prior = PriorShape::kFull;
  } else if (prior_mean == TensorShape({params->columns})) {
    params->prior = PriorShape::kShared;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("prior_mean must have the shape of mean, ", mean.DebugString(),
                                                   ", or its last axis alone, not ", prior_mean.DebugString(), "."));
  }
  return absl::OkStatus();
}

// A shape of more axes than TensorFlow has would abort the process when a graph is optimised.
inline absl::Status check_rank_of_draws(int rank) {
  const int most = TensorShape::MaxDimensions() - 1;
  if (rank <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("mean must have rank ", most, " or less, because z has one axis more, not ", rank, "."));
}

// Puts the axis of the samples before those of z and of its rows. After check_parameters.
inline absl::Status insert_samples(int64_t num_samples, TensorShape* z, TensorShape* rows) {
  TF_RETURN_IF_ERROR(check_rank_of_draws(z->dims()));
  TF_RETURN_IF_ERROR(z->InsertDimWithStatus(0, num_samples));
  // XLA ends the process where the bytes of a tensor are more than 2^63, sizes of 0 left out.
  int64_t left = std::numeric_limits<int64_t>::max() / static_cast<int64_t>(sizeof(double));
  for (const int64_t size : z->dim_sizes()) left /= std::max<int64_t>(size, 1);
  if (left == 0) {
    return absl::InvalidArgumentError(absl::StrCat("z would be too large, ", z->DebugString(), "."));
  }
  return rows->InsertDimWithStatus(0, num_samples);
}

}  // namespace tfvae

#endif  // TFVAE_TF_CHECKS_H_
