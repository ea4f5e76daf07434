"""How much does HBM bandwidth help decode, and do more SMs help too? A sweep from Python.

Run it from anywhere: ``python examples/sweep_bandwidth.py [FOLDER]``. The rows go to
FOLDER/results (Parquet), the picture to FOLDER/pareto.png.
"""

import sys
from pathlib import Path

from accelsim.explore.space import load_space
from accelsim.explore.sweep import sweep
from accelsim.report.pareto import pareto_figure


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "sweep_bandwidth")
    result = sweep(load_space(Path(__file__).with_name("sweep_bandwidth.yaml")), folder)
    frame = result.frame

    step_ms = frame[frame["batch"] == 64].assign(ms=frame["latency_s"] * 1e3)
    print("Time of one decode step of 64 sequences [ms], by bandwidth and number of SMs")
    table = step_ms.pivot(index="memory.bandwidth", columns="cores", values="ms")
    print(table.rename_axis(index=None, columns=None).to_string(float_format="%.1f"))

    print("\nBeaten by no other design in time and throughput (the one with fewest SMs of equals)")
    best = frame[result.pareto].drop_duplicates(list(result.objectives))
    for row in best.to_dict("records"):
        print(
            f"batch {row['batch']:3}, {row['memory.bandwidth']}, {row['cores']} SMs: "
            f"{row['latency_s'] * 1e3:.1f} ms, {row['tokens_per_s']:.0f} tokens/s, "
            f"limited by {row['bottleneck']}"
        )

    print(f"\n{result.failed} of {result.points} points cannot run, for example")
    print(frame.loc[frame["status"] == "error", "reason"].iloc[0])
    maximize = [objective.maximize for objective in result.space.objectives]
    pareto_figure(frame, result.objectives, result.pareto, folder / "pareto.png", maximize)


if __name__ == "__main__":
    main()
