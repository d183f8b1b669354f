// The ops inside XLA: each compiles to a call, by XLA's foreign function interface, of the kernel that it runs outside.
// Here is that call's end on the CPU; csrc/cuda/xla_ffi.cc has it for GPUs. A library of its own, because it takes long
// to compile and needs more of TensorFlow: where it is left out or does not load, the ops outside XLA are none the
// worse.
#include <functional>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "csrc/cpu/run.h"
#include "csrc/cpu/share_work.h"
#include "csrc/tf/calls.h"
#include "csrc/tf/find_kernels.h"
#include "csrc/tf/outputs.h"
#include "csrc/tf/register.h"
#include "tensorflow/compiler/tf2xla/xla_op_kernel.h"
#include "xla/ffi/api/ffi.h"
#include "xla/shape_util.h"
#ifdef TFVAE_WITH_CUDA
#include "csrc/cuda/xla_ffi.h"
#endif

namespace xla::ffi {
const XLA_FFI_Api* GetXlaFfiApi();  // Of xla/ffi/ffi_api.h, which cannot be included beside the public interface.
}  // namespace xla::ffi

namespace tfvae {
namespace {

namespace ffi = xla::ffi;
using tensorflow::OpKernelConstruction;
using tensorflow::XlaOpKernelContext;

// ---- Compiling

constexpr const char* kInputs[] = {"mean", "log_var", "seed", "dz"};

absl::Status expect_static(size_t input, bool gradient, const xla::Shape& shape) {
  if (shape.is_static()) return absl::OkStatus();
  const char* name = input < (gradient ? 4 : 3) ? kInputs[input] : "every input";
  return absl::UnimplementedError(absl::StrCat(name, " must have a static shape inside XLA, not ", shape.ToString(),
                                               ", whose size hangs on values (as after tf.boolean_mask or tf.unique). "
                                               "Pad it to a size of its own, or call the op "
                                               "outside of the compiled function."));
}

template <class Params>
class XlaKernel : public tensorflow::XlaOpKernel {
 public:
  explicit XlaKernel(OpKernelConstruction* context) : XlaOpKernel(context) {
    const KernelTable* kernels;
    OP_REQUIRES_OK(context, find_kernels(&kernels));
    OP_REQUIRES_OK(context, get_attributes<Params>(context, &attributes_));
  }

  void Compile(XlaOpKernelContext* context) override { OP_REQUIRES_OK(context, compile(context)); }

 private:
  absl::Status compile(XlaOpKernelContext* context) const {
    using xla::ShapeUtil;
    std::vector<xla::XlaOp> operands;
    std::vector<xla::Shape> operand_shapes;
    Shapes inputs, outputs;
    for (int i = 0; i < context->num_inputs(); ++i) {
      TF_ASSIGN_OR_RETURN(const xla::Shape shape, context->InputXlaShape(i));
      TF_RETURN_IF_ERROR(expect_static(i, kIsGradient<Params>, shape));
      inputs.emplace_back(shape.dimensions());
      operands.push_back(context->Input(i));
      operand_shapes.push_back(ShapeUtil::MakeShapeWithDescendingLayout(shape.element_type(), shape.dimensions()));
    }
    Params params{};
    TF_RETURN_IF_ERROR(check_call(attributes_, inputs, &params, &outputs));
    std::vector<xla::Shape> output_shapes;
    for (size_t i = 0; i < outputs.size(); ++i) {
      output_shapes.push_back(
          ShapeUtil::MakeShapeWithDescendingLayout(context->output_xla_type(i), outputs[i].dim_sizes()));
    }
    const xla::XlaOp call = xla::CustomCallWithLayout(
        context->builder(), kTarget<Params>, operands, ShapeUtil::MakeTupleShape(output_shapes), operand_shapes,
        attributes_.dictionary(), /*has_side_effect=*/false, /*output_operand_aliasing=*/{}, /*literal=*/nullptr,
        xla::CustomCallSchedule::SCHEDULE_NONE, xla::CustomCallApiVersion::API_VERSION_TYPED_FFI);
    for (size_t i = 0; i < outputs.size(); ++i) context->SetOutput(i, xla::GetTupleElement(call, i));
    return absl::OkStatus();
  }

  CallAttributes attributes_;
};

// ---- Running

absl::Status dtype_of(ffi::DataType type, DType* dtype) {
  switch (type) {
    case ffi::DataType::F16:
      *dtype = DType::kFloat16;
      return absl::OkStatus();
    case ffi::DataType::BF16:
      *dtype = DType::kBFloat16;
      return absl::OkStatus();
    case ffi::DataType::F32:
      *dtype = DType::kFloat32;
      return absl::OkStatus();
    case ffi::DataType::F64:
      *dtype = DType::kFloat64;
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError("mean must be float16, bfloat16, float32 or float64.");
  }
}

struct Buffers {
  Shapes shapes;
  std::vector<ffi::DataType> types;
  Pointers data;

