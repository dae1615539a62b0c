"""The party that makes what tasks start from, unless the cache has it. It runs a suite's code and no method's."""

import socket

from bench.contract import MissingAsset
from bench.run.channel import Channel
from bench.run.order import Order
from bench.run.within import repeatable


def main(channel: Channel, control: socket.socket | None) -> None:
    order = Order.read(channel.receive())
    repeatable(order)
    try:
        problem = order.load_problem()
        problem.prepare(order.setting)
        problem.prepare(order.baseline_setting)  # of another seed, it may be
    except MissingAsset as missing:
        channel.send({"missing": str(missing)})
    else:
        channel.send({"prepared": True})
