"""An encoder of your own: the two towers of a CLAP model of transformers.

    python -m atri_lib train --data my_sounds --parts 1 \\
        --clip-encoder clap_encoder:ClapAudio=CHECKPOINT \\
        --text-encoder clap_encoder:ClapText=CHECKPOINT

CHECKPOINT is a folder that ClapModel.save_pretrained wrote, or owner/name@COMMIT on a hub (with
ATRI_HUB=1), such as laion/clap-htsat-unfused. Type the command in this folder, or add the folder to
PYTHONPATH. CLAP's text tower was trained on English: in other languages its vectors say little,
which is what `--unfreeze text=all` can change. `atri_lib.encoders.presets` says what an encoder has
to have.
"""

from collections.abc import Sequence

import torch
import torchaudio
from torch import Tensor, nn
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

from atri_lib.audio import SAMPLE_RATE
from atri_lib.encoders.text import checked, embed, padded
from atri_lib.encoders.weights import fingerprint
from atri_lib.hub import model_path

SECONDS = 10  # that CLAP hears at once


class ClapAudio(nn.Module):
    """Waveforms [N, samples], 16 kHz, to one vector for each begun ten seconds: [N, P, dim]."""

    name = "clap-audio"
    fingerprint = property(fingerprint)

    def __init__(self, checkpoint: str) -> None:
        super().__init__()
        folder = model_path(checkpoint)
        self.model = ClapModel.from_pretrained(folder, local_files_only=True)
        self.extractor = ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
        if self.model.config.audio_config.enable_fusion:
            raise ValueError(f"{checkpoint}: fused CLAP draws its windows; use an unfused one")
        self.dim = self.model.config.projection_dim

    @property
    def blocks(self) -> nn.ModuleList:
        """The groups of layers of the audio tower, first to last."""
        return self.model.audio_model.audio_encoder.layers

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms -> patches; the last window of a clip is repeated until it is full."""
        rate = self.extractor.sampling_rate
        wave = torchaudio.functional.resample(waveform, SAMPLE_RATE, rate)
        patches = []
        for window in wave.split(SECONDS * rate, dim=1):
            heard = self.extractor(
                list(window.cpu().numpy()),
                sampling_rate=rate,
                truncation="rand_trunc",  # nothing is longer than a window, so nothing is drawn
                return_tensors="pt",
            )
            mels = heard["input_features"]  # [N, 1, frames, mels]
            mels = mels.to(waveform.device, torch.float32)
            patches.append(self.model.get_audio_features(mels).pooler_output)
        return torch.stack(patches, dim=1)


class ClapText(nn.Module):
    """Sentences to one vector each: [N, dim]."""

    name = "clap-text"
    fingerprint = property(fingerprint)
    embed = embed

    def __init__(self, checkpoint: str) -> None:
        super().__init__()
        folder = model_path(checkpoint)
        self.model = ClapModel.from_pretrained(folder, local_files_only=True)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.dim = self.model.config.projection_dim

    @property
    def blocks(self) -> nn.ModuleList:
        """The layers of the text tower, first to last."""
        return self.model.text_model.encoder.layer

    def tokenize(self, sentences: Sequence[str], language: str = "eng") -> dict[str, Tensor]:
        """Sentences -> ids int64 and mask bool, [N, longest]; the language changes nothing."""
        rows = self.tokenizer(checked(sentences), verbose=False)["input_ids"]
        return padded(rows)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64, mask bool [N, L] -> vectors [N, dim]."""
        return self.model.get_text_features(ids, attention_mask=mask.long()).pooler_output
