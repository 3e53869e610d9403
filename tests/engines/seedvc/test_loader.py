"""Model folders in the published layouts, through the real loader."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Window
from seedvc_live.engines.seedvc.campplus import CAMPPlus
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.hub import ModelStore, default_folder
from seedvc_live.engines.seedvc.loader import device_of, load_encoder, load_networks
from seedvc_live.engines.seedvc.presets import (
    CAMPPLUS,
    HIFT,
    PRESETS,
    SEED_VC,
    HubFile,
    files_of,
    parse_config,
    preset,
    read_config,
)
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.errors import EngineError, ModelFileError

from .build import CentredStub, bigvgan_config, small_networks, write_yaml
from .pseudo import pseudo_state

pytestmark = pytest.mark.torch
CHECKPOINT = HubFile(SEED_VC, PRESETS["xlsr-tiny"].checkpoint)


@pytest.fixture(scope="module")
def xlsr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A flat folder with every file of a small xlsr-tiny but the content encoder's."""
    from seedvc_live.engines.seedvc.cfm import FlowMatching
    from seedvc_live.engines.seedvc.hift import Hift
    from seedvc_live.engines.seedvc.length_regulator import LengthRegulator

    folder = tmp_path_factory.mktemp("models")
    config = small_networks("xlsr-tiny").config
    net = {
        "cfm": pseudo_state(FlowMatching(config.dit)),
        "length_regulator": pseudo_state(LengthRegulator(config.regulator)),
    }
    torch.save({"net": net}, folder / CHECKPOINT.name)
    torch.save(pseudo_state(Hift(), "hift"), folder / HIFT.name)
    style = pseudo_state(CAMPPlus())
    torch.save({("xvector." + k if k.startswith("dense.") else k): v for k, v in style.items()}, folder / CAMPPLUS.name)
    write_yaml(folder / PRESETS["xlsr-tiny"].config_file, config)
    yield folder
    shutil.rmtree(folder)


def load(folder: Path, **options: Any) -> SeedVCEngine:
    networks = load_networks(preset("xlsr-tiny"), ModelStore(folder), encoder=CentredStub(48), **options)
    return SeedVCEngine(networks)


def block_of(engine: SeedVCEngine) -> Any:
    settings = SeedVCSettings(diffusion_steps=1, context=0.4, dit_context=0.2, prompt_seconds=1.0)
    rng = np.random.default_rng(0)
    voice = engine.enroll(Pcm(rng.normal(0, 0.1, 40000).astype(np.float32), 22050))
    samples = rng.normal(0, 0.1, engine.geometry(settings, voice).window).astype(np.float32)
    return engine.convert([Window(0, samples, voice, settings)])[0].samples


def linked(source: Path, target: Path) -> Path:
    """A folder with the same files, to change one of them."""
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        os.link(file, target / file.name)
    return target


def replaced(folder: Path, name: str, content: Any) -> None:
    (folder / name).unlink()
    torch.save(content, folder / name)


def test_flat_folder_prefixes_and_hub_cache_give_one_model(xlsr: Path, tmp_path: Path) -> None:
    engine = load(xlsr)
    expected = block_of(engine)
    prefixed = linked(xlsr, tmp_path / "prefixed")
    content = torch.load(xlsr / CHECKPOINT.name, weights_only=True)
    net = {part: {f"module.{name}": value for name, value in state.items()} for part, state in content["net"].items()}
    replaced(prefixed, CHECKPOINT.name, {"net": net, "iters": 3})
    np.testing.assert_array_equal(block_of(load(prefixed)), expected)

    cache = tmp_path / "cache"
    for file in (CHECKPOINT, HIFT, CAMPPLUS, HubFile(SEED_VC, PRESETS["xlsr-tiny"].config_file)):
        root = cache / f"models--{file.repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True, exist_ok=True)
        (root / "refs" / "main").write_text("abc123")
        (root / "snapshots" / "abc123").mkdir(parents=True, exist_ok=True)
        os.link(xlsr / file.name, root / "snapshots" / "abc123" / file.name)
    cached = load(cache)
    np.testing.assert_array_equal(block_of(cached), expected)
    assert cached.weights_hash == engine.weights_hash != load(prefixed).weights_hash


