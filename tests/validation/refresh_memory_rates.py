"""Derive arch_specs/memory_rates.json anew: ``python -m tests.validation.refresh_memory_rates``.

Run it when a timing of a packaged memory, the bank model or its traffic has changed (then raise
`RATES_VERSION` too); a test says when the file is stale.
"""

from __future__ import annotations

import json
from pathlib import Path

from accelsim.arch.loader import load_memory, spec_files
from accelsim.arch.memory_rates import RATES_VERSION, rates_entry, rates_key
from accelsim.files import write_text
from accelsim.timing.dram.effective import derive_rates

TARGET = Path(__file__).resolve().parents[2] / "arch_specs" / "memory_rates.json"


def main() -> None:
    """Derive the rates of every packaged memory."""
    rates: dict[str, dict[str, object]] = {}
    for name in spec_files("memory"):
        memory = load_memory(name)
        key = rates_key(memory)
        if key in rates:
            rates[key]["memories"] = [*rates[key]["memories"], name]  # type: ignore[misc]
        else:
            rates[key] = {"memories": [name], **rates_entry(derive_rates(memory))}
        print(name, rates[key])
    rows = [f"    {json.dumps(key)}: {json.dumps(entry)}" for key, entry in rates.items()]
    text = f'{{\n  "version": {RATES_VERSION},\n  "rates": {{\n' + ",\n".join(rows) + "\n  }\n}\n"
    write_text(TARGET, text)


if __name__ == "__main__":
    main()
