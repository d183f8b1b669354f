// Shape inference that the ops share.
#ifndef TFVAE_TF_SHAPES_H_
#define TFVAE_TF_SHAPES_H_

#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tfvae {

using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// Merges the shape of `input` into `shape`, or says that they differ.
inline absl::Status merge_shape(InferenceContext* c, int input, const char* name, const char* expected,
                                ShapeHandle* shape) {
  ShapeHandle merged;
  if (!c->Merge(*shape, c->input(input), &merged).ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " must have ", expected, ", ", c->DebugString(*shape),
                                                   ", not ", c->DebugString(c->input(input)), "."));
  }
  *shape = merged;
  return absl::OkStatus();
}

inline absl::Status check_sum_dtype(InferenceContext* c) {
  tensorflow::DataType dtype, sum_dtype;
  TF_RETURN_IF_ERROR(c->GetAttr("T", &dtype));
  TF_RETURN_IF_ERROR(c->GetAttr("sum_dtype", &sum_dtype));
  const auto expected = dtype == tensorflow::DT_DOUBLE ? tensorflow::DT_DOUBLE : tensorflow::DT_FLOAT;
  if (sum_dtype == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("sum_dtype must be ", tensorflow::DataTypeString(expected), " for ",
                                                 tensorflow::DataTypeString(dtype), " inputs, not ",
                                                 tensorflow::DataTypeString(sum_dtype), "."));
}

// The prior, if given, is two inputs from `first` on: each of the shape of mean, or its last axis alone.
inline absl::Status check_prior(InferenceContext* c, int first, ShapeHandle shape) {
  int count;
  TF_RETURN_IF_ERROR(c->GetAttr("num_prior", &count));
  if (count == 0) return absl::OkStatus();
  if (count != 2) return absl::InvalidArgumentError("prior must be nothing, or prior_mean and prior_log_var.");
  ShapeHandle both = c->input(first);
  TF_RETURN_IF_ERROR(merge_shape(c, first + 1, "prior_log_var", "the shape of prior_mean", &both));
  ShapeHandle last = c->UnknownShape(), merged;
  if (c->RankKnown(shape)) TF_RETURN_IF_ERROR(c->Subshape(shape, -1, &last));
  if (c->Merge(both, shape, &merged).ok() || c->Merge(both, last, &merged).ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("prior_mean must have the shape of mean, ", c->DebugString(shape),
                                                 ", or its last axis alone, not ", c->DebugString(both), "."));
}

// Checks inputs mean, log_var, seed, and the prior from `first_prior` on; gives the shape of mean.
inline absl::Status parameters_shape(InferenceContext* c, int first_prior, ShapeHandle* shape) {
  TF_RETURN_IF_ERROR(check_sum_dtype(c));
  ShapeHandle unused;
  if (!c->Merge(c->input(2), c->Vector(2), &unused).ok()) {
    return absl::InvalidArgumentError(absl::StrCat("seed must have shape [2], not ", c->DebugString(c->input(2)), "."));
  }
  if (!c->WithRankAtLeast(c->input(0), 1, shape).ok()) {
    return absl::InvalidArgumentError("mean must have rank 1 or more (its last axis is the latent one), not shape [].");
  }
  TF_RETURN_IF_ERROR(merge_shape(c, 1, "log_var", "the shape of mean", shape));
  return check_prior(c, first_prior, *shape);
}

// The outputs of a gradient op: by mean, log_var and the prior, each of the shape of its input.
inline void gradient_outputs(InferenceContext* c, int first_prior, ShapeHandle shape) {
  c->set_output(0, shape);
  c->set_output(1, shape);
  for (int i = 2; i < c->num_outputs(); ++i) c->set_output(i, c->input(first_prior + i - 2));
}

}  // namespace tfvae

#endif  // TFVAE_TF_SHAPES_H_
