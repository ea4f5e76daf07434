"""What happens when, on one chip, in nanoseconds that a pencil finds?"""

from __future__ import annotations

from dataclasses import replace

from accelsim.engine.event.plan import Stream
from tests.unit.engine.event.plans import (
    PS,
    Times,
    chain,
    gpu,
    launched,
    log,
    op,
    path,
    program,
    run,
    spans,
    teaching,
)  # fmt: skip


def test_three_pieces_load_multiply_and_store() -> None:
    # Loads and stores of an op share its memory time as they need it, 3 to 1. From 18 to 26 the
    # second load moves the 6 that are left of its 12, and the first store 2 of its 4; from 26 on
    # the third load. The second store comes after the first, at 34, and has all from 42 on.
    found = run(program(op("x", Times(load=12, matrix=6, store=4), 3)))
    assert log(found) == [
        ("load x", 0, 12),
        ("load x", 12, 26), ("matrix x", 12, 18), ("store x", 18, 34),
        ("load x", 26, 42), ("matrix x", 26, 32), ("store x", 34, 44),
        ("matrix x", 42, 48), ("store x", 48, 52),
    ]  # fmt: skip
    assert chain(found) == ["load x", "load x", "load x", "matrix x", "store x"]
    assert path(found) == {"memory": 46, "matrix": 6}


def test_two_buffers_let_loads_run_ahead_by_two_pieces() -> None:
    # The third load waits for the buffer of the first piece, free when that is multiplied at 28,
    # and shares the memory equally with the first store from 33 to 39.
    found = run(program(op("x", Times(load=8, matrix=20, vector=5, store=8), 3)))
    assert log(found) == [
        ("load x", 0, 8), ("load x", 8, 16), ("matrix x", 8, 28),
        ("load x", 28, 39), ("matrix x", 28, 48), ("vector x", 28, 33), ("store x", 33, 44),
        ("matrix x", 48, 68), ("vector x", 48, 53), ("store x", 53, 61),
        ("vector x", 68, 73), ("store x", 73, 81),
    ]  # fmt: skip
    assert path(found) == {"matrix": 60, "memory": 16, "vector": 5}


def test_vector_work_holds_up_the_matrix_unit_when_both_buffers_are_full() -> None:
    # The vector unit is busy until 100; two pieces wait for it, and the third is not multiplied
    # before the first of them is finished at 105. That is what the path has to go through.
    ops = op("long", Times(vector=100)), op("two", Times(matrix=10, vector=5), 3)
    found = run(program(*ops))
    assert log(found, "matrix") == [("matrix two", s, s + 10) for s in (0, 10, 105)]
    assert log(found, "vector") == [
        ("vector long", 0, 100), ("vector two", 100, 105), ("vector two", 105, 110),
        ("vector two", 115, 120),
    ]  # fmt: skip
    assert chain(found) == ["vector long", "vector two", "matrix two", "vector two"]
    assert path(found) == {"vector": 110, "matrix": 10}


A = op("a", Times(load=10, matrix=30), 2)
B = op("b", Times(load=20, matrix=15), 2, after=(0,), ahead=1.0)


def test_weights_of_the_next_op_come_while_the_first_computes() -> None:
    # Own loads go first: b moves nothing before 20, then 20 each until 60, and is ready at 70.
    found = run(program(A, B))
    assert log(found) == [
        ("load a", 0, 10), ("load b", 0, 40), ("load a", 10, 20), ("matrix a", 10, 40),
        ("load b", 40, 60), ("matrix a", 40, 70),
        ("matrix b", 70, 85), ("matrix b", 85, 100),
    ]  # fmt: skip
    assert chain(found) == ["load a", "matrix a", "matrix a", "matrix b", "matrix b"]
    assert path(found) == {"matrix": 90, "memory": 10}


def test_what_finds_no_room_waits_for_it() -> None:
    # A piece fills 0.6 of the memory: the second comes when b is ready and uses its own buffers.
    # Where a and b fill it otherwise, nothing comes ahead.
    room = teaching().on_chip_bytes
    big = replace(B, early=replace(B.early, moved_bytes=0.6 * room))
    found = run(program(A, big))
    assert log(found, "load")[1:] == [("load b", 0, 40), ("load a", 10, 20), ("load b", 70, 90)]
    assert spans(found) == [("a", 0, 70), ("b", 0, 105)]
    full = [replace(plan, kept_bytes=int(room)) for plan in (A, big)]
    assert spans(run(program(*full))) == [("a", 0, 70), ("b", 70, 125)]


