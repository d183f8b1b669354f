// What the operations are called, and which of them do what, by the parameters of their launches.
#ifndef TFVAE_CORE_OPERATION_TRAITS_H_
#define TFVAE_CORE_OPERATION_TRAITS_H_

#include <type_traits>

#include "csrc/core/params.h"

namespace tfvae {

template <class Params>
constexpr bool kIsGradient = std::is_same_v<Params, BackwardParams> || std::is_same_v<Params, LogRatioGradParams>;
template <class Params>
constexpr bool kDraws = std::is_same_v<Params, LogRatioParams> || std::is_same_v<Params, LogRatioGradParams>;

// The name of an operation where it is called by one, as from programs that XLA compiles.
template <class Params>
constexpr const char* kTarget = nullptr;
template <>
inline constexpr const char* kTarget<ForwardParams> = "tfvae_reparameterize_kl";
template <>
inline constexpr const char* kTarget<BackwardParams> = "tfvae_reparameterize_kl_grad";
template <>
inline constexpr const char* kTarget<LogRatioParams> = "tfvae_reparameterize_log_ratio";
template <>
inline constexpr const char* kTarget<LogRatioGradParams> = "tfvae_reparameterize_log_ratio_grad";

}  // namespace tfvae

#endif  // TFVAE_CORE_OPERATION_TRAITS_H_
