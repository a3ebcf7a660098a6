#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train one of the models of this folder on one CPU thread and write the llama2.c files.

    train.py stories --minutes 45
    train.py stories --minutes 20 --start float.npy --format nf4

The second form is the training with quantisation in the loop: the loss and its gradients are those
of the weights as the device rounds them, the updates go to the unrounded weights, and what is
written lies on the device's grid. Its targets come in part from the model that it starts from.
The rate follows the wall clock: warm-up, a plateau, then linearly to nothing at the end. Texts
never repeat: the grammar writes new ones as long as the training lasts.
"""

import argparse
import csv
import ctypes
import importlib
import os
import random
import struct
import subprocess
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import tokenizer

HEAD = 8
VALIDATION_SEED, VOCABULARY_SEED = 1_000_001, 1_000_003
BETA1, BETA2 = 0.9, 0.99  # of Adam
MOMENTUM = 0.95           # of Muon
POOL = 32                 # batches whose texts are sorted by length together

FIELDS = "dim hidden layers heads kv_heads vocab positions tied".split()
# name: (grammar, files, shape)
MODELS = {
    "stories": ("generate", "tokproc-stories", (64, 192, 5, 8, 4, 512, 512, 1)),
    "weather": ("weather", "tokproc-weather", (48, 96, 3, 6, 2, 384, 256, 0)),
}

CODEBOOKS = {
    "fp4": [-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12],
    "nf4": [-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127],
}


class Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in FIELDS]


def tensors(s):
    """(name, shape) in the order of the weights file; a matrix has (layers, rows, columns)."""
    n, d, h, width, kv = s.layers, s.dim, s.hidden, s.heads * HEAD, s.kv_heads * HEAD
    order = [("embedding", (s.vocab, d)), ("norm_attention", (n, d)), ("query", (n, width, d)),
             ("key", (n, kv, d)), ("value", (n, kv, d)), ("output", (n, d, width)),
             ("norm_ffn", (n, d)), ("gate", (n, h, d)), ("down", (n, d, h)), ("up", (n, h, d)),
             ("norm_final", (d,))]
    return order + ([] if s.tied else [("classifier", (s.vocab, d))])


def views(shape, flat):
    """The tensors of a flat array, without copies."""
    result, at = {}, 0
    for name, size in tensors(shape):
        count = int(np.prod(size))
        result[name] = flat[at:at + count].reshape(size)
        at += count
    return result


def load_library(path="trainer.so"):
    """trainer.c, compiled if need be."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trainer.c")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        subprocess.check_call(["gcc", "-std=gnu11", "-O3", "-march=native", "-ffast-math",
                               "-mprefer-vector-width=512", "-shared", "-fPIC", "-o", path,
                               source, "-lm"])
    library = ctypes.CDLL(os.path.abspath(path))
    library.batch_loss.restype = ctypes.c_double
    return library


def pointer(array):
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


