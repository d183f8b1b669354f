# Whether CUDA kernels are built (TFVAE_CUDA), for which architectures, and the object library tfvae_cuda that has them.
set(TFVAE_ENABLE_CUDA AUTO CACHE STRING "Build the CUDA kernels: ON, OFF, or AUTO for where a CUDA compiler is found")
set(TFVAE_CUDA_ARCHITECTURES "" CACHE STRING "As CMAKE_CUDA_ARCHITECTURES; empty for all that TensorFlow's release has")
set(TFVAE_CUDA OFF)
if(TFVAE_ENABLE_CUDA STREQUAL "OFF" OR NOT (TFVAE_BUILD_MODULE OR TFVAE_WITH_TENSORFLOW))
  return()
endif()

# A toolkit of the system, or the wheels nvidia-cuda-nvcc, nvidia-cuda-runtime, nvidia-cuda-crt, nvidia-nvvm and
# nvidia-cuda-cccl beside this Python.
execute_process(COMMAND ${Python_EXECUTABLE} -c "import sysconfig; print(sysconfig.get_path('platlib'))"
                OUTPUT_VARIABLE site_packages OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
file(GLOB wheel_folders ${site_packages}/nvidia/cu*/bin)
find_program(TFVAE_NVCC nvcc HINTS $ENV{CUDACXX} PATHS /usr/local/cuda/bin ${wheel_folders})
if(DEFINED ENV{CUDACXX})
  set(TFVAE_NVCC $ENV{CUDACXX})
endif()
if(NOT TFVAE_NVCC)
  if(TFVAE_ENABLE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "TFVAE_ENABLE_CUDA is ON and no nvcc was found: on the PATH, by CUDACXX, in /usr/local/cuda, or "
                        "in the wheels of nvidia-cuda-nvcc.")
  endif()
  return()
endif()
set(CMAKE_CUDA_COMPILER ${TFVAE_NVCC})

# What CMake's environment variable CUDAARCHS asks for, or machine code as TensorFlow 2.21 has it (6.0, 7.0, 8.0, 8.9,
# 9.0), as far as the compiler still knows these, and PTX of the last for what comes after. Newer compilers begin at 7.5.
if(NOT TFVAE_CUDA_ARCHITECTURES)
  set(TFVAE_CUDA_ARCHITECTURES "$ENV{CUDAARCHS}")
endif()
execute_process(COMMAND ${TFVAE_NVCC} --list-gpu-arch OUTPUT_VARIABLE known COMMAND_ERROR_IS_FATAL ANY)
if(NOT TFVAE_CUDA_ARCHITECTURES)
  foreach(architecture IN ITEMS 60 70 80 89 90)
    if(known MATCHES "compute_${architecture}\n")
      list(APPEND TFVAE_CUDA_ARCHITECTURES ${architecture}-real)
    elseif(architecture EQUAL 70)
      list(APPEND TFVAE_CUDA_ARCHITECTURES 75-real)
    endif()
  endforeach()
  list(APPEND TFVAE_CUDA_ARCHITECTURES 90-virtual)
endif()
set(CMAKE_CUDA_ARCHITECTURES ${TFVAE_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")
# Of the compiler that was chosen for the rest, too: the system's may be newer than this nvcc knows.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT DEFINED CMAKE_CUDA_HOST_COMPILER AND NOT DEFINED ENV{CUDAHOSTCXX})
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
endif()
enable_language(CUDA)
set(TFVAE_CUDA ON)

set(operations forward backward log_ratio log_ratio_grad)
list(TRANSFORM operations PREPEND csrc/cuda/)
list(TRANSFORM operations APPEND .cu)
add_library(tfvae_cuda OBJECT csrc/cuda/kernel_table.cu ${operations})
target_include_directories(tfvae_cuda PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_options(tfvae_cuda PRIVATE --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra,-fwrapv)
if(TFVAE_WERROR)
  target_compile_options(tfvae_cuda PRIVATE -Werror=all-warnings -Xcompiler=-Werror)
endif()

# The folder of xla/ffi/api/ffi.h, of TensorFlow or of JAX, for the handlers that XLA calls; empty without either. Python
# is asked where they are, because an isolated build does not have them among its own packages.
execute_process(COMMAND ${Python_EXECUTABLE} ${PROJECT_SOURCE_DIR}/csrc/cmake/ffi_include.py
                OUTPUT_VARIABLE TFVAE_FFI_INCLUDE OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
if(TFVAE_FFI_INCLUDE)
  set_source_files_properties(csrc/cuda/xla_ffi.cc PROPERTIES COMPILE_OPTIONS "-isystem;${TFVAE_FFI_INCLUDE}")
endif()
