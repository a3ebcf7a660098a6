#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Streams a story: example.py [MODEL [DEVICE [PROMPT]]]."""

import sys

import tokproc


def main():
    model_path = sys.argv[1] if len(sys.argv) > 1 else "models/tokproc-stories.bin"
    device_name = sys.argv[2] if len(sys.argv) > 2 else "emu"
    prompt = sys.argv[3] if len(sys.argv) > 3 else "Once upon a time"
    with tokproc.Context() as context:
        model = context.open_model(model_path)
        device = context.open_device(device_name)
        device.load(model, format="nf4")
        with device.session(temperature=0.3, seed=1) as session:
            print(prompt, end="")
            for token in session.generate(prompt, 100):
                print(token.text, end="", flush=True)
            print(f"\nend: {session.end}; {device.statistics()['steps']} steps", file=sys.stderr)


if __name__ == "__main__":
    main()
