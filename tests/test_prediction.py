"""Linear prediction: against its definition, and what it is good for."""

import numpy as np
import pytest
import torch

from tts import audio
from tts.models.config import LPC_CORRECTION, LPC_FLOOR, lpc_window
from tts.models.prediction import coefficients, hints, places


def resonance(samples, seed=0):
    """White noise through two resonances, and their predictor."""
    poles = [0.97 * np.exp(0.3j), 0.95 * np.exp(1.2j)]
    polynomial = np.real(np.poly([p for pole in poles for p in (pole, np.conj(pole))]))
    noise = np.random.default_rng(seed).standard_normal(samples + 500) * 0.01
    wave = np.zeros(samples + 500)
    for t in range(4, len(wave)):
        wave[t] = noise[t] - polynomial[1:] @ wave[t - 4 : t][::-1]
    return wave[500:].astype(np.float32), -polynomial[1:]


def test_coefficients_solve_the_normal_equations():
    past = np.stack([resonance(288, seed)[0] for seed in range(3)])
    shape = lpc_window(288)
    found = coefficients(torch.from_numpy(past), 8, torch.from_numpy(shape)).numpy()
    for wave, row in zip(past, found, strict=True):
        shaped = (wave * shape).astype(np.float64)
        r = np.array([shaped[: len(shaped) - k] @ shaped[k:] for k in range(9)])
        r[0] = r[0] * LPC_CORRECTION + LPC_FLOOR
        matrix = np.array([[r[abs(i - j)] for j in range(8)] for i in range(8)])
        np.testing.assert_allclose(row, np.linalg.solve(matrix, r[1:]), rtol=1e-4, atol=1e-5)


def test_a_resonance_is_predicted_almost_as_well_as_by_its_own_filter():
    wave, truth = resonance(4000)
    found = coefficients(torch.from_numpy(wave)[None, :3000], 4, torch.from_numpy(lpc_window(3000)))[0].numpy()
    pasts = np.stack([wave[t - 4 : t][::-1] for t in range(3000, 4000)])
    left, least = (np.std(wave[3000:] - pasts @ predictor) for predictor in (found, truth))
    assert least < 0.2 * np.std(wave)
    assert left < 1.3 * least
    silence = coefficients(torch.zeros(1, 288), 4, torch.from_numpy(lpc_window(288)))
    assert not silence.any()


def test_hints_predict_each_sample_from_those_before_it():
    W, F, K = 100, 8, 4
    wave, _ = resonance(W + F)
    shape = torch.from_numpy(lpc_window(W))
    found = hints(torch.from_numpy(wave)[None], K, shape, 256, "mu-law")[0].numpy()
    predictor = coefficients(torch.from_numpy(wave[None, :W]), K, shape)[0].numpy()
    for f in range(F):
        t = W + f
        predicted = predictor @ wave[t - K : t][::-1]
        error = wave[t - 1] - predictor @ wave[t - 1 - K : t - 1][::-1]
        said = [predicted, error]
        np.testing.assert_allclose(found[f], places(torch.tensor(said), 256, "mu-law").numpy(), atol=2e-3)
    # Nothing is told of the sample itself, or of what comes after it.
    later = torch.from_numpy(wave.copy())[None]
    later[0, W + 3 :] = 0.9
    np.testing.assert_array_equal(hints(later, K, shape, 256, "mu-law")[0, :4].numpy(), found[:4])


@pytest.mark.parametrize(("q_levels", "quantization"), [(256, "mu-law"), (30, "linear")])
def test_places_are_levels_not_rounded(q_levels, quantization):
    levels = np.arange(q_levels)
    waves = audio.decode_table(q_levels, quantization)
    found = places(torch.from_numpy(waves), q_levels, quantization).numpy()
    told = levels != q_levels // 2  # silence is decoded as 0 itself, half a level lower
    told[-1] = False
    np.testing.assert_allclose(found[told], levels[told], atol=1e-3)
    assert q_levels - 1.01 < found[-1] < q_levels - 1
    assert places(torch.tensor([-9.0, 9.0]), q_levels, quantization).tolist() == pytest.approx(
        [0, q_levels - 1], abs=1e-3
    )
    assert int(places(torch.tensor([9.0]), q_levels, quantization).long()) == q_levels - 2
