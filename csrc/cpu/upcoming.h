// Asking for memory before it is read.
#ifndef TFVAE_CPU_UPCOMING_H_
#define TFVAE_CPU_UPCOMING_H_

#include <stdint.h>

#include "csrc/core/params.h"
#include "csrc/cpu/partition.h"
#include "csrc/cpu/vector.h"

namespace tfvae {
namespace TFVAE_ISA {

// What a unit of work reads beside its noise, each from the unit's first element on, null where it does not read that.
// It is asked for while the noise is made: that is arithmetic alone, so that memory would be idle, and then more would
// be wanted at once than it can give. The noise takes two loops, each of which asks for a part.
template <class T>
struct Upcoming {
  const T *mean = nullptr, *prior_mean = nullptr;
  const T *log_var = nullptr, *prior_log_var = nullptr, *dz = nullptr;

  // For the elements [first, first + count), which need not all exist.
  TFVAE_INLINE void ask_in_first_loop(int64_t first, int64_t count) const {
    ask(mean, first, count);
    ask(prior_mean, first, count);
  }
  TFVAE_INLINE void ask_in_second_loop(int64_t first, int64_t count) const {
    ask(log_var, first, count);
    ask(prior_log_var, first, count);
    ask(dz, first, count);
  }

 private:
  static constexpr int64_t kLineBytes = 64;

  static TFVAE_INLINE void ask(const T* array, int64_t first, int64_t count) {
    if (array == nullptr) return;
    const uintptr_t begin = reinterpret_cast<uintptr_t>(array) + first * sizeof(T);
    for (int64_t byte = 0; byte < count * int64_t(sizeof(T)); byte += kLineBytes) {
      // To be read; into the second-level cache: asked into the first one, it took longer.
      __builtin_prefetch(reinterpret_cast<const void*>(begin + byte), 0, 2);
    }
  }
};

// The parameters of a range, and a prior of their shape.
template <class T>
TFVAE_INLINE Upcoming<T> upcoming_parameters(const CommonParams& p, const Range& range) {
  Upcoming<T> upcoming;
  upcoming.mean = static_cast<const T*>(p.mean) + range.begin;
  upcoming.log_var = static_cast<const T*>(p.log_var) + range.begin;
  if (p.prior == PriorShape::kFull) {
    upcoming.prior_mean = static_cast<const T*>(p.prior_mean) + range.begin;
    upcoming.prior_log_var = static_cast<const T*>(p.prior_log_var) + range.begin;
  }
  return upcoming;
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_UPCOMING_H_
