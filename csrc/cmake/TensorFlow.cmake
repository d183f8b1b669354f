# The imported target tensorflow_framework: headers, flags and library of the TensorFlow that Python finds.
execute_process(
  COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/tensorflow_flags.py
  OUTPUT_VARIABLE tensorflow_flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
list(GET tensorflow_flags 0 tensorflow_version)
list(GET tensorflow_flags 1 tensorflow_include)
list(GET tensorflow_flags 2 tensorflow_library)
list(SUBLIST tensorflow_flags 3 -1 tensorflow_options)

add_library(tensorflow_framework SHARED IMPORTED)
set_target_properties(tensorflow_framework PROPERTIES
  IMPORTED_LOCATION ${tensorflow_library}
  INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${tensorflow_include}
  INTERFACE_INCLUDE_DIRECTORIES ${tensorflow_include}
  INTERFACE_COMPILE_OPTIONS "${tensorflow_options}")

# The imported target tensorflow_xla: what the ops inside XLA need besides. TFVAE_XLA says whether to build them.
get_filename_component(tensorflow_folder ${tensorflow_library} DIRECTORY)
set(xla_library ${tensorflow_folder}/libtensorflow_cc.so.2)
set(xla_includes ${tensorflow_include}/external/highwayhash ${tensorflow_include}/external/farmhash_archive/src)
set(TFVAE_XLA OFF)
if(TFVAE_WITH_XLA)
  set(TFVAE_XLA ON)
  foreach(needed IN ITEMS ${xla_library} ${xla_includes} ${tensorflow_include}/xla/ffi/api/ffi.h
                          ${tensorflow_include}/tensorflow/compiler/tf2xla/xla_op_kernel.h)
    if(NOT EXISTS ${needed})
      set(TFVAE_XLA OFF)
      message(STATUS "No ops inside XLA: TensorFlow has no ${needed}")
    endif()
  endforeach()
  if(NOT TFVAE_XLA AND NOT TFVAE_WITH_XLA STREQUAL "AUTO")
    message(FATAL_ERROR "TFVAE_WITH_XLA is ${TFVAE_WITH_XLA} and this TensorFlow has no headers of XLA")
  endif()
endif()
if(TFVAE_XLA)
  add_library(tensorflow_xla SHARED IMPORTED)
  set_target_properties(tensorflow_xla PROPERTIES
    IMPORTED_LOCATION ${xla_library}
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${xla_includes}"
    INTERFACE_INCLUDE_DIRECTORIES "${xla_includes}")
endif()
