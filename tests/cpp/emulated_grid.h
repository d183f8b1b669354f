// Runs the CUDA kernels on the host, as they are: every thread of a block is a context of its own with its own stack,
// and a barrier or a shuffle hands on to the next. Shared memory is full of NaNs at first. Where threads of a block do
// not meet at the same barriers, or write behind their shared memory, the run fails. Included behind a definition of
// TFVAE_ISA.
#ifndef TFVAE_TESTS_CPP_EMULATED_GRID_H_
#define TFVAE_TESTS_CPP_EMULATED_GRID_H_

#include <ucontext.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "csrc/cuda/operations.h"

namespace tfvae {
namespace TFVAE_ISA {

// In which order blocks, and threads between barriers, run: results may not depend on it.
enum class Order { kForwards, kBackwards };

class EmulatedBlock {
 public:
  enum class State { kRunning, kSync, kShuffle, kDone };

  EmulatedBlock(int threads, int shared_bytes, Order order)
      : order_(order),
        shared_bytes_(shared_bytes),
        shared_(shared_bytes / 16 + 2),
        contexts_(threads),
        states_(threads),
        slots_{std::vector<double>(threads), std::vector<double>(threads)},
        shuffles_(threads) {
    if (shared_bytes > kMostShared) throw std::logic_error("more shared memory than a launch may ask for");
    std::memset(static_cast<void*>(shared_.data()), 0xff, shared_.size() * sizeof(shared_[0]));
  }

  // body(thread number), for all threads.
  template <class Body>
  void run(const Body& body) {
    body_ = [](void* b, int thread) { (*static_cast<const Body*>(b))(thread); };
    argument_ = const_cast<Body*>(&body);
    for (int i = 0; i < threads(); ++i) start(i);
    for (bool done = false; !done;) {
      for (int i = 0; i < threads(); ++i) {
        current_ = order_ == Order::kForwards ? i : threads() - 1 - i;
        swapcontext(&scheduler_, &contexts_[current_]);
      }
      for (State state : states_) {
        if (state != states_[0]) throw std::logic_error("threads of a block are at different barriers");
      }
      done = states_[0] == State::kDone;
    }
    const auto* all = static_cast<const unsigned char*>(shared());
    for (size_t i = shared_bytes_; i < shared_.size() * sizeof(shared_[0]); ++i) {
      if (all[i] != 0xff) throw std::logic_error("written behind the shared memory that was asked for");
    }
  }

  int threads() const { return static_cast<int>(contexts_.size()); }
  void* shared() { return shared_.data(); }

  void wait(State state) {
    const int thread = current_;
    states_[thread] = state;
    swapcontext(&contexts_[thread], &scheduler_);
    states_[thread] = State::kRunning;
  }

  // Slots in turn, so that one barrier per shuffle is enough.
  double shuffle_down(int thread, double x, int lanes) {
    std::vector<double>& slots = slots_[shuffles_[thread]++ % 2];
    slots[thread] = x;
    wait(State::kShuffle);
    return thread % kWarp + lanes < kWarp ? slots[thread + lanes] : x;
  }

 private:
  static constexpr size_t kStackSize = 1 << 16;
  static constexpr int kMostShared = 48 << 10;  // Without an attribute of the kernel's own.
  struct alignas(16) Line {
    unsigned char bytes[16];
  };

  // Kept for the next block, and not cleared, which would take longer than the kernels.
  static char* stack(int thread) {
    static std::vector<std::unique_ptr<char[]>> stacks(kMostThreads);
    if (stacks[thread] == nullptr) stacks[thread].reset(new char[kStackSize]);
    return stacks[thread].get();
  }

  static void enter() {
    EmulatedBlock* block = active_;
    const int thread = block->current_;
    block->states_[thread] = State::kRunning;
    block->body_(block->argument_, thread);
    for (;;) block->wait(State::kDone);
  }

  void start(int thread) {
    active_ = this;
    ucontext_t& context = contexts_[thread];
    getcontext(&context);
    context.uc_stack.ss_sp = stack(thread);
    context.uc_stack.ss_size = kStackSize;
    context.uc_link = &scheduler_;
    makecontext(&context, enter, 0);
  }

  static inline EmulatedBlock* active_ = nullptr;
  Order order_;
  int shared_bytes_;
  std::vector<Line> shared_;
  std::vector<ucontext_t> contexts_;
  std::vector<State> states_;
  std::vector<double> slots_[2];
  std::vector<int> shuffles_;
  ucontext_t scheduler_;
  int current_ = 0;
  void (*body_)(void*, int) = nullptr;
  void* argument_ = nullptr;
};

class EmulatedThread {
 public:
  EmulatedThread(EmulatedBlock* state, int index, int64_t block, int64_t blocks)
      : state_(state), index_(index), block_(block), blocks_(blocks) {}
  int index() const { return index_; }
  int threads() const { return state_->threads(); }
  int64_t block() const { return block_; }
  int64_t blocks() const { return blocks_; }
  void sync() const { state_->wait(EmulatedBlock::State::kSync); }
  template <class A>
  A shuffle_down(A x, int lanes) const {
    return static_cast<A>(state_->shuffle_down(index_, x, lanes));
  }
  template <class A>
  A* shared() const {
    return static_cast<A*>(state_->shared());
  }

 private:
  EmulatedBlock* state_;
  int index_;
  int64_t block_, blocks_;
};

// Runs block number `block` of `blocks`.
template <class Kernel>
void run_block(const Kernel& kernel, int64_t block, int64_t blocks, int threads, int shared_bytes, Order order) {
  EmulatedBlock state(threads, shared_bytes, order);
  state.run([&](int thread) { kernel(EmulatedThread(&state, thread, block, blocks)); });
}

template <class Kernel>
void run_grid(const Kernel& kernel, int64_t blocks, int threads, int shared_bytes, Order order) {
  for (int64_t i = 0; i < blocks; ++i) {
    run_block(kernel, order == Order::kForwards ? i : blocks - 1 - i, blocks, threads, shared_bytes, order);
  }
}

// A whole launch as csrc/cuda/launch.h makes it. Returns the number of kernels.
template <class Operation>
int emulate(const typename Operation::Params& params, const Device& device, Order order) {
  const DeviceSeed seed{params.seed, true};
  return with_type(params.dtype, [&](auto type) {
    using T = typename decltype(type)::T;
    const int64_t bytes = Operation::template plan<T>(params, seed, nullptr, device).scratch_bytes;
    std::vector<double> scratch(bytes / 8 + 1, -1e30);
    const auto plan = Operation::template plan<T>(params, seed, scratch.data(), device);
    for (const Zeros& zeros : plan.zeros) {
      if (zeros.bytes > 0) std::memset(zeros.data, 0, zeros.bytes);
    }
    if (plan.blocks == 0) return 0;
    with_prior(params.prior, [&](auto prior) {
      run_grid([&](const EmulatedThread& t) { Operation::template run<T, decltype(prior)::kPrior>(t, plan.launch); },
               plan.blocks, plan.threads, plan.shared_bytes, order);
    });
    if (!plan.has_sum) return 1;
    using Sum = typename Operation::template Sum<T>;
    run_grid([&](const EmulatedThread& t) { run_strided_sum<Sum>(t, plan.sum); }, plan.sum_blocks, kMostThreads,
             kMostThreads * static_cast<int>(sizeof(double)), order);
    return 2;
  });
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_TESTS_CPP_EMULATED_GRID_H_
