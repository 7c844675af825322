"""Tiny encoders with random weights, in folders laid out like the repositories whose names they carry.

They let tests run the code that loads and runs the pretrained encoders without downloading anything: the architecture,
the special tokens and the set of files are those of the real repository, the sizes are not.
"""

from __future__ import annotations

import io
import json
import string
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertTokenizer,
    CamembertConfig,
    CamembertForMaskedLM,
    CamembertTokenizer,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForPreTraining,
    ModernBertConfig,
    ModernBertForMaskedLM,
    MPNetConfig,
    MPNetForMaskedLM,
    MPNetTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaTokenizer,
)

SEED = 20240229
VOCABULARY = 500
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
ROBERTA_SIZES = {**SIZES, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}

ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

SENTENCES = (
    "I have not slept well for weeks and my head feels heavy in the morning.",
    "My sister called yesterday, and we talked until the tea was cold.",
    "Some days it is hard to leave the house, other days I walk for hours.",
    "The doctor asked how long I had been feeling this way.",
    "Nobody at work knows that I am worried all the time.",
    "We moved to a new town last spring and I still miss my old friends.",
    "After the exam I could finally breathe again.",
    "He says that running helps him more than anything else.",
    "Does anyone else feel anxious before every phone call?",
    "I started to write down three good things every evening.",
    "The bus was late, it rained, and I forgot my keys at home.",
    "Therapy was strange at first, but now I look forward to it.",
    "She smiled and told me that everything would be fine.",
    "I keep thinking about what I should have said.",
    "My dog is the only reason I get out of bed at six.",
    "Thank you for listening, it means a lot to me.",
    "Last night I cooked dinner for the first time in months.",
    "There is too much noise in this office to think clearly.",
    "I am tired of pretending that nothing is wrong.",
    "They changed my medication, and the first week was rough.",
    "What do you do when you cannot stop worrying?",
    "My father never spoke about his own troubles.",
    "The garden is full of birds, which makes me happy.",
    "I feel nothing at all, neither sad nor glad.",
    "It took me ten years to ask for help; please do not wait so long.",
    "We laughed about the film and forgot the time.",
    "Every Sunday the same thought comes back: what if I fail?",
    "I lost my job in March and my savings are almost gone.",
    "The teacher was kind and gave me two more days.",
    "Sometimes a short walk outside is enough to calm down.",
    "My hands were shaking when I opened the letter.",
    "You are not alone, and this will not last for ever.",
    "I would rather stay in my room than meet new people.",
    "The new book by my favourite writer is out today!",
    "He has been drinking again since the summer.",
    "I don't know how to explain it, it's like a fog that won't lift.",
)


def make_tiny_encoders(root: Path, names: Sequence[str]) -> dict[str, Path]:
    """Write the encoders below ``root`` and return the folder of each repository name."""
    folders = {}
    for name in names:
        folder = folders[name] = root / name
        folder.mkdir(parents=True)
        with torch.random.fork_rng(devices=[]):  # leaves the caller's random state as it was
            torch.manual_seed(SEED)
            model = MAKERS[name](folder)
        model.save_pretrained(folder)
        if name in PICKLED:
            torch.save(model.state_dict(), folder / "pytorch_model.bin")
            (folder / "model.safetensors").unlink()
        # Real repositories also hold files that no loader needs.
        licence = f"---\nlicense: {LICENCES[name]}\n---\n" if name in LICENCES else ""
        (folder / "README.md").write_text(f"{licence}# {name}\n\nRandom weights for tests.\n", encoding="utf-8")
        (folder / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n", encoding="utf-8")
    return folders


def _make_roberta_base(folder: Path) -> RobertaForMaskedLM:
    """The repository's files do not name the class of the tokenizer."""
    model = _make_roberta(folder)
    (folder / "special_tokens_map.json").unlink()
    _write_json(folder / "tokenizer_config.json", {"model_max_length": 512})
    return model


def _make_roberta(folder: Path) -> RobertaForMaskedLM:
    tokenizer = _train_byte_level(ROBERTA_TOKENS)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")),
        ("<s>", tokenizer.token_to_id("<s>")),
        trim_offsets=True,
        add_prefix_space=False,
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    special = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
    }
    settings = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512, "add_prefix_space": False}
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(folder / "tokenizer_config.json", {**special, **settings})
    return RobertaForMaskedLM(RobertaConfig(**ROBERTA_SIZES, vocab_size=tokenizer.get_vocab_size()))


