"""Train the recognizer's confidence: see `tts.recognition.confidence_training`."""

import sys

from tts.recognition.confidence_training import main

if __name__ == "__main__":
    sys.exit(main())
