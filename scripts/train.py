"""`accelerate launch scripts/train.py configs/fsdd.yaml key=value …`: train in one process or many."""

from tts.cli.train import main

if __name__ == "__main__":
    main()
