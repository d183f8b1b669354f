// The gradients by a shared prior: sums over rows, by thread, then by block, then over blocks in
// csrc/cuda/strided_sum.h.
#ifndef TFVAE_CUDA_PRIOR_SUMS_H_
#define TFVAE_CUDA_PRIOR_SUMS_H_

#include "csrc/core/gaussian.h"
#include "csrc/core/params.h"
#include "csrc/cuda/packet.h"
#include "csrc/cuda/steps.h"

namespace tfvae {
namespace TFVAE_ISA {

// Where the sums over rows go: to `partials`, [groups * folds, 2, columns], or, where that is one row, right out.
struct PriorSumsPlace {
  int64_t columns;
  Divider by_columns;
  void* partials;
  void* dprior_mean;
  void* dprior_log_var;

  template <class T>
  TFVAE_DEVICE void write(int64_t row, int64_t column, Arithmetic<T> mean, Arithmetic<T> log_var) const {
    if (partials == nullptr) {
      static_cast<T*>(dprior_mean)[column] = narrow<T>(mean);
      static_cast<T*>(dprior_log_var)[column] = narrow<T>(log_var);
    } else {
      Arithmetic<T>* sums = static_cast<Arithmetic<T>*>(partials) + row * 2 * columns;
      sums[column] = mean;
      sums[columns + column] = log_var;
    }
  }
};

// Each thread's sums lie in its own part of shared memory, from where the block reads them in the end: in registers
// they would be too many. mean: [width * kPacketSize] values of the block, those of log_var behind them.
template <class T, class Thread>
class PriorSums {
 public:
  using A = Arithmetic<T>;
  static constexpr int P = kPacketSize<T>;

  // x: the thread's packet within the block; mine: whether it has one.
  TFVAE_DEVICE PriorSums(const Thread& thread, const Steps& steps, A* memory, int x, bool mine)
      : thread_(thread), steps_(steps), memory_(memory), x_(mine ? x : -1) {
    if (!mine) return;
    const Packet<T> zeros{};
    store_shared<T>(of_mean(), zeros);
    store_shared<T>(of_log_var(), zeros);
  }

  template <class W>
  TFVAE_DEVICE void add(const Packet<T>& mean, const Packet<T>& log_var, const W& window) const {
    add_to(of_mean(), mean, window);
    add_to(of_log_var(), log_var, window);
  }

  // Once all threads have added. All threads of the block call it.
  TFVAE_DEVICE void finish(const PriorSumsPlace& place) const {
    const int64_t group = thread_.block() / steps_.strips, strip = thread_.block() - group * steps_.strips;
    if (steps_.sum_in_block) {
      sum_by_column(place, group);
    } else if (x_ >= 0 && strip * steps_.width + x_ < steps_.used) {
      const int64_t start = (strip * steps_.width + x_) * P;
      for (int i = 0; i < P; ++i) {
        const Place at = place_of(start + i, place.columns, place.by_columns);
        if (at.row >= steps_.folds) continue;
        place.write<T>(group * steps_.folds + at.row, at.column, of_mean()[i], of_log_var()[i]);
      }
    }
  }

 private:
  TFVAE_DEVICE A* of_mean() const { return memory_ + x_ * P; }
  TFVAE_DEVICE A* of_log_var() const { return memory_ + (steps_.width + x_) * P; }

  template <class W>
  static TFVAE_DEVICE void add_to(A* sums, const Packet<T>& values, const W& window) {
    Packet<T> sum = load_shared<T>(sums);
    for (int i = 0; i < P; ++i) sum.at[i] += window.wide || window.has(i) ? values.at[i] : A(0);
    store_shared<T>(sums, sum);
  }

  // Where there are more threads than columns, several share a column and are added up by halves.
  TFVAE_DEVICE void sum_by_column(const PriorSumsPlace& place, int64_t group) const {
    const int values = steps_.width * P, columns = static_cast<int>(place.columns);
    int stride = columns;
    while (2 * stride <= smaller(thread_.threads(), values)) stride *= 2;
    thread_.sync();
    for (int at = thread_.index(); at < stride; at += thread_.threads()) {
      A mean = 0, log_var = 0;
      for (int i = at; i < values; i += stride) {
        mean += memory_[i];
        log_var += memory_[values + i];
      }
      // Nobody else reads this place before the next barrier.
      memory_[at] = mean;
      memory_[values + at] = log_var;
    }
    for (int half = stride / 2; half >= columns; half /= 2) {
      thread_.sync();
      if (thread_.index() >= half) continue;
      memory_[thread_.index()] += memory_[thread_.index() + half];
      memory_[values + thread_.index()] += memory_[values + thread_.index() + half];
    }
    for (int column = thread_.index(); column < columns; column += thread_.threads()) {
      place.write<T>(group, column, memory_[column], memory_[values + column]);
    }
  }

  const Thread& thread_;
  const Steps& steps_;
  A* memory_;
  int x_;
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_PRIOR_SUMS_H_
