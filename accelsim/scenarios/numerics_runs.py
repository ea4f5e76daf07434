"""What a study executes: a text that is read and a prompt that is continued; fp32 once for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accelsim.arithmetic import FP32
from accelsim.errors import WorkloadError
from accelsim.functional.layer_errors import ErrorProbe
from accelsim.functional.sampler import NoTokenError
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.layers import Setting
from accelsim.scenarios.numerics_options import NumericsOptions
from accelsim.workload.texts import packaged_text

Progress = Callable[[str, int, int], None]
Floats = NDArray[np.float32]
_LAST_OF_LAYER = ("ffn_add", "layer_output_norm")


@dataclass(frozen=True, eq=False)
class Execution:
    """What a model gave in one setting.

    Attributes
    ----------
    logits : array of float32, [tokens, vocab]
        Of the evaluated text.
    tokens : tuple of int
        Generated.
    stopped : str
        Why no further token could be chosen; empty where generation ended as it should.
    """

    logits: Floats
    tokens: tuple[int, ...]
    stopped: str


class Runs:
    """A model with what it is given to read and to continue.

    Parameters
    ----------
    model : DecoderModel
    options : NumericsOptions
    progress : callable or None
        Called with (what, done, total).

    Attributes
    ----------
    probe : ErrorProbe
        Compares what ops write with the fp32 run.
    """

    def __init__(
        self, model: DecoderModel, options: NumericsOptions, progress: Progress | None
    ) -> None:
        self.model, self.options, self.progress = model, options, progress
        self.probe = ErrorProbe()
        self._reference: Execution | None = None

    @cached_property
    def prompt_tokens(self) -> list[int]:
        """Tokens of the prompt."""
        tokenizer, o = self.model.tokenizer, self.options
        if tokenizer is None:
            raise WorkloadError(f"{self.model.name} has no tokenizer, so it takes no prompt")
        talks = tokenizer.chat_format.name != "plain" if o.chat is None else o.chat
        text = tokenizer.chat([{"role": "user", "content": o.prompt}]) if talks else o.prompt
        return tokenizer.encode(text)

    @cached_property
    def text_tokens(self) -> list[int]:
        """Tokens of the evaluated text."""
        tokens = self._whole_text[: min(self.options.eval_tokens, self.model.context)]
        if len(tokens) < 2:
            raise WorkloadError("the evaluated text has fewer than two tokens")
        return tokens

    def text_warnings(self) -> tuple[str, ...]:
        """Say if the evaluated text is shorter than was asked for."""
        asked, have = self.options.eval_tokens, len(self._whole_text)
        if min(have, self.model.context) >= asked:
            return ()
        if have > self.model.context:
            return (f"the context of {self.model.context} tokens ends the evaluated text before "
                    f"the {asked} that were asked for",)  # fmt: skip
        return (f"the evaluated text has {have} tokens, not the {asked} that were asked for",)

    def check(self) -> None:
        """Refuse a prompt or a text that the model cannot take.

        Raises
        ------
        WorkloadError
            If there is no tokenizer, no room for the prompt, or no text.
        """
        self.model.check_room(len(self.prompt_tokens), self.options.tokens)
        _ = self.text_tokens

    def reference(self) -> Execution:
        """Run fp32 on the first call; return what it gave.

        What is executed next is compared with it by `probe`.
        """
        if self._reference is None:
            self._reference = self.execute("fp32", Setting(FP32))
        self.probe.measure()
        return self._reference

    def execute(self, name: str, setting: Setting) -> Execution:
        """Read the evaluated text, then continue the prompt.

        Parameters
        ----------
        name : str
            For the progress.
        setting : Setting
        """
        o, layers, prompt = self.options, self.model.spec.config.n_layers, self.prompt_tokens
        total = layers + o.tokens

        def watch(op: str, values: Floats) -> None:
            if not op.endswith("_exps"):  # the tokens that visit an expert differ between runs
                self.probe(op, values)
            if op.endswith(_LAST_OF_LAYER):
                self._tell(f"{name}: evaluating", int(op.split(".")[1]) + 1, total)

        self._prepare(name, setting)
        logits = self.model.logits(self.text_tokens, replace(setting, observe=watch))
        self.probe("logits", logits)
        tokens: list[int] = []

        def read(op: str, _: Floats) -> None:
            if not tokens and op.endswith(_LAST_OF_LAYER):
                self._tell(f"{name}: reading the prompt", int(op.split(".")[1]) + 1, layers)

        stop = self.model.tokenizer.eos_ids if self.model.tokenizer else ()
        shown = replace(setting, observe=read)
        stream = self.model.stream(prompt, o.tokens, shown, sampler=o.sampler, stop=stop)
        stopped = ""
        try:
            for token, _ in stream:
                tokens.append(token)
                self._tell(f"{name}: generating", layers + len(tokens), total)
        except NoTokenError as problem:
            reason = str(problem).partition(":")[0]
            stopped = f"no next token after {len(tokens)}: {reason}"
        return Execution(logits, tuple(tokens), stopped)

    def _prepare(self, name: str, setting: Setting) -> None:
        weights, prepared = len(self.model.weights.shapes), 0

        def packed(_: str) -> None:
            nonlocal prepared
            prepared += 1
            self._tell(f"{name}: preparing weights", prepared, weights)

        self.model.ops(setting, tell=packed)

    @cached_property
    def _whole_text(self) -> list[int]:
        tokenizer, text = self.model.tokenizer, self.options.text
        assert tokenizer is not None
        return tokenizer.encode(packaged_text("evaluation") if text is None else text)

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)