def _make_bert(folder: Path) -> BertForMaskedLM:
    """The repository is from the time before tokenizer.json: it has nothing but the list of word pieces."""
    pieces = _word_pieces()
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    _write_json(folder / "tokenizer_config.json", {**_bert_special_tokens(), **settings})
    return BertForMaskedLM(BertConfig(**SIZES, vocab_size=len(pieces), max_position_embeddings=512))


def _make_modernbert(folder: Path) -> ModernBertForMaskedLM:
    tokenizer = _train_byte_level(BERT_TOKENS)
    ids = {token: tokenizer.token_to_id(token) for token in BERT_TOKENS}
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 8192,
    }
    _write_json(folder / "special_tokens_map.json", _bert_special_tokens())
    _write_json(folder / "tokenizer_config.json", {**_bert_special_tokens(), **settings})
    config = ModernBertConfig(
        **SIZES,
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=8192,
        pad_token_id=ids["[PAD]"],
        bos_token_id=ids["[CLS]"],
        eos_token_id=ids["[SEP]"],
        cls_token_id=ids["[CLS]"],
        sep_token_id=ids["[SEP]"],
    )
    return ModernBertForMaskedLM(config)


def _make_distilbert(folder: Path) -> DistilBertForMaskedLM:
    size = _save_word_pieces(folder, BertTokenizer, _word_pieces())
    sizes = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2}
    return DistilBertForMaskedLM(DistilBertConfig(**sizes, vocab_size=size))


def _make_electra(folder: Path) -> ElectraForPreTraining:
    """Its embeddings are smaller than its hidden states, as those of electra-small are."""
    size = _save_word_pieces(folder, BertTokenizer, _word_pieces())
    return ElectraForPreTraining(ElectraConfig(**SIZES, embedding_size=16, vocab_size=size))


def _make_mpnet(folder: Path) -> MPNetForMaskedLM:
    size = _save_word_pieces(folder, MPNetTokenizer, [*ROBERTA_TOKENS[:-1], *_word_pieces(), ROBERTA_TOKENS[-1]])
    return MPNetForMaskedLM(MPNetConfig(**SIZES, max_position_embeddings=514, vocab_size=size))


def _make_deberta(folder: Path) -> DebertaV2ForMaskedLM:
    """The repository has weights in half precision, and no tokenizer.json.

    It has a convolution too, as DeBERTa-v2-xlarge.
    """
    pieces = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    ids = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    _train_sentence_pieces(folder / "spm.model", **pieces, **ids)
    _write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "vocab_type": "spm"})
    positions = {"relative_attention": True, "position_buckets": 256, "position_biased_input": False}
    positions |= {"norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p"}
    config = DebertaV2Config(**SIZES, **positions, vocab_size=VOCABULARY, conv_kernel_size=3)
    return DebertaV2ForMaskedLM(config).half()


def _make_xlm_roberta(folder: Path) -> XLMRobertaForMaskedLM:
    size = _save_sentence_pieces(folder, XLMRobertaTokenizer)
    return XLMRobertaForMaskedLM(XLMRobertaConfig(**ROBERTA_SIZES, vocab_size=size))


def _make_camembert(folder: Path) -> CamembertForMaskedLM:
    size = _save_sentence_pieces(folder, CamembertTokenizer)
    return CamembertForMaskedLM(CamembertConfig(**ROBERTA_SIZES, vocab_size=size))