def test_finetuned_files_replace_the_presets_own(xlsr: Path, tmp_path: Path) -> None:
    folder = linked(xlsr, tmp_path / "models")
    checkpoint = shutil.move(folder / CHECKPOINT.name, tmp_path / "mine.pth")
    config = shutil.move(folder / PRESETS["xlsr-tiny"].config_file, tmp_path / "mine.yml")
    engine = load(folder, checkpoint=Path(checkpoint), config_file=Path(config))
    np.testing.assert_array_equal(block_of(engine), block_of(load(xlsr)))


def test_a_missing_file_says_where_to_put_it(xlsr: Path, tmp_path: Path) -> None:
    folder = linked(xlsr, tmp_path / "models")
    (folder / HIFT.name).unlink()
    with pytest.raises(ModelFileError, match=r"hift\.pt.*--model-dir"):
        load(folder)


def test_a_missing_key_is_named(xlsr: Path, tmp_path: Path) -> None:
    folder = linked(xlsr, tmp_path / "models")
    content = torch.load(xlsr / CHECKPOINT.name, weights_only=True)
    del content["net"]["cfm"]["estimator.style_in.bias"]
    replaced(folder, CHECKPOINT.name, content)
    with pytest.raises(ModelFileError, match=r"key 'estimator\.style_in\.bias' is missing"):
        load(folder)
    replaced(folder, CHECKPOINT.name, {"net": {"cfm": content["net"]["cfm"]}})
    with pytest.raises(ModelFileError, match=r"is missing|no entry"):
        load(folder)


def test_a_wrong_configuration_names_the_key(xlsr: Path, tmp_path: Path) -> None:
    folder = linked(xlsr, tmp_path / "models")
    path = folder / PRESETS["xlsr-tiny"].config_file
    values = json.loads(path.read_text())
    path.unlink()
    values["model_params"]["DiT"]["hidden_dim"] = 128
    path.write_text(json.dumps(values))
    with pytest.raises(ModelFileError, match=r"key 'estimator\..*' has shape"):
        load(folder)
    path.write_text("{")
    with pytest.raises(ModelFileError, match="no YAML"):
        load(folder)
    path.write_text("[1]")
    with pytest.raises(ModelFileError, match="no settings"):
        load(folder)


def test_a_truncated_file(xlsr: Path, tmp_path: Path) -> None:
    folder = linked(xlsr, tmp_path / "models")
    for size in (0, 100, 100_000):
        content = (xlsr / CHECKPOINT.name).read_bytes()[:size]
        (folder / CHECKPOINT.name).unlink()
        (folder / CHECKPOINT.name).write_bytes(content)
        with pytest.raises(ModelFileError, match="damaged"):
            load(folder)


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, (BOMB_MARK,)


BOMB_MARK = ""


