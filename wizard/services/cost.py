"""What a download would cost, before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from wizard.host.ports import Host
from wizard.model.image import ImageReference
from wizard.model.secret import Secret
from wizard.services import background, image
from wizard.services.image import ImagePlan


@dataclass(frozen=True, slots=True)
class Cost:
    """What the registry and the engine say about an image, and bytes a second of the last download from there (None:
    there was none, so no time is named).
    """

    plan: ImagePlan
    rate: float | None

    @property
    def missing(self) -> int | None:
        """Bytes to fetch; None where the registry could not be asked."""
        plan = self.plan
        return None if plan.bytes_total is None else plan.bytes_total - plan.bytes_here

    @property
    def layers(self) -> int | None:
        """How many layers the image has. One that is used twice is fetched once."""
        manifest = self.plan.manifest
        return None if manifest is None else len({layer.digest for layer in manifest.layers})

    @property
    def seconds(self) -> float | None:
        """How long fetching takes at that speed; None while it is not known."""
        return None if self.rate is None or self.missing is None else self.missing / self.rate

    @property
    def needs_key(self) -> bool:
        """Whether the registry wants a key for it, or could not say."""
        return self.plan.manifest is None or not self.plan.manifest.anonymous

    @property
    def fits(self) -> bool:
        """Whether there is room on the disk, as far as is known."""
        return self.plan.disk_free is None or self.plan.disk_needed <= self.plan.disk_free


def look(host: Host, text: str, key: Secret | None) -> Cost:
    """What ``text`` would cost. Raises what ``image.inspect`` raises."""
    return Cost(image.inspect(host, text, key), background.speed(host, ImageReference.parse(text).host))
