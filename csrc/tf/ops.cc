// Registration and shape functions of the ops.
#include "csrc/tf/checks.h"
#include "csrc/tf/shapes.h"
#include "tensorflow/core/framework/op.h"

namespace tfvae {
namespace {

absl::Status kl_shape(InferenceContext* c, ShapeHandle z, ShapeHandle* kl) {
  bool per_dimension;
  TF_RETURN_IF_ERROR(c->GetAttr("per_dimension", &per_dimension));
  if (per_dimension) {
    *kl = z;
    return absl::OkStatus();
  }
  return c->Subshape(z, 0, -1, kl);
}

absl::Status kl_forward_shape(InferenceContext* c) {
  ShapeHandle z, kl;
  TF_RETURN_IF_ERROR(parameters_shape(c, 3, &z));
  TF_RETURN_IF_ERROR(kl_shape(c, z, &kl));
  c->set_output(0, z);
  c->set_output(1, kl);
  return absl::OkStatus();
}

absl::Status kl_backward_shape(InferenceContext* c) {
  ShapeHandle z, kl;
  TF_RETURN_IF_ERROR(parameters_shape(c, 5, &z));
  TF_RETURN_IF_ERROR(merge_shape(c, 3, "dz", "the shape of z", &z));
  TF_RETURN_IF_ERROR(kl_shape(c, z, &kl));
  TF_RETURN_IF_ERROR(merge_shape(c, 4, "dkl", "the shape of kl", &kl));
  gradient_outputs(c, 5, z);
  return absl::OkStatus();
}

absl::Status samples_shape(InferenceContext* c, ShapeHandle parameters, ShapeHandle* z, ShapeHandle* log_ratio) {
  int64_t num_samples;
  TF_RETURN_IF_ERROR(c->GetAttr("num_samples", &num_samples));
  if (c->RankKnown(parameters)) TF_RETURN_IF_ERROR(check_rank_of_draws(c->Rank(parameters)));
  TF_RETURN_IF_ERROR(c->Concatenate(c->Vector(num_samples), parameters, z));
  return c->Subshape(*z, 0, -1, log_ratio);
}

absl::Status ratio_forward_shape(InferenceContext* c) {
  ShapeHandle parameters, z, log_ratio;
  TF_RETURN_IF_ERROR(parameters_shape(c, 3, &parameters));
  TF_RETURN_IF_ERROR(samples_shape(c, parameters, &z, &log_ratio));
  c->set_output(0, z);
  c->set_output(1, log_ratio);
  return absl::OkStatus();
}

absl::Status ratio_backward_shape(InferenceContext* c) {
  ShapeHandle parameters, z, log_ratio;
  TF_RETURN_IF_ERROR(parameters_shape(c, 5, &parameters));
  TF_RETURN_IF_ERROR(samples_shape(c, parameters, &z, &log_ratio));
  TF_RETURN_IF_ERROR(merge_shape(c, 3, "dz", "the shape of z", &z));
  TF_RETURN_IF_ERROR(merge_shape(c, 4, "dlog_ratio", "the shape of log_ratio", &log_ratio));
  gradient_outputs(c, 5, parameters);
  return absl::OkStatus();
}

REGISTER_OP("TfvaeReparameterizeKl")
    .Input("mean: T")
    .Input("log_var: T")
    .Input("seed: Tseed")
    .Input("prior: num_prior * T")
    .Output("z: T")
    .Output("kl: sum_dtype")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("Tseed: {int32, int64}")
    .Attr("sum_dtype: {float, double}")
    .Attr("num_prior: int >= 0")
    .Attr("per_dimension: bool = false")
    .SetShapeFn(kl_forward_shape);

REGISTER_OP("TfvaeReparameterizeKlGrad")
    .Input("mean: T")
    .Input("log_var: T")
    .Input("seed: Tseed")
    .Input("dz: T")
    .Input("dkl: sum_dtype")
    .Input("prior: num_prior * T")
    .Output("dmean: T")
    .Output("dlog_var: T")
    .Output("dprior: num_prior * T")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("Tseed: {int32, int64}")
    .Attr("sum_dtype: {float, double}")
    .Attr("num_prior: int >= 0")
    .Attr("per_dimension: bool = false")
    .SetShapeFn(kl_backward_shape);

REGISTER_OP("TfvaeReparameterizeLogRatio")
    .Input("mean: T")
    .Input("log_var: T")
    .Input("seed: Tseed")
    .Input("prior: num_prior * T")
    .Output("z: T")
    .Output("log_ratio: sum_dtype")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("Tseed: {int32, int64}")
    .Attr("sum_dtype: {float, double}")
    .Attr("num_prior: int >= 0")
    .Attr("num_samples: int >= 1")
    .Attr("stop_density_gradient: bool = false")
    .SetShapeFn(ratio_forward_shape);

REGISTER_OP("TfvaeReparameterizeLogRatioGrad")
    .Input("mean: T")
    .Input("log_var: T")
    .Input("seed: Tseed")
    .Input("dz: T")
    .Input("dlog_ratio: sum_dtype")
    .Input("prior: num_prior * T")
    .Output("dmean: T")
    .Output("dlog_var: T")
    .Output("dprior: num_prior * T")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("Tseed: {int32, int64}")
    .Attr("sum_dtype: {float, double}")
    .Attr("num_prior: int >= 0")
    .Attr("num_samples: int >= 1")
    .Attr("stop_density_gradient: bool = false")
    .SetShapeFn(ratio_backward_shape);

}  // namespace
}  // namespace tfvae
