// Arrays in the memory of a GPU, of any library: by __cuda_array_interface__ or DLPack.
#ifndef TFVAE_PYTHON_DEVICE_ARRAY_H_
#define TFVAE_PYTHON_DEVICE_ARRAY_H_

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "csrc/core/params.h"

namespace tfvae {

namespace py = pybind11;

using Shape = std::vector<int64_t>;

inline std::string show(const Shape& shape) { return py::str(py::tuple(py::cast(shape))); }

// DLPack's structures, as its specification lays them out in memory.
struct DlTensor {
  void* data;
  int32_t device_type, device;
  int32_t rank;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};
constexpr int32_t kDlCuda = 2, kDlCudaManaged = 13;
constexpr uint8_t kDlInt = 0, kDlFloat = 2, kDlBFloat = 4;

// dtype: as NumPy names it.
struct DeviceArray {
  std::string name, dtype;
  Shape shape;
  void* data = nullptr;
  py::object keep;  // What owns the memory.

  DeviceArray() = default;

  DeviceArray(const char* name_in, const py::object& object) : name(name_in) {
    if (py::hasattr(object, "__cuda_array_interface__")) {
      take_interface(object);
    } else if (py::hasattr(object, "__dlpack__") && py::hasattr(object, "__dlpack_device__")) {
      take_dlpack(object);
    } else {
      throw py::type_error(name +
                           " must be an array on a CUDA device, with __cuda_array_interface__ or __dlpack__, not " +
                           std::string(py::str(py::type::of(object))) + ".");
    }
  }

  void expect(const Shape& expected_shape, const std::string& expected_dtype) const {
    if (shape != expected_shape) {
      throw py::value_error(name + " must have shape " + show(expected_shape) + ", not " + show(shape) + ".");
    }
    if (dtype != expected_dtype) throw py::type_error(name + " must be " + expected_dtype + ", not " + dtype + ".");
  }

 private:
  void take_dlpack(const py::object& object) {
    const int device_type = object.attr("__dlpack_device__")().cast<py::tuple>()[0].cast<int>();
    if (device_type != kDlCuda && device_type != kDlCudaManaged) {
      throw py::value_error(name + " must be on a CUDA device, not on one of DLPack's type " +
                            std::to_string(device_type) + ".");
    }
    // -1: the caller orders the streams, as for every other argument.
    keep = object.attr("__dlpack__")(py::arg("stream") = -1);
    const auto* tensor = static_cast<const DlTensor*>(PyCapsule_GetPointer(keep.ptr(), "dltensor"));
    if (tensor == nullptr) throw py::error_already_set();
    shape.assign(tensor->shape, tensor->shape + tensor->rank);
    check_contiguous(tensor->strides == nullptr ? Shape() : Shape(tensor->strides, tensor->strides + tensor->rank), 1);
    const std::string bits = std::to_string(tensor->bits);
    dtype = tensor->code == kDlBFloat  ? "bfloat" + bits
            : tensor->code == kDlFloat ? "float" + bits
            : tensor->code == kDlInt   ? "int" + bits
                                       : "of DLPack code " + std::to_string(tensor->code);
    data = static_cast<char*>(tensor->data) + tensor->byte_offset;
  }

  void take_interface(const py::object& object) {
    const py::dict interface = object.attr("__cuda_array_interface__");
    shape = interface["shape"].cast<Shape>();
    const std::string type = interface["typestr"].cast<std::string>(), kind = type.substr(1, 1);
    const std::string bits = std::to_string(8 * std::stoi(type.substr(2)));
    // NumPy has no bfloat16. PyTorch, like ml_dtypes, calls it so many bytes of no kind.
    dtype = type.substr(1) == "V2" ? "bfloat16"
            : kind == "f"          ? "float" + bits
            : kind == "i"          ? "int" + bits
                                   : "of type " + type;
    if (interface.contains("strides") && !interface["strides"].is_none()) {
      check_contiguous(interface["strides"].cast<Shape>(), std::stoll(type.substr(2)));
    }
    data = reinterpret_cast<void*>(interface["data"].cast<py::tuple>()[0].cast<uintptr_t>());
    keep = object;
  }

  // strides: in units of which `unit` make an element; none for an array that is contiguous by definition.
  void check_contiguous(const Shape& strides, int64_t unit) const {
    const bool is_empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
    if (strides.empty() || is_empty) return;
    int64_t expected = unit;
    for (size_t i = shape.size(); i-- > 0; expected *= shape[i]) {
      if (shape[i] > 1 && strides[i] != expected) throw py::value_error(name + " must be contiguous.");
    }
  }
};

}  // namespace tfvae

#endif  // TFVAE_PYTHON_DEVICE_ARRAY_H_
