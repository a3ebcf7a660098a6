#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the story model with JAX on the CPU and write the llama2.c files.

The learning rate follows the wall clock: warm-up, then cosine down to a tenth of the peak at the
end of --minutes. A run stopped in between goes on from its checkpoint with the minutes it has
left. Stories never repeat: the generator writes new ones as long as the training lasts.
"""

import argparse
import ctypes
import os
import pickle
import random
import struct
import subprocess
import time

import jax
import jax.numpy as jnp
import numpy as np

import generate
import tokenizer

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SEQ = 64, 192, 5, 8, 4, 512, 512
HEAD = DIM // HEADS
EPS, BASE = 1e-5, 10000.0
VALIDATION_SEED, VOCABULARY_SEED = 1_000_001, 1_000_003
BUCKET, POOL = 32, 2048
BETA2 = 0.99  # of Adam; its first moment has 0.9

# name, shape, is it a matrix (decayed); the order is that of the weights file
SHAPES = [
    ("tok", (VOCAB, DIM), True), ("att_norm", (LAYERS, DIM), False),
    ("wq", (LAYERS, DIM, DIM), True), ("wk", (LAYERS, KV_HEADS * HEAD, DIM), True),
    ("wv", (LAYERS, KV_HEADS * HEAD, DIM), True), ("wo", (LAYERS, DIM, DIM), True),
    ("ffn_norm", (LAYERS, DIM), False), ("w1", (LAYERS, HIDDEN, DIM), True),
    ("w2", (LAYERS, DIM, HIDDEN), True), ("w3", (LAYERS, HIDDEN, DIM), True),
    ("final_norm", (DIM,), False),
]


def rope_tables():
    angle = np.outer(np.arange(SEQ), BASE ** (-np.arange(0, HEAD, 2) / HEAD))
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


COS, SIN = rope_tables()


def init(seed):
    rng = np.random.default_rng(seed)
    params = {}
    for name, shape, matrix in SHAPES:
        std = 0.06 / (np.sqrt(2 * LAYERS) if name in ("wo", "w2") else 1)
        value = rng.normal(0, std, shape) if matrix else np.ones(shape)
        params[name] = jnp.asarray(value, jnp.float32)
    return params


def norm(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPS) * weight


def rotate(x, cos, sin):
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)


def load_attention(library="./attention.so"):
    """Build attention.cpp if need be, and make its two functions known to XLA."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attention.cpp")
    if not os.path.exists(library):
        subprocess.check_call(["g++", "-std=c++17", "-O3", "-march=native", "-ffast-math", "-w",
                               "-fopenmp", "-shared", "-fPIC", "-I" + jax.ffi.include_dir(),
                               "-o", library, source])
    functions = ctypes.CDLL(library)
    for name in ("AttentionForward", "AttentionBackward"):
        capsule = jax.ffi.pycapsule(getattr(functions, name))
        jax.ffi.register_ffi_target(name, capsule, platform="cpu")


def like(*arrays):
    return [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays]


@jax.custom_vjp
def kernel(q, k, v):
    return jax.ffi.ffi_call("AttentionForward", like(q)[0])(q, k, v)


def kernel_forward(q, k, v):
    out = kernel(q, k, v)
    return out, (q, k, v, out)


def kernel_backward(saved, grad):
    return tuple(jax.ffi.ffi_call("AttentionBackward", like(*saved[:3]))(*saved, grad))


kernel.defvjp(kernel_forward, kernel_backward)


def attention(q, k, v):
    """Causal attention of (batch, time, heads, 8) arrays."""
    batch, length = q.shape[:2]
    q = (q * HEAD ** -0.5).reshape(batch, length, KV_HEADS, HEADS // KV_HEADS, HEAD)
    q = q.transpose(0, 2, 3, 4, 1).reshape(batch * KV_HEADS, HEADS // KV_HEADS, HEAD, length)
    k = k.transpose(0, 2, 3, 1).reshape(batch * KV_HEADS, HEAD, length)
    v = v.transpose(0, 2, 3, 1).reshape(batch * KV_HEADS, HEAD, length)
    return kernel(q, k, v).reshape(batch, DIM, length).transpose(0, 2, 1)


def forward(params, tokens):
    """Logits of a (batch, time) array of token ids."""
    batch, length = tokens.shape
    cos, sin = COS[:length, None], SIN[:length, None]
    x = params["tok"][tokens]
    for i in range(LAYERS):
        h = norm(x, params["att_norm"][i])
        q = (h @ params["wq"][i].T).reshape(batch, length, HEADS, HEAD)
        k = (h @ params["wk"][i].T).reshape(batch, length, KV_HEADS, HEAD)
        v = (h @ params["wv"][i].T).reshape(batch, length, KV_HEADS, HEAD)
        out = attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + out @ params["wo"][i].T
        h = norm(x, params["ffn_norm"][i])
        h = jax.nn.silu(h @ params["w1"][i].T) * (h @ params["w3"][i].T)
        x = x + h @ params["w2"][i].T
    return norm(x, params["final_norm"]) @ params["tok"].T


def loss_sum(params, rows):
    """Summed cross-entropy and the number of targets of padded rows (padding is -1)."""
    inputs, targets = rows[:, :-1], rows[:, 1:]
    logits = forward(params, jnp.maximum(inputs, 0))
    picked = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], -1)[..., 0]
    loss = (jax.nn.logsumexp(logits, -1) - picked) * (targets >= 0)
    return loss.sum(), (targets >= 0).sum()


