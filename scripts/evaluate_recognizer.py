"""Measure the digit recognizer: see `tts.recognition.evaluation`."""

import sys

from tts.recognition.evaluation import main

if __name__ == "__main__":
    sys.exit(main())
