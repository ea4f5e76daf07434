"""Why accelerators double-buffer: load, compute and store as processes that wait for each other.

One tile is 1000 bytes to load, 800 ps to compute and 600 bytes to store. A link to the memory moves
a byte in a picosecond in each direction; or loads and stores share one memory.
"""

from accelsim.des.bandwidth import SharedBandwidth
from accelsim.des.buffers import Tokens
from accelsim.des.servers import FifoServer
from accelsim.des.simulation import Simulation
from accelsim.des.tracer import Recorder
from accelsim.errors import SimulationError

TILES, LOAD_BYTES, COMPUTE_PS, STORE_BYTES = 5, 1000, 800, 600


def simulate(buffers, shared=False, bytes_per_s=1e12, tiles=TILES, give_back=True):
    """Run the pipeline; return what happened."""
    recorder = Recorder()
    sim = Simulation(tracer=recorder)
    memory = SharedBandwidth(sim, "memory")
    inward = memory.resource("in", bytes_per_s)
    outward = inward if shared else memory.resource("out", bytes_per_s)
    read, write = memory.route("read", {inward: 1.0}), memory.route("write", {outward: 1.0})
    matrix = FifoServer(sim, "compute")
    free = Tokens(sim, "a free buffer", buffers)
    loaded, computed = Tokens(sim, "a loaded tile"), Tokens(sim, "a computed tile")

    def load():
        for i in range(tiles):
            yield free.wait()
            flow = yield memory.transfer(read, LOAD_BYTES)
            recorder.span("load", f"{i}", flow.start_ps, flow.end_ps)
            loaded.give()

    def compute():
        for i in range(tiles):
            yield loaded.wait()
            yield matrix.serve(COMPUTE_PS, f"{i}")  # tells the recorder by itself
            computed.give()

    def store():
        for i in range(tiles):
            yield computed.wait()
            flow = yield memory.transfer(write, STORE_BYTES)
            recorder.span("store", f"{i}", flow.start_ps, flow.end_ps)
            if give_back:
                free.give()

    for steps in (load, compute, store):
        sim.start(steps.__name__, steps())
    sim.run()
    return recorder


def draw(recorder, ps_per_column=100):
    """One line per track; every column is 100 ps of the tile whose digit it shows."""
    for track in ("load", "compute", "store"):
        line = {}
        for span in recorder.spans:
            if span.track == track:
                columns = range(span.start_ps // ps_per_column, span.end_ps // ps_per_column)
                line.update(dict.fromkeys(columns, span.label))
        print(f"{track:>9} |" + "".join(line.get(i, ".") for i in range(max(line) + 1)))


def end_ps(recorder):
    return max(span.end_ps for span in recorder.spans)


# 1. One buffer: nothing overlaps. Two: the next load runs while this tile is computed. Three: the
#    load of a tile need not wait until the one before the last is stored.
for buffers in (1, 2, 3):
    run = simulate(buffers)
    print(f"Buffers: {buffers}, {end_ps(run):,} ps")
    draw(run)
    print()

# 2. In the long run no tile takes less than its slowest resource needs. Buffers hide waiting, not
#    work: where loads and stores share a memory, two buffers already keep it busy.
print("Picoseconds per tile")
print(f"{'':>16}" + "".join(f"{f'{n} buffers':>11}" for n in (1, 2, 3, 4)) + "  at best")
for rate in (0.5, 1, 2, 4):
    for shared in (False, True):
        found = []
        for buffers in (1, 2, 3, 4):
            many, few = (end_ps(simulate(buffers, shared, rate * 1e12, n)) for n in (300, 100))
            found.append((many - few) / 200)
        moved = LOAD_BYTES + STORE_BYTES if shared else max(LOAD_BYTES, STORE_BYTES)
        best = max(COMPUTE_PS, moved / rate)
        cells = "".join(f"{time:11.0f}" for time in found)
        print(f"{rate:3} TB/s {'shared' if shared else 'each':8}{cells}{best:9.0f}")

# 3. What flows do to each other: from 1800 ps on the first store and the second load share.
print("\nShared memory, two buffers: transfers, and the bytes per ps that each had")
for span in simulate(2, shared=True, tiles=3).spans:
    size = {"load": LOAD_BYTES, "store": STORE_BYTES}.get(span.track)
    if size:
        rate = size / (span.end_ps - span.start_ps)
        print(f"  {span.track:5} {span.label} {span.start_ps:5} to {span.end_ps:5} ps {rate:5.2f}")

# 4. A store that forgets to give its buffer back: nothing can move, and the error says who waits.
try:
    simulate(2, give_back=False)
except SimulationError as error:
    print(f"\n{error}")