  absl::Status add(const ffi::AnyBuffer& buffer) {
    const ffi::AnyBuffer::Dimensions dimensions = buffer.dimensions();
    TensorShape shape;
    TF_RETURN_IF_ERROR(
        TensorShape::BuildTensorShape(absl::MakeConstSpan(dimensions.begin(), dimensions.size()), &shape));
    shapes.push_back(shape);
    types.push_back(buffer.element_type());
    data.push_back(buffer.untyped_data());
    return absl::OkStatus();
  }
};

// XLA's calls come from XlaKernel, which has seen to all of this, but anybody may call a target that is registered.
template <class Params>
absl::Status fill(const CallAttributes& attributes, const Buffers& in, const Buffers& out, Params* params) {
  Shapes outputs;
  TF_RETURN_IF_ERROR(check_call(attributes, in.shapes, params, &outputs));
  TF_RETURN_IF_ERROR(dtype_of(in.types[0], &params->dtype));
  const ffi::DataType sum = params->dtype == DType::kFloat64 ? ffi::DataType::F64 : ffi::DataType::F32;
  bool fits = out.shapes == outputs && (in.types[kSeed] == ffi::DataType::S32 || in.types[kSeed] == ffi::DataType::S64);
  for (size_t i = 0; i < in.types.size(); ++i) {
    const bool is_sum = kIsGradient<Params> && i == kUpstreamSum;
    fits &= i == kSeed || in.types[i] == (is_sum ? sum : in.types[0]);
  }
  for (size_t i = 0; i < out.types.size(); ++i) {
    fits &= out.types[i] == (!kIsGradient<Params> && i == 1 ? sum : in.types[0]);
  }
  if (!fits) return absl::InvalidArgumentError(absl::StrCat(kTarget<Params>, ": wrong shapes or dtypes."));
  const void* seed = in.data[kSeed];
  for (int i = 0; i < 2; ++i) {
    params->seed[i] = in.types[kSeed] == ffi::DataType::S32 ? int64_t{static_cast<const int32_t*>(seed)[i]}
                                                            : static_cast<const int64_t*>(seed)[i];
  }
  set_data(in.data, out.data, params);
  return absl::OkStatus();
}

template <class Params>
absl::Status run(ffi::ThreadPool& pool, const CallAttributes& attributes, const Buffers& in, const Buffers& out) {
  const KernelTable* kernels;
  TF_RETURN_IF_ERROR(find_kernels(&kernels));
  Params params{};
  TF_RETURN_IF_ERROR(fill(attributes, in, out, &params));
  for (size_t i = 0; i < out.data.size(); ++i) {
    advise_huge_pages(out.data[i], out.shapes[i].num_elements() * ffi::ByteWidth(out.types[i]));
  }
  const Kernel<Params>& kernel = kernel_for(params, *kernels);
  const int64_t bytes = kernel.work(params).scratch_bytes;
  const std::unique_ptr<double[]> scratch(new (std::nothrow) double[bytes / sizeof(double) + 1]);
  if (scratch == nullptr) return absl::ResourceExhaustedError(absl::StrCat("No memory for ", bytes, " bytes."));
  run_kernel(kernel, params, scratch.get(),
             [&pool](int64_t count, int64_t cycles, const std::function<void(int64_t, int64_t)>& body) {
               share_work(count, cycles, pool.num_threads(), body,
                          [&pool](auto task) { pool.Schedule(std::move(task)); });
             });
  return absl::OkStatus();
}

template <class Params>
ffi::Error handle(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets, bool per_dimension,
                  int64_t num_samples, bool stop_density_gradient) {
  Buffers in, out;
  absl::Status status;
  for (size_t i = 0; i < args.size() && status.ok(); ++i) {
    const auto buffer = args.get<ffi::AnyBuffer>(i);
    if (buffer.has_error()) return buffer.error();
    status = in.add(*buffer);
  }
  for (size_t i = 0; i < rets.size() && status.ok(); ++i) {
    auto buffer = rets.get<ffi::AnyBuffer>(i);
    if (buffer.has_error()) return buffer.error();
    status = out.add(**buffer);
  }
  if (status.ok()) status = run<Params>(pool, {per_dimension, num_samples, stop_density_gradient}, in, out);
  if (status.ok()) return ffi::Error::Success();
  return ffi::Error(static_cast<ffi::ErrorCode>(status.code()), std::string(status.message()));
}

template <class Params>
XLA_FFI_Error* handler(XLA_FFI_CallFrame* frame) {
  static const auto* const bound = ffi::Ffi::Bind()
                                       .Ctx<ffi::ThreadPool>()
                                       .RemainingArgs()
                                       .RemainingRets()
                                       .Attr<bool>("per_dimension")
                                       .Attr<int64_t>("num_samples")
                                       .Attr<bool>("stop_density_gradient")
                                       .To(handle<Params>)
                                       .release();
  return bound->Call(frame);
}

// ---- Registration

// Not by REGISTER_XLA_OP: TensorFlow reads what that collects once, when its first op runs, and would not see a library
// that is loaded later.
TFVAE_REGISTER_OPS(tensorflow::DEVICE_CPU_XLA_JIT, XlaKernel);

XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), kTarget<ForwardParams>, "Host", handler<ForwardParams>);
XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), kTarget<BackwardParams>, "Host", handler<BackwardParams>);
XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), kTarget<LogRatioParams>, "Host", handler<LogRatioParams>);
XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), kTarget<LogRatioGradParams>, "Host", handler<LogRatioGradParams>);

#ifdef TFVAE_WITH_CUDA
TFVAE_REGISTER_OPS(tensorflow::DEVICE_GPU_XLA_JIT, XlaKernel);

[[maybe_unused]] const bool handlers_on_gpu = [] {
  for (const XlaHandler& on_gpu : cuda_xla_handlers()) {
    ffi::Ffi::RegisterStaticHandler(ffi::GetXlaFfiApi(), on_gpu.target, "CUDA",
                                    reinterpret_cast<XLA_FFI_Handler*>(on_gpu.handler));
  }
  return true;
}();
#endif

}  // namespace
}  // namespace tfvae
