#!/bin/sh
# Removes from installed Python packages what a running server does not read:
#
#     scripts/deploy/strip.sh site-packages
#
# The packages keep working, but compile and type-check nothing any more. Needs `strip` (Debian: binutils).
set -eu
cd "$1"
[ -d onnxruntime ] || { echo "strip.sh: no onnxruntime in $1; give the folder of packages with [serve]" >&2; exit 2; }

# Symbols of libraries, which debuggers read.
find . -type f -name '*.so' ! -path './*.libs/*' -exec strip --strip-unneeded {} +

# The library for programs in C: the Python module onnxruntime_pybind11_state is linked with a copy of its own.
rm -f onnxruntime/capi/libonnxruntime.so.*

# Tools that convert and optimize models; wrappers of compilers.
rm -rf onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/datasets
rm -rf numpy/f2py numpy/distutils

# Tests, and what compilers and type checkers read.
find . -depth -type d \( -name tests -o -name __pycache__ \) -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.h' -o -name '*.a' \) -delete
