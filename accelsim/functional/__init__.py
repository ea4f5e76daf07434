"""Real models in the chip's own arithmetic: formats, matrix units, quantisation, executors."""

from accelsim.arithmetic import Arithmetic as Arithmetic
from accelsim.functional.arithmetics import resolve_arithmetic as resolve_arithmetic
from accelsim.functional.formats import decode as decode
from accelsim.functional.formats import encode as encode
from accelsim.functional.formats import round_to as round_to
from accelsim.functional.gemm import matmul as matmul
from accelsim.functional.instructions import mma as mma
from accelsim.functional.loading import load_weights as load_weights
from accelsim.functional.loading import random_model as random_model
