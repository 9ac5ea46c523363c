"""The Docker engine, through docker-py's low-level client and, for what is wanted first or lasts, a request of our own.

``client`` is the port's adapter; ``address`` finds the daemon, ``docker_py`` is docker-py's client, ``request`` is one
request over a connection that can be shut at any moment, ``session`` carries a command in a container, ``answers`` puts
what the engine says into our words, ``failures`` gives every failure its kind.
"""

from wizard.host.engine.client import DockerEngine

__all__ = ["DockerEngine"]
