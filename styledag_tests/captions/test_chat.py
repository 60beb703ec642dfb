import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from styledag.captions.chat import ChatCaptioner, missing_packages
from styledag.captions.chat_prompt import chat_prompt
from styledag.captions.settings import CaptionSettings
from styledag.errors import DeviceError, ModelError
from styledag.models.compute import Compute
from styledag.models.reference import ModelReference
from styledag_tests.captions.tiny_captioners import save_llava
from styledag_tests.images.images import noisy

CPU = Compute(torch.device("cpu"), torch.float32)
SETTINGS = CaptionSettings(
    captioner=ModelReference(model="x"), prompt="describe", num_beams=1, max_new_tokens=6
)
IMAGES = [noisy(seed, (40 + 8 * seed, 48)) for seed in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llava(tmp_path_factory.mktemp("llava"))


def one_by_one(folder: Path, images: list[Image.Image], settings: CaptionSettings) -> list[str]:
    """Each image on its own, as the model's documentation shows it."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    captions = []
    for image in images:
        content = [
            {"type": "image", "image": image},
            {"type": "text", "text": settings.prompt},
        ]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        tokens = model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=settings.max_new_tokens,
            repetition_penalty=settings.repetition_penalty,
            no_repeat_ngram_size=settings.no_repeat_ngram_size,
        )
        words = processor.decode(
            tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        captions.append(words.strip())
    return captions


def test_a_batch_is_what_transformers_gives_one_by_one(folder: Path) -> None:
    captions = ChatCaptioner(folder, "v1", CPU)(IMAGES, SETTINGS)
    assert captions == one_by_one(folder, IMAGES, SETTINGS)
    assert len(set(captions)) > 1


def test_a_template_that_begins_the_text_itself_is_not_begun_twice(tmp_path: Path) -> None:
    """Llama's and Gemma's tokenizers put their first token in front of any text."""
    folder = save_llava(tmp_path)
    template = folder / "chat_template.jinja"
    template.write_text("<s> " + template.read_text())
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    first = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, text],
        "pair": [first, text],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    path.write_text(json.dumps(tokenizer))
    captions = ChatCaptioner(folder, "v1", CPU)(IMAGES, SETTINGS)
    assert captions == one_by_one(folder, IMAGES, SETTINGS)


def with_template(folder: Path, template: str) -> ChatCaptioner:
    save_llava(folder)
    (folder / "chat_template.jinja").write_text(template)
    return ChatCaptioner(folder, "v1", CPU)


@pytest.mark.parametrize(
    "template",
    [
        # The image is placed by nobody, or by the template; a list is no text, or becomes one.
        "{% for m in messages %}{{ 'user : ' + m['content'] + ' ' }}{% endfor %}assistant : ",
        "{% for m in messages %}user : {{ m['content'] | trim }} {% endfor %}assistant : ",
        "{% for m in messages %}user : <image> {{ m['content'] | trim }} {% endfor %}assistant : ",
    ],
)
def test_a_template_that_expects_a_string_gets_one(
    folder: Path, tmp_path: Path, template: str
) -> None:
    """JoyCaption's does."""
    captions = with_template(tmp_path, template)(IMAGES, SETTINGS)
    assert captions == one_by_one(folder, IMAGES, SETTINGS)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ messages | length }} what?", "places no image"),
    ],
)
def test_a_template_that_fits_no_image_is_named(tmp_path: Path, template: str, why: str) -> None:
    with pytest.raises(ModelError, match=rf"chat template of captioner {tmp_path}.*{why}"):
        with_template(tmp_path, template)(IMAGES, SETTINGS)


def test_a_tokenizer_without_a_token_to_pad_with_is_padded(folder: Path, tmp_path: Path) -> None:
    path = save_llava(tmp_path) / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["pad_token"]
    path.write_text(json.dumps(config))
    captions = ChatCaptioner(tmp_path, "v1", CPU)(IMAGES, SETTINGS)
    assert captions == one_by_one(folder, IMAGES, SETTINGS)


def test_images_that_a_processor_does_not_take_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise ValueError("height:14 or width:40 must be larger than factor:28")

    captioner = ChatCaptioner(folder, "v1", CPU)
    monkeypatch.setattr(type(captioner.loaded[1]), "__call__", refuses)
    with pytest.raises(ModelError, match=r"images of 40 x 48 px \(height:14.*factor:28"):
        captioner(IMAGES[:1], SETTINGS)


def test_nan_is_no_caption(tmp_path: Path) -> None:
    """As of a model that overflows in float16."""
    path = save_llava(tmp_path) / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "language" in name and "layers.0.mlp" in name)
    save_file({**tensors, name: tensors[name] * float("inf")}, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"computes NaN in torch\.float32 on cpu.* dtype auto"):
        ChatCaptioner(tmp_path, "v1", CPU)(IMAGES, SETTINGS)


def test_answers_that_the_most_tokens_cut_off_are_counted(folder: Path) -> None:
    captioner = ChatCaptioner(folder, "v1", CPU)
    captioner(IMAGES, replace(SETTINGS, max_new_tokens=1))
    assert captioner.work["answers_cut_off"] == len(IMAGES)
    _, processor = captioner.loaded
    last = processor.tokenizer.convert_tokens_to_ids(captioner(IMAGES[:1], SETTINGS)[0].split()[-1])
    captioner.work.clear()
    captioner.__dict__["_ends"] = frozenset({last})
    captioner(IMAGES[:1], SETTINGS)
    assert captioner.work["answers_cut_off"] == 0


