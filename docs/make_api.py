#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the API reference from the comments of the public header.

Usage: make_api.py [--man VERSION] HEADER...   Markdown, or with --man a manual page in roff.

The header reads "// ---- part ----" titles, "/** ... */" comments before a declaration, plain
declarations, and "///<" beside members. This keeps that order and repeats nothing by hand.
"""

import re
import sys

LINE_LABELS = ("in", "out", "shape", "unit", "owns", "error", "thread", "time",
               "Returns")


def comment_text(comment):
    """Sentences of a /** */ comment; labelled lines stay lines of their own."""
    lines = [re.sub(r"^\s*(/\*\*|\*/|\*)", "", line).replace("*/", "").strip()
             for line in comment.split("\n")]
    text = []
    for line in lines:
        word = line.split(" ")[0]
        starts = word in LINE_LABELS or re.match(r"TP_ERROR_\w+( {2,}|,|$)", line)
        if text and not starts and line:
            text[-1] += " " + line.strip()
        elif line:
            text.append(line.strip())
    return text


def items(source):
    """(kind, text, comment) in the order of the header."""
    source = re.sub(r"\\\n", "", source)
    pattern = re.compile(
        r"// ---- (?P<part>.*?) ----\n|(?P<comment>/\*\*.*?\*/)\n|"
        r"(?P<block>^(?:typedef )?(?:struct|enum)\b[^;{]*\{.*?\n\}[^;]*;[^\n]*)|"
        r"(?P<plain>^(?:typedef|TP_MUST_USE|const|void|int|bool|uint\w+|size_t|tp_\w+)\b[^;{]*;)",
        re.S | re.M)
    comment = ""
    for match in pattern.finditer(source):
        if match.group("part"):
            comment = ""
            yield "part", match.group("part"), ""
        elif match.group("comment"):
            comment = match.group("comment")
        else:
            text = match.group("block") or match.group("plain")
            if not re.fullmatch(r"typedef struct \w+ \w+;", text):
                yield "declaration", text.replace("TP_MUST_USE ", ""), comment
            comment = ""


def introduction(source):
    """The comment at the top, without the licence line."""
    lines = re.match(r"(?://[^\n]*\n)+", source).group().split("\n")
    return [line[3:] for line in lines if line and "SPDX" not in line][1:]


def name_of(text):
    found = re.search(r"\b(tp_\w+)\(|\(\*(tp_\w+)\)|(?:struct|enum) (\w+)|TP_\w+", text)
    return next(filter(None, found.groups()), found.group()) if found else text


def labelled(line):
    label, _, rest = line.partition(" ")
    if label.startswith("TP_ERROR_"):
        return "error", line
    return (label, rest.strip()) if label in LINE_LABELS and rest else ("", line)


def markdown(sources):
    print("<!-- SPDX-License-Identifier: Apache-2.0 -->\n# C interface of libtokproc\n")
    print("Made by `make api` from `host/include`; the header is the definition.\n")
    print("\n".join(introduction(sources[0])))
    for source in sources:
        for kind, text, comment in items(source):
            if kind == "part":
                print(f"\n## {text[0].upper()}{text[1:]}")
                continue
            print(f"\n### {name_of(text)}\n")
            for line in comment_text(comment):
                label, rest = labelled(line)
                print(f"* **{label}** {rest}" if label else f"{rest}\n")
            print(f"```c\n{text}\n```")


def roff(sources, version):
    escape = lambda text: re.sub(r"(?m)^([.'])", r"\\&\1",  # noqa: E731
                                 text.replace("\\", "\\e").replace("-", "\\-"))
    print(f'.TH TOKPROC 3 "" "tokproc {version}" "Library functions"\n.SH NAME')
    print("tokproc \\- stream tokens through a token processor\n.SH SYNOPSIS\n.nf")
    print("#include <tokproc.h>\n\ncc file.c $(pkg\\-config \\-\\-cflags \\-\\-libs tokproc)\n.fi")
    print(".SH DESCRIPTION\n" + escape("\n".join(introduction(sources[0]))))
    for source in sources:
        for kind, text, comment in items(source):
            if kind == "part":
                print(f".SH {escape(text.upper())}")
                continue
            print(f".SS {name_of(text)}")
            for line in comment_text(comment):
                label, rest = labelled(line)
                print(f".TP\n.B {label}\n{escape(rest)}" if label else f".PP\n{escape(rest)}")
            print(f".PP\n.nf\n{escape(text)}\n.fi")


def main():
    arguments = sys.argv[1:]
    version = None
    if arguments[0] == "--man":
        version, arguments = arguments[1], arguments[2:]
    sources = [open(path, encoding="utf-8").read() for path in arguments]
    if version is None:
        markdown(sources)
    else:
        roff(sources, version)


if __name__ == "__main__":
    main()
