// Sums by warp and block in a fixed order, without atomics: the same bits at every run.
//
// `Thread` is what a kernel knows of its thread: index() and threads() of its block, block() and blocks() of the grid,
// shared<A>() memory of the block, sync() and shuffle_down(x, lanes). DeviceThread (csrc/cuda/device.h) is the real
// one; tests/cpp/emulated_grid.h has one that runs the same kernels on the host.
#ifndef TFVAE_CUDA_SUMS_H_
#define TFVAE_CUDA_SUMS_H_

#include "csrc/cuda/packet.h"
#include "csrc/cuda/tuning.h"
#include "csrc/cuda/units.h"

namespace tfvae {
namespace TFVAE_ISA {

constexpr int kWarp = 32;

// The sum of what all threads of the block give; for the first thread. warps: room for one value per warp.
template <class A, class Thread>
TFVAE_DEVICE A block_sum(const Thread& thread, A x, A* warps) {
  TFVAE_UNROLL
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) x += thread.shuffle_down(x, lanes);
  if (thread.index() % kWarp == 0) warps[thread.index() / kWarp] = x;
  thread.sync();
  A total = 0;
  if (thread.index() == 0) {
    for (int warp = 0; warp < thread.threads() / kWarp; ++warp) total += warps[warp];
  }
  return total;
}

// The values of a packet that belong to the window.
template <class T, class W>
TFVAE_DEVICE Arithmetic<T> sum_of_packet(const Packet<T>& packet, const W& window) {
  using A = Arithmetic<T>;
  constexpr int P = kPacketSize<T>;
  A parts[P];
  for (int i = 0; i < P; ++i) parts[i] = window.wide || window.has(i) ? packet.at[i] : A(0);
  for (int half = P / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) parts[i] += parts[i + half];
  }
  return parts[0];
}

// How the terms of a unit lie in shared memory until its rows are summed: two buffers in turn, so that one barrier
// between writing and reading is enough.
struct RowLayout {
  bool by_packet;     // Every packet lies within a row and gives one sum; else every element gives its term.
  int64_t row_terms;  // So many of them to a row, where units are whole rows.
  int lanes;          // Threads that sum a row together, a power of two up to a warp.
  int buffer_size;    // Values.
};

template <class T>
inline RowLayout row_layout(const Units& units) {
  constexpr int P = kPacketSize<T>;
  RowLayout layout{units.columns % P == 0, units.columns, 1, kMostThreads / kWarp};
  if (units.rows_per_unit == 1) return layout;
  if (layout.by_packet) layout.row_terms /= P;
  while (layout.lanes < kWarp && layout.lanes * 4 <= layout.row_terms) layout.lanes *= 2;
  // Where elements give terms, a unit may begin within a packet.
  const int64_t terms = units.rows_per_unit * layout.row_terms + (layout.by_packet ? 0 : 2 * P);
  layout.buffer_size = static_cast<int>(larger(layout.buffer_size, ceil_divide(terms, P) * P));
  return layout;
}

// Collects the terms of a unit's packets and sums its rows.
template <class T, class Thread>
class RowSums {
 public:
  using A = Arithmetic<T>;

  TFVAE_DEVICE RowSums(const Thread& thread, const Units& units, const RowLayout& layout)
      : thread_(thread), units_(units), layout_(layout), buffer_(thread.template shared<A>()), odd_(false), sum_(0) {}

  // packet: its number from the unit's first on.
  template <class W>
  TFVAE_DEVICE void add(int packet, const Packet<T>& terms, const W& window) {
    if (units_.rows_per_unit == 1) {
      sum_ += sum_of_packet<T>(terms, window);
    } else if (W::kWholeRows || layout_.by_packet) {
      buffer_[packet] = sum_of_packet<T>(terms, window);
    } else {
      store_shared<T>(buffer_ + packet * kPacketSize<T>, terms);
    }
  }

  // Calls write(row, sum), the rows counted within the range, once all threads have added. All threads call it.
  template <class Write>
  TFVAE_DEVICE void finish(const Range& range, Write write) {
    if (units_.rows_per_unit == 1) {
      const A total = block_sum<A>(thread_, sum_, buffer_);
      if (thread_.index() == 0) write(0, total);
      sum_ = 0;
    } else {
      thread_.sync();
      sum_rows(buffer_ + (layout_.by_packet ? 0 : range.begin % kPacketSize<T>), static_cast<int>(range.rows), write);
    }
    buffer_ = thread_.template shared<A>() + (odd_ ? 0 : layout_.buffer_size);
    odd_ = !odd_;
  }

 private:
  template <class Write>
  TFVAE_DEVICE void sum_rows(const A* terms, int rows, Write write) const {
    const int lane = thread_.index() % layout_.lanes, step = thread_.threads() / layout_.lanes;
    const int row_terms = static_cast<int>(layout_.row_terms);
    for (int base = 0; base < rows; base += step) {
      const int row = base + thread_.index() / layout_.lanes;
      A sum = 0;
      if (row < rows) {
        for (int i = lane; i < row_terms; i += layout_.lanes) sum += terms[row * row_terms + i];
      }
      for (int lanes = layout_.lanes / 2; lanes > 0; lanes /= 2) sum += thread_.shuffle_down(sum, lanes);
      if (lane == 0 && row < rows) write(row, sum);
    }
  }

  const Thread& thread_;
  const Units& units_;
  const RowLayout& layout_;
  A* buffer_;
  bool odd_;
  A sum_;
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_SUMS_H_
