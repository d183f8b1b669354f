"""Print, separated by semicolons: TensorFlow's version, include folder, framework library and compile definitions."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

library = os.path.join(tf.sysconfig.get_lib(), "libtensorflow_framework.so.2")
definitions = [flag for flag in tf.sysconfig.get_compile_flags() if flag.startswith("-D")]
print(";".join([tf.__version__, tf.sysconfig.get_include(), library, *definitions]))
