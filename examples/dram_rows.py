"""What a DRAM is fast at: row hits, bank groups, many banks, and what refresh takes.

One pseudo-channel of HBM2 at 2 Gb/s per pin: 16 banks in 4 groups, rows of 1 KiB, bursts of 32 B,
16 GB/s. The address map is written out, so that a place in the memory can be named.
"""

import numpy as np

import accelsim

MAP = "column:5 group:2 bank:2 row"
ONE = {"pseudo_channels": 1, "access_bytes": 32, "address_map": MAP}


def at(row, bank, group, column):
    """Byte address of a burst."""
    return (((np.asarray(row) * 4 + bank) * 4 + group) * 32 + column) * 32


def share(addresses, **options):
    """Bandwidth over peak."""
    return accelsim.simulate_dram("hbm2_2000", addresses, **ONE, **options).bandwidth_fraction


# 1. One read at a time: the same burst is near or far, by what its bank did before.
reads = [at(0, 0, 0, 0), at(0, 0, 0, 1), at(1, 0, 0, 0)]
alone = accelsim.simulate_dram("hbm2_2000", np.array(reads), outstanding=1, **ONE)
words = (
    "bank closed: open the row (tRCD), read (tCL)",
    "row open: read",
    "another row open: close (tRP), open, read",
)
print("One read at a time")
for word, ticks in zip(words, alone.latency_ticks, strict=True):
    print(f"  {word:45} {1e9 * ticks * alone.tick_s:3.0f} ns")

# 2. Bursts of one bank group follow each other only every tCCD_L; other groups fill the gap.
print("\nReads of open rows, turning round so many bank groups")
i = np.arange(8192)
for groups in (1, 2, 4):
    column, row = i // groups % 32, i // (32 * groups)
    found = share(at(row, row % 4, i % groups, column), refresh="none")
    print(f"  {groups}: {found:6.1%} of the peak")

# 3. Every read opens a row: only banks that work in turns hide it, until tRRD and the bus say no.
print("\nA new row with every read of 32 B and of 128 B, over so many banks")
for banks in (1, 2, 4, 8, 16):
    found = []
    for bursts in (1, 4):
        turn, column = i // bursts, i % bursts
        where = at(turn // banks, turn % banks // 4, turn % banks % 4, column)
        found.append(share(where, refresh="none"))
    print(f"  {banks:2}: {found[0]:6.1%} {found[1]:6.1%}")

# 4. Refresh: the whole pseudo-channel stops for tRFC every tREFI, or one bank after the other.
print("\nStreaming under refresh")
stream = np.arange(65536) * 32
for refresh in ("none", "all-bank", "per-bank"):
    print(f"  {refresh:9} {share(stream, refresh=refresh):6.1%}")

# 5. The same bank again and again, or all of them: what the map makes of a stride.
print("\nColumns of a matrix with rows of 4 KiB (stride 4 KiB), by address map")
for name in ("robaracoch", "bgi", "bgix", "mop4clxor", MAP, f"{MAP}; group^row[0] bank^row[2]"):
    options = ONE | {"address_map": name}
    found = accelsim.simulate_dram("hbm2_2000", np.arange(8192) * 4096 % 2**27, **options)
    print(f"  {name:55} {found.bandwidth_fraction:6.1%}, row hits {found.row_hit_rate:5.1%}")
