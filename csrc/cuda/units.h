// How [rows, columns] elements are cut for the kernels that sum rows. The cut, and so the order of every sum, depends
// on the shape, the type and the tuning numbers alone.
#ifndef TFVAE_CUDA_UNITS_H_
#define TFVAE_CUDA_UNITS_H_

#include "csrc/cuda/divider.h"

namespace tfvae {
namespace TFVAE_ISA {

TFVAE_INLINE int64_t ceil_divide(int64_t a, int64_t b) { return a / b + (a % b != 0); }
TFVAE_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
TFVAE_INLINE int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }

struct Units {
  int64_t rows, columns;
  int64_t rows_per_unit;  // Several short rows ...
  int64_t units_per_row;  // ... or a part of a long one,
  int64_t unit_columns;   // of so many columns.
  int64_t units;
  Divider by_units_per_row;
};

// The elements [begin, end) of one unit: whole rows, or part number `part` of one row, from `column` on.
struct Range {
  int64_t begin, end;
  int64_t row, rows;
  int64_t part, column;
};

// wanted: elements of a unit of short rows. most: of a row that is not divided. part: of the parts of one that is.
// packet: elements of a packet, by which long rows are divided evenly.
struct UnitSizes {
  int64_t wanted, most, part, packet;
};

inline Units cut_units(int64_t rows, int64_t columns, const UnitSizes& sizes) {
  Units u{rows, columns, 1, 1, columns, 0, Divider(1)};
  if (rows == 0 || columns == 0) return u;
  if (columns <= sizes.most) {
    u.rows_per_unit = larger(1, smaller(sizes.wanted / columns, rows));
    u.units = ceil_divide(rows, u.rows_per_unit);
    return u;
  }
  u.unit_columns = ceil_divide(ceil_divide(columns, ceil_divide(columns, sizes.part)), sizes.packet) * sizes.packet;
  u.units_per_row = ceil_divide(columns, u.unit_columns);
  u.units = rows * u.units_per_row;
  u.by_units_per_row = Divider(static_cast<uint64_t>(u.units_per_row));
  return u;
}

TFVAE_INLINE Range range_of_unit(const Units& u, int64_t unit) {
  if (u.units_per_row == 1) {
    const int64_t row = unit * u.rows_per_unit;
    const int64_t rows = smaller(u.rows_per_unit, u.rows - row);
    return {row * u.columns, (row + rows) * u.columns, row, rows, 0, 0};
  }
  const int64_t row = u.by_units_per_row.quotient(unit);
  const int64_t part = unit - row * u.units_per_row;
  const int64_t column = part * u.unit_columns;
  const int64_t begin = row * u.columns + column;
  return {begin, begin + smaller(u.unit_columns, u.columns - column), row, 1, part, column};
}

// Row and column of an element.
struct Place {
  int64_t row, column;
};

TFVAE_INLINE Place place_of(int64_t element, int64_t columns, const Divider& by_columns) {
  const int64_t row = by_columns.quotient(element);
  return {row, element - row * columns};
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CUDA_UNITS_H_
