// Zeros; only what is written or read takes memory.
#ifndef TFVAE_TESTS_CPP_RESERVED_H_
#define TFVAE_TESTS_CPP_RESERVED_H_

#include <stdint.h>
#include <sys/mman.h>

#include <cstddef>

namespace tfvae {

template <class T>
class Reserved {
 public:
  explicit Reserved(int64_t count)
      : bytes_(count * sizeof(T)),
        data_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ~Reserved() {
    if (bytes_ > 0) munmap(data_, bytes_);
  }
  Reserved(Reserved&& other) : bytes_(other.bytes_), data_(other.data_) { other.data_ = nullptr, other.bytes_ = 0; }
  Reserved(const Reserved&) = delete;
  Reserved& operator=(const Reserved&) = delete;
  bool ok() const { return data_ != MAP_FAILED; }
  T* data() { return static_cast<T*>(data_); }

 private:
  size_t bytes_;
  void* data_;
};

}  // namespace tfvae

#endif  // TFVAE_TESTS_CPP_RESERVED_H_
