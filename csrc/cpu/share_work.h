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
// it keeps this alive, and finds no piece left.
class SharedLoop {
 public:
  SharedLoop(int64_t count, int64_t piece, const std::function<void(int64_t, int64_t)>& body)
      : count_(count), piece_(piece), body_(&body) {}

  // For helpers: takes pieces until none is left.
  void help() {
    working_.fetch_add(1);
    take_pieces();
    working_.fetch_sub(1);
  }

  // For the calling thread: takes pieces until none is left, and waits for the helpers that have begun. Those that have
  // not, because all threads of the pool are busy or wait themselves, are not needed.
  void run() {
    take_pieces();
    // A helper has one piece left at most, and waking from a sleep would take longer than that.
    for (int tries = 0; working_.load() != 0; ++tries) {
      if (tries < kTriesPerPiece) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  static constexpr int kTriesPerPiece = 300;

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  void take_pieces() {
    for (;;) {
      // In one order with working_: who finds no piece left sees at work whoever took one.
      const int64_t begin = next_.fetch_add(piece_);
      if (begin >= count_) return;
      (*body_)(begin, std::min(begin + piece_, count_));
    }
  }

  const int64_t count_, piece_;
  const std::function<void(int64_t, int64_t)>* const body_;
  std::atomic<int64_t> next_{0};
  std::atomic<int> working_{0};  // Helpers.
};

// Calls body(begin, end) on pieces that make up [0, count) and returns when all are done. schedule(task) hands a task
// to one of num_threads other threads, at once or later; cycles: about what one of the count takes.
template <class Schedule>
void share_work(int64_t count, int64_t cycles, int64_t num_threads, const std::function<void(int64_t, int64_t)>& body,
                Schedule schedule) {
  // What waking a thread has to pay for, as Eigen's pool has it; and a piece of work that is large against taking it.
  constexpr int64_t kCyclesPerThread = 100000, kCyclesPerPiece = 20000;
  cycles = std::max<int64_t>(cycles, 1);
  const int64_t piece = std::max<int64_t>(kCyclesPerPiece / cycles, 1);
  const int64_t worthwhile = count / std::max<int64_t>(kCyclesPerThread / cycles, 1);
  const int64_t threads = std::min({num_threads, worthwhile, count / piece});
  if (threads < 2) return body(0, count);
  const auto loop = std::make_shared<SharedLoop>(count, piece, body);
  for (int64_t helper = 1; helper < threads; ++helper) schedule([loop] { loop->help(); });
  loop->run();
}

}  // namespace tfvae

#endif  // TFVAE_CPU_SHARE_WORK_H_
