"""The usual way, as tutorials have it: librosa.load of the file, librosa mel, the network in PyTorch, file by file.

Run with a model folder and files it is a whole program; with ``--serve`` it reads one path a line and answers each
with its processor seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import librosa
import numpy as np
import torch
from safetensors.torch import load_file

from earmark.models.card import read_card
from earmark.training.backbones import build
from measure import EXCERPT, serve


class Usual:
    """The model's own network and weights, run by PyTorch."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self.card = read_card(folder)
        frontend = self.card.frontend
        assert frontend is not None
        self.frontend = frontend
        self.samples = round(self.card.clip.seconds * frontend.sample_rate)
        options = self.card.recipe.get("backbone", {}).get("options", {})
        self.backbone = build(self.card.backbone, frontend.frames(self.samples), frontend.bands, options).eval()
        state = load_file(str(folder / "weights.safetensors"))
        self.backbone.load_state_dict({k[9:]: v for k, v in state.items() if k.startswith("backbone.")})
        self.heads = [self._head(head.name, len(head.labels) or 1, state) for head in self.card.heads]

    def _head(self, name: str, labels: int, state: dict[str, torch.Tensor]) -> torch.nn.Linear:
        """A linear layer; with the model's weights where its head is one."""
        layer = torch.nn.Linear(self.backbone.features, labels)
        for key, value in state.items():
            own = key.rsplit(".", 1)[-1]
            if (
                key.startswith(f"heads.{name}.")
                and own in ("weight", "bias")
                and value.shape == getattr(layer, own).shape
            ):
                getattr(layer, own).data = value.float()
        return layer

    @torch.inference_mode()
    def tag(self, path: str) -> np.ndarray:
        """Scores of the first head."""
        wave, _ = librosa.load(path, sr=self.frontend.sample_rate, mono=True)
        count = max(1, round(EXCERPT / self.card.clip.seconds))
        middle = max(0, (len(wave) - count * self.samples) // 2)
        clips = [wave[middle + i * self.samples :][: self.samples] for i in range(count)]
        pictures = np.stack([self._picture(np.resize(clip, self.samples)) for clip in clips])
        embedding = self.backbone(torch.from_numpy(pictures))
        scores = [torch.softmax(head(embedding), 1).mean(0).numpy() for head in self.heads]
        return scores[0]

    def _picture(self, clip: np.ndarray) -> np.ndarray:
        f = self.frontend
        lengths = {"n_fft": f.n_fft, "win_length": f.win_length, "hop_length": f.hop_length, "power": float(f.power)}
        bank = {"n_mels": f.bands, "fmin": f.f_min, "fmax": f.f_max, "htk": f.mel_scale == "htk"}
        norm = "slaney" if f.mel_norm else None
        mel = librosa.feature.melspectrogram(y=clip, sr=f.sample_rate, norm=norm, **lengths, **bank)
        return librosa.power_to_db(mel, amin=f.floor, top_db=f.range_db or None).T.astype(np.float32)


def main() -> None:
    """Tag the files, or serve."""
    model, *files = sys.argv[1:]
    usual = Usual(Path(model))
    if files != ["--serve"]:
        for file in files:
            print(file, usual.card.heads[0].labels[int(usual.tag(file).argmax())])
        return
    serve(usual.tag)


if __name__ == "__main__":
    main()
