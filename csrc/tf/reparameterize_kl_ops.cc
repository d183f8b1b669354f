// Registration and shape functions of TfvaeReparameterizeKl and its gradient.
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tfvae {
namespace {

using tensorflow::DataType;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

absl::Status check_seed(InferenceContext* c, int input) {
  ShapeHandle unused;
  if (!c->Merge(c->input(input), c->Vector(2), &unused).ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("seed must have shape [2], not ", c->DebugString(c->input(input)), "."));
  }
  return absl::OkStatus();
}

absl::Status check_kl_dtype(InferenceContext* c) {
  DataType dtype, kl_dtype;
  TF_RETURN_IF_ERROR(c->GetAttr("T", &dtype));
  TF_RETURN_IF_ERROR(c->GetAttr("kl_dtype", &kl_dtype));
  const DataType expected = dtype == tensorflow::DT_DOUBLE ? tensorflow::DT_DOUBLE : tensorflow::DT_FLOAT;
  if (kl_dtype != expected) {
    return absl::InvalidArgumentError(absl::StrCat("kl_dtype must be ", tensorflow::DataTypeString(expected), " for ",
                                                   tensorflow::DataTypeString(dtype), " inputs, not ",
                                                   tensorflow::DataTypeString(kl_dtype), "."));
  }
  return absl::OkStatus();
}

// Merges the shape of `input` into `shape`, or says that they differ.
absl::Status merge_shape(InferenceContext* c, int input, const char* name, const char* expected, ShapeHandle* shape) {
  ShapeHandle merged;
  if (!c->Merge(*shape, c->input(input), &merged).ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " must have ", expected, ", ", c->DebugString(*shape),
                                                   ", not ", c->DebugString(c->input(input)), "."));
  }
  *shape = merged;
  return absl::OkStatus();
}

absl::Status parameters_shape(InferenceContext* c, ShapeHandle* shape) {
  TF_RETURN_IF_ERROR(check_kl_dtype(c));
  TF_RETURN_IF_ERROR(check_seed(c, 2));
  if (!c->WithRankAtLeast(c->input(0), 1, shape).ok()) {
    return absl::InvalidArgumentError("mean must have rank 1 or more (its last axis is the latent one), not shape [].");
  }
  return merge_shape(c, 1, "log_var", "the shape of mean", shape);
}

absl::Status kl_shape(InferenceContext* c, ShapeHandle z, ShapeHandle* kl) {
  bool per_dimension;
  TF_RETURN_IF_ERROR(c->GetAttr("per_dimension", &per_dimension));
  if (per_dimension) {
    *kl = z;
    return absl::OkStatus();
  }
  return c->Subshape(z, 0, -1, kl);
}

absl::Status forward_shape(InferenceContext* c) {
  ShapeHandle z, kl;
  TF_RETURN_IF_ERROR(parameters_shape(c, &z));
  TF_RETURN_IF_ERROR(kl_shape(c, z, &kl));
  c->set_output(0, z);
  c->set_output(1, kl);
  return absl::OkStatus();
}

absl::Status backward_shape(InferenceContext* c) {
  ShapeHandle z, kl;
  TF_RETURN_IF_ERROR(parameters_shape(c, &z));
  TF_RETURN_IF_ERROR(merge_shape(c, 3, "dz", "the shape of z", &z));
  TF_RETURN_IF_ERROR(kl_shape(c, z, &kl));
  TF_RETURN_IF_ERROR(merge_shape(c, 4, "dkl", "the shape of kl", &kl));
  c->set_output(0, z);
  c->set_output(1, z);
  return absl::OkStatus();
}

REGISTER_OP("TfvaeReparameterizeKl")
    .Input("mean: T")
    .Input("log_var: T")
    .Input("seed: Tseed")
    .Output("z: T")
    .Output("kl: kl_dtype")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("Tseed: {int32, int64}")
    .Attr("kl_dtype: {float, double}")
    .Attr("per_dimension: bool = false")
    .SetShapeFn(forward_shape);

REGISTER_OP("TfvaeReparameterizeKlGrad")
    .Input("mean: T")
    .Input("log_var: T")
    .Input("seed: Tseed")
    .Input("dz: T")
    .Input("dkl: kl_dtype")
    .Output("dmean: T")
    .Output("dlog_var: T")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("Tseed: {int32, int64}")
    .Attr("kl_dtype: {float, double}")
    .Attr("per_dimension: bool = false")
    .SetShapeFn(backward_shape);

}  // namespace
}  // namespace tfvae
