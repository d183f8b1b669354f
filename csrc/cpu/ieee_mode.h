// Denormals as IEEE 754 has them while in scope. TensorFlow's pool threads flush them to zero and the caller's thread
// may not, so without this a result would depend on which thread computed it.
#ifndef TFVAE_CPU_IEEE_MODE_H_
#define TFVAE_CPU_IEEE_MODE_H_

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

class IeeeMode {
 public:
  IeeeMode() : saved_(read()) { write(saved_ & ~kFlags); }
  ~IeeeMode() { write(saved_); }
  IeeeMode(const IeeeMode&) = delete;
  IeeeMode& operator=(const IeeeMode&) = delete;

 private:
#if defined(__x86_64__)
  using Word = unsigned int;
  static constexpr Word kFlags = 0x8040;  // flush to zero, denormals are zero
  static Word read() { return _mm_getcsr(); }
  static void write(Word word) { _mm_setcsr(word); }
#else
  using Word = uint64_t;
  static constexpr Word kFlags = uint64_t(1) << 24;  // flush to zero
  static Word read() {
    Word word;
    asm volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(Word word) { asm volatile("msr fpcr, %0" : : "r"(word)); }
#endif
  Word saved_;
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_IEEE_MODE_H_