def _save_word_pieces(folder: Path, kind: type[PreTrainedTokenizerFast], pieces: list[str]) -> int:
    """Write vocab.txt, tokenizer.json and a configuration that does not name the class; return the size."""
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 512})
    return _save_tokenizer(folder, kind)


def _save_sentence_pieces(folder: Path, kind: type[PreTrainedTokenizerFast]) -> int:
    """Write the SentencePiece model, tokenizer.json and a configuration without the class; return the size."""
    _train_sentence_pieces(folder / "sentencepiece.bpe.model")
    _write_json(folder / "tokenizer_config.json", {"model_max_length": 512})
    return _save_tokenizer(folder, kind)


def _save_tokenizer(folder: Path, kind: type[PreTrainedTokenizerFast]) -> int:
    tokenizer = kind.from_pretrained(folder).backend_tokenizer
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


def _train_sentence_pieces(path: Path, **special: str | int) -> None:
    """A SentencePiece model of unigrams, with these special tokens instead of <unk>, <s> and </s>."""
    from sentencepiece import SentencePieceTrainer  # here: most tests need none

    content = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=content,
        vocab_size=VOCABULARY // 2,
        character_coverage=1.0,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **special,
    )
    path.write_bytes(content.getvalue())


def _train_byte_level(special_tokens: list[str]) -> Tokenizer:
    """A byte-level BPE: its first tokens are the special ones and the 256 bytes, so no text is unknown to it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special_tokens,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    # The mask takes the space before it, as it stands for a word together with that space.
    tokenizer.add_special_tokens([AddedToken(special_tokens[-1], lstrip=True, special=True, normalized=False)])
    return tokenizer


def _word_pieces() -> list[str]:
    """The special tokens, each character at the start and within a word, and the most frequent words and endings.

    The WordPiece trainer of ``tokenizers`` breaks ties differently from run to run, so it is not used here.
    """
    counts: Counter[str] = Counter()
    for sentence in SENTENCES:
        text = normalizers.BertNormalizer(lowercase=True).normalize_str(sentence)
        for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text):
            counts[word] += 1
            counts.update(f"##{word[-length:]}" for length in (2, 3, 4) if length < len(word))
    characters = sorted({*string.ascii_lowercase, *string.digits, *string.punctuation})
    pieces = [*BERT_TOKENS, *characters, *(f"##{character}" for character in characters)]
    ranked = sorted(counts.keys() - set(pieces), key=lambda piece: (-counts[piece], piece))
    return [*pieces, *ranked][:VOCABULARY]


def _bert_special_tokens() -> dict[str, str]:
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return dict(zip(names, BERT_TOKENS, strict=True))


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


MAKERS: dict[str, Callable[[Path], PreTrainedModel]] = {
    "mental/mental-roberta-base": _make_roberta,
    "mental/mental-bert-base-uncased": _make_bert,
    "answerdotai/ModernBERT-base": _make_modernbert,
    "FacebookAI/roberta-base": _make_roberta_base,
    "distilbert/distilbert-base-uncased": _make_distilbert,
    "google/electra-base-discriminator": _make_electra,
    "microsoft/deberta-v3-base": _make_deberta,
    "microsoft/mpnet-base": _make_mpnet,
    "FacebookAI/xlm-roberta-base": _make_xlm_roberta,
    "almanach/camembert-base": _make_camembert,
}
PUBLISHED = list(MAKERS)[:3]
OTHERS = list(MAKERS)[
    3:
]  # the families that the package takes beside those of the published encoders, and RoBERTa's own
PICKLED = {"google/electra-base-discriminator", "microsoft/deberta-v3-base", "microsoft/mpnet-base"}
LICENCES = {
    "FacebookAI/roberta-base": "mit",
    "distilbert/distilbert-base-uncased": "apache-2.0",
    "google/electra-base-discriminator": "apache-2.0",
    "microsoft/deberta-v3-base": "mit",
    "FacebookAI/xlm-roberta-base": "mit",
    "almanach/camembert-base": "mit",
}