def mean_loss(params, rows):
    total, count = loss_sum(params, rows)
    return total / count


@jax.jit
def step(params, first, second, rows, t, rate, decay):
    """One AdamW update with the gradient clipped to norm 1."""
    loss, grads = jax.value_and_grad(mean_loss)(params, rows)
    size = jnp.sqrt(sum(jnp.sum(g * g) for g in grads.values()))
    scale = jnp.minimum(1.0, 1.0 / (size + 1e-9))
    new = {}, {}, {}
    for name, _, matrix in SHAPES:
        g = grads[name] * scale
        m = 0.9 * first[name] + 0.1 * g
        v = BETA2 * second[name] + (1 - BETA2) * g * g
        update = (m / (1 - 0.9 ** t)) / (jnp.sqrt(v / (1 - BETA2 ** t)) + 1e-8)
        if matrix:
            update = update + decay * params[name]
        new[0][name], new[1][name], new[2][name] = params[name] - rate * update, m, v
    return *new, loss


def encode_story(tok, text):
    """BOS, the story, and BOS again as its end."""
    return [tokenizer.BOS] + tok.encode(text) + [tokenizer.BOS]


def pad(stories):
    """Rows of one length, a multiple of BUCKET plus the last target."""
    longest = max(len(ids) for ids in stories)
    width = -(-(longest - 1) // BUCKET) * BUCKET + 1
    rows = np.full((len(stories), width), -1, np.int32)
    for row, ids in zip(rows, stories):
        row[:len(ids)] = ids
    return rows


def batches(tok, rng, size):
    """Endless batches of new stories of like length."""
    while True:
        pool = [encode_story(tok, generate.story(rng)) for _ in range(POOL)]
        pool = sorted((ids for ids in pool if len(ids) <= SEQ), key=len)
        groups = [pool[i:i + size] for i in range(0, len(pool) - size + 1, size)]
        rng.shuffle(groups)
        for group in groups:
            yield pad(group)


def validation_loss(params, rows):
    total = count = 0.0
    for group in rows:
        loss, n = LOSS_SUM(params, group)
        total, count = total + float(loss), count + float(n)
    return total / count


LOSS_SUM = jax.jit(loss_sum)


def export(params, path):
    """The legacy llama2.c file: header, weights, rotary tables."""
    with open(path, "wb") as out:
        out.write(struct.pack("<7i", DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SEQ))
        for name, _, _ in SHAPES:
            out.write(np.asarray(params[name], "<f4").tobytes())
        out.write(COS.astype("<f4").tobytes() + SIN.astype("<f4").tobytes())


def write_tokenizer(path):
    tokenizer.save(tokenizer.train(generate.stories(VOCABULARY_SEED, 20000)), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=67)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--decay", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checkpoint", default="checkpoint.pkl")
    parser.add_argument("--model", default="tokproc-stories.bin")
    parser.add_argument("--tokenizer", default="tokproc-stories-tok.bin")
    args = parser.parse_args()

    load_attention()
    if not os.path.exists(args.tokenizer):
        write_tokenizer(args.tokenizer)
    tok = tokenizer.load(args.tokenizer)
    held_out = pad([encode_story(tok, text) for text in generate.stories(VALIDATION_SEED, 64)])
    held_out = held_out.reshape(4, 16, -1)

    state = {"t": 0, "seen": 0, "seconds": 0.0, "params": init(args.seed)}
    state["first"] = jax.tree.map(jnp.zeros_like, state["params"])
    state["second"] = jax.tree.map(jnp.zeros_like, state["params"])
    if os.path.exists(args.checkpoint):
        with open(args.checkpoint, "rb") as src:
            state = pickle.load(src)
    params, first, second = state["params"], state["first"], state["second"]
    t, seen, start = state["t"], state["seen"], time.time() - state["seconds"]

    # A resumed run draws from a new seed, so that it does not see the first stories again.
    source = batches(tok, random.Random(args.seed * 1000 + t), args.batch)
    saved, losses, done = time.time(), [], False
    while not done:
        part = (time.time() - start) / (60 * args.minutes)
        done = part >= 1
        rate = args.rate * (0.05 + 0.95 * (0.5 + 0.5 * np.cos(np.pi * min(part, 1))))
        rate *= min(1.0, (t + 1) / 200)
        rows = next(source)
        t += 1
        params, first, second, loss = step(params, first, second, rows, t, rate, args.decay)
        losses.append(loss)
        seen += int((rows[:, 1:] >= 0).sum())
        if t % 100 == 0:
            print("step %d part %.3f rate %.5f tokens %d loss %.4f" % (
                t, part, rate, seen, np.mean(losses[-100:])), flush=True)
        if done or time.time() - saved > 240:
            saved = time.time()
            state = {"t": t, "seen": seen, "seconds": saved - start}
            state.update(jax.device_get({"params": params, "first": first, "second": second}))
            with open(args.checkpoint + ".new", "wb") as out:
                pickle.dump(state, out)
            os.replace(args.checkpoint + ".new", args.checkpoint)
            export(params, args.model)
            print("saved: step %d tokens %d minutes %.1f validation loss %.4f" % (
                t, seen, (saved - start) / 60, validation_loss(params, held_out)), flush=True)


if __name__ == "__main__":
    main()
