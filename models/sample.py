#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sample from a llama2.c float32 file with NumPy alone: a check that shares no code with training.

    sample.py --temperature 0.7 --count 5 "Once upon a time"
    sample.py --loss eval.txt
"""

import argparse
import struct

import numpy as np

import tokenizer


class Model:
    def __init__(self, path):
        data = open(path, "rb").read()
        header = struct.unpack_from("<7i", data)
        self.dim, hidden, self.layers, self.heads, self.kv_heads, vocab, self.seq = header
        untied, vocab = vocab < 0, abs(vocab)
        floats, at = np.frombuffer(data, "<f4", offset=28), 0
        self.head = self.dim // self.heads
        kv = self.kv_heads * self.head

        def take(*shape):
            nonlocal at
            at += int(np.prod(shape))
            return floats[at - int(np.prod(shape)):at].reshape(shape)

        n, dim = self.layers, self.dim
        self.tok, self.att_norm = take(vocab, dim), take(n, dim)
        self.wq, self.wk, self.wv = take(n, dim, dim), take(n, kv, dim), take(n, kv, dim)
        self.wo, self.ffn_norm = take(n, dim, dim), take(n, dim)
        self.w1, self.w2, self.w3 = take(n, hidden, dim), take(n, dim, hidden), take(n, hidden, dim)
        self.final = take(dim)
        self.cos, self.sin = take(self.seq, self.head // 2), take(self.seq, self.head // 2)
        self.classifier = take(vocab, dim) if untied else self.tok
        assert at == floats.size
        self.reset()

    def reset(self):
        self.keys = np.zeros((self.layers, self.kv_heads, self.seq, self.head), np.float32)
        self.values = np.zeros_like(self.keys)

    def rotate(self, x, pos):
        out = np.empty_like(x)
        out[:, 0::2] = x[:, 0::2] * self.cos[pos] - x[:, 1::2] * self.sin[pos]
        out[:, 1::2] = x[:, 0::2] * self.sin[pos] + x[:, 1::2] * self.cos[pos]
        return out

    def logits(self, token, pos):
        """Logits after one token at one position."""
        def norm(x, weight):
            return x / np.sqrt(np.mean(x * x) + 1e-5) * weight

        x = self.tok[token]
        for i in range(self.layers):
            h = norm(x, self.att_norm[i])
            q = self.rotate((self.wq[i] @ h).reshape(self.heads, self.head), pos)
            self.keys[i, :, pos] = self.rotate((self.wk[i] @ h).reshape(-1, self.head), pos)
            self.values[i, :, pos] = (self.wv[i] @ h).reshape(-1, self.head)
            out = []
            for j in range(self.heads):
                g = j * self.kv_heads // self.heads
                score = self.keys[i, g, :pos + 1] @ q[j] / np.sqrt(self.head)
                score = np.exp(score - score.max())
                out.append(score / score.sum() @ self.values[i, g, :pos + 1])
            x = x + self.wo[i] @ np.concatenate(out)
            h = norm(x, self.ffn_norm[i])
            gate = self.w1[i] @ h
            x = x + self.w2[i] @ (gate / (1 + np.exp(-gate)) * (self.w3[i] @ h))
        return self.classifier @ norm(x, self.final)


def sample(model, tok, prompt, temperature, rng):
    """Text of one story and whether the model ended it."""
    model.reset()
    ids = [tokenizer.BOS] + tok.encode(prompt)
    for pos in range(model.seq):
        logits = model.logits(ids[pos], pos)
        if pos + 1 < len(ids):
            continue
        if temperature == 0:
            ids.append(int(logits.argmax()))
        else:
            p = np.exp((logits - logits.max()) / temperature)
            ids.append(int(rng.choice(len(p), p=p / p.sum())))
        if ids[-1] in (1, 2):
            return tok.decode(ids), True
    return tok.decode(ids), False


def mean_loss(model, tok, path):
    """Mean cross-entropy per token of the stories in a file, ends included."""
    total = count = 0
    for text in open(path).read().split("\n<|endoftext|>\n"):
        if text:
            ids = [tokenizer.BOS] + tok.encode(text) + [tokenizer.BOS]
            model.reset()
            for pos in range(len(ids) - 1):
                logits = model.logits(ids[pos], pos).astype(np.float64)
                top = logits.max()
                total += top + np.log(np.exp(logits - top).sum()) - logits[ids[pos + 1]]
            count += len(ids) - 1
    return total / count, count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("prompt", nargs="?", default="")
    parser.add_argument("--model", default="tokproc-stories.bin")
    parser.add_argument("--tokenizer", default="tokproc-stories-tok.bin")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--loss", metavar="FILE", help="measure the loss on a file of stories")
    args = parser.parse_args()
    model = Model(args.model)
    tok = tokenizer.load(args.tokenizer, len(model.tok))
    if args.loss:
        print("loss %.4f over %d tokens" % mean_loss(model, tok, args.loss))
        return
    rng = np.random.default_rng(args.seed)
    for _ in range(args.count):
        text, ended = sample(model, tok, args.prompt, args.temperature, rng)
        print(text + ("" if ended else " [not ended]") + "\n")


if __name__ == "__main__":
    main()
