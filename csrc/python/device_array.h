// Arrays in the memory of a GPU, of any library: by __cuda_array_interface__ or DLPack.
#ifndef TFVAE_PYTHON_DEVICE_ARRAY_H_
#define TFVAE_PYTHON_DEVICE_ARRAY_H_

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "csrc/core/params.h"
#include "csrc/python/arguments.h"

namespace tfvae {

namespace py = pybind11;

using Shape = std::vector<int64_t>;

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

// What another library says of an array of its own, looked at before a kernel believes it: an address that does not fit
// the elements, say, is an error that a device recovers from in no other way than by a new process.
struct DeviceArray {
  std::string name, dtype;  // As NumPy names it.
  Shape shape;
  void* data = nullptr;
  bool read_only = false;
  py::object keep;  // What owns the memory.

  // stream: the one that the array will be used on.
  DeviceArray(const char* name_in, const py::object& object, uintptr_t stream) : name(name_in) {
    const py::object interface = py::getattr(object, "__cuda_array_interface__", py::none());
    if (!interface.is_none()) {
      understood([&] { take_interface(object, interface); });
    } else if (py::hasattr(object, "__dlpack__") && py::hasattr(object, "__dlpack_device__")) {
      take_dlpack(object, stream);
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

  bool is_empty() const { return std::find(shape.begin(), shape.end(), 0) != shape.end(); }

 private:
  // Takes what has other types or fewer parts than it should for what it is: no array.
  template <class Read>
  void understood(Read read) const {
    const auto complain = [this] {
      throw py::type_error(name +
                           " must be an array on a CUDA device: its __cuda_array_interface__ or __dlpack_device__ is "
                           "not as these are defined.");
    };
    try {
      read();
    } catch (const py::cast_error&) {
      complain();
    } catch (const py::error_already_set& error) {
      if (!error.matches(PyExc_TypeError) && !error.matches(PyExc_IndexError)) throw;
      complain();
    }
  }

  void take_dlpack(const py::object& object, uintptr_t stream) {
    int device_type = 0;
    understood([&] { device_type = object.attr("__dlpack_device__")().cast<py::tuple>()[0].cast<int>(); });
    if (device_type != kDlCuda && device_type != kDlCudaManaged) {
      throw py::value_error(name + " must be on a CUDA device, not on one of DLPack's type " +
                            std::to_string(device_type) + ".");
    }
    // DLPack's number of the default stream is 1. Not all libraries know its -1, by which nobody waits.
    keep = object.attr("__dlpack__")(py::arg("stream") = stream == 0 ? 1 : stream);
    const auto* tensor = static_cast<const DlTensor*>(PyCapsule_GetPointer(keep.ptr(), "dltensor"));
    if (tensor == nullptr) throw py::error_already_set();
    shape.assign(tensor->shape, tensor->shape + tensor->rank);
    const std::string bits = std::to_string(tensor->bits);
    dtype = tensor->lanes != 1          ? "of several lanes"
            : tensor->code == kDlBFloat ? "bfloat" + bits
            : tensor->code == kDlFloat  ? "float" + bits
            : tensor->code == kDlInt    ? "int" + bits
                                        : "of DLPack code " + std::to_string(tensor->code);
    data = static_cast<char*>(tensor->data) + tensor->byte_offset;
    check(tensor->strides == nullptr ? Shape() : Shape(tensor->strides, tensor->strides + tensor->rank), 1,
          tensor->bits / 8);
  }

  void take_interface(const py::object& object, const py::dict& interface) {
    for (const char* key : {"shape", "typestr", "data"}) {
      if (interface.contains(key)) continue;
      throw py::type_error(name + " must be an array on a CUDA device: its __cuda_array_interface__ has no " + key +
                           ".");
    }
    shape = interface["shape"].cast<Shape>();
    const std::string type = interface["typestr"].cast<std::string>();
    // NumPy has no bfloat16; PyTorch, like ml_dtypes, calls it two bytes of no kind.
    static const std::map<std::string, std::string> kTypes = {{"f2", "float16"}, {"V2", "bfloat16"}, {"f4", "float32"},
                                                              {"f8", "float64"}, {"i4", "int32"},    {"i8", "int64"}};
    const auto found = kTypes.find(type.empty() || type[0] == '>' ? "" : type.substr(1));
    dtype = found == kTypes.end() ? "of type '" + type + "'" : found->second;
    if (interface.contains("mask") && !interface["mask"].is_none()) {
      throw py::value_error(name + " must have no mask.");
    }
    const py::tuple address = interface["data"].cast<py::tuple>();
    data = reinterpret_cast<void*>(address[0].cast<uintptr_t>());
    read_only = address[1].cast<bool>();
    keep = object;
    if (found == kTypes.end()) return;  // To be refused for that.
    const int64_t bytes = found->first[1] - '0';
    const bool has_strides = interface.contains("strides") && !interface["strides"].is_none();
    check(has_strides ? interface["strides"].cast<Shape>() : Shape(), bytes, bytes);
  }

  // strides: in units of which `unit` make an element; none for an array that is contiguous by definition.
  void check(const Shape& strides, int64_t unit, int64_t element_bytes) const {
    int64_t bytes = sizeof(double);  // At most, of the elements of all axes that have any.
    for (int64_t size : shape) {
      if (size < 0) throw py::value_error(name + " must have no negative size, not " + show(shape) + ".");
      if (size > 0 && __builtin_mul_overflow(bytes, size, &bytes)) {
        throw py::value_error(name + " must have fewer than 2**60 elements, not " + show(shape) + ".");
      }
    }
    if (element_bytes > 0 && reinterpret_cast<uintptr_t>(data) % element_bytes != 0) {
      throw py::value_error(name + " must be aligned: its elements of " + std::to_string(element_bytes) +
                            " bytes are at no multiple of that. Copy it.");
    }
    if (strides.empty()) return;
    int64_t expected = unit;
    bool is_contiguous = strides.size() == shape.size();
    for (size_t i = shape.size(); is_contiguous && i-- > 0; expected *= shape[i]) {
      is_contiguous = shape[i] <= 1 || strides[i] == expected;
    }
    if (!is_contiguous && !is_empty()) throw py::value_error(name + " must be contiguous.");
  }
};

}  // namespace tfvae

#endif  // TFVAE_PYTHON_DEVICE_ARRAY_H_
