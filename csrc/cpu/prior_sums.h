// Gradients by a shared prior, which are sums over rows. The rows are cut into groups, as many as the shape alone says:
// an item of work is the columns of one unit in the rows of one group, added up row after row, and the sums of several
// groups are added up afterwards. Rows with units enough for many threads are one group, and need no scratch.
#ifndef TFVAE_CPU_PRIOR_SUMS_H_
#define TFVAE_CPU_PRIOR_SUMS_H_

#include "csrc/cpu/elements.h"
#include "csrc/cpu/ieee_mode.h"
#include "csrc/cpu/kernel_table.h"
#include "csrc/cpu/partition.h"
#include "csrc/cpu/rows.h"

namespace tfvae {
namespace TFVAE_ISA {

// Sums of the columns [column, column + width), at most those of a unit.
struct PriorSums {
  int64_t column, width;
  alignas(64) double mean[kUnitSize], log_var[kUnitSize];

  PriorSums(const Partition& cut, int64_t part) : column(part * cut.unit_size) {
    width = cut.columns - column < cut.unit_size ? cut.columns - column : cut.unit_size;
    for (int64_t i = 0; i < width; ++i) mean[i] = log_var[i] = 0;
  }

  // Those of each of `rows` rows. Whole vectors may be read past the end.
  template <class A>
  void add(const A* dmean, const A* dlog_var, int64_t rows) {
    add_columns<kUnitSize>(dmean, rows, width, mean);
    add_columns<kUnitSize>(dlog_var, rows, width, log_var);
  }

  void add_sums(const double* means, const double* log_vars) {
    for (int64_t i = 0; i < width; ++i) mean[i] += means[i];
    for (int64_t i = 0; i < width; ++i) log_var[i] += log_vars[i];
  }

  void store(double* means, double* log_vars) const {
    __builtin_memcpy(means, mean, width * sizeof(double));
    __builtin_memcpy(log_vars, log_var, width * sizeof(double));
  }

  template <class T, class Params>
  void put_gradients(const Params& p) const {
    put(mean, static_cast<T*>(p.dprior_mean) + column);
    put(log_var, static_cast<T*>(p.dprior_log_var) + column);
  }

 private:
  template <class T>
  void put(const double* sums, T* out) const {
    using A = Arithmetic<T>;
    alignas(64) A rounded[kUnitSize + kLanes<VectorOf<A>>];
    for (int64_t i = 0; i < width; ++i) rounded[i] = static_cast<A>(sums[i]);
    copy_elements(rounded, width, out);
  }
};

template <class Params>
class SharedPriorSums {
 public:
  SharedPriorSums(const Params& params, const Partition& cut) : p_(params), cut_(cut) {}

  Work work(int64_t cycles_per_unit) const {
    if (!needed()) return {cut_.units, 0, cycles_per_unit};
    const int64_t items = groups() * cut_.units_per_row;
    return {items, groups() > 1 ? groups() * 2 * cut_.columns * int64_t(sizeof(double)) : 0,
            items == 0 ? 0 : cycles_per_unit * (cut_.units / items)};
  }

  // Calls body(unit, sums) for every unit of the items.
  template <class T, class Body>
  void for_units(void* scratch, int64_t begin, int64_t end, Body body) const {
    if (!needed()) {
      for (int64_t unit = begin; unit < end; ++unit) body(unit, nullptr);
      return;
    }
    for (int64_t item = begin; item < end; ++item) {
      const int64_t group = item / cut_.units_per_row, part = item % cut_.units_per_row;
      PriorSums sums(cut_, part);
      for (int64_t block = blocks() * group / groups(); block < blocks() * (group + 1) / groups(); ++block) {
        body(block * cut_.units_per_row + part, &sums);
      }
      if (groups() > 1) {
        double* means = static_cast<double*>(scratch) + group * 2 * cut_.columns + sums.column;
        sums.store(means, means + cut_.columns);
      } else {
        sums.put_gradients<T>(p_);
      }
    }
  }

  template <class T>
  void finish(const void* scratch) const {
    if (!needed() || groups() == 1) return;
    const IeeeMode ieee;
    for (int64_t part = 0; part * cut_.unit_size < cut_.columns; ++part) {
      PriorSums sums(cut_, part);
      for (int64_t group = 0; group < groups(); ++group) {
        const double* means = static_cast<const double*>(scratch) + group * 2 * cut_.columns + sums.column;
        sums.add_sums(means, means + cut_.columns);
      }
      sums.put_gradients<T>(p_);
    }
  }

 private:
  static constexpr int64_t kMostItems = 32;

  bool needed() const { return p_.prior == PriorShape::kShared; }
  // Of rows_per_unit rows.
  int64_t blocks() const { return cut_.units / cut_.units_per_row; }
  int64_t groups() const {
    const int64_t wanted = cut_.units_per_row < kMostItems ? kMostItems / cut_.units_per_row : 1;
    return blocks() < wanted ? blocks() : wanted;
  }

  const Params& p_;
  const Partition& cut_;
};

}  // namespace TFVAE_ISA
}  // namespace tfvae

#endif  // TFVAE_CPU_PRIOR_SUMS_H_
