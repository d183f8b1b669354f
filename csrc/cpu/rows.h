// Between one value per row and one per element: sums of rows, and repetitions along them.
#ifndef TFVAE_CPU_ROWS_H_
#define TFVAE_CPU_ROWS_H_

#include <type_traits>

#include "csrc/cpu/elements.h"
#include "csrc/cpu/memory.h"
#include "csrc/cpu/vector.h"

namespace tfvae {
namespace TFVAE_ISA {

// Lane i of the result is lane i ^ Distance.
template <class V, int Distance>
struct Partner {
  static constexpr int lane(int i) { return i ^ Distance; }
};
template <int Distance, class V>
TFVAE_INLINE V add_partners(V v) {
  if constexpr (Distance == 0) {
    return v;
  } else {
    return add_partners<Distance / 2>(v + choose_lanes<Partner<V, Distance>>(v, v));
  }
}

// The first `count` lanes; the rest is zero.
template <class V>
TFVAE_INLINE V first_lanes(V v, int64_t count) {
  MaskOf<V> lane = {};
  for (int i = 0; i < kLanes<V>; ++i) lane[i] = i;
  return select(lane < static_cast<ElementOf<MaskOf<V>>>(count), v, V());
}

// The sum of a row's terms, which come as packs, as vectors, and as a part of one: kTogether vectors of partial sums,
// then halves of their sum until one lane is left.
template <class V>
class RowSum {
 public:
  TFVAE_INLINE void add(const WholeVectors<Pack<V, kTogether>>&, Pack<V, kTogether> terms) { parts_ = parts_ + terms; }
  TFVAE_INLINE void add(const WholeVectors<V>&, V terms) { parts_.part[0] += terms; }
  TFVAE_INLINE void add(const PartVectors<V>& access, V terms) { parts_.part[0] += first_lanes(terms, access.count); }
  TFVAE_INLINE void add(const RowSum& other) { parts_ = parts_ + other.parts_; }

  TFVAE_INLINE LaneOf<V> value() const {
    V total = parts_.part[0];
    for (int i = 1; i < kTogether; ++i) total += parts_.part[i];
    return add_partners<kLanes<V> / 2>(total)[0];
  }

 private:
  Pack<V, kTogether> parts_ = {};
};

// The sum of terms[0 .. count): four vectors of partial sums, then halves of their sum until one lane is left. Whole
// vectors may be read past the end.
template <class A>
TFVAE_INLINE A sum(const A* terms, int64_t count) {
  using V = VectorOf<A>;
  constexpr int W = kLanes<V>;
  V parts[4] = {};
  int64_t i = 0;
  for (; i + 4 * W <= count; i += 4 * W) {
    for (int k = 0; k < 4; ++k) parts[k] += load<V>(terms + i + k * W);
  }
  for (; i + W <= count; i += W) parts[0] += load<V>(terms + i);
  if (i < count) parts[1] += first_lanes(load<V>(terms + i), count - i);
  return add_partners<W / 2>((parts[0] + parts[1]) + (parts[2] + parts[3]))[0];
}

// What many short rows are worked on by: of 64 bytes most would be empty.
template <class A>
struct RowVector {
  typedef A Type __attribute__((vector_size(kVectorBytes < 32 ? kVectorBytes : 32)));
};
template <class A>
using RowVectorOf = typename RowVector<A>::Type;

// Of every 2 * Distance lanes, the lower (Half = 0) or upper (Half = 1) ones of a, then those of b.
template <class V, int Distance, int Half>
struct HalvesOfBlocks {
  static constexpr int lane(int i) {
    const int block = i / (2 * Distance) * (2 * Distance), of_b = i % (2 * Distance) / Distance;
    return block + Half * Distance + i % Distance + of_b * kLanes<V>;
  }
};

// Lane i of the result is the sum of the lanes of vectors[i], in the order of add_partners.
template <class V, int Distance = 1>
TFVAE_INLINE V sum_each(const V* vectors) {
  if constexpr (Distance == kLanes<V>) {
    return vectors[0];
  } else {
    const V a = sum_each<V, 2 * Distance>(vectors), b = sum_each<V, 2 * Distance>(vectors + Distance);
    return choose_lanes<HalvesOfBlocks<V, Distance, 0>>(a, b) + choose_lanes<HalvesOfBlocks<V, Distance, 1>>(a, b);
  }
}

// Calls body(n), n.value == columns, if there are so few that the compiler makes shuffles of a constant length, and
// tells whether there are.
template <class Body>
TFVAE_INLINE bool with_few_columns(int64_t columns, Body body) {
  switch (columns) {
    case 1:
      body(std::integral_constant<int, 1>());
      return true;
    case 2:
      body(std::integral_constant<int, 2>());
      return true;
    case 3:
      body(std::integral_constant<int, 3>());
      return true;
    case 4:
      body(std::integral_constant<int, 4>());
      return true;
    default:
      return false;
  }
}

template <int Columns, class A>
inline void sum_short_rows(const A* terms, int64_t rows, A* sums) {
  for (int64_t r = 0; r < rows; ++r) {
    A total = terms[r * Columns];
    for (int c = 1; c < Columns; ++c) total += terms[r * Columns + c];
    sums[r] = total;
  }
}

// Side by side, as many rows as a vector has lanes; what is left in the same order, so that a row's sum does not depend
// on the rows before it.
template <class A>
inline void sum_rows_together(const A* terms, int64_t rows, int64_t columns, A* sums) {
  using V = RowVectorOf<A>;
  constexpr int W = kLanes<V>;
  int64_t row = 0;
  for (; row + W <= rows; row += W) {
    const A* first = terms + row * columns;
    V totals[W] = {};
    int64_t c = 0;
    for (; c + W <= columns; c += W) {
#pragma GCC unroll 8
      for (int i = 0; i < W; ++i) totals[i] += load<V>(first + i * columns + c);
    }
    if (c < columns) {
#pragma GCC unroll 8
      for (int i = 0; i < W; ++i) totals[i] += first_lanes(load<V>(first + i * columns + c), columns - c);
    }
    store(sums + row, sum_each(totals));
  }
  for (; row < rows; ++row) {
    V total = {};
    for (int64_t c = 0; c < columns; c += W) total += first_lanes(load<V>(terms + row * columns + c), columns - c);
    sums[row] = add_partners<W / 2>(total)[0];
  }
}

// sums[r] = the sum over c of terms[r, c]. Whole vectors may be read past the end.
template <class A>
inline void sum_rows(const A* terms, int64_t rows, int64_t columns, A* sums) {
  if (with_few_columns(columns, [&](auto n) { sum_short_rows<n.value>(terms, rows, sums); })) return;
  if (columns <= 16 * kLanes<RowVectorOf<A>>) return sum_rows_together(terms, rows, columns, sums);
  for (int64_t r = 0; r < rows; ++r) sums[r] = sum(terms + r * columns, columns);
}

template <int Columns, class A>
inline void repeat_short(const A* values, int64_t rows, A* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int c = 0; c < Columns; ++c) out[r * Columns + c] = values[r];
  }
}

