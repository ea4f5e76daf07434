"""Real models in the chip's own arithmetic: formats, matrix units, quantisation, executors."""

from accelsim.functional.instructions import mma as mma
from accelsim.functional.gemm import matmul as matmul
from accelsim.functional.gemm import pack_matrix as pack_matrix
