// How packets are dealt out for the gradients, which sum no rows: a block takes some steps, in each of which its
// threads take neighbouring packets. For the gradients by a shared prior, sums over rows, the packets lie in a table
// `period` packets wide whose columns hold the same columns of the tensors in every row, so that each thread has its
// own.
#ifndef TFVAE_CUDA_STEPS_H_
#define TFVAE_CUDA_STEPS_H_

#include "csrc/cuda/units.h"

namespace tfvae {
namespace TFVAE_ISA {

struct Steps {
  int64_t packets;          // In all.
  int64_t period;           // Packets from one step to the next.
  int64_t used;             // Of a period, where there are fewer packets than that.
  int64_t strips, groups;   // Blocks: parts of the period, times runs of steps.
  int64_t steps_per_group;  // At most.
  int width;                // Packets that a block takes in a step.
  // For sums over rows:
  bool sum_in_block;  // The period fits into a block, which then sums by column itself.
  int64_t folds;      // Rows of the tensors that a period holds, each with sums of its own.
};

TFVAE_INLINE int64_t common_divisor(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

// most_steps: of a thread. blocks: wanted.
inline int64_t steps_per_group(int64_t steps, int64_t strips, int64_t most_steps, int64_t blocks) {
  return larger(1, smaller(most_steps, steps * strips / blocks));
}

inline Steps flat_steps(int64_t packets, int width, int64_t most_steps, int64_t blocks) {
  const int64_t steps = ceil_divide(packets, width);
  const int64_t each = steps_per_group(steps, 1, most_steps, blocks);
  return {packets, width, width, 1, ceil_divide(steps, each), each, width, false, 1};
}

// packet: elements of one.
inline Steps column_steps(int64_t rows, int64_t columns, int packet, int width, int64_t most_steps, int64_t blocks) {
  const int64_t packets = ceil_divide(rows * columns, packet);
  const int64_t period = columns / common_divisor(columns, packet);
  if (period <= width) {
    const int taken = static_cast<int>(smaller(width / period, ceil_divide(packets, period)) * period);
    Steps s = flat_steps(packets, taken, most_steps, blocks);
    s.sum_in_block = true;
    return s;
  }
  const int64_t used = smaller(period, packets), strips = ceil_divide(used, width);
  const int64_t steps = ceil_divide(packets, period);
  const int64_t each = steps_per_group(steps, strips, most_steps, blocks);
  const int64_t folds = smaller(packet / common_divisor(columns, packet), rows);
  return {packets, period, used, strips, ceil_divide(steps, each), each, width, false, folds};
}

// Where thread `x` of a block begins, and how far it goes.
struct Walk {
  int64_t first, step, end;
};

TFVAE_INLINE Walk walk_of(const Steps& s, int64_t block, int x) {
  const int64_t group = block / s.strips, strip = block - group * s.strips;
  const int64_t column = strip * s.width + x;
  const bool taken = x < s.width && column < s.used;
  const int64_t first = group * s.steps_per_group * s.period + column;
  return {first, s.period, taken ? smaller(s.packets, first + s.steps_per_group * s.period) : 0};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_STEPS_H_
