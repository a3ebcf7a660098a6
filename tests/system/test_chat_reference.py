#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claim: our chat templates write what the Jinja programs in model files write.

Against: jinja2, set up as `transformers` does it, with common templates; each is put into a
tokenizer_config.json, recognised there by its marks, and must give the same text for talks of one
to five messages, with and without the start of an answer, and the same tokens as `tokenizers` gives
for that text. A template that is none of these must be refused. Not covered: tools, dates.

The packages come with `make setup`; without them: skipped.
"""

import itertools
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, "tests/common")
from tap import finish, report  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TP_BUILD", "build"))
VENV = BUILD / "venv" / "bin" / "python"
PROGRAM = BUILD / "test" / "tokenize"

try:
    import jinja2.sandbox
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
except ImportError:
    if VENV.exists() and pathlib.Path(sys.prefix).resolve() != VENV.parent.parent.resolve():
        os.execv(VENV, [str(VENV), *sys.argv])
    print("skipped: the packages jinja2 and tokenizers are not there - try: make setup")
    sys.exit(77)

ALTERNATE = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
             "{{ raise_exception('roles must alternate') }}{% endif %}")
SPLIT = ("{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}"
         "{% set system = messages[0]['content'] %}{% else %}{% set rest = messages %}"
         "{% set system = false %}{% endif %}")
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
          "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")

# name -> program, whether it takes a system text
TEMPLATES = {
    "chatml": (CHATML, True),
    "chatml with bos": ("{{ bos_token }}" + CHATML, True),
    "chatml with a system text": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        True),
    "chatml with tools": (
        "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n"
        "    {%- if messages[0]['role'] == 'system' %}\n        {{- messages[0]['content'] }}\n"
        "    {%- else %}\n        {{- 'You are Qwen.' }}\n    {%- endif %}\n"
        "    {{- '\\n\\n# Tools<|im_end|>\\n' }}\n{%- else %}\n"
        "    {%- if messages[0]['role'] == 'system' %}\n"
        "        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n"
        "    {%- else %}\n"
        "        {{- '<|im_start|>system\\nYou are Qwen. You are a helpful assistant."
        "<|im_end|>\\n' }}\n"
        "    {%- endif %}\n{%- endif %}\n{%- for message in messages %}\n"
        "    {%- if (message.role == 'user') or (message.role == 'system' and not loop.first) or "
        "(message.role == 'assistant') %}\n"
        "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + "
        "'\\n' }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
        "    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n", True),
    "llama2": (
        SPLIT + "{% for message in rest %}" + ALTERNATE +
        "{% if loop.index0 == 0 and system != false %}{% set content = '<<SYS>>\\n' + system + "
        "'\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}"
        "{% set content = message['content'] %}"
        "{% endif %}{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}"
        "{% endif %}{% endfor %}", True),
    "llama3": (
        "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
        "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | "
        "trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
        "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}", True),
    "llama3.1": (
        "{{- bos_token }}\n{%- if messages[0]['role'] == 'system' %}\n"
        "    {%- set system_message = messages[0]['content']|trim %}\n"
        "    {%- set messages = messages[1:] %}\n{%- else %}\n"
        "    {%- set system_message = \"\" %}\n{%- endif %}\n"
        "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}\n"
        "{{- \"Cutting Knowledge Date: December 2023\\n\" }}\n"
        "{{- \"Today Date: \" + \"26 Jul 2024\" + \"\\n\\n\" }}\n{{- system_message }}\n"
        "{{- \"<|eot_id|>\" }}\n{%- for message in messages %}\n"
        "    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ "
        "message['content'] | trim + '<|eot_id|>' }}\n{%- endfor %}\n"
        "{%- if add_generation_prompt %}\n"
        "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n", True),
    "mistral": (
        "{{ bos_token }}{% for message in messages %}" + ALTERNATE +
        "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}"
        "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}"
        "{% endfor %}", False),
    "mistral-v2": (
        SPLIT + "{{- bos_token }}{%- for message in rest %}" + ALTERNATE +
        "{%- if message['role'] == 'user' %}{%- if loop.first and system %}"
        "{{- ' [INST] ' + system + '\\n\\n' + message['content'] + ' [/INST]' }}{%- else %}"
        "{{- ' [INST] ' + message['content'] + ' [/INST]' }}{%- endif %}"
        "{%- elif message['role'] == 'assistant' %}{{- ' ' + message['content'] + eos_token}}"
        "{%- endif %}{%- endfor %}", True),
    "mistral-v3": (
        SPLIT + "{%- set users = rest | selectattr(\"role\", \"equalto\", \"user\") | list %}"
        "{{- bos_token }}{%- for message in rest %}" + ALTERNATE +
        "{%- if message['role'] == 'user' %}{%- if system and message == users[-1] %}"
        "{{- \"[INST] \" + system + \"\\n\\n\" + message[\"content\"] + \"[/INST]\" }}{%- else %}"
        "{{- \"[INST] \" + message[\"content\"] + \"[/INST]\" }}{%- endif %}"
        "{%- elif message['role'] == 'assistant' %}{{- \" \" + message[\"content\"] + eos_token }}"
        "{%- endif %}{%- endfor %}", True),
    "zephyr": (
        "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"
        "{{ '<|user|>\\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'system' %}\n"
        "{{ '<|system|>\\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'assistant' %}\n"
        "{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
        "{% endfor %}", True),
}
UNKNOWN = ["{{ messages[0]['content'] }}", "{% for m in messages %}<start_of_turn>{{ m.role }}",
           "[INST]", "<|user|>\n{{ messages[0].content }}<|end|>"]
TEXTS = ["Hello there!", "  What is\n2 + 2?  ", "Say \u00e9\u4f60\U0001f600\u00a0", "a",
         "\n\nlines\n"]


def talks(with_system):
    """Messages of one to five texts, each with and without a system text."""
    for system, turns in itertools.product([False, True][:1 + with_system], [1, 3, 5]):
        messages = [("system", "Be brief.")] if system else []
        roles = ["user", "assistant", "user", "assistant", "user"]
        yield messages + list(zip(roles[:turns], TEXTS))


def render(program, messages, answer):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def raise_exception(text):
        raise jinja2.exceptions.TemplateError(text)

    environment.globals["raise_exception"] = raise_exception
    template = environment.from_string(program)
    return template.render(messages=[{"role": r, "content": t} for r, t in messages],
                           add_generation_prompt=answer, bos_token="<s>", eos_token="</s>")


def make_tokenizer(folder):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>",
             "<|end_header_id|>", "<|eot_id|>", "[INST]", "[/INST]"]
    tokenizer.add_special_tokens([AddedToken(n, normalized=False, special=True) for n in names])
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def ours(folder, program, talk, answer, name="auto"):
    """Status, tokens and text (or the message of an error)."""
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": program}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    text = ("+" if answer else "-") + "\x1e".join(r + "\x1f" + t for r, t in talk)
    data = text.encode()
    done = subprocess.run([str(PROGRAM), "--blob", "--chat", name, str(folder / "tokenizer.json")],
                          input=struct.pack("<I", len(data)) + data, stdout=subprocess.PIPE,
                          check=True)
    status, count = struct.unpack_from("<iI", done.stdout)
    tokens = list(struct.unpack_from(f"<{count}I", done.stdout, 8))
    return status, tokens, done.stdout[12 + 4 * count:].decode()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        reference = make_tokenizer(folder)
        for name, (program, with_system) in TEMPLATES.items():
            wrong = []
            for talk, answer in itertools.product(talks(with_system), [True, False]):
                expected = render(program, talk, answer)
                tokens = reference.encode(expected, add_special_tokens=False).ids
                status, found, text = ours(folder, program, talk, answer)
                if status != 0 or text != expected or found != tokens:
                    wrong.append(f"{talk}: expected {expected!r}, ours {text!r}")
            report(f"{name} is written as its program does", wrong)
        talk = [("user", "<|im_end|><s></s>[INST]")]
        _, tokens, _ = ours(folder, CHATML, talk, True)
        special = [t for t in tokens if t >= 256]
        report("control tokens inside a message are text",
               [] if special == [258, 259, 258] else [str(tokens)])
        wrong = []
        for program in UNKNOWN:
            status, _, text = ours(folder, program, talk, True)
            if status != -5 or "plain, chatml, llama2" not in text:
                wrong.append(f"{program!r}: {status} {text}")
        report("an unknown template is refused with the names of the known ones", wrong)
        wrong = []
        bad = [([("user", "a"), ("user", "b")], "llama2"), ([("assistant", "a")], "mistral"),
               ([("tool", "a")], "chatml"), ([("user", "a"), ("system", "b")], "mistral-v3")]
        for talk, form in bad:
            status, _, text = ours(folder, "", talk, True, form)
            if status != -1:
                wrong.append(f"{talk}: {status} {text}")
        report("roles out of turn are refused", wrong)
    return finish()


sys.exit(main())
