// What the modules for arrays in the host's memory and in a device's check alike.
#ifndef TFVAE_PYTHON_ARGUMENTS_H_
#define TFVAE_PYTHON_ARGUMENTS_H_

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "csrc/core/storage.h"

namespace tfvae {

inline std::string show(const std::vector<int64_t>& shape) {
  return pybind11::str(pybind11::tuple(pybind11::cast(shape)));
}

inline DType dtype_named(const std::string& dtype, const std::string& array) {
  if (dtype == "float16") return DType::kFloat16;
  if (dtype == "bfloat16") return DType::kBFloat16;
  if (dtype == "float32") return DType::kFloat32;
  if (dtype == "float64") return DType::kFloat64;
  throw pybind11::type_error(array + " must be float16, bfloat16, float32 or float64, not " + dtype + ".");
}

inline int64_t check_samples(int64_t num_samples) {
  if (num_samples >= 1) return num_samples;
  throw pybind11::value_error("num_samples must be 1 or more, not " + std::to_string(num_samples) + ".");
}

}  // namespace tfvae

#endif  // TFVAE_PYTHON_ARGUMENTS_H_