template <class V, class A>
inline void repeat_by_vectors(const A* values, int64_t rows, int64_t columns, A* out) {
  for (int64_t r = 0; r < rows; ++r) {
    const V value = V() + values[r];
    for (int64_t c = 0; c < columns; c += kLanes<V>) store(out + r * columns + c, value);
  }
}

// out[r, :] = values[r]. May write a vector past the end of the last row.
template <class A>
inline void repeat_along_rows(const A* values, int64_t rows, int64_t columns, A* out) {
  using V = VectorOf<A>;
  if (with_few_columns(columns, [&](auto n) { repeat_short<n.value>(values, rows, out); })) return;
  if (columns < 4 * kLanes<V>) return repeat_by_vectors<RowVectorOf<A>>(values, rows, columns, out);
  repeat_by_vectors<V>(values, rows, columns, out);
}

// values[r, :] = values[0, :]. May write a vector past the end of the last row.
template <class A>
inline void repeat_first_row(A* values, int64_t rows, int64_t columns) {
  using V = VectorOf<A>;
  constexpr int W = kLanes<V>;
  const auto repeat = [&](int64_t column, V v) {
    for (int64_t r = 1; r < rows; ++r) store(values + r * columns + column, v);
  };
  // What is written beyond a row shorter than a vector is replaced by the next row.
  if (columns < W) return repeat(0, load_part<V>(values, columns));
  for (int64_t c = 0; c + W <= columns; c += W) repeat(c, load<V>(values + c));
  if (columns % W != 0) repeat(columns - W, load<V>(values + columns - W));
}

// sums[c] += the sum over r of terms[r, c]; at most Capacity columns. Whole vectors may be read past the end.
template <int Capacity, class A>
inline void add_columns(const A* terms, int64_t rows, int64_t columns, double* sums) {
  using V = VectorOf<A>;
  alignas(64) A totals[Capacity + kLanes<V>];
  for (int64_t c = 0; c < columns; c += kLanes<V>) {
    V parts[4] = {};
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      for (int k = 0; k < 4; ++k) parts[k] += load<V>(terms + (r + k) * columns + c);
    }
    for (; r < rows; ++r) parts[0] += load<V>(terms + r * columns + c);
    store(totals + c, (parts[0] + parts[1]) + (parts[2] + parts[3]));
  }
  for (int64_t c = 0; c < columns; ++c) sums[c] += totals[c];
}

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_ROWS_H_
