"""From clicks and boxes to masks: a network that is given a picture and what was clicked, and ways without one."""

from __future__ import annotations

from rotoscope.methods.model import Model
from rotoscope.prompts.config import PromptsConfig
from rotoscope.prompts.network import PromptsNetwork


class Prompts(Model):
    """The click network with its config."""

    config_class = PromptsConfig
    inference_options = ("short_side",)

    def __init__(self, config: PromptsConfig | None = None) -> None:
        super().__init__(config)
        self.network = PromptsNetwork(self.config)
