"""Machine code of the loops: made by Numba, kept in files, and linked by LLVM."""
