"""A decoder of a few thousand weights with letters for tokens, on a real chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from accelsim import load_system
from accelsim.functional.chat import PLAIN, ChatFormat
from accelsim.functional.tokenizer import Tokenizer
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.names import tensor_shapes
from accelsim.functional.transformer.spec import Constants, Spec
from accelsim.scenarios.numerics import NumericsOptions, NumericsStudy, Progress
from accelsim.workload.attention_config import AttentionConfig
from accelsim.workload.config import ModelConfig
from accelsim.workload.layer_config import EmbeddingConfig, MlpConfig, PositionConfig
from tests.unit.functional.transformer.tiny_models import Table

VOCABULARY = 64
CONFIG = ModelConfig(
    "tiny", "llama", 2, 32, EmbeddingConfig(VOCABULARY), PositionConfig("rope", 600),
    AttentionConfig(4, 2, 8, 8), mlp=MlpConfig(48),
)  # fmt: skip
TEXT = "the matrix unit reads its weights"


@dataclass(frozen=True)
class Letters:
    """As `Tokenizer`: a letter is a token."""

    eos_ids: tuple[int, ...] = ()
    chat_format: ChatFormat = PLAIN

    def encode(self, text: str) -> list[int]:
        return [ord(letter) % VOCABULARY for letter in text]

    def decode(
        self, ids: Sequence[int], *, skip_special: bool = False, unknown: str = "error"
    ) -> str:
        return "".join(chr(64 + token) for token in ids)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        return "".join(f"<{m['role']}>{m['content']}" for m in messages)


def tiny_decoder(
    config: ModelConfig = CONFIG, eos_ids: tuple[int, ...] = (), tokenizer: bool = True
) -> DecoderModel:
    table = Table(tensor_shapes(config))
    table.held["output.weight"] *= np.float32(4.0)  # some tokens are likelier than others
    letters = cast("Tokenizer", Letters(eos_ids)) if tokenizer else None
    return DecoderModel(config.name, Spec(config, Constants()), table, letters)


def tiny_study(
    on: str = "tpu_v5e",
    progress: Progress | None = None,
    model: DecoderModel | None = None,
    **options: Any,
) -> NumericsStudy:
    given = NumericsOptions(**{"prompt": "hello", "tokens": 4, "text": TEXT, **options})
    return NumericsStudy(model or tiny_decoder(), load_system(on), given, progress)


def with_context(config: ModelConfig, tokens: int) -> ModelConfig:
    return replace(config, position=replace(config.position, max_positions=tokens))
