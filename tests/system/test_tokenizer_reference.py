#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claim: our tokens are those of the tokenizers' own makers, for 2,500 awkward texts each, with
TP_EVERY=1 for 10,000.

Against: the Python packages `tokenizers` (byte pairs with the rules of GPT-2, Llama-3, Qwen2 and
SmolLM, from tokenizer.json and from a GGUF file made of it; Llama-2's form of SentencePiece) and
`sentencepiece`. Vocabularies are trained on the spot on this repository's text; real ones are used
where $TP_MODELS has them. Every text is also decoded again, and every tokenizer goes through the
form that images hold. Not covered: characters without a meaning in Unicode 14, and marks that the
reference's edition of Unicode does not know (unsettled).

tests/system/tokenize.c asks our side. The packages come with `make setup`; without them: skipped.
"""

# TP_TIME_LIMIT_S: 1800

import io
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

BUILD = pathlib.Path(os.environ.get("TP_BUILD", "build"))
VENV = BUILD / "venv" / "bin" / "python"
MODELS = pathlib.Path(os.environ.get("TP_MODELS", "../shared/models"))
PROGRAM = BUILD / "test" / "tokenize"
COUNT = int(os.environ.get("TP_TEXTS", "10000" if "TP_EVERY" in os.environ else "2500"))
MARK = "\u2581"

try:
    import sentencepiece
    import tokenizers
except ImportError:
    if VENV.exists() and pathlib.Path(sys.prefix).resolve() != VENV.parent.parent.resolve():
        os.execv(VENV, [str(VENV), *sys.argv])
    print("skipped: the packages tokenizers and sentencepiece are not there - try: make setup")
    sys.exit(77)

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

# ---- texts ----

CONTRACTIONS = ["'s", "'S", "'ll", "'LL", "'Ve", "'t", "'re", "'m", "'D", "'x", "''s", "\u2019s",
                "'\u017f"]
SPACES = [" ", "  ", "    ", "\t", "\n", "\r\n", "\n\n", " \n ", "\u00a0", "\u3000", "\u2003",
          "\u2028", "\u0085", "\u180e", "\u200b", "\u202f", "\u1680", "\x0b", "\x0c", "   \n\n  "]
SPECIALS = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>",
            "<0x0A>", "<0xFF>", "[INST]", "<tool>", "<|im_", "<|im_end|", "<|im_end|>\u0338",
            "<tool>\u0338", "< s>", MARK, MARK * 2]
EMOJI = ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea",
         "\u2764\ufe0f", "\U0001f44d\U0001f3fd", "1\ufe0f\u20e3"]
WORDS = ["the", "Once", "upon", "time", "module", "Stra\u00dfe", "na\u00efve", "\u00c5ngstr\u00f6m",
         "\u0645\u0631\u062d\u0628\u0627", "\u4f60\u597d\u4e16\u754c",
         "\u0928\u092e\u0938\u094d\u0924\u0947", "\ud55c\uad6d\uc5b4",
         "\u3053\u3093\u306b\u3061\u306f", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
         "x1y2", "0x1F", "tp__encode", "\u00bd", "\u2167", "\u0663", "e\u0301", "A\u030a",
         "\u1100\u1161\u11a8", "\u0344", "\u2126", "\ufb01", "\u1e9b\u0323"]


def assigned(code):
    kind = unicodedata.category(chr(code))
    return kind not in ("Cs", "Cn")


# One mark of each class; these are old.
CLASSES = {unicodedata.combining(chr(c)): chr(c) for c in range(0x36f, 0x2ff, -1)}
CLASSES.update({9: "\u094d", 10: "\u05b0", 27: "\u064b"})


def unsettled(code):
    """Whether the reference's old edition of Unicode has another order or parts of a mark."""
    order = unicodedata.combining(chr(code))
    if order == 0 and not unicodedata.decomposition(chr(code)):
        return False
    texts = ["a" + mark + chr(code) for mark in CLASSES.values()]
    texts += ["a" + chr(code) + mark for mark in CLASSES.values()]
    return any(normalizers.NFC().normalize_str(t) != unicodedata.normalize("NFC", t) for t in texts)


LETTERS = [c for c in range(0x110000) if assigned(c) and not unsettled(c)]
MARKS = [c for c in LETTERS if unicodedata.combining(chr(c))]
LOW = [c for c in LETTERS if c < 0x3000]


def one_text(r):
    """A text of one kind of awkwardness, or of all."""
    kind = r.randrange(12)
    length = r.randrange(1, 40)
    if kind == 0:
        return "".join(chr(r.randrange(0x80)) for _ in range(length))
    if kind == 1:
        return "".join(chr(r.choice(LETTERS)) for _ in range(length))
    if kind == 2:
        return "".join(chr(r.choice(LOW)) for _ in range(length))
    if kind == 3:
        return "".join(r.choice("ae\u00e9\u1100\uac00\u0915") +
                       "".join(chr(r.choice(MARKS)) for _ in range(r.randrange(5)))
                       for _ in range(length))
    if kind == 4:
        return "".join(r.choice(EMOJI + SPACES) for _ in range(length))
    if kind == 5:
        return "".join(r.choice("0123456789\u0663\u00b2\u2167 ,.") for _ in range(length))
    if kind == 6:
        return "".join(r.choice(SPACES) for _ in range(length)) + r.choice(["", "x", "1", "!"])
    if kind == 7:
        return "".join(r.choice(WORDS) + r.choice(CONTRACTIONS + [" "]) for _ in range(length))
    if kind == 8:
        return "".join(r.choice("abcdefgh") for _ in range(r.randrange(1, 1500)))
    if kind == 9:
        return r.choice(WORDS) * r.randrange(1, 200)
    others = ["!", "...", "(", "\n", "1234", "\x00", "\x7f"]
    parts = [WORDS, SPACES, SPECIALS, CONTRACTIONS, EMOJI, others]
    return "".join(r.choice(r.choice(parts)) for _ in range(length))


def make_texts():
    r = random.Random(20)
    texts = ["", " ", "\n", "a", "\u00e9", MARK, "x" * 20000, " " * 5000, "\n" * 999, "1" * 3000]
    for at in range(0, len(LETTERS), 500):
        texts.append("".join("a" + chr(c) + " " for c in LETTERS[at:at + 500]))
    return texts + [one_text(r) for _ in range(COUNT - len(texts))]


def corpus():
    names = subprocess.run(["git", "ls-files"], stdout=subprocess.PIPE, check=True).stdout.decode()
    files = [n for n in names.split("\n") if n.endswith((".md", ".c", ".sv"))][:150]
    lines = [line for n in files for line in pathlib.Path(n).read_text("utf-8").split("\n")]
    r = random.Random(7)
    return lines + [one_text(r)[:100] for _ in range(2000)]


# ---- our side ----


def ours(path, texts, *options):
    """A list of (tokens, decoded) for each text; tokens is None where our side refuses it."""
    data = b"".join(struct.pack("<I", len(t)) + t for t in (x.encode() for x in texts))
    done = subprocess.run([str(PROGRAM), *options, str(path)], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode("utf-8", "replace"))
    answers, at, out = [], 0, done.stdout
    for _ in texts:
        status, count = struct.unpack_from("<iI", out, at)
        tokens = list(struct.unpack_from(f"<{count}I", out, at + 8))
        at += 8 + 4 * count
        (size,) = struct.unpack_from("<I", out, at)
        decoded = out[at + 4:at + 4 + size].decode()
        at += 4 + size
        answers.append((tokens if status == 0 else None, decoded))
    return answers


# ---- GGUF files ----


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, value):
    kinds = {str: (8, string), int: (4, lambda v: struct.pack("<I", v)),
             float: (6, lambda v: struct.pack("<f", v)), bool: (7, lambda v: bytes([v]))}
    if isinstance(value, list):
        kind, put = kinds[type(value[0])]
        kind = 5 if kind == 4 else kind
        return string(key) + struct.pack("<IIQ", 9, kind, len(value)) + b"".join(map(put, value))
    kind, put = kinds[type(value)]
    return string(key) + struct.pack("<I", kind) + put(value)