@pytest.mark.parametrize("how", ["zip", "plain"])
def test_a_pickle_with_code_is_refused_and_not_run(
    xlsr: Path, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, mark = linked(xlsr, tmp_path / "models"), tmp_path / "ran"
    monkeypatch.setattr(f"{__name__}.BOMB_MARK", str(mark))
    (folder / HIFT.name).unlink()
    if how == "zip":
        torch.save({"weights": Bomb()}, folder / HIFT.name)
    else:
        (folder / HIFT.name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelFileError, match=r"could run code|damaged"):
        load(folder)
    assert not mark.exists()


def test_checksums_are_recorded_and_checked(xlsr: Path, tmp_path: Path) -> None:
    folder = linked(xlsr, tmp_path / "models")
    store = ModelStore(folder)
    store.remember(HIFT, folder / HIFT.name)
    assert store.require(HIFT) == folder / HIFT.name
    content = bytearray((folder / HIFT.name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / HIFT.name).unlink()
    (folder / HIFT.name).write_bytes(bytes(content))
    with pytest.raises(ModelFileError, match="has changed"):
        store.require(HIFT)
    store.remember(HIFT, folder / HIFT.name)  # the first record stays
    with pytest.raises(ModelFileError, match="has changed"):
        store.require(HIFT)


def test_nothing_is_downloaded_by_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDVC_LIVE_MODELS", str(tmp_path))
    assert default_folder() == tmp_path
    with pytest.raises(ModelFileError, match="is not in"):
        SeedVCEngine.load("whisper-small")
    with pytest.raises(EngineError, match="no Seed-VC model 'large'"):
        SeedVCEngine.load("large")


def test_every_preset_names_its_files() -> None:
    counts = {name: len(files_of(p)) for name, p in PRESETS.items()}
    assert counts == {"xlsr-tiny": 7, "whisper-small": 8, "singing-44k": 9}


@pytest.mark.parametrize("model", list(PRESETS))
def test_a_preset_written_as_yaml_reads_back(model: str, tmp_path: Path) -> None:
    write_yaml(tmp_path / "config.yml", PRESETS[model].config)
    assert read_config(tmp_path / "config.yml") == PRESETS[model].config


def test_a_configuration_of_another_model_is_refused(tmp_path: Path) -> None:
    write_yaml(tmp_path / "config.yml", PRESETS["xlsr-tiny"].config)
    values = json.loads((tmp_path / "config.yml").read_text())
    values["model_params"]["speech_tokenizer"]["type"] = "cosyvoice"
    with pytest.raises(ModelFileError, match=r"speech_tokenizer\.type is 'cosyvoice'"):
        parse_config(values, "x.yml")
    del values["preprocess_params"]["sr"]
    values["model_params"]["speech_tokenizer"]["type"] = "xlsr"
    with pytest.raises(ModelFileError, match="'sr' is missing"):
        parse_config(values, "x.yml")


def test_bigvgan_of_another_size_is_refused(tmp_path: Path) -> None:
    from seedvc_live.engines.seedvc.bigvgan import BigVgan, BigVganConfig
    from seedvc_live.engines.seedvc.loader import load_vocoder

    config = PRESETS["whisper-small"].config
    folder = tmp_path / "bigvgan_v2_22khz_80band_256x"
    folder.mkdir()
    values = bigvgan_config(config.mel)
    state = pseudo_state(BigVgan(BigVganConfig.parse(values)), "bigvgan")
    torch.save({"generator": state}, folder / "bigvgan_generator.pt")
    (folder / "config.json").write_text(json.dumps(values))
    vocoder, path = load_vocoder(config, ModelStore(tmp_path))
    assert path == folder / "bigvgan_generator.pt"
    assert not any(name.endswith("weight_g") for name in vocoder.network.state_dict())  # type: ignore[attr-defined]
    (folder / "config.json").write_text(json.dumps({**values, "upsample_rates": [8, 4, 2, 2, 2, 2]}))
    with pytest.raises(ModelFileError, match="hop 512"):
        load_vocoder(config, ModelStore(tmp_path))


@pytest.mark.filterwarnings("ignore")  # transformers' own
def test_content_encoders_from_local_folders(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    store, cpu = ModelStore(tmp_path), torch.device("cpu")
    torch.manual_seed(0)
    xlsr = transformers.Wav2Vec2Config(
        hidden_size=48,
        num_hidden_layers=14,
        num_attention_heads=2,
        intermediate_size=64,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    transformers.Wav2Vec2Model(xlsr).save_pretrained(tmp_path / "wav2vec2-xls-r-300m")
    config = PRESETS["xlsr-tiny"].config
    encoder, _ = load_encoder(config, store, cpu, torch.float32, False)
    wave = torch.randn(2, 16000, generator=torch.Generator().manual_seed(1)) * 0.1
    features = encoder(wave)
    assert features.shape == (2, 49, 48)
    assert torch.allclose(encoder(3 * wave + 0.01), features, atol=1e-3)  # normalised per call
    assert len(encoder.model.encoder.layers) == 12  # type: ignore[attr-defined]

    whisper = transformers.WhisperConfig(
        d_model=48, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=64, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=64, vocab_size=64, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    transformers.WhisperModel(whisper).save_pretrained(tmp_path / "whisper-small")
    transformers.WhisperFeatureExtractor().save_pretrained(tmp_path / "whisper-small")
    config = PRESETS["whisper-small"].config
    padded = load_encoder(config, store, cpu, torch.float32, False)[0](wave)
    short = load_encoder(config, store, cpu, torch.float32, True)[0](wave)
    assert padded.shape == short.shape == (2, 51, 48)
    assert not torch.equal(padded, short)
    with pytest.raises(EngineError, match="30 s"):
        load_encoder(config, store, cpu, torch.float32, False)[0](torch.zeros(1, 480001))


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "meta"])
def test_a_device_that_is_not_here_is_named(name: str) -> None:
    with pytest.raises(EngineError, match=name):
        device_of(name)


def test_the_processor_is_always_here() -> None:
    assert device_of("cpu").type == "cpu"
    assert device_of("auto").type in {"cpu", "cuda"}
