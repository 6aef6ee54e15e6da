"""Train the recognizer's confidence: the small network that separates digits from other speech.

    python scripts/train_confidence.py --fsdd FSDD_FOLDER --prompts ASTERISK_FOLDER --out runs/confidence

The recognizer itself stays as it is. Digits: FSDD's training recordings, one by one and joined, half of them damaged,
and the ten digits of one prompt voice. Other speech: the same recordings reversed, pieces of them in wrong order,
babble, waves without speech, and the prompts without digits of the voices named by --voices. The examples are what
the recognizer takes for digits in these; digits and other speech weigh the same, so the threshold is 0.5. How many of
FSDD's single validation recordings (takes 5-7) keep their digit at that is put into the card. Neither the test
recordings nor other voices are used.

Writes OUT/confidence.safetensors, and OUT/recognizer.json, the recognizer's card with the threshold added.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn

from data_recipes.corpus import Recording, RecordingOptions
from data_recipes.fsdd import build_recordings
from data_recipes.sequences import SequenceOptions, SequenceStream
from tts import audio
from tts.core.console import Parser, script
from tts.core.files import check_folder, new_folder, path_argument, write_together
from tts.recognition import prompts
from tts.recognition.alignment import align
from tts.recognition.augment import Augmenter, AugmentOptions, at_speeds
from tts.recognition.confidence import pooled
from tts.recognition.config import WEIGHTS
from tts.recognition.onnx_recognizer import OnnxRecognizer

Item = tuple[np.ndarray, list[int]]  # a wave and the digits in it
AS_THEY_LIE = RecordingOptions(remove_dc=False, trim=False, level_dbfs=None, fade_seconds=0.0)
JOINED = SequenceOptions(max_digits=4, gap_seconds=(0.0, 0.35), edge_seconds=(0.0, 0.5), hold_outs=())
SPEEDS = (0.85, 1.0, 1.2)
EPOCHS, BATCH, HIDDEN = 30, 256, 64
THRESHOLD = 0.5  # where the network is undecided


def digits(
    args: argparse.Namespace, recordings: list[Recording], plain: list[Recording], spoil: Augmenter
) -> list[Item]:
    """Waves with digits."""
    items: list[Item] = []
    for index, x in enumerate(islice(SequenceStream(recordings, JOINED, args.seed), args.count)):
        rng = np.random.default_rng([args.seed, 1, index])
        items.append((spoil(x.audio, x.boundaries, rng) if rng.random() < 0.6 else x.audio, x.digits))
    for index, recording in enumerate([*plain[::2], *recordings[::10]]):
        items.append((_maybe(recording.audio, spoil, [args.seed, 2, index]), [recording.digit]))
    for digit in range(10):
        wave = prompts.read(args.prompts / args.digit_voice / "digits" / f"{digit}.g722")
        items += [(one, [digit]) for one in _at_speeds(wave, spoil, [args.seed, 3, digit], 4)]
    return items


def others(args: argparse.Namespace, recordings: list[Recording], spoil: Augmenter) -> list[Item]:
    """Waves without digits."""
    items: list[Item] = []
    for index, recording in enumerate(recordings[3::20]):
        items.append((_maybe(recording.audio[::-1].copy(), spoil, [args.seed, 4, index]), []))
    speakers = {x.speaker for x in recordings}
    by_speaker = {speaker: [x for x in recordings if x.speaker == speaker] for speaker in speakers}
    for index in range(args.count):
        rng = np.random.default_rng([args.seed, 5, index])
        own = by_speaker[recordings[int(rng.integers(len(recordings)))].speaker]
        items.append((_maybe(fragments(own, rng), spoil, [args.seed, 6, index]), []))
    for index in range(args.count // 10):
        rng = np.random.default_rng([args.seed, 7, index])
        babble = spoil.babbles[index % len(spoil.babbles)]
        start, length = int(rng.integers(len(babble) - 16_000)), int(rng.integers(3000, 16_000))
        items += [(babble[start : start + length], []), (spoil.empty(rng), [])]
    for place, voice in enumerate(args.voices):
        for index, wave in enumerate(prompts.digitless(args.prompts, voice).values()):
            items += [(one, []) for one in _at_speeds(wave, spoil, [args.seed, 8 + place, index], 1)]
    return items


def fragments(recordings: list[Recording], rng: np.random.Generator) -> np.ndarray:
    """Beginnings and ends of one speaker's digits, some reversed, one after the other: (T,) float32."""
    parts = []
    for _ in range(int(rng.integers(1, 5))):
        wave = recordings[int(rng.integers(len(recordings)))].audio
        cut = int(len(wave) * rng.uniform(0.3, 0.7))
        part = (wave[:cut] if rng.random() < 0.5 else wave[cut:]).copy()
        part = part[::-1].copy() if rng.random() < 0.4 else part
        fade = min(40, len(part) // 2)
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        part[:fade] *= ramp
        part[len(part) - fade :] *= ramp[::-1]
        parts.append(part)
        if rng.random() < 0.5:
            parts.append(np.zeros(int(rng.integers(0, 1200)), np.float32))
    return np.concatenate(parts).astype(np.float32)


def _maybe(wave: np.ndarray, spoil: Augmenter, seed: list[int]) -> np.ndarray:
    """Damaged or not."""
    rng = np.random.default_rng(seed)
    return spoil(wave, [len(wave)], rng) if rng.random() < 0.5 else wave


def _at_speeds(wave: np.ndarray, spoil: Augmenter, seed: list[int], times: int) -> Iterator[np.ndarray]:
    for k, speed in enumerate(SPEEDS * times):
        yield _maybe(audio.resample(wave, round(8000 * speed), 8000), spoil, [*seed, k])


def is_digit(said: list[int], recognized: list[int]) -> list[float]:
    """For each recognized digit 1.0 if it was said, else 0.0."""
    return [float(digit == got) for digit, got in align(said, recognized) if got is not None]


def examples(recognizer: OnnxRecognizer, items: list[Item]) -> tuple[Tensor, Tensor]:
    """What the recognizer takes for digits: vectors (n, D), and whether each is one (n,)."""
    vectors, right = [], []
    for index, found, layers, _ in recognizer.located([wave for wave, _ in items], recognizer.sample_rate):
        vectors.append(pooled(layers, found))
        right += is_digit(items[index][1], [place.digit for place in found])
    return torch.from_numpy(np.concatenate(vectors)), torch.tensor(right)


def fit(vectors: Tensor, right: Tensor, seed: int) -> dict[str, np.ndarray]:
    """Train; both classes weigh the same. The scaling of the inputs becomes part of the first layer.

    Returns: the weights as they are stored, float16, to be small.
    """
    torch.manual_seed(seed)
    mean, spread = vectors.mean(0), vectors.std(0) + 1e-3
    inputs = (vectors - mean) / spread
    first, second = nn.Linear(inputs.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    net = nn.ModuleDict({"first": first, "second": second})
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-3)
    weight = torch.where(right > 0, torch.tensor(1.0), right.sum() / (1 - right).sum())
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(right)).split(BATCH):
            x = nn.functional.dropout(inputs[chosen], 0.2)
            hidden = nn.functional.dropout(torch.relu(first(x)), 0.5)
            logits = second(hidden)[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(logits, right[chosen], weight[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        first.weight.div_(spread)
        first.bias.sub_(first.weight @ mean)
    return {name: x.numpy().astype(np.float16) for name, x in net.state_dict().items()}


def kept(recognizer: OnnxRecognizer, recordings: list[Recording]) -> list[int]:
    """How many of the single recordings that are recognized keep their digit, and how many there are."""
    spoken = recognizer.spoken([x.audio for x in recordings], recognizer.sample_rate)
    pairs = zip(spoken, recordings, strict=True)
    scores = [own[0].confidence for own, x in pairs if [one.digit for one in own] == [x.digit]]
    return [sum(score >= THRESHOLD for score in scores), len(scores)]


def train(args: argparse.Namespace) -> None:
    """Everything, written to args.out."""
    check_folder(args.out, "--out")
    torch.set_num_threads(1)
    recognizer = OnnxRecognizer.load(args.weights)
    prepared, plain = build_recordings(args.fsdd), build_recordings(args.fsdd, AS_THEY_LIE)
    recordings = at_speeds(prepared["train"], AugmentOptions().speeds)
    spoil = Augmenter(AugmentOptions(empty=0.0), recordings, args.seed)
    items = digits(args, recordings, plain["train"], spoil) + others(args, recordings, spoil)
    print(f"{len(items)} waves", file=sys.stderr)
    vectors, right = examples(recognizer, items)
    print(f"{len(right)} taken for digits, {int(right.sum())} of them are", file=sys.stderr)
    weights = fit(vectors, right, args.seed)
    recognizer.confidence = {name: array.astype(np.float32) for name, array in weights.items()}
    recognizer.card["confidence"] = {
        "hidden": HIDDEN,
        "threshold": THRESHOLD,
        "command": args.command,
        "voices": args.voices,
        "examples": [int(right.sum()), len(right)],
        "validation_kept": kept(recognizer, [*plain["validation"], *prepared["validation"]]),
    }
    card = (json.dumps(recognizer.card, indent=1) + "\n").encode()
    files = {args.out / "confidence.safetensors": save(weights), args.out / "recognizer.json": card}
    with new_folder(args.out):
        write_together(files)
    print(f"{args.out}: {json.dumps(recognizer.card['confidence'])}", file=sys.stderr)


def run(argv: Sequence[str] | None) -> None:
    """Parse and train."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsdd", type=path_argument, help="FSDD's folder (default: download the pinned revision)")
    parser.add_argument(
        "--prompts", type=path_argument, required=True, help="of Asterisk: see tts/recognition/prompts.py"
    )
    parser.add_argument("--voices", nargs="+", default=["en_US_f_Allison", "es_MX_f_Allison"], help="to learn from")
    parser.add_argument("--digit-voice", default="en_US_f_Allison", help="whose digits are used (English)")
    parser.add_argument("--weights", type=path_argument, default=WEIGHTS, help="folder of a recognizer")
    parser.add_argument("--out", type=path_argument, required=True)
    parser.add_argument("--count", type=int, default=1200, help="joined sequences, and as many of fragments")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    args.command = (
        f"python scripts/train_confidence.py --fsdd FSDD_FOLDER --prompts ASTERISK_FOLDER "
        f"--voices {' '.join(args.voices)} --count {args.count} --seed {args.seed}"
    )
    train(args)


main = script("train_confidence", run)
