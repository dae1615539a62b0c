"""More than one machine: a plan's runs on the nodes of a Ray cluster, records as from this machine alone.

fleet.py decides what starts where, without Ray; node.py is what happens on a node; revision.py, whether the nodes have
this code; ray.py moves it over a Ray cluster.
"""


class ClusterUnusable(RuntimeError):
    """The plan can't be run on the cluster; the message says why and what to do."""
