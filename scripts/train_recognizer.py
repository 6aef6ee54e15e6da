"""Train the digit recognizer: see `tts.recognition.training`."""

import sys

from tts.core.threads import wait_passively

wait_passively()  # before torch is imported

from tts.recognition.training import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