def test_prompt_and_decoding_are_its_identity(folder: Path) -> None:
    captioner = ChatCaptioner(folder, "v1", CPU)
    identity = captioner.identity(SETTINGS)
    assert identity["prompt"] == "describe"
    assert identity["num_beams"] == 1
    assert captioner.version.startswith("v1/")


def test_a_model_without_a_chat_template_is_named(tmp_path: Path) -> None:
    folder = save_llava(tmp_path)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        ChatCaptioner(folder, "v1", CPU)(IMAGES, SETTINGS)


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"config.json": {"model_type": "llava"}}, []),
        (
            {"config.json": {"model_type": "qwen3_vl"}, "video_preprocessor_config.json": {}},
            ["torchvision"],
        ),
        (
            {
                "config.json": {"model_type": "smolvlm"},
                "processor_config.json": {"video_processor": {"video_sampling": {}}},
            },
            ["torchvision", "num2words"],
        ),
    ],
    ids=["llava", "qwen3-vl", "smolvlm"],
)
def test_what_a_processor_is_loaded_with_is_known_by_its_configurations(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, dict[str, object]],
    missing: list[str],
) -> None:
    for package in ("torchvision", "num2words"):
        monkeypatch.setitem(sys.modules, package, None)
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert missing_packages(tmp_path) == missing


@pytest.mark.parametrize("file", ["processor_config.json", "tokenizer_config.json"])
def test_what_a_processors_class_states_itself_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """As Pixtral's, which reads no videos, does where torchvision is not there."""
    monkeypatch.setitem(transformers._object_missing_backend, "PixtralProcessor", ["torchvision"])
    monkeypatch.setitem(sys.modules, "torchvision", None)
    (tmp_path / "config.json").write_text('{"model_type": "mistral3"}')
    assert missing_packages(tmp_path) == []
    (tmp_path / file).write_text('{"processor_class": "PixtralProcessor"}')
    monkeypatch.setitem(sys.modules, "transformers.models.pixtral.processing_pixtral", None)
    assert missing_packages(tmp_path) == ["torchvision"]


def test_a_processor_whose_package_is_missing_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoProcessor

    def needs_torchvision(*_: object, **__: object) -> None:
        raise ImportError("\nVideoProcessor requires the Torchvision library\n")

    monkeypatch.setattr(AutoProcessor, "from_pretrained", needs_torchvision)
    with pytest.raises(ModelError, match=r"llava.* needs a package .*requires the Torchvision"):
        ChatCaptioner(folder, "v1", CPU)(IMAGES, SETTINGS)


def test_refusals_in_words_are_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["I'm sorry, but I can't help.", "a fox"]
    monkeypatch.setattr(ChatCaptioner, "__call__", lambda *_: said)
    captioner = ChatCaptioner(folder, "x", CPU)
    assert list(captioner.answers(IMAGES[:2], SETTINGS)) == list(enumerate(said))
    assert captioner.work["answers_refused"] == 1


def test_a_batch_that_does_not_fit_counts_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not patches, of which Qwen's processor gives hundreds for each."""
    captioner = ChatCaptioner(folder, "v1", CPU)
    processor = type(captioner.loaded[1])
    original = processor.__call__

    def in_patches(self: object, **given: object) -> object:
        inputs = original(self, **given)
        inputs["pixel_values"] = inputs["pixel_values"].flatten(0, 1)
        return inputs

    def too_much(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(processor, "__call__", in_patches)
    monkeypatch.setattr(captioner.loaded[0], "generate", too_much)
    with pytest.raises(DeviceError, match="captioning 2 images at a time does not fit"):
        captioner(IMAGES[:2], SETTINGS)


def test_padding_is_nothing_that_an_answer_avoids(folder: Path) -> None:
    """With the end of an answer as padding, those to shorter prompts would not end."""
    from transformers import LogitsProcessorList

    settings = replace(SETTINGS, num_beams=2, repetition_penalty=1.5, no_repeat_ngram_size=2)
    end, scores = 2, torch.linspace(-1, 1, 8).repeat(4, 1)
    ids = torch.tensor([[end, end, 5, 6, 5]] * 2 + [[4, end, 5, 6, 7]] * 2)  # two beams each
    captioner = ChatCaptioner(folder, "v1", CPU)
    search = captioner.search(
        {"attention_mask": torch.tensor([[0, 0, 1, 1, 1], [1] * 5])}, settings
    )
    assert (search["repetition_penalty"], search["no_repeat_ngram_size"]) == (1.0, 0)
    found = LogitsProcessorList(search["logits_processor"])(ids, scores)
    assert found[0, end] == scores[0, end]
    alone = captioner.search({"attention_mask": torch.ones(1, 3)}, settings)["logits_processor"]
    assert torch.equal(found[:1], LogitsProcessorList(alone)(ids[:1, 2:], scores[:1]))
    assert found[0, 6] == -torch.inf  # 5 6 is there already
    assert found[2, end] == scores[2, end] * 1.5


def test_a_template_without_thinking_is_filled_in_quietly(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        chat_prompt(ChatCaptioner(folder, "v1", CPU).loaded[1], "describe", captioner="x")
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.text == ""
