#include "csrc/cuda/xla_ffi.h"

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "csrc/core/operation_traits.h"
#include "csrc/cuda/kernel_table.h"
#include "xla/ffi/api/ffi.h"

namespace tfvae {
namespace {

namespace ffi = xla::ffi;
using Shape = std::vector<int64_t>;

struct Buffer {
  Shape shape;
  ffi::DataType type;
  void* data;
};

struct Attributes {
  bool per_dimension;
  int64_t num_samples;
  bool stop_density_gradient;
};

// A call of one operation: its buffers, checked against each other while they are taken in order.
template <class Params>
class Call {
 public:
  Call(const std::vector<Buffer>& in, const std::vector<Buffer>& out, const Attributes& attributes)
      : in_(in), out_(out), attributes_(attributes) {}

  // Gives the parameters and the seed, or says what is wrong.
  std::string fill(Params* params, DeviceSeed* seed) {
    if (in_.size() < 3 || in_[0].shape.empty()) return "takes mean of rank 1 or more, log_var, seed and what follows";
    p_ = params;
    start();
    p_->mean = input("mean", shape_, value_);
    p_->log_var = input("log_var", shape_, value_);
    const ffi::DataType seed_type = in_[2].type;
    *seed = {input("seed", {2}, seed_type == ffi::DataType::S32 ? seed_type : ffi::DataType::S64),
             seed_type == ffi::DataType::S64};
    if constexpr (kIsGradient<Params>) {
      p_->dz = input("dz", samples_, value_);
      const void* upstream = input("the upstream gradient of the sums", sums_, sum_);
      if constexpr (kDraws<Params>) {
        p_->dlog_ratio = upstream;
      } else {
        p_->dkl = upstream;
      }
    }
    take_prior();
    outputs();
    if (problem_.empty() && (next_in_ != in_.size() || next_out_ != out_.size())) {
      problem_ = "takes " + std::to_string(next_in_) + " inputs and gives " + std::to_string(next_out_) +
                 " outputs, not " + std::to_string(in_.size()) + " and " + std::to_string(out_.size());
    }
    return problem_;
  }

 private:
  void start() {
    value_ = in_[0].type;
    sum_ = value_ == ffi::DataType::F64 ? ffi::DataType::F64 : ffi::DataType::F32;
    if (value_ == ffi::DataType::F16) {
      p_->dtype = DType::kFloat16;
    } else if (value_ == ffi::DataType::BF16) {
      p_->dtype = DType::kBFloat16;
    } else if (value_ == ffi::DataType::F32) {
      p_->dtype = DType::kFloat32;
    } else if (value_ == ffi::DataType::F64) {
      p_->dtype = DType::kFloat64;
    } else {
      problem_ = "takes mean of float16, bfloat16, float32 or float64";
    }
    shape_ = samples_ = sums_ = in_[0].shape;
    p_->columns = shape_.back();
    sums_.pop_back();
    p_->rows = 1;
    for (int64_t size : sums_) p_->rows *= size;
    p_->per_dimension = attributes_.per_dimension;
    if constexpr (kDraws<Params>) {
      p_->num_samples = attributes_.num_samples;
      samples_.insert(samples_.begin(), attributes_.num_samples);
      sums_.insert(sums_.begin(), attributes_.num_samples);
      if (attributes_.num_samples < 1) problem_ = "needs num_samples of 1 or more";
    } else if (attributes_.per_dimension) {
      sums_ = shape_;
    }
    if constexpr (std::is_same_v<Params, LogRatioGradParams>) {
      p_->stop_density_gradient = attributes_.stop_density_gradient;
    }
  }

  void take_prior() {
    p_->prior = PriorShape::kNone;
    if (next_in_ >= in_.size()) return;
    p_->prior = in_[next_in_].shape == shape_ ? PriorShape::kFull : PriorShape::kShared;
    prior_ = p_->prior == PriorShape::kFull ? shape_ : Shape{p_->columns};
    p_->prior_mean = input("prior_mean", prior_, value_);
    p_->prior_log_var = input("prior_log_var", prior_, value_);
  }

  void outputs() {
    if constexpr (kIsGradient<Params>) {
      p_->dmean = output(shape_, value_);
      p_->dlog_var = output(shape_, value_);
      if (p_->prior == PriorShape::kNone) return;
      p_->dprior_mean = output(prior_, value_);
      p_->dprior_log_var = output(prior_, value_);
    } else {
      p_->z = output(samples_, value_);
      void* sums = output(sums_, sum_);
      if constexpr (kDraws<Params>) {
        p_->log_ratio = sums;
      } else {
        p_->kl = sums;
      }
    }
  }

