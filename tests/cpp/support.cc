#include "tests/cpp/support.h"

#include <thread>

namespace tfvae {

extern const KernelTable k_emulated_kernels;

std::vector<const KernelTable*> tested_kernels() {
  std::vector<const KernelTable*> tables = usable_kernels();
#ifdef TFVAE_TEST_EMULATED
  tables.push_back(&k_emulated_kernels);
#endif
  return tables;
}

ParallelFor on_threads(int threads) {
  return [threads](int64_t count, int64_t, const std::function<void(int64_t, int64_t)>& body) {
    std::vector<std::thread> pool;
    for (int64_t t = 0; t < threads; ++t) {
      const int64_t begin = count * t / threads, end = count * (t + 1) / threads;
      if (begin < end) pool.emplace_back(body, begin, end);
    }
    for (std::thread& thread : pool) thread.join();
  };
}

}  // namespace tfvae
