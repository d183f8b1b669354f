// How [rows, columns] elements are cut into units of work. The cut depends on the shape alone, never on the threads, so
// every row sum has one order: lanes within a unit, then the row's units from left to right.
#ifndef TFVAE_CPU_PARTITION_H_
#define TFVAE_CPU_PARTITION_H_

#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

constexpr int64_t kUnitSize = 2048;  // Elements; a unit's noise and row terms stay in the first-level cache.

struct Partition {
  int64_t rows, columns;
  int64_t rows_per_unit;  // Several short rows ...
  int64_t units_per_row;  // ... or a part of a long one.
  int64_t units;
};

inline Partition partition(int64_t rows, int64_t columns) {
  Partition p{rows, columns, 1, 1, 0};
  if (rows == 0 || columns == 0) return p;
  if (columns <= kUnitSize) {
    p.rows_per_unit = kUnitSize / columns;
    p.units = rows / p.rows_per_unit + (rows % p.rows_per_unit != 0);
  } else {
    p.units_per_row = columns / kUnitSize + (columns % kUnitSize != 0);
    p.units = rows * p.units_per_row;
  }
  return p;
}

// The elements [begin, end) of one unit, and the first row they belong to.
struct Range {
  int64_t begin, end, row;
};

inline Range range_of_unit(const Partition& p, int64_t unit) {
  if (p.units_per_row == 1) {
    const int64_t row = unit * p.rows_per_unit;
    const int64_t last = row + p.rows_per_unit;
    return {row * p.columns, (last < p.rows ? last : p.rows) * p.columns, row};
  }
  const int64_t row = unit / p.units_per_row;
  const int64_t begin = (unit % p.units_per_row) * kUnitSize;
  const int64_t end = begin + kUnitSize;
  return {row * p.columns + begin, row * p.columns + (end < p.columns ? end : p.columns), row};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_PARTITION_H_