def write_gguf(path, entries):
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries))
    path.write_bytes(data + b"".join(entry("tokenizer.ggml." + k, v) for k, v in entries.items()))


def gguf_of_json(path, rule, out):
    root = json.loads(path.read_text("utf-8"))
    pieces = {i: (t, 1) for t, i in root["model"]["vocab"].items()}
    for token in root["added_tokens"]:
        pieces[token["id"]] = (token["content"], 3 if token["special"] else 4)
    merges = [m if isinstance(m, str) else " ".join(m) for m in root["model"]["merges"]]
    tokens = [pieces[i] for i in range(len(pieces))]
    write_gguf(out, {"model": "gpt2", "pre": rule, "tokens": [t for t, _ in tokens],
                     "token_type": [k for _, k in tokens], "merges": merges,
                     "bos_token_id": root["added_tokens"][0]["id"],
                     "eos_token_id": root["added_tokens"][0]["id"]})


# ---- comparing ----

tests = failures = 0


def report(name, differences, detail=""):
    global tests, failures
    tests += 1
    failures += 1 if differences else 0
    print(f"{'not ok' if differences else 'ok'} {tests} - {name}: {differences} differences")
    if detail:
        print("# " + detail)
    sys.stdout.flush()


def compare(name, path, texts, expected, decoded, *options):
    answers = ours(path, texts, *options)
    wrong = [i for i, (tokens, _) in enumerate(answers) if tokens != expected[i]]
    detail = ""
    if wrong:
        i = min(wrong, key=lambda i: len(texts[i]))
        detail = f"{texts[i]!r}: expected {expected[i]}, ours {answers[i][0]}"
    report(name, len(wrong), detail)
    if decoded is None:
        return
    wrong = [i for i, (_, text) in enumerate(answers) if text != decoded[i]]
    detail = ""
    if wrong:
        i = min(wrong, key=lambda i: len(texts[i]))
        detail = f"{decoded[i]!r}: ours {answers[i][1]!r}"
    report(name + ", decoded", len(wrong), detail)