class Trainer:
    """The library with the shape of one model."""

    def __init__(self, shape):
        self.shape, self.library = shape, load_library()
        self.size = sum(int(np.prod(size)) for _, size in tensors(shape))

    def loss(self, parameters, texts, gradients=None, teacher=None, share=0.0):
        """Mean loss per token; with gradients, they are overwritten."""
        if gradients is not None:
            gradients[:] = 0
        tokens = np.concatenate(texts).astype(np.uint16)
        starts = np.cumsum([0] + [len(text) for text in texts]).astype(np.int32)
        total = self.library.batch_loss(
            ctypes.byref(self.shape), pointer(parameters), pointer(gradients), pointer(teacher),
            ctypes.c_float(share), pointer(tokens), pointer(starts), len(texts))
        return total / (len(tokens) - len(texts))

    def columns(self, name, count):
        """Order in which the device takes the columns of a matrix, -1 for padding."""
        order = list(range(count)) + [-1] * (-count % 32)
        if name != "output":
            return np.array(order, np.int32)
        # Query heads with the same number within their group share a word of up to four heads.
        order, group = [], self.shape.heads // self.shape.kv_heads
        for first in range(0, self.shape.kv_heads, 4):
            for turn in range(group):
                for kv_head in range(first, first + 4):
                    head = kv_head * group + turn
                    order += ([head * HEAD + i for i in range(HEAD)]
                              if kv_head < self.shape.kv_heads else [-1] * HEAD)
        return np.array(order, np.int32)

    def rounded(self, parameters, kind):
        """The parameters as an image of this 4-bit format holds them; norms stay as they are."""
        result = parameters.copy()
        source, target = views(self.shape, parameters), views(self.shape, result)
        for name, size in tensors(self.shape):
            if "norm" in name:
                continue
            codebook = [] if name in ("embedding", "classifier") else CODEBOOKS[kind]
            # Queries carry the scale of the softmax, in log2 units, when they are rounded.
            factor = np.log2(np.e) / HEAD ** 0.5 if name == "query" else 1.0
            order = self.columns(name, size[-1])
            self.library.round_matrix(
                pointer(source[name]), pointer(target[name]), int(np.prod(size[:-1])), size[-1],
                ctypes.c_double(factor), pointer(order), len(order),
                pointer(np.array(codebook, np.float32)), len(codebook))
        return result


def initial(shape, seed):
    rng, flat = np.random.default_rng(seed), []
    for name, size in tensors(shape):
        std = 0.06 / (np.sqrt(2 * shape.layers) if name in ("output", "down") else 1)
        flat.append(np.ones(size) if "norm" in name else rng.normal(0, std, size))
    return np.concatenate([value.ravel() for value in flat]).astype(np.float32)


