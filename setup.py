"""Compiles the native engine while the package is built; all else stands in pyproject.toml.

The library is loaded with ctypes, so it fits every version of Python on a platform: `py3-none-<platform>`.
`TTS_ENGINE_TARGET` names another platform than this one (see scripts/build_wheels.py).
"""

import os
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent / "scripts"))
from build_engine import FOLDER, WHEEL_PLATFORMS, build, library_name, this_machine

TARGET = os.environ.get("TTS_ENGINE_TARGET") or this_machine()


class BuildEngine(build_py):
    """Compiles the library into the package, or beside its source where the package is installed in place."""

    def run(self) -> None:
        """Compile, and do what was to be done."""
        super().run()
        folder = FOLDER if self.editable_mode else Path(self.build_lib) / "tts" / "generation" / "native"
        build(TARGET, folder)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What was made, for the record of the installation."""
        outputs = super().get_outputs(include_bytecode)
        if self.editable_mode:
            return outputs
        return [*outputs, str(Path(self.build_lib) / "tts" / "generation" / "native" / library_name(TARGET))]


class PlatformWheel(bdist_wheel):
    """Any Python 3, one platform."""

    def get_tag(self) -> tuple[str, str, str]:
        """The wheel's tags."""
        return "py3", "none", WHEEL_PLATFORMS[TARGET]


class PlatformDistribution(Distribution):
    """One that is not for every platform."""

    def has_ext_modules(self) -> bool:
        """Whether there is compiled code."""
        return True


setup(cmdclass={"build_py": BuildEngine, "bdist_wheel": PlatformWheel}, distclass=PlatformDistribution)
