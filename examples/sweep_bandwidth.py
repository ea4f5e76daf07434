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
    milliseconds = frame.assign(ms=frame["latency_s"] * 1e3).pivot(
        index="memory.bandwidth", columns="cores", values="ms"
    )
    print("Time of one decode step [ms], by bandwidth and number of SMs")
    print(milliseconds.round(2).to_string())
    best = frame[result.pareto]
    print("\nPareto front of time and energy")
    for row in best.to_dict("records"):
        print(
            f"{row['memory.bandwidth']}, {row['cores']} SMs: {row['latency_s'] * 1e3:.2f} ms, "
            f"{row['energy_j']:.2f} J, limited by {row['bottleneck']}"
        )
    maximize = [objective.maximize for objective in result.space.objectives]
    pareto_figure(frame, result.objectives, result.pareto, folder / "pareto.png", maximize)


if __name__ == "__main__":
    main()
