"""Train the second recognizer: see `tts.recognition.second_training`."""

import sys

from tts.core.threads import wait_passively

wait_passively()  # before torch is imported

from tts.recognition.second_training import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