def orthogonal(update):
    """The nearest orthogonal matrices, nearly: five Newton-Schulz steps, as Muon does."""
    flip = update.shape[-2] > update.shape[-1]
    x = update.swapaxes(-1, -2) if flip else update
    x = x / (np.sqrt((x * x).sum((-1, -2), keepdims=True)) + 1e-9)
    for _ in range(5):
        a = x @ x.swapaxes(-1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.swapaxes(-1, -2) if flip else x


class Optimizer:
    """Muon for the matrices of the layers, Adam for embedding, classifier and norms."""

    def __init__(self, shape, size, muon):
        self.shape, self.muon, self.t = shape, muon, 0
        self.first, self.second = np.zeros(size, np.float32), np.zeros(size, np.float32)

    def step(self, parameters, gradients, rate, decay):
        self.t += 1
        gradients *= min(1.0, 1.0 / (float(np.linalg.norm(gradients)) + 1e-9))
        p, g = views(self.shape, parameters), views(self.shape, gradients)
        m, v = views(self.shape, self.first), views(self.shape, self.second)
        for name in p:
            if p[name].ndim == 3 and self.muon:
                m[name] *= MOMENTUM
                m[name] += g[name]
                update = orthogonal(g[name] + MOMENTUM * m[name])
                # Entries as large as Adam's usually are.
                update *= self.muon * np.sqrt(max(update.shape[-2:]))
            else:
                m[name] += (1 - BETA1) * (g[name] - m[name])
                v[name] += (1 - BETA2) * (g[name] * g[name] - v[name])
                update = m[name] / (1 - BETA1 ** self.t)
                update = update / (np.sqrt(v[name] / (1 - BETA2 ** self.t)) + 1e-8)
            if "norm" not in name:
                update += decay * p[name]
            p[name] -= rate * update


def encode(tok, text):
    """BOS, the text, and BOS again as its end."""
    return np.array([tokenizer.BOS] + tok.encode(text) + [tokenizer.BOS], np.uint16)


def write_model(shape, parameters, path):
    """The legacy llama2.c file: header, weights, rotary tables; a negative vocabulary is untied."""
    s = shape
    vocab = s.vocab if s.tied else -s.vocab
    angle = np.outer(np.arange(s.positions), 10000.0 ** (-np.arange(0, HEAD, 2) / HEAD))
    tables = np.cos(angle).astype("<f4").tobytes() + np.sin(angle).astype("<f4").tobytes()
    body = views(s, parameters)
    with open(path, "wb") as out:
        out.write(struct.pack("<7i", s.dim, s.hidden, s.layers, s.heads, s.kv_heads, vocab,
                              s.positions))
        for name in body:
            if name != "classifier":
                out.write(body[name].astype("<f4").tobytes())
        out.write(tables)
        if not s.tied:
            out.write(body["classifier"].astype("<f4").tobytes())


def rate_at(part, warm_up, plateau):
    if part < warm_up:
        return part / warm_up
    return min(1.0, max(0.0, (1 - part) / (1 - plateau)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--muon", type=float, default=0.2, help="size of Muon's updates; 0: Adam")
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--plateau", type=float, default=0.3, help="part before the rate falls")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", help="parameters to start from, as written by an earlier run")
    parser.add_argument("--format", choices=CODEBOOKS, help="round the weights in the loop")
    parser.add_argument("--share", type=float, default=0.8, help="of the teacher in the targets")
    parser.add_argument("--out", default="float", help="writes OUT.npy, OUT.bin and OUT.csv")
    args = parser.parse_args()

    grammar_name, files, sizes = MODELS[args.model]
    grammar, shape = importlib.import_module(grammar_name), Shape(*sizes)
    if not os.path.exists(files + "-tok.bin"):
        tokenizer.save(tokenizer.train(grammar.stories(VOCABULARY_SEED, 20000), shape.vocab),
                       files + "-tok.bin")
    tok = tokenizer.load(files + "-tok.bin", shape.vocab)
    held_out = [encode(tok, text) for text in grammar.stories(VALIDATION_SEED, 200)]

    trainer = Trainer(shape)
    parameters = np.load(args.start) if args.start else initial(shape, args.seed)
    teacher = parameters.copy() if args.format else None
    optimizer = Optimizer(shape, trainer.size, args.muon)
    gradients = np.zeros(trainer.size, np.float32)
    rng = random.Random(args.seed * 1000)
    log_file = open(args.out + ".csv", "w", newline="")
    log = csv.writer(log_file, lineterminator="\n")
    log.writerow(["step", "tokens", "minutes", "rate", "training", "validation"])

    def used():
        return trainer.rounded(parameters, args.format) if args.format else parameters

    def save(t, seen, minutes, rate, losses):
        validation = trainer.loss(used(), held_out)
        row = [t, seen, "%.2f" % minutes, "%.6f" % rate,
               "%.4f" % np.mean(losses) if losses else "", "%.4f" % validation]
        log.writerow(row)
        log_file.flush()
        print(*row, flush=True)
        np.save(args.out + ".npy", parameters)
        write_model(shape, used(), args.out + ".bin")

    start, saved, losses, t, seen, rate = time.time(), time.time(), [], 0, 0, 0.0
    save(t, seen, 0, rate, losses)
    groups = []
    while True:
        if not groups:
            pool = [encode(tok, grammar.story(rng)) for _ in range(POOL * args.batch)]
            pool = sorted((text for text in pool if len(text) <= shape.positions), key=len)
            groups = [pool[i:i + args.batch] for i in range(0, len(pool), args.batch)]
            rng.shuffle(groups)
        texts = groups.pop()
        part = (time.time() - start) / (60 * args.minutes)
        rate = args.rate * rate_at(part, 0.02, args.plateau)
        losses.append(trainer.loss(used(), texts, gradients, teacher, args.share))
        optimizer.step(parameters, gradients, rate, args.decay)
        t, seen = t + 1, seen + sum(len(text) - 1 for text in texts)
        if part >= 1 or time.time() - saved > 30:
            saved = time.time()
            save(t, seen, (saved - start) / 60, rate, losses)
            losses = []
        if part >= 1:
            break


if __name__ == "__main__":
    main()