def test_buffers_are_free_when_their_op_has_ended_and_results_an_op_later() -> None:
    room = int(teaching().on_chip_bytes)
    # a fills 0.8 until it has ended and 0.2 from then on: with 0.7 of its own, b is issued at 70.
    filling = replace(A, kept_bytes=room // 5, buffer_bytes=3 * room // 10)
    found = run(program(filling, replace(B, buffer_bytes=35 * room // 100)))
    assert spans(found) == [("a", 0, 70), ("b", 70, 125)]
    # With 0.1 of its own it comes ahead.
    assert spans(run(program(filling, replace(B, buffer_bytes=room // 20))))[1] == ("b", 0, 100)
    # What asks for more than results leave on an idle chip gets what is left.
    assert spans(run(program(filling, replace(B, buffer_bytes=room)))) == spans(found)


def test_room_that_is_given_back_is_used_at_once() -> None:
    # b's pieces fill 0.4 each: two fit at once. The third comes when the first is used up, at 85.
    # The op itself needs nothing of the memory.
    room = teaching().on_chip_bytes
    b = op("b", Times(load=20, matrix=15), 3, after=(0,), ahead=1.0)
    c = op("c", Times(load=10, matrix=5), 1, after=(1,), ahead=1.0)
    b = replace(b, early=replace(b.early, moved_bytes=0.4 * room))
    c = replace(c, early=replace(c.early, moved_bytes=0.4 * room))
    found = run(program(A, b, c))
    # b is ready at 70 and loads its third piece itself, into a buffer of its own; c comes first
    # when b leaves the queue at 70, and finds room at 85.
    assert log(found, "load")[3:] == [("load b", 40, 60), ("load b", 70, 90), ("load c", 85, 100)]
    assert log(found, "matrix")[2:] == [
        ("matrix b", 70, 85), ("matrix b", 85, 100), ("matrix b", 100, 115), ("matrix c", 115, 120),
    ]  # fmt: skip


def test_the_latency_of_the_first_data_is_paid_once() -> None:
    # Asked for at 0, ready at 10: the rest of the latency is 20. Nothing may be slower than
    # without fetching ahead, where the load is asked for at 10.
    a, b = op("a", Times(matrix=10)), op("b", Times(load=20, matrix=5), after=(0,), ahead=1.0)
    found = run(program(a, replace(b, first_data_ps=30 * PS)))
    assert log(found, "load") == [("load b", 0, 10), ("load b", 10, 30), ("load b", 30, 50)]
    without = run(program(a, replace(b, first_data_ps=30 * PS, early=Stream())))
    assert (spans(found)[1], spans(without)[1]) == (("b", 0, 55), ("b", 10, 65))
    # Inputs are asked for when they are made: half of the load pays all of its latency then.
    b = op("b", Times(load=20, matrix=5), after=(0,), ahead=0.5)
    half = run(program(a, replace(b, first_data_ps=30 * PS)))
    assert log(half, "load") == [("load b", 0, 10), ("load b", 10, 40), ("load b", 40, 60)]


def test_a_hidden_latency_is_not_paid_again() -> None:
    a = op("a", Times(matrix=100))
    b = op("b", Times(load=20, matrix=5), 2, after=(0,), ahead=1.0)
    found = run(program(a, replace(b, first_data_ps=30 * PS)))
    assert log(found, "load") == [("load b", 0, 30), ("load b", 30, 50), ("load b", 50, 70)]
    assert spans(found)[1] == ("b", 0, 110)


def test_independent_ops_use_matrix_and_vector_unit_together() -> None:
    # m needs the vector unit for 1 after each piece, and gets it between two pieces of v.
    m, v = op("m", Times(matrix=20, vector=1), 3), op("v", Times(vector=15), 3)
    found = run(program(m, v))
    assert log(found) == [
        ("matrix m", 0, 20), ("vector v", 0, 15), ("vector v", 15, 30), ("matrix m", 20, 40),
        ("vector m", 30, 31), ("vector v", 31, 46), ("matrix m", 40, 60), ("vector m", 46, 47),
        ("vector m", 60, 61),
    ]  # fmt: skip
    assert spans(found) == [("m", 0, 61), ("v", 0, 46)]


def test_four_ops_are_in_flight() -> None:
    # Loads of 50 that need a tenth of the memory: four at once, then the fifth.
    found = run(program(*(op(f"l{i}", Times(load=50, share=0.1)) for i in range(5))))
    assert spans(found) == [*((f"l{i}", 0, 50) for i in range(4)), ("l4", 50, 100)]
    assert chain(found) == ["load l3", "load l4"]
    assert path(found) == {"memory": 100}


KERNELS = [op(name, Times(matrix=10)) for name in "abc"]


def test_kernels_of_a_gpu_run_in_order_with_a_gap_before_each() -> None:
    found = run(program(*(launched(kernel, 5) for kernel in KERNELS)), gpu())
    assert spans(found) == [("a", 5, 15), ("b", 20, 30), ("c", 35, 45)]
    assert path(found) == {"matrix": 30, "launch": 15}


def test_a_slow_host_is_what_kernels_wait_for() -> None:
    # A launch at 30, then every 10 + 30. The path is the host's work, then the last kernel.
    found = run(program(*(launched(kernel, 5, (30, 10)) for kernel in KERNELS)), gpu())
    assert spans(found) == [("a", 35, 45), ("b", 75, 85), ("c", 115, 125)]
    assert chain(found) == ["launch a", "launch b", "launch c", "launch c", "matrix c"]
    assert path(found) == {"launch": 115, "matrix": 10}


def test_a_fast_host_runs_ahead_of_the_kernels() -> None:
    found = run(program(*(launched(kernel, 5, (3, 1)) for kernel in KERNELS)), gpu())
    assert log(found, "launch") == [
        ("launch a", 0, 3), ("launch a", 3, 8), ("launch b", 3, 7), ("launch c", 7, 11),
        ("launch b", 18, 23), ("launch c", 33, 38),
    ]  # fmt: skip
    assert spans(found) == [("a", 8, 18), ("b", 23, 33), ("c", 38, 48)]
    assert path(found) == {"matrix": 30, "launch": 18}
