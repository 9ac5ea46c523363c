"""docker-py's client. Importing it takes a tenth of a second, so this is done at its first use."""

from __future__ import annotations

from typing import Any

from docker import APIClient


class Client(APIClient):
    """Checks the engine's certificate against the authority that the user's Docker configuration names.

    requests believes ``REQUESTS_CA_BUNDLE``, where it is set, more than the session's own choice; it is about the
    servers of the internet.
    """

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        chosen = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, chosen, cert)
