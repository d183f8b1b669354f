# The imported target tensorflow_framework: headers, flags and library of the TensorFlow that Python finds.
execute_process(
  COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/tensorflow_flags.py
  OUTPUT_VARIABLE tensorflow_flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
list(GET tensorflow_flags 0 tensorflow_include)
list(GET tensorflow_flags 1 tensorflow_library)
list(SUBLIST tensorflow_flags 2 -1 tensorflow_options)

add_library(tensorflow_framework SHARED IMPORTED)
set_target_properties(tensorflow_framework PROPERTIES
  IMPORTED_LOCATION ${tensorflow_library}
  INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${tensorflow_include}
  INTERFACE_INCLUDE_DIRECTORIES ${tensorflow_include}
  INTERFACE_COMPILE_OPTIONS "${tensorflow_options}")
