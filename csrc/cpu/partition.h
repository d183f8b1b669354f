// How [rows, columns] elements are cut into units of work. The cut depends on the shape alone, never on the threads, so
// every row sum has one order: lanes within a unit, then the row's units from left to right.
#ifndef TFVAE_CPU_PARTITION_H_
#define TFVAE_CPU_PARTITION_H_

#include "csrc/core/lanes.h"

namespace tfvae {
namespace TFVAE_ISA {

constexpr int64_t kUnitSize = 2048;  // Elements; a unit's noise and row terms stay in the first-level cache.
// Noise is made in blocks of at most as many elements; what of a block lies before a unit is made in vain.
constexpr int64_t kUnitMultiple = 128;

// The fewest rows that make a multiple of kUnitMultiple elements.
inline int64_t rows_of_multiple(int64_t columns) {
  const int64_t power_of_two = columns & -columns;
  return power_of_two < kUnitMultiple ? kUnitMultiple / power_of_two : 1;
}

struct Partition {
  int64_t rows, columns;
  int64_t unit_size;
  int64_t rows_per_unit;  // Several short rows ...
  int64_t units_per_row;  // ... or a part of a long one.
  int64_t units;
};

inline Partition partition(int64_t rows, int64_t columns, int64_t unit_size) {
  Partition p{rows, columns, unit_size, 1, 1, 0};
  if (rows == 0 || columns == 0) return p;
  if (columns <= unit_size) {
    p.rows_per_unit = unit_size / columns;
    const int64_t step = rows_of_multiple(columns);
    if (p.rows_per_unit >= step) p.rows_per_unit -= p.rows_per_unit % step;
    p.units = rows / p.rows_per_unit + (rows % p.rows_per_unit != 0);
  } else {
    p.units_per_row = columns / unit_size + (columns % unit_size != 0);
    p.units = rows * p.units_per_row;
  }
  return p;
}

// The elements [begin, end) of one unit: whole rows, or columns [column, column + size) of one row.
struct Range {
  int64_t begin, end;
  int64_t row, rows;
  int64_t column;
  int64_t size() const { return end - begin; }
  int64_t width() const { return size() / rows; }  // Columns of it.
};

inline Range range_of_unit(const Partition& p, int64_t unit) {
  if (p.units_per_row == 1) {
    const int64_t row = unit * p.rows_per_unit;
    const int64_t rows = p.rows - row < p.rows_per_unit ? p.rows - row : p.rows_per_unit;
    return {row * p.columns, (row + rows) * p.columns, row, rows, 0};
  }
  const int64_t row = unit / p.units_per_row;
  const int64_t column = (unit % p.units_per_row) * p.unit_size;
  const int64_t width = p.columns - column < p.unit_size ? p.columns - column : p.unit_size;
  return {row * p.columns + column, row * p.columns + column + width, row, 1, column};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_PARTITION_H_
