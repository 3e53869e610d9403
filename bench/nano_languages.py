"""Speech in other languages than English, converted by nano and read back by the multilingual recogniser.

Kokoro speaks a few sentences of each language with its own voices (training/kokoro.py), `seedvc-live evaluate` judges
streaming conversions of them into English voices that training never heard. Needs espeak-ng and npm.

    python bench/nano_languages.py --corpus CORPUS          # writes bench/results/nano_languages.json and .md
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from training.kokoro import RATE, Kokoro
from training.run import KOKORO

from training import speak

RESULTS = Path(__file__).parent / "results"
REFERENCES = (("103-1240-0000.flac", "high"), ("307-127535-0000.flac", "low"))
LANGUAGES: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "English": ("en", "en-us", ("af_nova", "am_onyx"), (
        "The train to the north leaves at half past seven in the morning.",
        "My sister bought fresh bread and a little cheese at the market.",
        "Tomorrow it will rain in the mountains, but not near the sea.",
        "He opened the window because the room was far too warm.",
        "Nobody knew where the old man had hidden the letters.",
    )),
    "Spanish": ("es", "es", ("ef_dora", "em_alex"), (
        "El tren del norte sale a las siete y media de la mañana.",
        "Mi hermana compró pan fresco y un poco de queso en el mercado.",
        "Mañana lloverá en las montañas, pero no cerca del mar.",
        "Abrió la ventana porque en la habitación hacía demasiado calor.",
        "Nadie sabía dónde había escondido las cartas el viejo.",
    )),
    "French": ("fr", "fr-fr", ("ff_siwis",), (
        "Le train du nord part à sept heures et demie du matin.",
        "Ma sœur a acheté du pain frais et un peu de fromage au marché.",
        "Demain il pleuvra dans les montagnes, mais pas près de la mer.",
        "Il a ouvert la fenêtre parce que la chambre était beaucoup trop chaude.",
        "Personne ne savait où le vieil homme avait caché les lettres.",
    )),
    "Italian": ("it", "it", ("if_sara", "im_nicola"), (
        "Il treno per il nord parte alle sette e mezza di mattina.",
        "Mia sorella ha comprato pane fresco e un po' di formaggio al mercato.",
        "Domani pioverà in montagna, ma non vicino al mare.",
        "Aprì la finestra perché nella stanza faceva troppo caldo.",
        "Nessuno sapeva dove il vecchio avesse nascosto le lettere.",
    )),
    "Portuguese": ("pt", "pt-br", ("pf_dora", "pm_alex"), (
        "O trem para o norte sai às sete e meia da manhã.",
        "Minha irmã comprou pão fresco e um pouco de queijo no mercado.",
        "Amanhã vai chover nas montanhas, mas não perto do mar.",
        "Ele abriu a janela porque o quarto estava quente demais.",
        "Ninguém sabia onde o velho tinha escondido as cartas.",
    )),
}  # fmt: skip
"""Name → code for Whisper, for espeak-ng, voices, sentences."""


def source(kokoro: Kokoro, language: str, voice: str, texts: tuple[str, ...]) -> np.ndarray:
    """All sentences one after the other, with pauses of 0.2 s between them."""
    parts = []
    for text in texts:
        tokens = kokoro.tokens(text, language)
        style = kokoro.style({voice: 1.0}, tokens)
        parts += [kokoro.speak(tokens, style, kokoro.durations(tokens, style)), np.zeros(RATE // 5, np.float32)]
    samples = np.concatenate(parts)
    return samples * (0.7 / np.abs(samples).max())


def evaluated(folder: Path, code: str, profile: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "seedvc_live", "evaluate", "--pairs", str(folder / "pairs.tsv"), "--audio"]
    command += [str(folder), "--language", code, "--systems", "streaming", "--profile", profile, "--json"]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    entries = {e["system"]: e for e in result["summary"] if e["kind"] == "all"}
    live, floor = entries["streaming"], entries["floor"]
    names = ("pairs", "word_error", "character_error", "share_of_way", "dnsmos", "pitch_correlation")
    return {"weights": result["about"]["weights"], **{n: live[n] for n in names}, "source_dnsmos": floor["dnsmos"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with librispeech/, for the references")
    parser.add_argument("--files", type=Path, default=KOKORO.parent / "runs" / "kokoro", help="for downloads")
    parser.add_argument("--profile", default="balanced")
    parser.add_argument("--out", type=Path, default=RESULTS / "nano_languages.json")
    options = parser.parse_args()
    kokoro = speak.load(yaml.safe_load(KOKORO.read_text()), options.files)
    lines = ["| language | pairs | word error | character error | of the way | DNSMOS (source) |", "| --- " * 6 + "|"]
    results = {}
    for name, (code, espeak, voices, texts) in LANGUAGES.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            rows = ["source\treference\tkind"]
            for voice in voices:
                soundfile.write(folder / f"{voice}.flac", source(kokoro, espeak, voice, texts), RATE)
                rows += [f"{voice}.flac\t{reference}\tto-{kind}" for reference, kind in REFERENCES]
            for reference, _ in REFERENCES:
                (folder / reference).symlink_to((options.corpus / "librispeech" / reference).resolve())
            (folder / "pairs.tsv").write_text("\n".join(rows) + "\n")
            figures = results[name] = evaluated(folder, code, options.profile)
        lines.append(
            f"| {name} | {figures['pairs']} | {figures['word_error']:.3f} | {figures['character_error']:.3f} | "
            f"{figures['share_of_way']:.0%} | {figures['dnsmos']:.2f} ({figures['source_dnsmos']:.2f}) |"
        )
        print(lines[-1], flush=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    options.out.with_suffix(".md").write_text("# nano in other languages\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
