"""What a training run says, judges and draws on its way."""

import json
from types import SimpleNamespace

from data_recipes.splits import combination_split
from tts.evaluation.watching import draw_curve, held_out_texts


def test_judged_texts_are_combinations_never_heard():
    texts = held_out_texts(40, ("repeat", "unseen"))
    assert texts == held_out_texts(40, ("repeat", "unseen"))
    assert all(combination_split(digits) == "unseen" for digits in texts)
    assert [len(digits) for digits in texts[:5]] == [2, 3, 4, 5, 2]
    assert len(set(texts)) > 30
    # Where nothing is held out there is nothing unheard; anything will do.
    assert {combination_split(digits) for digits in held_out_texts(200, ())} > {"unseen"}


def test_the_curve_is_drawn_of_what_was_logged(tmp_path):
    lines = [{"step": 20, "train/nll_bits": 5.0}]
    lines += [{"step": 100 * k, "validation/digit_error": 0.9 / k, "validation/minutes": 2.0 * k} for k in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = SimpleNamespace(name="mini", validation=SimpleNamespace(judged=4))
    draw_curve(SimpleNamespace(folder=tmp_path, config=config))
    first = (tmp_path / "curve.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 400, "validation/digit_error": 0.0, "validation/minutes": 8.0}) + "\n")
    draw_curve(SimpleNamespace(folder=tmp_path, config=config))
    assert (tmp_path / "curve.png").read_bytes() != first
