// The CUDA kernels as a submodule of the Python module.
#ifndef TFVAE_PYTHON_CUDA_H_
#define TFVAE_PYTHON_CUDA_H_

#include <pybind11/pybind11.h>

namespace tfvae {

void add_cuda(pybind11::module_& module);

}  // namespace tfvae

#endif  // TFVAE_PYTHON_CUDA_H_