# ---- byte pairs ----

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")


def byte_level(rule):
    if rule == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if rule == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    split = pre_tokenizers.Split(Regex(LLAMA3 if rule == "llama-bpe" else QWEN2), "isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, plain])


def train(rule, lines):
    tokenizer = Tokenizer(models.BPE(ignore_merges=rule == "llama-bpe"))
    tokenizer.pre_tokenizer = byte_level(rule)
    tokenizer.decoder = decoders.ByteLevel()
    if rule == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(vocab_size=3000, show_progress=False, max_token_length=40,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>"])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=rule == "qwen2"),
                          AddedToken("\t\t\t\t", normalized=False)])
    return tokenizer


def byte_pairs(rule, lines, texts, folder):
    reference = train(rule, lines)
    path = folder / f"{rule}.json"
    reference.save(str(path))
    gguf_of_json(path, rule, folder / f"{rule}.gguf")
    forms = {False: "plain", True: "template"}
    for is_template in (False, True):
        reference.encode_special_tokens = not is_template
        expected = [e.ids for e in reference.encode_batch(texts, add_special_tokens=False)]
        decoded = None
        if not is_template:
            form = (lambda t: unicodedata.normalize("NFC", t)) if rule == "qwen2" else str
            decoded = [form(t) for t in texts]
        options = ["--template"] if is_template else []
        name = f"{rule}, {forms[is_template]}"
        compare(f"{name}, tokenizer.json", path, texts, expected, decoded, *options)
        compare(f"{name}, tokenizer.json in an image", path, texts, expected, None, "--blob",
                *options)
        # GGUF has no word for `normalized`.
        if rule != "qwen2":
            compare(f"{name}, GGUF", folder / f"{rule}.gguf", texts, expected, None, *options)


def given_files(texts):
    """Any tokenizer.json that lies among the models."""
    for path in sorted(MODELS.glob("**/tokenizer.json")):
        reference = Tokenizer.from_file(str(path))
        reference.encode_special_tokens = True
        expected = [e.ids for e in reference.encode_batch(texts, add_special_tokens=False)]
        compare(str(path.relative_to(MODELS)), path, texts, expected, None)


# ---- SentencePiece ----

USER = ["<tool>", "\t\t\t", MARK * 3]


def field(number, data):
    """A field of a protocol buffer: bytes, a number below 128, or a float."""
    if isinstance(data, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", data)
    if isinstance(data, int):
        key = number << 3
        return (bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])) + bytes([data])
    size, length = len(data), b""
    while size >= 128:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def processor_of(pieces, scores, kinds):
    """SentencePiece's own processor for these pieces: byte pairs, bytes for the rest."""
    model = b"".join(field(1, field(1, p) + field(2, s) + field(3, k))
                     for p, s, k in zip(pieces, scores, kinds))
    model += field(2, field(3, 2) + field(35, 1))
    model += field(3, field(1, b"identity") + field(3, 1) + field(4, 0) + field(5, 1))
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def read_gguf(path):
    data = path.read_bytes()
    at = 24
    (count,) = struct.unpack_from("<Q", data, 16)
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    forms = {4: "I", 5: "i", 6: "f"}
    values = {}

    def take(kind, at):
        if kind == 8:
            (size,) = struct.unpack_from("<Q", data, at)
            return data[at + 8:at + 8 + size], at + 8 + size
        form = forms.get(kind, f"{sizes[kind]}s")
        return struct.unpack_from("<" + form, data, at)[0], at + sizes[kind]

    for _ in range(count):
        key, at = take(8, at)
        (kind,) = struct.unpack_from("<I", data, at)
        at += 4
        elements, items = 1, []
        if kind == 9:
            kind, elements = struct.unpack_from("<IQ", data, at)
            at += 12
        for _ in range(elements):
            item, at = take(kind, at)
            items.append(item)
        values[key.decode()] = items
    return values


