// Where results go: through the caches, or around them.
#ifndef TFVAE_CPU_OUTPUT_H_
#define TFVAE_CPU_OUTPUT_H_

#include "csrc/core/params.h"
#include "csrc/cpu/memory.h"

namespace tfvae {
namespace TFVAE_ISA {

// Elements of a result that is written once and not read here. Streamed: whole vectors go around the caches.
template <bool kStreamed, class T>
struct Output {
  T* at;

  TFVAE_INLINE Output operator+(int64_t i) const { return {at + i}; }
};

// Whether a result of `rows` rows is streamed: where the caches could not keep it, because a processor reads what it is
// about to write through them, which without a prior is a quarter of all that is moved here or more. Not where it takes
// the place of mean, log_var or dz, which have just been read, nor where what is stored at once, up to a whole vector,
// would not be aligned.
template <class T>
TFVAE_INLINE bool is_streamed(const CommonParams& p, int64_t rows, const void* data, const void* dz = nullptr) {
  constexpr int64_t kStreamedBytes = int64_t{1} << 24;
  const bool large = rows * p.columns >= kStreamedBytes / int64_t(sizeof(T));
  const bool aligned =
      p.columns % (kVectorBytes / sizeof(T)) == 0 && reinterpret_cast<uintptr_t>(data) % kVectorBytes == 0;
  return large && aligned && data != p.mean && data != p.log_var && data != dz;
}

template <bool kStreamed_>
struct StreamedTag {
  static constexpr bool kStreamed = kStreamed_;
};

// body(StreamedTag<streamed>()).
template <class Body>
inline void with_streamed(bool streamed, Body body) {
  if (streamed) {
    body(StreamedTag<true>());
    finish_streams();
  } else {
    body(StreamedTag<false>());
  }
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_OUTPUT_H_
