"""What a training step costs, counted."""

from tts.models.config import TwoTierConfig
from tts.training.config import LossConfig


def multiply_adds(model: TwoTierConfig, loss: LossConfig) -> float:
    """Multiply-adds of one forward pass per sample of audio: all matrix products; tables and gates not counted.

    The frame tier runs over all frames, the sample tier over the loss frames. A backward pass costs twice the forward
    pass in either (once for the inputs' gradient, once for the weights'), so a step costs three times this.
    """
    c = model
    gates = {"gru": 3, "lstm": 4}[c.cell] * c.dim
    frame = gates * (c.input_dim + c.dim) + (c.n_rnn - 1) * gates * 2 * c.dim
    frame += c.dim if c.duration == "implicit" else c.duration_dim * (c.context_dim + c.clock_dim + 1)
    if loss.spectral_weight:
        frame += c.dim * len(loss.spectral_offsets) * loss.n_mels
    upsampling = c.dim * (c.upsample_rank or c.sample_dim) + c.upsample_rank * c.sample_dim
    history = c.hist_size * (1 if c.history == "real" else c.embedding_dim) * c.sample_dim
    after = (c.sample_layers - 1) * c.sample_dim**2 + c.sample_dim * c.n_outputs
    if c.prediction == "adaptive":  # the analysis is no matrix product
        history += (c.n_residuals + 2) * c.sample_dim + c.n_residuals * (1 + c.dim / c.frame_size)
    passes = 1 + (loss.next_frame_weight > 0)
    return frame / c.frame_size + loss.frame_share * (upsampling + history + passes * after)