def sentencepiece_files(texts):
    """Each real vocabulary in the forms that we read, against SentencePiece."""
    sets = [("tok512.bin", "stories260K.gguf"), ("tokenizer.bin", "ggml-vocab-llama-spm.gguf")]
    for plain, gguf in sets:
        if not (MODELS / gguf).exists() or not (MODELS / plain).exists():
            print(f"# {gguf}: not there")
            continue
        values = read_gguf(MODELS / gguf)
        pieces, scores, kinds = (values["tokenizer.ggml." + k]
                                 for k in ("tokens", "scores", "token_type"))
        reference = processor_of(pieces, scores, kinds)
        expected = reference.encode(texts)
        decoded = [t.replace(MARK, " ") for t in texts]
        compare(gguf, MODELS / gguf, texts, expected, decoded)
        compare(gguf + ", in an image", MODELS / gguf, texts, expected, None, "--blob")
        # llama2.c knows no U+2581 in texts: it is three bytes there.
        kept = [t for t in texts if MARK not in t]
        compare(plain, MODELS / plain, kept, reference.encode(kept), kept)
    model = MODELS / "tok512.model"
    if model.exists():
        # Its own rule for white space is to drop it at the ends and to leave one of many; llama2.c
        # does not, and neither do we.
        reference = sentencepiece.SentencePieceProcessor(model_file=str(model))
        kept = [t for t in (" ".join(t.replace(MARK, " ").split(" ")).strip(" ") for t in texts)
                if "  " not in t]
        compare("tok512.model", MODELS / "stories260K.gguf", kept, reference.encode(kept), kept)


def train_sentencepiece(lines):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=1500, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        user_defined_symbols=USER, control_symbols=["<ctl>"], character_coverage=0.99,
        allow_whitespace_only_pieces=True, minloglevel=2)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def kind_of(reference, piece, i):
    if piece in USER:
        return 4
    return (2 if reference.is_unknown(i) else 3 if reference.is_control(i) else
            6 if reference.is_byte(i) else 5 if reference.is_unused(i) else 1)


def sentencepiece_trained(lines, texts, folder):
    reference = train_sentencepiece(lines)
    pieces = [reference.id_to_piece(i) for i in range(reference.vocab_size())]
    scores = [reference.get_score(i) for i in range(len(pieces))]
    kinds = [kind_of(reference, p, i) for i, p in enumerate(pieces)]
    path = folder / "trained.gguf"
    write_gguf(path, {"model": "llama", "tokens": pieces, "scores": scores, "token_type": kinds,
                      "bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0})
    decoded = [t.replace(MARK, " ") for t in texts]
    compare("SentencePiece with user pieces, GGUF", path, texts, reference.encode(texts), decoded)
    compare("SentencePiece with user pieces, in an image", path, texts, reference.encode(texts),
            None, "--blob")
    for scheme in ("prepend", "first", "always", "never"):
        path = folder / f"{scheme}.json"
        pairs = character_pairs(pieces, scores, kinds, scheme)
        pairs.save(str(path))
        for is_template in (False, True):
            pairs.encode_special_tokens = not is_template
            expected = [e.ids for e in pairs.encode_batch(texts, add_special_tokens=False)]
            options = ["--template"] if is_template else []
            name = f"Llama-2's tokenizer.json, {scheme}, {'template' if is_template else 'plain'}"
            decoded = None if is_template else pairs.decode_batch(expected)
            compare(name, path, texts, expected, decoded, *options)
        compare(f"Llama-2's tokenizer.json, {scheme}, in an image", path, texts, expected, None,
                "--blob", "--template")


def character_pairs(pieces, scores, kinds, scheme):
    """The same pieces as Llama-2's tokenizer.json has them."""
    vocab = {p: i for i, p in enumerate(pieces)}
    normal = {p for p, k in zip(pieces, kinds) if k == 1}
    found = []
    for piece in normal:
        for cut in range(1, len(piece)):
            if piece[:cut] in normal and piece[cut:] in normal:
                found.append((-scores[vocab[piece]], vocab[piece[:cut]], vocab[piece[cut:]],
                              (piece[:cut], piece[cut:])))
    merges = [pair for _, _, _, pair in sorted(found)]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True,
                                     fuse_unk=True, unk_token="<unk>"))
    if scheme == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK),
                                                     normalizers.Replace(" ", MARK)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme=scheme, split=False)
    tokenizer.add_special_tokens([AddedToken(p, normalized=False)
                                  for p, k in zip(pieces, kinds) if k in (2, 3)])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    strip = [decoders.Strip(" ", 1, 0)] if scheme != "never" else []
    tokenizer.decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(),
                                           decoders.Fuse()] + strip)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A",
                                                             special_tokens=[("<s>", 1)])
    return tokenizer


# ---- main ----


def main():
    texts = make_texts()
    lines = corpus()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for rule in ("gpt-2", "smollm", "llama-bpe", "qwen2"):
            byte_pairs(rule, lines, texts, folder)
        given_files(texts)
        sentencepiece_files(texts)
        sentencepiece_trained(lines, texts, folder)
    print(f"1..{tests}")
    return 1 if failures else 0


sys.exit(main())
