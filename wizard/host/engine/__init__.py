"""The Docker engine, through docker-py's low-level client.

``client`` is the port's adapter; ``address`` finds the daemon, ``session`` carries a command in a container,
``answers`` puts what the engine says into our words, ``failures`` gives every failure its kind.
"""

from wizard.host.engine.client import DockerEngine

__all__ = ["DockerEngine"]
