#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the ctypes form of tokproc.h to standard output.

Usage: gcc -E -P -Ihost/include host/include/tokproc.h | make_binding.py

The header is the one definition; this covers the C that it uses (enums, plain structures, function
pointers, functions) and stops at anything else, so that a new construct cannot be left out in
silence.
"""

import re
import sys

SCALARS = {
    "_Bool": "c_bool", "char": "c_char", "int": "c_int", "float": "c_float", "double": "c_double",
    "size_t": "c_size_t", "int8_t": "c_int8", "uint8_t": "c_uint8", "int16_t": "c_int16",
    "uint16_t": "c_uint16", "int32_t": "c_int32", "uint32_t": "c_uint32", "int64_t": "c_int64",
    "uint64_t": "c_uint64",
}


class Binding:
    def __init__(self):
        self.known = dict(SCALARS)
        self.constants = {}
        self.out = ["# Made by make_binding.py from tokproc.h; do not edit.", "import ctypes",
                    "from ctypes import *  # noqa: F401,F403", ""]
        self.functions = []

    def type_of(self, text):
        """ctypes name of a C type such as "const struct tp_token *"."""
        text = re.sub(r"\b(const|struct|enum)\b", "", text)
        stars = text.count("*")
        name = text.replace("*", "").strip()
        if name == "void" and stars:
            kind, stars = "c_void_p", stars - 1
        elif name == "void":
            return "None"
        elif name == "char" and stars:
            kind, stars = "c_char_p", stars - 1
        else:
            kind = self.known.get(name)
        if kind is None:
            raise SystemExit(f"make_binding: unknown type {name!r} in {text!r}")
        for _ in range(stars):
            kind = f"POINTER({kind})"
        return kind

    def declarator(self, text):
        """Name and ctypes type of "const char *name[3 * 4]"."""
        match = re.fullmatch(r"(.*?)(\w+)((?:\s*\[[^\]]*\])*)", text.strip(), re.S)
        kind = self.type_of(match.group(1))
        for size in reversed(re.findall(r"\[([^\]]*)\]", match.group(3))):
            value = eval(size, {"__builtins__": {}}, self.constants)  # numbers of our own header
            kind = f"{kind} * {value}" if " " not in kind else f"({kind}) * {value}"
        return match.group(2), kind

    def enum(self, name, body):
        value = 0
        for item in filter(None, (part.strip() for part in body.split(","))):
            key, _, given = (part.strip() for part in item.partition("="))
            value = eval(given, {"__builtins__": {}}, self.constants) if given else value
            self.constants[key] = value
            self.out.append(f"{key} = {value}")
            value += 1
        if name:
            self.known[name] = "c_int"
        self.out.append("")

    def structure(self, name, body):
        fields = [self.declarator(f) for f in body.split(";") if f.strip()]
        self.out.append(f"class {name}(Structure):\n    _fields_ = [")
        self.out += [f'        ("{field}", {kind}),' for field, kind in fields]
        self.out.append("    ]\n")
        self.known[name] = name

    def arguments(self, text):
        if text.strip() == "void":
            return []
        kinds = []
        for argument in text.split(","):
            name, kind = self.declarator(argument)
            kinds.append(kind)
        return kinds

    def take(self, declaration):
        d = re.sub(r"__attribute__\(\(.*?\)\)|\bextern\b", "", declaration).strip()
        match = re.fullmatch(r"(typedef )?enum (\w+ )?\{(.*)\}\s*(\w+)?", d, re.S)
        if match:
            return self.enum(match.group(4) or (match.group(2) or "").strip(), match.group(3))
        match = re.fullmatch(r"(?:typedef )?struct (\w+) \{(.*)\}\s*\w*", d, re.S)
        if match:
            return self.structure(match.group(1), match.group(2))
        match = re.fullmatch(r"typedef struct (\w+) (\w+)", d)
        if match:  # an opaque handle
            self.out.append(f"class {match.group(2)}(Structure):\n    pass\n")
            self.known[match.group(2)] = match.group(2)
            return None
        match = re.fullmatch(r"typedef (.*?)\(\*(\w+)\)\((.*)\)", d, re.S)
        if match:
            kinds = ", ".join([self.type_of(match.group(1))] + self.arguments(match.group(3)))
            self.out.append(f"{match.group(2)} = CFUNCTYPE({kinds})\n")
            self.known[match.group(2)] = match.group(2)
            return None
        match = re.fullmatch(r"(.*?)(tp_\w+)\((.*)\)", d, re.S)
        if match:
            kinds = ", ".join(self.arguments(match.group(3)))
            self.functions.append(f"    library.{match.group(2)}.restype = "
                                  f"{self.type_of(match.group(1))}\n"
                                  f"    library.{match.group(2)}.argtypes = [{kinds}]")
            return None
        raise SystemExit(f"make_binding: cannot translate: {declaration}")


def split(text):
    """Declarations: what stands between semicolons outside braces."""
    depth = start = 0
    for i, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if char == ";" and depth == 0:
            yield text[start:i].strip()
            start = i + 1


def main():
    binding = Binding()
    text = sys.stdin.read()
    # System headers come first; ours begins with the status codes.
    text = text[text.index("typedef enum tp_status"):]
    for declaration in split(text):
        binding.take(declaration)
    print("\n".join(binding.out))
    print("\ndef declare(library):\n    \"\"\"Gives each function its types.\"\"\"")
    print("\n".join(binding.functions))


if __name__ == "__main__":
    main()
