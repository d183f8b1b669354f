// Shares the pieces of a loop between the calling thread and those of a pool that can only be given tasks.
#ifndef TFVAE_CPU_SHARE_WORK_H_
#define TFVAE_CPU_SHARE_WORK_H_

#include <stdint.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>

namespace tfvae {

// What the calling thread and its helpers hold in common. A helper may start after the loop is over and its body gone:
// it keeps this alive, and finds nothing left.
//
// Who is ready takes a part of what is left, the calling thread from its front and helpers from its back. So each walks
// through few long stretches of memory, which is what processors fetch ahead, and the last parts are short.
class SharedLoop {
 public:
  SharedLoop(uint32_t count, uint32_t threads, const std::function<void(int64_t, int64_t)>& body)

      : parts_(4 * threads), body_(&body), left_(Items{0, count}) {}

  // For helpers: takes parts until nothing is left.
  void help() {
    working_.fetch_add(1);
    take_parts(End::kBack);
    working_.fetch_sub(1);
  }

  // For the calling thread: takes parts until nothing is left, and waits for the helpers that have begun. Those that
  // have not, because all threads of the pool are busy or wait themselves, are not needed.
  void run() {
    take_parts(End::kFront);
    // A helper is in its last part, which is short as a rule: waking from a sleep would take longer than that.
    for (int tries = 0; working_.load() != 0; ++tries) {
      if (tries < kTriesPerPart) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  static constexpr int kTriesPerPart = 300;

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  struct alignas(8) Items {  // Both together are one atomic.
    uint32_t begin, end;
  };

  enum class End { kFront, kBack };

  void take_parts(End end) {
    for (;;) {
      const Items part = take_part(end);
      if (part.begin == part.end) return;
      (*body_)(part.begin, part.end);
    }
  }

  // In one order with working_: who finds nothing left sees at work whoever took the rest.
  Items take_part(End end) {
    Items left = left_.load();
    for (;;) {
      const uint32_t size = left.end - left.begin;
      const uint32_t taken = size / parts_ + (size % parts_ != 0);
      Items part = left, rest = left;
      if (end == End::kFront) {
        part.end = rest.begin = left.begin + taken;
      } else {
        part.begin = rest.end = left.end - taken;
      }
      if (left_.compare_exchange_weak(left, rest)) return part;
    }
  }

  const uint32_t parts_;  // Of what is left one is taken: four for each thread, so that a slow one delays nobody.
  const std::function<void(int64_t, int64_t)>* const body_;
  std::atomic<Items> left_;
  std::atomic<int> working_{0};  // Helpers.
};

// Calls body(begin, end) on parts that make up [0, count) and returns when all are done. schedule(task) hands a task to
// one of num_threads other threads, at once or later; cycles: about what one of the count takes.
template <class Schedule>
void share_work(int64_t count, int64_t cycles, int64_t num_threads, const std::function<void(int64_t, int64_t)>& body,
                Schedule schedule) {
  constexpr int64_t kCyclesPerThread = 100000;  // What waking a thread has to pay for, as Eigen's pool has it.
  const int64_t worthwhile = count / std::max<int64_t>(kCyclesPerThread / std::max<int64_t>(cycles, 1), 1);
  const int64_t threads = std::min(num_threads, worthwhile);
  // More items than Items can number would have terabytes of arrays.
  if (threads < 2 || count > UINT32_MAX) return body(0, count);
  const auto loop = std::make_shared<SharedLoop>(count, threads, body);
  for (int64_t helper = 1; helper < threads; ++helper) schedule([loop] { loop->help(); });
  loop->run();
}

}  // namespace tfvae

#endif  // TFVAE_CPU_SHARE_WORK_H_
