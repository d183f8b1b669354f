// The CUDA kernels, run on the host thread by thread, against the CPU kernels.
#define TFVAE_ISA cuda_emulated
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "csrc/cpu/dispatch.h"
#include "csrc/cpu/run.h"
#include "tests/cpp/emulated_grid.h"
#include "tests/cpp/guarded_values.h"
#include "tests/cpp/reserved.h"

namespace tfvae {
namespace {

using namespace cuda_emulated;

// Small blocks and few of them, so that small problems already have several units, groups and strips, and one block
// several units in turn.
const Device kSmall = {{90, 64, 2, 4}, 1};

const DType kDTypes[] = {DType::kFloat16, DType::kBFloat16, DType::kFloat32, DType::kFloat64};

DType sum_type(DType dtype) { return dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32; }

struct Case {
  int64_t rows, columns;
  DType dtype = DType::kFloat32;
  PriorShape prior = PriorShape::kNone;
  bool per_dimension = false;
  int64_t samples = 1;
  bool stop_density_gradient = false;
  int shift = 0;

  int64_t elements() const { return rows * columns; }
  int64_t prior_size() const { return prior == PriorShape::kFull ? elements() : columns; }
  std::string show() const {
    return std::to_string(rows) + "x" + std::to_string(columns) + " dtype " + std::to_string(int(dtype)) + " prior " +
           std::to_string(int(prior)) + " per dimension " + std::to_string(per_dimension) + " samples " +
           std::to_string(samples) + " stop " + std::to_string(stop_density_gradient) + " shift " +
           std::to_string(shift);
  }
};

struct Inputs {
  explicit Inputs(const Case& c)
      : mean(Values::random(c.dtype, c.elements(), 2, 1, c.shift)),
        log_var(Values::random(c.dtype, c.elements(), 2, 2, c.shift)),
        prior_mean(Values::random(c.dtype, c.prior_size(), 1, 3, c.shift)),
        prior_log_var(Values::random(c.dtype, c.prior_size(), 1, 4, c.shift)),
        dz(Values::random(c.dtype, c.samples * c.elements(), 1, 5, c.shift)),
        drows(Values::random(sum_type(c.dtype), c.samples * (c.per_dimension ? c.elements() : c.rows), 1, 6, c.shift)) {
  }

  CommonParams common(const Case& c) {
    CommonParams p{};
    p.dtype = c.dtype;
    p.per_dimension = c.per_dimension;
    p.rows = c.rows;
    p.columns = c.columns;
    p.seed[0] = 11;
    p.seed[1] = -12;
    p.mean = mean.data();
    p.log_var = log_var.data();
    p.prior = c.prior;
    if (c.prior != PriorShape::kNone) p.prior_mean = prior_mean.data(), p.prior_log_var = prior_log_var.data();
    return p;
  }

