// The ops as plain calls, with their names, attributes, shapes and data in order: what the ops of every device share
// (csrc/tf/op.h), and compiled XLA programs, which check the shapes when they are compiled and again when they run.
#ifndef TFVAE_TF_CALLS_H_
#define TFVAE_TF_CALLS_H_

#include <string>
#include <type_traits>

#include "absl/container/inlined_vector.h"
#include "csrc/core/operation_traits.h"
#include "csrc/tf/checks.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tfvae {

// Of all ops; each uses its own.
struct CallAttributes {
  bool per_dimension = false;
  int64_t num_samples = 1;
  bool stop_density_gradient = false;

  // As XLA wants it: a dictionary as MLIR prints it.
  std::string dictionary() const {
    const auto text = [](bool value) { return value ? "true" : "false"; };
    return absl::StrCat("{per_dimension = ", text(per_dimension), ", num_samples = ", num_samples,
                        " : i64, stop_density_gradient = ", text(stop_density_gradient), "}");
  }
};

// Reads those that the op has.
template <class Params>
absl::Status get_attributes(tensorflow::OpKernelConstruction* context, CallAttributes* attributes) {
  if constexpr (!kDraws<Params>) return context->GetAttr("per_dimension", &attributes->per_dimension);
  TF_RETURN_IF_ERROR(context->GetAttr("num_samples", &attributes->num_samples));
  return context->GetAttr("stop_density_gradient", &attributes->stop_density_gradient);
}

// Of a gradient op: the name of the second of the gradients that it takes, and whose shape that has.
template <class Params>
inline constexpr const char* kUpstreamSumIs[2] = {"dkl", "the shape of kl"};
template <>
inline constexpr const char* kUpstreamSumIs<LogRatioGradParams>[2] = {"dlog_ratio", "the shape of log_ratio"};

// Inputs of every op: mean, log_var, seed, of a gradient op the two upstream gradients, then the prior, if any.
constexpr size_t kSeed = 2, kUpstreamSum = 4;
template <class Params>
constexpr size_t kFirstPrior = kIsGradient<Params> ? 5 : 3;
constexpr size_t kMostInputs = 7;

// Without an allocation, which small tensors would feel.
using Shapes = absl::InlinedVector<TensorShape, kMostInputs>;
using Pointers = absl::InlinedVector<void*, kMostInputs>;

// Fills in sizes and attributes; gives the shapes of the outputs.
template <class Params>
absl::Status check_call(const CallAttributes& attributes, absl::Span<const TensorShape> inputs, Params* params,
                        Shapes* outputs) {
  if (inputs.size() < kFirstPrior<Params>) {
    return absl::InvalidArgumentError(absl::StrCat(kTarget<Params>, " takes ", kFirstPrior<Params>,
                                                   " inputs and the prior, not ", inputs.size(), "."));
  }
  const absl::Span<const TensorShape> prior = inputs.subspan(kFirstPrior<Params>);
  TensorShape z = inputs[0], sums;
  TF_RETURN_IF_ERROR(check_parameters(inputs[0], inputs[1], inputs[kSeed], params, &sums));
  params->per_dimension = attributes.per_dimension;
  params->prior = PriorShape::kNone;
  TF_RETURN_IF_ERROR(check_num_prior(prior.size()));
  if (!prior.empty()) TF_RETURN_IF_ERROR(check_prior(inputs[0], prior[0], prior[1], params));
  if constexpr (kDraws<Params>) {
    params->num_samples = attributes.num_samples;
    TF_RETURN_IF_ERROR(insert_samples(attributes.num_samples, &z, &sums));
  } else if (attributes.per_dimension) {
    sums = z;
  }
  if constexpr (std::is_same_v<Params, LogRatioGradParams>) {
    params->stop_density_gradient = attributes.stop_density_gradient;
  }
  if constexpr (kIsGradient<Params>) {
    const auto [name, what] = kUpstreamSumIs<Params>;
    TF_RETURN_IF_ERROR(expect_shape("dz", inputs[3], "the shape of z", z));
    TF_RETURN_IF_ERROR(expect_shape(name, inputs[kUpstreamSum], what, sums));
    *outputs = {inputs[0], inputs[0]};
    outputs->insert(outputs->end(), prior.begin(), prior.end());
  } else {
    *outputs = {z, sums};
  }
  return absl::OkStatus();
}

// Where the data lie, in the order of inputs and outputs; the seed is read by the caller. After check_call.
template <class Params>
void set_data(absl::Span<void* const> inputs, absl::Span<void* const> outputs, Params* params) {
  params->mean = inputs[0];
  params->log_var = inputs[1];
  if (params->prior != PriorShape::kNone) {
    params->prior_mean = inputs[kFirstPrior<Params>];
    params->prior_log_var = inputs[kFirstPrior<Params> + 1];
  }
  if constexpr (kIsGradient<Params>) {
    params->dz = inputs[3];
    params->dmean = outputs[0];
    params->dlog_var = outputs[1];
    if (params->prior != PriorShape::kNone) {
      params->dprior_mean = outputs[2];
      params->dprior_log_var = outputs[3];
    }
  } else {
    params->z = outputs[0];
  }
  if constexpr (std::is_same_v<Params, ForwardParams>) params->kl = outputs[1];
  if constexpr (std::is_same_v<Params, LogRatioParams>) params->log_ratio = outputs[1];
  if constexpr (std::is_same_v<Params, BackwardParams>) params->dkl = inputs[kUpstreamSum];
  if constexpr (std::is_same_v<Params, LogRatioGradParams>) params->dlog_ratio = inputs[kUpstreamSum];
}

}  // namespace tfvae

#endif  // TFVAE_TF_CALLS_H_
