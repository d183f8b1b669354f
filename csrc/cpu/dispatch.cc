#include "csrc/cpu/dispatch.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <cstring>

namespace tfvae {

// The build defines TFVAE_HAS_... for each of those that it compiles.
extern const KernelTable k_avx512_bf16_kernels;
extern const KernelTable k_avx512_kernels;
extern const KernelTable k_avx2_kernels;
extern const KernelTable k_baseline_kernels;
extern const KernelTable k_neon_kernels;

namespace {

#ifdef TFVAE_HAS_AVX2
// With the product that is added at once and the conversions that such processors have; __builtin_cpu_supports knows no
// "f16c" in clang 14.
bool has_avx2() {
  unsigned a, b, c = 0, d;
  const bool has_f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  return has_f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

#ifdef TFVAE_HAS_AVX512
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

std::vector<const KernelTable*> find_usable() {
  std::vector<const KernelTable*> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
#ifdef TFVAE_HAS_AVX512_BF16
  if (has_avx512() && __builtin_cpu_supports("avx512bf16")) found.push_back(&k_avx512_bf16_kernels);
#endif
#ifdef TFVAE_HAS_AVX512
  if (has_avx512()) found.push_back(&k_avx512_kernels);
#endif
#ifdef TFVAE_HAS_AVX2
  if (has_avx2()) found.push_back(&k_avx2_kernels);
#endif
#ifdef TFVAE_HAS_BASELINE
  found.push_back(&k_baseline_kernels);
#endif
#ifdef TFVAE_HAS_NEON
  found.push_back(&k_neon_kernels);
#endif
  return found;
}

const KernelTable* choose() {
  const char* name = std::getenv("TFVAE_ISA");
  if (name == nullptr || name[0] == '\0') return usable_kernels().front();
  for (const KernelTable* table : usable_kernels()) {
    if (std::strcmp(table->isa, name) == 0) return table;
  }
  return nullptr;
}

}  // namespace

const std::vector<const KernelTable*>& usable_kernels() {
  static const std::vector<const KernelTable*> usable = find_usable();
  return usable;
}

const KernelTable* active_kernels() {
  static const KernelTable* const active = choose();
  return active;
}

}  // namespace tfvae
