"""Compile the native engine: `python scripts/build_engine.py` puts it beside its source, for this machine.

Needs the wheel `ziglang`, a complete clang, and nothing else; `--target` compiles for another system.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "tts" / "generation" / "native"
X86 = {"v2": "x86_64_v2", "v3": "x86_64_v3", "v4": "x86_64_v4"}
"""The instruction sets in one library, by the names that zig has for them."""
ARM = {"neon": "baseline"}
# glibc 2.17 is what manylinux2014 promises; macOS 11 is the first for arm64.
TARGETS = {
    "linux-x86_64": "x86_64-linux-gnu.2.17",
    "linux-aarch64": "aarch64-linux-gnu.2.17",
    "macos-x86_64": "x86_64-macos.11.0",
    "macos-arm64": "aarch64-macos.11.0",
    "windows-x86_64": "x86_64-windows-gnu",
}
WHEEL_PLATFORMS = {
    "linux-x86_64": "manylinux2014_x86_64",
    "linux-aarch64": "manylinux2014_aarch64",
    "macos-x86_64": "macosx_11_0_x86_64",
    "macos-arm64": "macosx_11_0_arm64",
    "windows-x86_64": "win_amd64",
}
"""The same in the names of wheels."""
# Strict arithmetic is the point (see engine.c); a frame pointer costs nothing here.
FLAGS = ("-std=c11", "-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra")
SANITIZED = {
    "undefined": ("-fsanitize=undefined", "-fno-sanitize-recover=all"),
    "address": ("-fsanitize=address", "-fno-omit-frame-pointer"),
}
"""By what is to be found. zig has no runtime of `address`: GCC's libasan has to be preloaded (see .ci/run)."""


def this_machine() -> str:
    """The name in `TARGETS` of the machine that runs this."""
    system = {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")
    arm = platform.machine().lower() in ("arm64", "aarch64")
    return f"{system}-{('arm64' if system == 'macos' else 'aarch64') if arm else 'x86_64'}"


def library_name(target: str) -> str:
    """What the library's file is called on a target."""
    return "_engine" + {"macos": ".dylib", "windows": ".dll"}.get(target.split("-")[0], ".so")


def build(target: str, folder: Path = FOLDER, sanitize: str | None = None) -> Path:
    """Compile the C files once for each instruction set and once for the choice among them, and link them.

    Args: target, one of `TARGETS`; folder, where the library goes; sanitize, one of `SANITIZED`: stop at such faults.

    Returns: the library's path.
    """
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", TARGETS[target]]
    of_system = ("-DEXPORT=__declspec(dllexport)",) if "windows" in target else ("-DEXPORT=", "-fPIC")
    flags = [*FLAGS, *(SANITIZED[sanitize] if sanitize else ("-fno-sanitize=all",)), *of_system]
    sets = X86 if "x86_64" in target else ARM
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / library_name(target)
    with tempfile.TemporaryDirectory() as work:

        def compiled(source: str, isa: str | None) -> str:
            own = [] if isa is None else [f"-DENGINE_ISA={isa}", f"-mcpu={sets[isa]}"]
            if isa == "v4":  # or vectors of 64 bytes are made of two of 32
                own.append("-mprefer-vector-width=512")
            out = str(Path(work) / f"{source}_{isa or 'choice'}.o")
            subprocess.run([*compiler, *flags, *own, "-c", str(FOLDER / f"{source}.c"), "-o", out], check=True)
            return out

        parts = [("engine", None), *((source, isa) for source in ("engine", "comb") for isa in sets)]
        with ThreadPoolExecutor() as pool:
            objects = list(pool.map(lambda part: compiled(*part), parts))
        extra = SANITIZED[sanitize][:1] if sanitize else ("-s",) if target.startswith("linux") else ()
        subprocess.run([*compiler, "-shared", *extra, "-o", str(library), *objects], check=True)
    for left in (*folder.glob("_engine.pdb"), *folder.glob("_engine.lib")):  # Windows' import library: nobody links
        left.unlink()
    return library


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, default=this_machine())
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--sanitize", choices=SANITIZED, help="stop at undefined behavior, or at a wrong address")
    arguments = parser.parse_args()
    print(build(arguments.target, arguments.folder, arguments.sanitize))


if __name__ == "__main__":
    main()
