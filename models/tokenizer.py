#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A 512-piece BPE vocabulary in the llama2.c tokenizer.bin format: train, load, encode, decode.

Ids 0..2 are <unk>, <s>, </s>; 3..258 the byte pieces; then merges and single characters. A piece
has a space only as its first character, so words may be encoded one by one; the encoder merges
the adjacent pair with the best score, the leftmost of equals, as llama2.c does.
"""

import collections
import re
import struct

BOS = 1
SIZE = 512
CHUNK = re.compile(r" ?[^ ]+| ")
WORD, SIGNS = re.compile(r" ?[A-Za-z]+"), re.compile(r" ?[^ \nA-Za-z]+")


class Tokenizer:
    def __init__(self, pieces, scores):
        self.pieces, self.scores = pieces, scores
        self.ids = {}
        for i, piece in enumerate(pieces):
            if i >= 259:
                self.ids.setdefault(piece, i)
        self.cache = {}

    def encode_chunk(self, chunk):
        """Ids of one word with its leading space."""
        ids = []
        for char in chunk:
            raw = char.encode()
            ids += [self.ids[raw]] if raw in self.ids else [3 + byte for byte in raw]
        while True:
            best = None
            for i in range(len(ids) - 1):
                merged = self.ids.get(self.pieces[ids[i]] + self.pieces[ids[i + 1]])
                if merged and (best is None or self.scores[merged] > best[0]):
                    best = self.scores[merged], i, merged
            if best is None:
                return ids
            ids[best[1]:best[1] + 2] = [best[2]]

    def encode(self, text):
        """Ids of a text, without BOS, with the customary space before it."""
        ids = []
        for chunk in CHUNK.findall(" " + text):
            if chunk not in self.cache:
                self.cache[chunk] = self.encode_chunk(chunk)
            ids += self.cache[chunk]
        return ids

    def decode(self, ids):
        raw = b"".join(bytes([i - 3]) if 3 <= i < 259 else self.pieces[i] for i in ids if i > 2)
        return raw.decode(errors="replace").removeprefix(" ")


def special_pieces():
    return [b"<unk>", b"\n<s>\n", b"\n</s>\n"] + [b"<0x%02X>" % byte for byte in range(256)]


def train(texts, size=SIZE):
    """Byte-pair merges by frequency over the words of the texts."""
    words = collections.Counter(c for text in texts for c in CHUNK.findall(" " + text))
    splits = {word: [c for c in word] for word in words}
    chars = collections.Counter()
    for word, count in words.items():
        for char in word:
            chars[char] += count
    del chars["\n"]  # a line break stays the byte piece <0x0A>
    merges = []
    while 259 + len(merges) + len(chars) < size:
        pairs = collections.Counter()
        for word, parts in splits.items():
            for left, right in zip(parts, parts[1:]):
                if WORD.fullmatch(left + right) or SIGNS.fullmatch(left + right):
                    pairs[left, right] += words[word]
        left, right = max(sorted(pairs), key=lambda pair: pairs[pair])
        if left + right not in merges:
            merges.append(left + right)
        for parts in splits.values():
            for i in range(len(parts) - 1):
                if parts[i:i + 2] == [left, right]:
                    parts[i:i + 2] = [left + right]
    learned = merges + sorted(chars, key=lambda char: (-chars[char], char))
    pieces = special_pieces() + [piece.encode() for piece in learned]
    scores = [0.0] * 259 + [-float(i) for i in range(len(learned))]
    return Tokenizer(pieces, scores)


def save(tok, path):
    with open(path, "wb") as out:
        out.write(struct.pack("<I", max(len(piece) for piece in tok.pieces)))
        for piece, score in zip(tok.pieces, tok.scores):
            out.write(struct.pack("<fi", score, len(piece)) + piece)


def load(path, size=SIZE):
    pieces, scores = [], []
    with open(path, "rb") as src:
        src.read(4)
        for _ in range(size):
            score, length = struct.unpack("<fi", src.read(8))
            scores.append(score)
            pieces.append(src.read(length))
    return Tokenizer(pieces, scores)