  Values mean, log_var, prior_mean, prior_log_var, dz, drows;
};

struct Outputs {
  std::vector<Values> values;
  bool same_bits(Outputs& other) {
    for (size_t i = 0; i < values.size(); ++i) {
      for (int64_t j = 0; j < values[i].size(); ++j) {
        if (values[i].at(j) != other.values[i].at(j)) return false;
      }
    }
    return true;
  }
};

Outputs samples_of(const Case& c) {
  const int64_t rows = c.per_dimension ? c.elements() : c.rows;
  return {{Values(c.dtype, c.samples * c.elements(), c.shift), Values(sum_type(c.dtype), c.samples * rows, c.shift)}};
}

Outputs gradients_of(const Case& c) {
  Outputs o{{Values(c.dtype, c.elements(), c.shift), Values(c.dtype, c.elements(), c.shift)}};
  for (int i = 0; i < 2 && c.prior != PriorShape::kNone; ++i) o.values.emplace_back(c.dtype, c.prior_size(), c.shift);
  return o;
}

ForwardParams params_of(Forward, const Case& c, Inputs* in, Outputs* out) {
  return {in->common(c), out->values[0].data(), out->values[1].data()};
}
LogRatioParams params_of(LogRatio, const Case& c, Inputs* in, Outputs* out) {
  return {in->common(c), c.samples, out->values[0].data(), out->values[1].data()};
}
void* output(Outputs* out, size_t i) { return i < out->values.size() ? out->values[i].data() : nullptr; }
BackwardParams params_of(Backward, const Case& c, Inputs* in, Outputs* out) {
  return {in->common(c),  in->dz.data(),  in->drows.data(), output(out, 0),
          output(out, 1), output(out, 2), output(out, 3)};
}
LogRatioGradParams params_of(LogRatioGrad, const Case& c, Inputs* in, Outputs* out) {
  return {in->common(c),  c.samples,      c.stop_density_gradient, in->dz.data(), in->drows.data(),
          output(out, 0), output(out, 1), output(out, 2),          output(out, 3)};
}

const Kernel<ForwardParams>& cpu_kernel(Forward) { return active_kernels()->forward; }
const Kernel<BackwardParams>& cpu_kernel(Backward) { return active_kernels()->backward; }
const Kernel<LogRatioParams>& cpu_kernel(LogRatio) { return active_kernels()->log_ratio; }
const Kernel<LogRatioGradParams>& cpu_kernel(LogRatioGrad) { return active_kernels()->log_ratio_grad; }

template <class Operation>
constexpr bool kIsGradient = std::is_same_v<Operation, Backward> || std::is_same_v<Operation, LogRatioGrad>;

template <class Operation>
Outputs outputs_of(const Case& c) {
  return kIsGradient<Operation> ? gradients_of(c) : samples_of(c);
}

template <class Operation>
Outputs on_cpu(const Case& c, Inputs* in) {
  Outputs out = outputs_of<Operation>(c);
  const auto params = params_of(Operation(), c, in, &out);
  const auto& kernel = cpu_kernel(Operation());
  std::vector<double> scratch(kernel.work(params).scratch_bytes / 8 + 1);
  run_kernel(kernel, params, scratch.data(),
             [](int64_t count, int64_t, const std::function<void(int64_t, int64_t)>& body) { body(0, count); });
  return out;
}

// kernels: how many must be launched.
template <class Operation>
Outputs on_grid(const Case& c, Inputs* in, const Device& device, Order order, int* kernels = nullptr) {
  Outputs out = outputs_of<Operation>(c);
  const int launched = emulate<Operation>(params_of(Operation(), c, in, &out), device, order);
  if (kernels != nullptr) *kernels = launched;
  for (Values& values : out.values) EXPECT_TRUE(values.is_intact()) << c.show() << ": written beside an output";
  return out;
}

double terms_of(const Case& c) { return static_cast<double>(std::max<int64_t>(1, std::max(c.rows, c.columns))); }

template <class Operation>
void expect_as_on_cpu(const Case& c, const Device& device = kSmall) {
  Inputs in(c);
  Outputs expected = on_cpu<Operation>(c, &in), found = on_grid<Operation>(c, &in, device, Order::kForwards);
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const bool stored = i != 1 || kIsGradient<Operation>;
    // One rounding to the stored type; a few of the arithmetic's, per term: one side contracts to fused products.
    const double rounding = !stored || c.dtype > DType::kBFloat16 ? 0 : c.dtype == DType::kFloat16 ? 1e-3 : 8e-3;
    const double arithmetic = (c.dtype == DType::kFloat64 ? 1e-14 : 4e-6) * std::sqrt(terms_of(c)) * c.samples;
    for (int64_t j = 0; j < expected.values[i].size(); ++j) {
      const double e = expected.values[i].at(j), f = found.values[i].at(j);
      ASSERT_LE(std::abs(e - f), arithmetic + (rounding + arithmetic) * std::abs(e))
          << c.show() << ", output " << i << "[" << j << "]: " << f << ", not " << e;
    }
  }
}

template <class Operation>
void expect_same_bits(const Case& c) {
  Inputs in(c);
  Outputs one = on_grid<Operation>(c, &in, kSmall, Order::kForwards);
  Outputs other = on_grid<Operation>(c, &in, kSmall, Order::kBackwards);
  EXPECT_TRUE(one.same_bits(other)) << c.show();
}

const int64_t kShapes[][2] = {{1, 1},    {7, 1},   {3, 2},   {5, 3},    {4, 10},   {9, 17},  {2, 256},
                              {3, 1000}, {1, 511}, {1, 512}, {2, 513},  {1, 3001}, {130, 3}, {259, 1},
                              {33, 129}, {70, 7},  {40, 32}, {3, 1030}, {300, 8}};

template <class Operation>
void compare_all(std::initializer_list<int64_t> samples) {
  int number = 0;
  for (DType dtype : kDTypes) {
    for (PriorShape prior : {PriorShape::kNone, PriorShape::kFull, PriorShape::kShared}) {
      for (const auto& shape : kShapes) {
        for (int64_t k : samples) {
          // Flags that are independent of the rest take turns.
          ++number;
          Case c{shape[0], shape[1], dtype, prior, false, k, number % 2 == 0, number % 5 == 0 ? 1 : 0};
          if (samples.size() == 1) c.per_dimension = number % 3 == 0;
          expect_as_on_cpu<Operation>(c);
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(CudaKernels, ForwardIsAsOnTheCpu) { compare_all<Forward>({1}); }
TEST(CudaKernels, BackwardIsAsOnTheCpu) { compare_all<Backward>({1}); }
TEST(CudaKernels, LogRatioIsAsOnTheCpu) { compare_all<LogRatio>({1, 3}); }
TEST(CudaKernels, LogRatioGradientsAreAsOnTheCpu) { compare_all<LogRatioGrad>({1, 9}); }

TEST(CudaKernels, EveryTuningGivesTheSame) {
  for (const Tuning& tuning : kTunings) {
    const Device device{tuning, 2};
    const Case wide{2, 9001}, narrow{2100, 5, DType::kBFloat16, PriorShape::kShared};
    Case drawn{40, 33, DType::kFloat32, PriorShape::kShared};
    drawn.samples = 5;
    expect_as_on_cpu<Forward>(wide, device);
    expect_as_on_cpu<Forward>(narrow, device);
    expect_as_on_cpu<Backward>(narrow, device);
    expect_as_on_cpu<LogRatio>(drawn, device);
    expect_as_on_cpu<LogRatioGrad>(drawn, device);
  }
}

TEST(CudaKernels, SameBitsInAnyOrderOfBlocksAndThreads) {
  for (const Case& c :
       {Case{70, 7, DType::kFloat32, PriorShape::kShared}, Case{3, 3001, DType::kFloat32},
        Case{40, 32, DType::kFloat16, PriorShape::kShared}, Case{9, 1030, DType::kFloat32, PriorShape::kShared}}) {
    expect_same_bits<Forward>(c);
    expect_same_bits<Backward>(c);
    Case drawn = c;
    drawn.samples = 9;
    expect_same_bits<LogRatio>(drawn);
    expect_same_bits<LogRatioGrad>(drawn);
  }
}

// A second launch is for rows, or sums over rows, that are spread over blocks.
TEST(CudaKernels, SmallSizesAreOneLaunch) {
  const Device device{kTunings[3], 132};
  int kernels = 0;
  for (const Case& c : {Case{128, 32}, Case{1024, 64}, Case{16, 4096}}) {
    Inputs in(c);
    on_grid<Forward>(c, &in, device, Order::kForwards, &kernels);
    EXPECT_EQ(kernels, 1) << c.show();
    on_grid<Backward>(c, &in, device, Order::kForwards, &kernels);
    EXPECT_EQ(kernels, 1) << c.show();
  }
}

TEST(CudaKernels, DivisionIsExact) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200000; ++i) {
    const uint64_t divisor = std::max<uint64_t>(1, random() >> (1 + random() % 63));
    const int64_t number = static_cast<int64_t>(random() >> (1 + random() % 63));
    const int64_t multiple = number / static_cast<int64_t>(divisor) * static_cast<int64_t>(divisor);
    const Divider by(divisor);
    for (int64_t n : {number, multiple, std::max<int64_t>(0, multiple - 1)}) {
      ASSERT_EQ(by.quotient(n), n / static_cast<int64_t>(divisor)) << n << " / " << divisor;
    }
  }
}

// One row too long for 32 bits, and as many rows of a few elements.
const int64_t kHuge[][2] = {
    {1, (int64_t(1) << 31) + 4099}, {1, (int64_t(1) << 32) + 77}, {(int64_t(1) << 32) / 3 + 5, 3}};

TEST(CudaKernels, UnitsCoverHugeTensorsAndStepsReachTheirEnd) {
  const Tuning& tuning = kTunings[3];
  for (const auto& shape : kHuge) {
    const int64_t rows = shape[0], columns = shape[1], elements = rows * columns;
    const Units units = cut_units(rows, columns, forward_units<float>(rows, columns, tuning));
    int64_t end = 0;
    for (int64_t unit = 0; unit < units.units; unit += 1 + units.units / 5000) {
      const Range range = range_of_unit(units, unit);
      if (unit > 0) {
        ASSERT_EQ(range_of_unit(units, unit - 1).end, range.begin);
      }
      ASSERT_EQ(range.row * columns + range.column, range.begin);
      end = range_of_unit(units, units.units - 1).end;
    }
    EXPECT_EQ(end, elements);
    const int64_t packets = ceil_divide(elements, 4);
    for (const Steps& s : {flat_steps(packets, 256, 4, tuning.blocks_wanted),
                           column_steps(rows, columns, 4, 256, 128, tuning.blocks_wanted)}) {
      const int64_t blocks = s.strips * s.groups;
      ASSERT_LT(blocks, kMostBlocks);
      int64_t last = 0, taken = 0;
      for (int64_t block : {int64_t{0}, blocks - 1}) {
        for (int x = 0; x < s.width; ++x) {
          const Walk walk = walk_of(s, block, x);
          for (int64_t p = walk.first; p < walk.end; p += walk.step) last = std::max(last, p), ++taken;
        }
      }
      EXPECT_EQ(last, packets - 1);
      EXPECT_GT(taken, 0);
    }
  }
}

TEST(CudaKernels, StepsTakeEveryPacketOnce) {
  std::mt19937 random(5);
  const auto up_to = [&](int most) { return static_cast<int64_t>(1 + random() % most); };
  for (int i = 0; i < 3000; ++i) {
    const int64_t rows = up_to(300), columns = up_to(60), most_steps = up_to(8), blocks = up_to(40);
    const int packet = 1 << random() % 4, width = static_cast<int>(8 * up_to(4));
    const int64_t packets = ceil_divide(rows * columns, packet);
    for (const Steps& s : {flat_steps(packets, width, most_steps, blocks),
                           column_steps(rows, columns, packet, width, most_steps, blocks)}) {
      std::vector<int> taken(packets);
      for (int64_t block = 0; block < s.strips * s.groups; ++block) {
        for (int x = 0; x < width; ++x) {
          const Walk walk = walk_of(s, block, x);
          for (int64_t p = walk.first; p < walk.end; p += walk.step) ++taken.at(p);
        }
      }
      ASSERT_EQ(taken, std::vector<int>(packets, 1)) << rows << "x" << columns << " by " << packet << ", " << width;
    }
  }
}

TEST(CudaKernels, LastBlocksOfHugeTensors) {
  const Device device{kTunings[3], 132};
  for (const auto& shape : kHuge) {
    const int64_t rows = shape[0], columns = shape[1], count = rows * columns, tail = 64, begin = count - tail;
    std::vector<Reserved<float>> arrays;
    arrays.reserve(6);
    for (int i = 0; i < 6; ++i) arrays.emplace_back(count);
    for (auto& array : arrays) ASSERT_TRUE(array.ok());
    float *mean = arrays[0].data(), *log_var = arrays[1].data(), *dz = arrays[2].data(), *z = arrays[3].data(),
          *dmean = arrays[4].data(), *dlog_var = arrays[5].data();
    for (int64_t i = begin; i < count; ++i) mean[i] = 0.5f, dz[i] = 1;
    Reserved<float> kl(rows), dkl(rows), scratch(count / 512);
    CommonParams common{};
    common.dtype = DType::kFloat32;
    common.rows = rows;
    common.columns = columns;
    common.seed[0] = 5;
    common.seed[1] = 7;
    common.mean = mean;
    common.log_var = log_var;
    const DeviceSeed seed{common.seed, true};

    const auto forward = plan_forward<float>({common, z, kl.data()}, seed, scratch.data(), device);
    const int64_t units = forward.launch.units.units;
    ASSERT_LE(forward.scratch_bytes, count / 512 * 4);
    // The last two, because the very last may be short. This one block would go on, unit by unit.
    run_block([&](const EmulatedThread& t) { run_forward<float, PriorShape::kNone>(t, forward.launch); }, units - 2, 1,
              forward.threads, forward.shared_bytes, Order::kForwards);
    const auto backward =
        plan_backward<float>({common, dz, dkl.data(), dmean, dlog_var, nullptr, nullptr}, seed, nullptr, device);
    for (int64_t block : {backward.blocks - 2, backward.blocks - 1}) {
      run_block([&](const EmulatedThread& t) { run_backward<float, PriorShape::kNone>(t, backward.launch); }, block,
                backward.blocks, backward.threads, backward.shared_bytes, Order::kForwards);
    }

    std::vector<float> eps(tail);
    active_kernels()->normals(DType::kFloat32, common.seed, begin, tail, eps.data());
    for (int64_t i = 0; i < tail; ++i) {
      // The variance is 1 and dkl is 0; the CPU's normals differ by a few roundings.
      ASSERT_NEAR(z[begin + i], 0.5 + eps[i], 2e-6) << rows << "x" << columns;
      ASSERT_EQ(dmean[begin + i], 1.0f);
      ASSERT_NEAR(dlog_var[begin + i], 0.5 * eps[i], 2e-6);
    }
    if (columns == 3) {
      EXPECT_FLOAT_EQ(kl.data()[rows - 1], 3 * 0.125f);
    }
  }
}

TEST(CudaKernels, NothingIsLaunchedForNoElements) {
  int kernels = -1;
  for (Case c : {Case{0, 5}, Case{5, 0}, Case{0, 0}}) {
    c.prior = PriorShape::kShared;
    Inputs in(c);
    Outputs forward = on_grid<Forward>(c, &in, kSmall, Order::kForwards, &kernels);
    EXPECT_EQ(kernels, 0);
    for (int64_t row = 0; row < c.rows; ++row) EXPECT_EQ(forward.values[1].at(row), 0);
    Outputs backward = on_grid<Backward>(c, &in, kSmall, Order::kForwards, &kernels);
    EXPECT_EQ(kernels, 0);
    for (int64_t i = 0; i < c.columns; ++i) EXPECT_EQ(backward.values[2].at(i), 0);
  }
}

}  // namespace
}  // namespace tfvae
