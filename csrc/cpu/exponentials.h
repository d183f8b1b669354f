// Loops over elements that need exp(log_var / 2).
#ifndef TFVAE_CPU_EXPONENTIALS_H_
#define TFVAE_CPU_EXPONENTIALS_H_

#include "csrc/core/elementary.h"
#include "csrc/cpu/elements.h"

namespace tfvae {
namespace TFVAE_ISA {

// Calls body(i, access, h) for the elements [0, count), as for_vectors does; h() is half_exponential(log_var). It is a
// function because where it is called, before the other loads or after them, is where compilers leave it, and worth up
// to a tenth.
//
// An element is one long chain of operations that wait for each other, and a processor looks for others only so many
// instructions ahead: 64 on a Zen 3, which is less than two vectors take. Cut in two, with what passes from one loop to
// the next in the first-level cache, twice as many vectors are under way.
template <class T, class Body>
TFVAE_INLINE void with_half_exponentials(const T* log_var, int64_t count, Body body) {
  using V = VectorOf<Arithmetic<T>>;
  if constexpr (!kStaged) {
    for_vectors<V, kTogether>(count, [&](int64_t i, auto access) {
      using W = typename decltype(access)::Vector;
      body(i, access, [&]() { return half_exponential<W>(access.get(log_var + i)); });
    });
  } else {
    constexpr int64_t kStage = 512;
    alignas(64) Arithmetic<T> rounded[kStage], minus_one[kStage], minus_one_minus_half[kStage];
    for (int64_t begin = 0; begin < count; begin += kStage) {
      const int64_t size = count - begin < kStage ? count - begin : kStage;
      for_vectors<V, kTogether>(size, [&](int64_t i, auto access) {
        using W = typename decltype(access)::Vector;
        const ReducedExponential<W> e = reduced_exponential<W>(access.get(log_var + begin + i));
        store(rounded + i, e.rounded);
        store(minus_one + i, e.minus_one);
        store(minus_one_minus_half + i, e.minus_one_minus_half);
      });
      for_vectors<V, kTogether>(size, [&](int64_t i, auto access) {
        using W = typename decltype(access)::Vector;
        body(begin + i, access, [&]() {
          return half_exponential<W>(
              ReducedExponential<W>{load<W>(rounded + i), load<W>(minus_one + i), load<W>(minus_one_minus_half + i)});
        });
      });
    }
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_EXPONENTIALS_H_
