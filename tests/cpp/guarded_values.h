// Arrays of any of the types for the emulated grid. Included behind a definition of TFVAE_ISA.
#ifndef TFVAE_TESTS_CPP_GUARDED_VALUES_H_
#define TFVAE_TESTS_CPP_GUARDED_VALUES_H_

#include <cstring>
#include <random>
#include <vector>

#include "csrc/core/storage.h"

namespace tfvae {
namespace TFVAE_ISA {

inline int64_t bytes_of(DType dtype) { return dtype == DType::kFloat64 ? 8 : dtype == DType::kFloat32 ? 4 : 2; }

inline double value_at(DType dtype, const void* data, int64_t i) {
  return with_type(dtype, [&](auto type) {
    return static_cast<double>(widen(static_cast<const typename decltype(type)::T*>(data)[i]));
  });
}

// Values of a type in memory that starts at a multiple of 16 bytes, or `shift` elements behind one. What lies before
// and behind them is theirs, too, and nobody's to write to.
class Values {
 public:
  Values(DType dtype, int64_t count, int shift = 0)
      : dtype_(dtype), count_(count), shift_(shift), lines_((count + shift) * bytes_of(dtype) / 16 + 2) {
    std::memset(static_cast<void*>(lines_.data()), kUntouched, lines_.size() * sizeof(Line));
    std::memset(data(), 0, count * bytes_of(dtype));
  }

  static Values random(DType dtype, int64_t count, double scale, unsigned seed, int shift) {
    Values values(dtype, count, shift);
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(-scale, scale);
    for (int64_t i = 0; i < count; ++i) values.set(i, uniform(random));
    return values;
  }

  void* data() { return reinterpret_cast<char*>(lines_.data()) + shift_ * bytes_of(dtype_); }
  int64_t size() const { return count_; }
  double at(int64_t i) { return value_at(dtype_, data(), i); }
  bool is_intact() {
    const auto* all = reinterpret_cast<const unsigned char*>(lines_.data());
    const size_t begin = shift_ * bytes_of(dtype_), end = begin + count_ * bytes_of(dtype_);
    for (size_t i = 0; i < lines_.size() * sizeof(Line); ++i) {
      if ((i < begin || i >= end) && all[i] != kUntouched) return false;
    }
    return true;
  }

 private:
  static constexpr unsigned char kUntouched = 0x5a;
  struct alignas(16) Line {
    unsigned char bytes[16];
  };

  void set(int64_t i, double x) {
    with_type(dtype_, [&](auto type) {
      using T = typename decltype(type)::T;
      static_cast<T*>(data())[i] = narrow<T>(static_cast<Arithmetic<T>>(x));
    });
  }

  DType dtype_;
  int64_t count_;
  int shift_;
  std::vector<Line> lines_;
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_TESTS_CPP_GUARDED_VALUES_H_
