"""Have a voice say every digit many times, and keep the recordings that a classifier of its own finds clearest.

    python scripts/self_training.py runs/first/voice --source FSDD --out runs/self-training --n 160 --keep 40
    tts train configs/fsdd.yaml data.source=FSDD data.self_training=runs/self-training train.start_from=runs/first/…

Best-of-n distillation (Dong et al. 2023, "RAFT: Reward rAnked FineTuning", arXiv 2304.06767): a voice trained on
its own clearest recordings beside the real ones learns to be clear, and its history in training is then also what it
generates. Recordings that end in the middle of a sound are left out, and the silence around each is cut off, as around
real ones. The classifier is trained here on the training recordings, with noise added; it shares nothing with the
recognizer that judges voices, neither shape nor data preparation nor seed, and gets no test recording.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.transforms import MelSpectrogram
from tqdm import tqdm

from data_recipes.corpus import Recording, RecordingOptions
from data_recipes.fsdd import build_recordings
from tts import audio
from tts.core.console import Parser, script
from tts.core.errors import InputError
from tts.core.files import check_folder, is_empty, new_folder, path_argument
from tts.core.tables import percent_cell
from tts.evaluation.utterance import ENDS_IN_SOUND_DB, measure_sound
from tts.text.units import sounding
from tts.voice import Voice, load_voice

SAMPLES = 8000  # of every clip: cut or padded
RATE = 8000


class Classifier(nn.Module):
    """(B, SAMPLES) float32 waves to (B, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelSpectrogram(RATE, n_fft=256, hop_length=100, n_mels=40, f_max=4000)
        layers: list[nn.Module] = []
        for inner, outer in ((1, 24), (24, 48), (48, 96)):
            layers += [nn.Conv2d(inner, outer, 3, padding=1), nn.BatchNorm2d(outer), nn.ReLU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)
        self.output = nn.Linear(96 * 5, 10)

    def forward(self, waves: Tensor) -> Tensor:
        """As the class says."""
        spectrum = (self.mel(waves) + 1e-4).log()
        spectrum = spectrum - spectrum.mean((1, 2), keepdim=True)
        found = self.layers(spectrum[:, None])
        return self.output(found.mean(-1).flatten(1) + found.amax(-1).flatten(1))


def clip(wave: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """(SAMPLES,) of a wave (T,): where it lies is drawn, or in the middle."""
    room = SAMPLES - len(wave)
    if room < 0:
        return wave[:SAMPLES]
    begin = room // 2 if rng is None else int(rng.integers(room + 1))
    return np.pad(wave, (begin, room - begin))


def spoiled(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The wave at another speed, color and level, in noise that follows it as a sample model's does."""
    speed = rng.uniform(0.88, 1.14)
    wave = np.interp(np.arange(0, len(wave) - 1, speed), np.arange(len(wave)), wave)
    tilt = rng.uniform(-0.4, 0.4)
    wave = wave - tilt * np.concatenate([[0.0], wave[:-1]])
    if rng.random() < 0.7:
        power = np.convolve(wave**2, np.ones(161) / 161, "same")
        color = np.array([1.0, rng.uniform(-0.5, 0.9)])
        noise = np.convolve(rng.standard_normal(len(wave)), color, "same") / np.linalg.norm(color)
        wave = wave + noise * np.sqrt(power) * 10 ** (-rng.uniform(3, 25) / 20)
    noise_floor = 10 ** (-rng.uniform(45, 70) / 20)
    return (wave + noise_floor * rng.standard_normal(len(wave))).astype(np.float32)


def train(recordings: Sequence[Recording], epochs: int, seed: int) -> Classifier:
    """A classifier of these recordings."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    batch = 64
    steps = epochs * (len(recordings) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    digits = torch.tensor([recording.digit for recording in recordings])
    order = np.concatenate([rng.permutation(len(recordings)) for _ in range(epochs + 1)])
    for step in tqdm(range(steps), desc="classifier", unit="step"):
        chosen = order[step * batch : (step + 1) * batch]
        waves = np.stack([clip(spoiled(recordings[i].audio, rng), rng) for i in chosen])
        loss = functional.cross_entropy(model(torch.from_numpy(waves)), digits[chosen], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.inference_mode()
def log_probabilities(model: Classifier, waves: Sequence[np.ndarray]) -> np.ndarray:
    """(n, 10) of waves (T,)."""
    groups = [waves[i : i + 100] for i in range(0, len(waves), 100)]
    found = [model(torch.from_numpy(np.stack([clip(wave) for wave in group]))).log_softmax(-1) for group in groups]
    return torch.cat(found).numpy()


def say_and_keep(voice: Voice, model: Classifier, args: argparse.Namespace) -> tuple[int, int]:
    """Write the clearest recordings; how many of all were unclear, and how many ended in sound."""
    unclear = torn = 0
    for speaker in tqdm(voice.speakers, desc="speakers"):
        for digit in range(10):
            first = args.seed + 1000 * args.n * digit
            texts, speakers, seeds = [str(digit)] * args.n, [speaker] * args.n, range(first, first + args.n)
            said = voice.speak_each(texts, speakers, seeds, temperature=args.temperature, streams=16)
            waves = [one.samples for one in said]
            clearness = log_probabilities(model, waves)[:, digit]
            unclear += int((clearness < np.log(0.5)).sum())
            whole = np.array([measure_sound(wave, RATE).end_db <= -ENDS_IN_SOUND_DB for wave in waves])
            torn += int((~whole).sum())
            order = [index for index in np.argsort(-clearness, kind="stable") if whole[index]]
            for take, index in enumerate(order[: args.keep]):
                begin, end = sounding(waves[index], RATE)
                audio.write(args.out / f"{digit}_{speaker}_{take}.wav", waves[index][begin:end], RATE)
    return unclear, torn


def run(argv: Sequence[str] | None) -> None:
    """Parse, have the voice speak, keep what is clear."""
    parser = Parser(description="Keep the clearest of the recordings that a voice makes.")
    parser.add_argument("voice", help="name or folder of the voice")
    parser.add_argument("--source", type=path_argument, metavar="DIR", help="FSDD's folder (default: download it)")
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR", help="folder for the recordings")
    parser.add_argument("--n", type=int, default=160, help="recordings of each digit by each speaker")
    parser.add_argument("--keep", type=int, default=40, help="how many of them are kept")
    parser.add_argument("--epochs", type=int, default=50, help="of the classifier")
    parser.add_argument("--temperature", type=float, help="default: the voice's own")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if not 1 <= args.keep <= args.n:
        raise InputError(f"--keep {args.keep}: need 1 to --n, {args.n}")
    check_folder(args.out, "--out")
    if not is_empty(args.out):
        raise InputError(f"{args.out} is not empty; name another folder")
    voice = load_voice(args.voice)
    if voice.sample_rate != RATE:
        raise InputError(f"the voice speaks at {voice.sample_rate} Hz; only voices of {RATE} Hz can be classified")
    recordings = build_recordings(args.source, RecordingOptions(), voice.speakers)
    model = train(recordings["train"], args.epochs, args.seed)
    held = recordings["validation"]
    right = log_probabilities(model, [item.audio for item in held]).argmax(1) == [item.digit for item in held]
    print(f"classifier: {100 * np.mean(right):.1f} % of {len(held)} validation recordings right")
    with new_folder(args.out, whole=True):
        unclear, torn = say_and_keep(voice, model, args)
    total = args.n * 10 * len(voice.speakers)
    what = f"{percent_cell(unclear / total)} % of {total} recordings were unclear (probability below one half)"
    print(f"{what}, {percent_cell(torn / total)} % ended in sound")


main = script("self_training", run)

if __name__ == "__main__":
    sys.exit(main())
