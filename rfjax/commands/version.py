"""`rfjax version`: what is installed, and on what it runs."""

from dataclasses import dataclass


@dataclass
class Version:
    """Print the versions of rfjax and of what it stands on, and the device."""

    def run(self) -> None:
        """Print them."""
        from rfjax.experiments.cells import environment

        found = environment()
        for name, version in found["versions"].items():
            print(f"{name} {version}")
        device = found["device"]
        print(f"device {device['platform']} {device['kind']} x {device['count']}")
