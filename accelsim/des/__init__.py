"""Discrete-event vocabulary on SimPy: clocks, servers, buffers, shared bandwidth, tracing."""

from accelsim.des.bandwidth import SharedBandwidth as SharedBandwidth
from accelsim.des.buffers import ByteStore as ByteStore
from accelsim.des.buffers import Tokens as Tokens
from accelsim.des.clock import ClockDomain as ClockDomain
from accelsim.des.components import Component as Component
from accelsim.des.components import Port as Port
from accelsim.des.components import connect as connect
from accelsim.des.flows import Flow as Flow
from accelsim.des.flows import Resource as Resource
from accelsim.des.flows import Route as Route
from accelsim.des.servers import FifoServer as FifoServer
from accelsim.des.servers import PriorityServer as PriorityServer
from accelsim.des.simulation import Event as Event
from accelsim.des.simulation import Simulation as Simulation
from accelsim.des.simulation import Steps as Steps
from accelsim.des.tracer import SILENT as SILENT
from accelsim.des.tracer import Recorder as Recorder
from accelsim.des.tracer import Sample as Sample
from accelsim.des.tracer import Span as Span
from accelsim.des.tracer import Tracer as Tracer