  void* input(const char* name, const Shape& shape, ffi::DataType type) {
    return take(in_, next_in_++, name, shape, type);
  }
  void* output(const Shape& shape, ffi::DataType type) { return take(out_, next_out_++, "every output", shape, type); }

  void* take(const std::vector<Buffer>& buffers, size_t i, const char* name, const Shape& shape, ffi::DataType type) {
    if (!problem_.empty()) return nullptr;
    if (i < buffers.size() && buffers[i].shape == shape && buffers[i].type == type) return buffers[i].data;
    problem_ = std::string("needs ") + name + " of the shape and dtype that follow from mean";
    return nullptr;
  }

  const std::vector<Buffer>&in_, &out_;
  const Attributes attributes_;
  Params* p_ = nullptr;
  ffi::DataType value_{}, sum_{};
  Shape shape_, samples_, sums_, prior_;
  size_t next_in_ = 0, next_out_ = 0;
  std::string problem_;
};

Buffer buffer_of(const ffi::AnyBuffer& buffer) {
  const auto dimensions = buffer.dimensions();
  return {Shape(dimensions.begin(), dimensions.end()), buffer.element_type(), buffer.untyped_data()};
}

template <class Params>
ffi::Error run(void* stream, ffi::ScratchAllocator allocator, ffi::RemainingArgs args, ffi::RemainingRets rets,
               bool per_dimension, int64_t num_samples, bool stop_density_gradient) {
  std::vector<Buffer> in, out;
  for (size_t i = 0; i < args.size(); ++i) {
    const auto buffer = args.get<ffi::AnyBuffer>(i);
    if (buffer.has_error()) return buffer.error();
    in.push_back(buffer_of(*buffer));
  }
  for (size_t i = 0; i < rets.size(); ++i) {
    auto buffer = rets.get<ffi::AnyBuffer>(i);
    if (buffer.has_error()) return buffer.error();
    out.push_back(buffer_of(**buffer));
  }
  const std::string name = kTarget<Params>;
  Params params{};
  DeviceSeed seed{};
  const std::string problem =
      Call<Params>(in, out, {per_dimension, num_samples, stop_density_gradient}).fill(&params, &seed);
  if (!problem.empty()) return ffi::Error::InvalidArgument(name + " " + problem + ".");
  const CudaKernel<Params>& kernel = cuda_kernel<Params>();
  void* scratch = nullptr;
  const int64_t bytes = kernel.scratch_bytes(params);
  if (bytes > 0) {
    constexpr size_t kAlignment = 16;  // XLA refuses to be asked for more, and gives more.
    const auto allocated = allocator.Allocate(static_cast<size_t>(bytes), kAlignment);
    if (!allocated) return ffi::Error(ffi::ErrorCode::kResourceExhausted, name + ": no memory for its sums.");
    scratch = *allocated;
  }
  const char* message = kernel.launch(params, seed, scratch, stream);
  return message == nullptr ? ffi::Error::Success()
                            : ffi::Error::Internal(name + " did not start on the GPU: " + message + ".");
}

template <class Params>
XLA_FFI_Error* handler(XLA_FFI_CallFrame* frame) {
  static const auto* const bound = ffi::Ffi::Bind()
                                       .Ctx<ffi::PlatformStream<void*>>()
                                       .Ctx<ffi::ScratchAllocator>()
                                       .RemainingArgs()
                                       .RemainingRets()
                                       .Attr<bool>("per_dimension")
                                       .Attr<int64_t>("num_samples")
                                       .Attr<bool>("stop_density_gradient")
                                       .To(run<Params>)
                                       .release();
  return bound->Call(frame);
}

template <class Params>
XlaHandler handler_of() {
  return {kTarget<Params>, reinterpret_cast<void*>(handler<Params>)};
}

}  // namespace

const XlaHandler (&cuda_xla_handlers())[kXlaHandlerCount] {
  static const XlaHandler handlers[kXlaHandlerCount] = {handler_of<ForwardParams>(), handler_of<BackwardParams>(),
                                                        handler_of<LogRatioParams>(), handler_of<LogRatioGradParams>()};
  return handlers;
}

}  // namespace tfvae
