#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claims about sessions at the command line: each session of `run --parallel` gives the tokens of
that session alone, on the emulator and on simulated RTL, whoever joins or ends beside it; their
texts come in order. A talk with `chat` feeds what is new, and its tokens are those of one run over
the whole of it; its commands, its line editing at a terminal and Ctrl-C do what they say. `bench
--parallel` counts what bench counts, and says what it leaves out. A log of the steps of a run makes
its prediction again, to the cycle, and a change in it is found.

The programs are those with sanitizers, but for the simulated device.

TP_TIME_LIMIT_S: 300
"""

import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, "tests/common")
from tap import finish, report  # noqa: E402

PLAIN = os.environ.get("TOKPROC", "build/tokproc")
CHECKED = os.environ.get("TOKPROC_SAN", "build/san/tokproc")
SIM = "ulx3s-85f"
MODEL = "models/tokproc-stories.bin"
EMULATOR = ["-d", "emu:ulx3s-85f"]
PATIENCE_S = 60


def run(arguments, program=CHECKED, text=""):
    """Exit status, standard output, standard error."""
    done = subprocess.run([program] + [str(a) for a in arguments], input=text.encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_S * 3)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def lines_of(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


class Stories:
    """Runs of one image of the shipped model on one device."""

    def __init__(self, image, device, program, options):
        self.common = ["-m", image] + device + options
        self.program = program

    def alone(self, prompt, seed):
        status, out, err = run(["run"] + self.common + ["-p", prompt, "--seed", seed, "--json"],
                               self.program)
        return lines_of(out)[-1] if status == 0 else {"error": err}

    def together(self, arguments):
        """Lines of the sessions, the last line, standard error."""
        status, out, err = run(["run"] + self.common + arguments + ["--json"], self.program)
        lines = lines_of(out)
        return (lines[:-1], lines[-1], err) if status == 0 and lines else ([], {}, err)


def differences(stories, sessions, expected):
    """expected: prompt and seed of each session. What is not as in that session alone."""
    wrong = []
    if sorted(s["session"] for s in sessions) != list(range(1, len(expected) + 1)):
        return [f"sessions {[s['session'] for s in sessions]}"]
    for session in sessions:
        prompt, seed = expected[session["session"] - 1]
        alone = stories.alone(prompt, seed)
        for key in ("tokens", "text", "prompt_tokens", "end"):
            if session.get(key) != alone.get(key):
                wrong.append(f"session {session['session']}: {key} {session.get(key)}, alone "
                             f"{alone.get(key, alone)}")
    return wrong


# ---- run ----

PROMPTS = ["Once upon a time", "The dog", "One day, Tom saw a", "Lily", "A big bear", "The sun was"]


def test_run(image, room):
    stories = Stories(image, EMULATOR, CHECKED, ["-n", "24", "--temp", "0.8"])
    sessions, last, err = stories.together(["-p", PROMPTS[0], "--seed", "5", "--parallel", "4"])
    expected = [(PROMPTS[0], seed) for seed in (5, 6, 7, 8)]
    report("four seeds of a prompt: the tokens of each alone",
           differences(stories, sessions, expected) or ([] if last else [err]))
    report("planted fault: tokens of another seed are found",
           [] if differences(stories, sessions, expected[1:] + expected[:1]) else ["not found"])
    report("the seeds differ in what they say",
           [] if len({s["text"] for s in sessions}) == 4 else [str(sessions)])
    sums = last.get("generated_tokens") == sum(len(s["tokens"]) for s in sessions) and \
        last.get("sessions") == last.get("parallel") == 4 and last.get("cycles_predicted", 0) > 0
    report("the last line has the sums", [] if sums else [str(last)])

    file = room / "prompts.txt"
    file.write_text("\n".join(PROMPTS[:3]) + "\r\n\n" + "\n".join(PROMPTS[3:]), "utf-8")
    sessions, last, err = stories.together(["--prompts", file, "--parallel", "2"])
    report("six prompts, two at a time: the tokens of each alone",
           differences(stories, sessions, [(p, 1) for p in PROMPTS]) or ([] if last else [err]))
    waits = {s["session"]: s["seconds_queued"] for s in sessions}
    report("whoever finds no place waits for one",
           [] if sessions and waits[1] < waits[3] < waits[6] else [str(waits)])
    # Ends in the middle of the others: a stop string, in some of the texts.
    stories.common += ["--stop", "was"]
    arguments = [a for p in PROMPTS for a in ("-p", p)] + ["--parallel", "3"]
    sessions, last, err = stories.together(arguments)
    report("six prompts that end early, three at a time: the tokens of each alone",
           differences(stories, sessions, [(p, 1) for p in PROMPTS]) or ([] if last else [err]))
    ends = {s["end"] for s in sessions}
    report("some of them did end early", [] if ends == {"limit", "stop text"} else [str(ends)])

    status, out, err = run(["run"] + stories.common + arguments)
    shown = "".join(f"{'' if i == 0 else chr(10)}== session {i + 1}, seed 1 ==\n{p}{s['text']}\n"
                    for i, (p, s) in enumerate(zip(PROMPTS, sorted(
                        sessions, key=lambda s: s["session"]))))
    report("their texts come in order, each behind its head",
           [] if status == 0 and out == shown else [f"{status} {out!r}, not {shown!r}", err])
    heads = [line for line in err.splitlines() if line.startswith("session ")]
    report("each has its times on standard error", [] if len(heads) == 6 else [err])

    refused = [(["--prompts", room / "nothing.txt"], "nothing.txt"),
               (["--prompts", os.devnull], "has no prompt.*try"),
               (["--prompts", file, "-p", "a"], "prompts does not go with"),
               (["--parallel", "0"], "parallel cannot be 0"),
               (["--parallel", "x"], "parallel cannot be x")]
    (room / "zero.txt").write_bytes(b"one\0two\n")
    refused.append((["--prompts", room / "zero.txt"], "byte of 0.*try"))
    wrong = [text for arguments, pattern in refused
             for text in not_refused(["run", "-m", image] + EMULATOR + arguments, pattern)]
    report("what cannot be run side by side is refused with one line", wrong)


def not_refused(arguments, pattern):
    status, out, err = run(arguments)
    good = status in (1, 2) and err.count("\n") == 1 and re.search(pattern, err) and not out
    return [] if good else [f"{arguments}: {status} {err!r} {out!r}, wanted {pattern}"]


def test_more_than_slots(image):
    """Turns are of 32 positions, so each session has two."""
    stories = Stories(image, EMULATOR, CHECKED, ["-n", "40", "--temp", "0.8", "--ignore-eos"])
    sessions, last, err = stories.together(["-p", PROMPTS[0], "--parallel", "6"])
    report("more sessions than slots take turns: the tokens of each alone",
           differences(stories, sessions, [(PROMPTS[0], seed) for seed in range(1, 7)]) or
           ([] if last else [err]))


def test_prefix(image):
    """Two pages of 16 positions begin both prompts; the second one goes on from the first one's."""
    stories = Stories(image, EMULATOR, CHECKED, ["-n", "8", "--temp", "0.8"])
    start = "Once upon a time there was a little dog. He had a red ball. " * 4
    prompts = [start + "Tom", start + "Then he"]
    arguments = [a for p in prompts for a in ("-p", p)] + ["--parallel", "1"]
    sessions, last, err = stories.together(arguments)
    report("a prompt that begins as one before: the tokens of each alone",
           differences(stories, sessions, [(p, 1) for p in prompts]) or ([] if last else [err]))
    found = [s["prefix_tokens"] for s in sessions]
    good = found and found[0] == 0 and found[1] >= 16 and found[1] % 16 == 0 and \
        found[1] < sessions[1]["prompt_tokens"] and last["prefix_tokens"] == found[1]
    report("what both begin with is computed once", [] if good else [f"{found} {last} {err}"])
    told = re.findall(r"session \d: .* of (\d+) fed tokens (\d+) were found in pages, "
                      r"waited (\S+) s", err)
    expected = [(str(s["prompt_tokens"]), str(s["prefix_tokens"]), f"{s['seconds_queued']:.3f}")
                for s in sessions]
    report("each session tells what was found of its prompt, and how long it waited",
           [] if told == expected and len(told) == 2 else [f"{expected} {err}"])


def test_change(image, other):
    """Another model behind five tokens: each session as alone, those that join later too."""
    stories = Stories(image, EMULATOR, CHECKED, ["-n", "24", "--temp", "0.8", "--ignore-eos"])
    six = ["-p", PROMPTS[0], "--parallel", "6"]
    before = {s["session"]: s["tokens"] for s in stories.together(six)[0]}
    stories.common += ["--reconfigure", "@5", "--new-model", other]
    sessions, last, err = stories.together(six)
    expected = [(PROMPTS[0], seed) for seed in range(1, 7)]
    report("another model behind five tokens: the tokens of each alone",
           differences(stories, sessions, expected) or ([] if last else [err]))
    after = {s["session"]: s["tokens"] for s in sessions}
    good = after != before and len(after) == 6 and err.count("reconfigured: ") == 1 and \
        all(after[n][:5] == before[n][:5] and len(after[n]) == 24 for n in after)
    report("until then the tokens of the old one, and one change for all",
           [] if good else [f"{after} {before} {err}"])
    # The third begins when the change is over.
    arguments = [a for p in PROMPTS[:3] for a in ("-p", p)] + ["--parallel", "2"]
    sessions, last, err = stories.together(arguments)
    wrong = differences(stories, [s for s in sessions if s["session"] < 3],
                        [(p, 1) for p in PROMPTS[:2]])
    new = Stories(other, EMULATOR, CHECKED, stories.common[4:-4]).alone(PROMPTS[2], 1)
    third = [s["tokens"] for s in sessions if s["session"] == 3]
    report("who joins behind the change has the new model from the first token",
           wrong + ([] if third == [new.get("tokens")] else [f"{third} {new} {err}"]))


def test_run_interrupted(image):
    arguments = ["run", "-m", image] + EMULATOR + ["--parallel", "2", "-n", "4000", "--ignore-eos"]
    arguments += [a for p in PROMPTS for a in ("-p", p)]
    with subprocess.Popen([CHECKED] + [str(a) for a in arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        first = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    text = (first + out).decode()
    good = process.returncode == 130 and "session 6" not in text and b"end: cancel" in err
    report("Ctrl-C ends all sessions, and none joins any more",
           [] if good else [f"{process.returncode} {text!r} {err!r}"])


# ---- logs of steps ----

def replay(image, log, *arguments):
    status, out, err = run(["trace", "-m", image, "--config", SIM, "--replay", log, "--json"] +
                           list(arguments))
    return status, lines_of(out)[-1] if status == 0 else {}, err


def changed(log, room, line, text, new):
    """A log with a change in one of its lines, the first of which is 1."""
    lines = log.read_text("ascii").splitlines()
    if text not in lines[line - 1]:
        report(f"line {line} of the log has {text}", [lines[line - 1]])
    lines[line - 1] = lines[line - 1].replace(text, new, 1)
    file = room / "changed.jsonl"
    file.write_text("\n".join(lines) + "\n", "ascii")
    return file


def not_found(image, file, pattern):
    status, _, err = replay(image, file)
    return [] if status == 1 and re.search(pattern, err) else [f"{status} {err!r}: {pattern}"]


def test_log(image, room):
    log = room / "steps.jsonl"
    common = ["-n", "24", "--temp", "0.8"]
    stories = Stories(image, EMULATOR, CHECKED, common)
    arguments = ["--parallel", "3", "--steps-log", log]
    _, last, err = stories.together(["-p", PROMPTS[0], "-p", PROMPTS[1], "-p", PROMPTS[2],
                                     "-p", PROMPTS[3]] + arguments)
    steps = [json.loads(line) for line in log.read_text("ascii").splitlines()]
    status, told, more = replay(image, log)
    good = status == 0 and told["steps"] == len(steps) and \
        told["cycles_predicted"] == last["cycles_predicted"] and told["cycles_counted"] == 0
    report("a log of steps makes the prediction of the run again", [] if good else
           [f"{status} {told} {last}", err, more])
    trace = room / "replayed.json"
    status, told, err = replay(image, log, "-o", trace)
    events = json.loads(trace.read_text("utf-8"))["traceEvents"] if status == 0 else []
    names = [e["name"] for e in events if e["ph"] == "X" and e["name"].startswith("step ")]
    report("a trace is made of it", [] if len(names) == len(steps) else [f"{status} {err}"])

    # The last slot of a step in the middle, some positions further.
    at = len(steps) // 2
    slot = steps[at]["slots"][-1]
    moved = changed(log, room, at + 1, f'"slot":{slot["slot"]},"position":{slot["position"]},',
                    f'"slot":{slot["slot"]},"position":{slot["position"] + 60},')
    wrong = not_found(image, moved, f"step {steps[at]['step']} .*slot {slot['slot']} at position "
                      f"{slot['position'] + 60}.*1 of {len(steps)} steps differ")
    cycles = steps[at]["cycles_predicted"]
    longer = changed(log, room, at + 1, f'"cycles_predicted":{cycles}',
                     f'"cycles_predicted":{cycles + 1}')
    wrong += not_found(image, longer, f"step {steps[at]['step']} .*predicted were {cycles + 1} "
                       f"when it was made, its schedule has {cycles}; 1 of")
    far = changed(log, room, at + 1, f'"position":{slot["position"]},', '"position":60000,')
    wrong += not_found(image, far, f"step {steps[at]['step']} .*this device cannot make it")
    cut = changed(log, room, at + 1, '"logits"', '"logi')
    wrong += not_found(image, cut, f"changed.jsonl: line {at + 1}: byte")
    report("planted faults: a position, a cycle, a position too far, a damaged line", wrong)

    common = ["run", "-m", image] + EMULATOR + ["-n", "2", "--steps-log", log]
    wrong = not_refused(common, "steps.jsonl is there already - try: --force")
    wrong += not_refused(["trace", "-m", image, "--replay", log, "--wave", "w", "--config", SIM],
                         "a log has no wave - try")
    status, _, err = run(common + ["--force"])
    wrong += [] if status == 0 and replay(image, log)[1].get("steps", 0) < 10 else [err]
    report("a log that is there is replaced only by force", wrong)


def test_simulated(image, room):
    log = room / "counted.jsonl"
    stories = Stories(image, ["-d", f"sim:{SIM}"], PLAIN, ["-n", "3", "--temp", "0.8", "-c", "48"])
    sessions, last, err = stories.together(["-p", "Tom", "-p", "The", "-p", "Lily", "-p", "A",
                                            "--parallel", "3", "--steps-log", log])
    # Alone on the emulator: it has the tokens of the RTL (test_same_tokens).
    stories.common[2:4] = EMULATOR
    prompts = ("Tom", "The", "Lily", "A")
    report("four prompts on simulated RTL, three at a time: the tokens of each alone",
           differences(stories, sessions, [(p, 1) for p in prompts]) or ([] if last else [err]))
    one_by_one = sum(stories.alone(p, 1)["cycles_predicted"] for p in prompts)
    good = 0 < last.get("cycles_counted", 0) == last["cycles_predicted"] < one_by_one
    report("counted cycles are those predicted, and fewer than one by one",
           [] if good else [f"{last}, one by one {one_by_one}"])
    status, told, err = replay(image, log)
    good = status == 0 and told["cycles_predicted"] == told["cycles_counted"] == \
        last["cycles_counted"]
    report("the log of steps predicts what the RTL counted", [] if good else [f"{told} {err}"])
    first = json.loads(log.read_text("ascii").splitlines()[0])["cycles_counted"]
    longer = changed(log, room, 1, f'"cycles_counted":{first}', f'"cycles_counted":{first + 1}')
    report("planted fault: a cycle more is found", not_found(
        image, longer, f"step 0 .*took {first + 1} cycles, predicted were {first} when"))


# ---- chat ----

def talk(image, text, *arguments):
    """Exit status, answers with their tokens, the last line, standard error."""
    status, out, err = run(["chat", "-m", image] + EMULATOR + ["--json"] + list(arguments),
                           text=text)
    answers = []
    turns = {}
    for line in lines_of(out):
        if "end" in line:
            line["streamed"] = turns.pop(line["turn"], [])
            answers.append(line)
        elif "id" in line:
            turns.setdefault(line["turn"], []).append(line)
    return status, answers, lines_of(out)[-1] if out else {}, err


GREEDY = ("--chat", "plain", "--temp", "0", "-n", "12")


def test_chat(image, room):
    status, answers, last, err = talk(image, "Tom went out.\n\nThe dog ran.\nWho?", *GREEDY)
    wrong = [] if status == 0 and len(answers) == 3 and last["turns"] == 3 else [f"{status} {err}"]
    for a in answers:
        if [t["id"] for t in a["streamed"]] != a["tokens"] or \
                "".join(t["text"] for t in a["streamed"]) != a["text"]:
            wrong.append(f"turn {a['turn']} streams {a['streamed']}")
    report("a talk through a pipe: a line for each token and each turn", wrong)
    # The same as one prompt: the template plain has a line end between texts.
    whole = "\n".join(["Tom went out.", answers[0]["text"], "The dog ran."])
    _, out, err = run(["run", "-m", image] + EMULATOR + ["-p", whole, "--json"] + list(GREEDY))
    alone = lines_of(out)[-1]
    report("the second answer is that of one run over the whole talk",
           [] if answers[1]["tokens"] == alone["tokens"] else [f"{answers[1]} {alone}", err])
    fed = answers[0]["position"] + answers[1]["prompt_tokens"]
    good = fed == alone["prompt_tokens"] and answers[1]["prompt_tokens"] < 12
    report("only what is new was fed", [] if good else [f"{answers[1]} {alone}"])
    other = "\n".join(["Tom went out.", answers[0]["text"], "The cat sat."])
    _, out, _ = run(["run", "-m", image] + EMULATOR + ["-p", other, "--json"] + list(GREEDY))
    report("planted fault: another talk has another answer",
           [] if answers[1]["tokens"] != lines_of(out)[-1]["tokens"] else ["the same"])

    # An answer that was cut off gets its end token and a line end; the start token comes once.
    status, answers, _, err = talk(image, "Hi.\nHi.\n", "--chat", "zephyr", "-n", "4")
    fed = [a["prompt_tokens"] for a in answers]
    report("an answer that -n cut off is closed as the template closes it",
           [] if len(fed) == 2 and fed[1] == fed[0] - 1 + 2 else [f"{fed} {err}"])

    file = room / "talk.json"
    text = f"Tom went out.\n/save {file}\n/reset\nTom went out.\n/save {file}\n/stats\n/quit\nNo."
    status, answers, last, err = talk(image, text, *GREEDY)
    good = status == 0 and len(answers) == 2 and answers[0]["tokens"] == answers[1]["tokens"]
    report("/reset forgets the talk, /quit ends it", [] if good else [f"{status} {answers} {err}"])
    saved = json.loads(file.read_text("utf-8"))
    expected = [{"role": "user", "content": "Tom went out."},
                {"role": "assistant", "content": answers[1]["text"]}]
    good = saved["messages"] == expected and saved["chat"] == "plain"
    report("/save writes the talk, and again over its own file", [] if good else [str(saved), err])
    report("/stats tells positions, times and cycles",
           [] if "2 turns, " in err and "cycles per token" in err else [err])

    # The second talk begins as the first one, which fills two pages.
    long = "Once upon a time there was a little dog. He had a red ball. " * 3
    text = f"{long}\nWhy?\n/reset\n{long}\nWhy?\n/stats\n"
    status, answers, last, err = talk(image, text, *GREEDY)
    found = [a["prefix_tokens"] for a in answers]
    sums = [sum(a[key] for a in answers) for key in ("prompt_tokens", "prefix_tokens")]
    waited = sum(a["seconds_queued"] for a in answers)
    good = len(found) == 4 and found[:2] == [0, 0] and found[2] >= 32 and found[2] % 16 == 0 and \
        last["prompt_tokens"] == sums[0] and last["prefix_tokens"] == sums[1] and \
        abs(last["seconds_queued"] - waited) < 1e-6
    report("a talk tells what was found in pages and how long it waited, by turn and in all",
           [] if good else [f"{status} {answers} {last}", err])
    told = f"4 turns, .* of {sums[0]} fed tokens {sums[1]} were found in pages, " \
        f"waited {waited:.3f} s"
    report("/stats and the last line tell it too", [] if len(re.findall(told, err)) == 2 else [err])

    text = f"/system Be kind.\nHi.\n/save {room / 'kind.json'}\n/system\nHi.\n"
    status, answers, _, err = talk(image, text, "--chat", "zephyr", "-n", "4")
    saved = json.loads((room / "kind.json").read_text("utf-8"))["messages"]
    given = talk(image, "Hi.\n", "--chat", "zephyr", "-n", "4", "--system", "Be kind.")[1]
    good = saved[0] == {"role": "system", "content": "Be kind."} and len(answers) == 2 and \
        answers[0]["tokens"] == given[0]["tokens"] and \
        answers[1]["prompt_tokens"] < answers[0]["prompt_tokens"]
    report("/system tells the model, as --system does, and takes it back",
           [] if good else [str(saved), str(answers), str(given), err])

    text = f"/jump\n/reset now\n/save\n/save {file}\n/save {room}/no/a\n/help\n/stats\n"
    status, answers, last, err = talk(image, text, *GREEDY)
    wanted = ["/jump is no command - try: /help", "/reset now is no command",
              "try: /save FILE", "is there already - try: another name", "cannot be written",
              "/save FILE    writes", "no answer yet"]
    missing = [w for w in wanted if w not in err]
    report("commands that cannot be done say so, and the talk goes on",
           [err] + missing if missing or status != 0 or last["turns"] != 0 else [])

    status, answers, _, err = talk(image, "Tom went out.\nThe dog ran away.\n/reset\nHi.\n",
                                   "--chat", "plain", "--temp", "0", "-c", "16")
    good = status == 0 and [a["end"] for a in answers] == ["context", "context"] and \
        err.count("the context of 16 positions is full - try: /reset") == 2 and \
        "room for 0 - try" in err
    report("a full context is told, with what to do, and /reset does it",
           [] if good else [f"{status} {answers} {err}"])
    done = subprocess.run([CHECKED, "chat", "-m", str(image)] + EMULATOR + list(GREEDY),
                          input=b"bad \xff text\nHi.\n", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=PATIENCE_S)
    good = done.returncode == 0 and b"UTF-8" in done.stderr and len(done.stdout) > 8
    report("a question that is no UTF-8 is refused, the next is answered",
           [] if good else [str(done)])
    wrong = not_refused(["chat", "-m", image] + EMULATOR, "no chat template.*--chat plain takes")
    wrong += not_refused(["chat", "-m", image, "--chat", "vicuna"] + EMULATOR, "vicuna.*plain")
    wrong += not_refused(["chat"] + EMULATOR, "which model")
    report("without a template chat says how to choose one", wrong)


class Terminal:
    """A talk at a pseudo terminal."""

    def __init__(self, arguments):
        self.text = b""
        self.process, self.end = pty.fork()
        if self.process == 0:
            os.environ.update(TERM="vt100", HOME="/")
            os.execv(arguments[0], arguments)

    def send(self, text):
        os.write(self.end, text)

    def type(self, keys):
        """Keys at the prompt: the editor shows it a moment before it takes the terminal over; what
        is typed in between is echoed by the terminal, and Ctrl-C there is not the editor's."""
        limit = time.monotonic() + PATIENCE_S
        while termios.tcgetattr(self.end)[3] & termios.ICANON and time.monotonic() < limit:
            time.sleep(0.001)
        self.send(keys)

    def more(self):
        """False at the end of the program."""
        ready, _, _ = select.select([self.end], [], [], 0.1)
        if not ready:
            return True
        try:
            data = os.read(self.end, 4096)
        except OSError:
            data = b""
        self.text += data
        return data != b""

    def expect(self, mark):
        """What came up to the mark; None where it does not come."""
        limit = time.monotonic() + PATIENCE_S
        while mark not in self.text:
            if not self.more() or time.monotonic() > limit:
                return None
        at = self.text.index(mark) + len(mark)
        seen, self.text = self.text[:at], self.text[at:]
        return seen

    def close(self):
        """The exit status, of a program that is about to end."""
        limit = time.monotonic() + PATIENCE_S
        while self.more() and time.monotonic() < limit:
            pass
        os.close(self.end)
        _, status = os.waitpid(self.process, 0)
        return os.waitstatus_to_exitcode(status)


def at_terminal(image, *arguments):
    return Terminal([CHECKED, "chat", "-m", str(image)] + EMULATOR + list(arguments))


def test_terminal(image, room):
    file = room / "terminal.json"
    t = at_terminal(image, *GREEDY)
    # Two letters are taken back; the line before is called again and changed at both ends.
    steps = [(b"Tom wamt\x7f\x7f\x7fent", b"ent"), (b"\n", b"\n> "),
             (b"\x1b[A\x05 out.\x01Big \n", b"\n> "),
             (f"/save {file}\n".encode(), b"messages are in")]
    t.expect(b"/help lists commands")
    t.expect(b"> ")
    wrong = []
    for keys, mark in steps:
        t.type(keys)
        if t.expect(mark) is None:
            wrong.append(f"behind {keys!r} no {mark!r} but {t.text!r}")
            break
    t.expect(b"> ")
    t.type(b"never said")
    t.expect(b"never said")
    t.type(b"\x03")
    seen = t.expect(b"\r\n> ")
    t.type(b"\x04")
    status = t.close()
    questions = [m["content"] for m in json.loads(file.read_text("utf-8"))["messages"]
                 if m["role"] == "user"] if file.exists() else []
    if questions != ["Tom went", "Big Tom went out."]:
        wrong.append(f"questions {questions}")
    report("a terminal: lines are edited, the one before is called again", wrong)
    report("Ctrl-C behind a text forgets it, Ctrl-D ends the talk with its figures",
           [] if seen and status == 0 and b"2 turns" in t.text else [f"{status} {t.text!r}"])

    t = at_terminal(image, "--chat", "plain", "-n", "4000", "--ignore-eos")
    t.expect(b"> ")
    t.type(b"Once upon a time\n")
    t.expect(b"time\r\n")
    while not t.text and t.more():
        pass
    t.send(b"\x03")
    cut = t.expect(b"\n> ")
    t.type(b"/stats\n")
    told = t.expect(b"end: cancel")
    t.expect(b"> ")
    t.type(b"\x03")
    status = t.close()
    report("Ctrl-C ends an answer and gives the prompt back",
           [] if cut and told else [f"{cut!r} {told!r} {t.text!r}"])
    report("Ctrl-C at the prompt ends the talk with its figures",
           [] if status == 130 and b"1 turn, " in t.text else [f"{status} {t.text!r}"])


# ---- bench ----

def test_bench(image):
    common = ["bench", "-m", image] + EMULATOR + ["--temp", "0", "-n", "70", "-c", "80", "--json"]
    status, out, err = run(common + ["--parallel", "1,4,9", "--contexts"], PLAIN)
    table = lines_of(out)[-1] if status == 0 else {"parallel": []}
    rows = {row["sessions"]: row for row in table["parallel"]}
    good = list(rows) == [1, 4, 9] and [r.get("tokens") for r in rows.values()] == [70, 280, 630]
    report("bench --parallel: a row for each number, also of more sessions than slots",
           [] if good else [f"{status} {out} {err}"])
    if not good:
        return
    alone = lines_of(run(common, PLAIN)[1])[-1]
    keys = ("cycles_per_token", "cycles_predicted", "multiplier_use")
    report("the row of one session is what bench says of it",
           [f"{rows[1]} {alone}" for key in keys if rows[1][key] != alone[key]])
    four = rows[4]
    gap = four["cycles_between_tokens"]
    per_second = table["clock_mhz"] * 1e6 / four["cycles_per_token"]
    # Equal where the emulator is through with one session before the next one joins.
    good = four["tokens"] == 280 and four["cycles_per_token"] <= rows[1]["cycles_per_token"] and \
        rows[1]["cycles_between_tokens"] <= gap <= four["cycles_between_tokens_longest"] and \
        gap < 4.2 * four["cycles_per_token"] and abs(four["tokens_per_second"] - per_second) < 1
    report("four sessions: no more cycles for a token, no fewer from token to token",
           [] if good else [str(rows)])
    points = {n: rows[n]["contexts"][0] for n in (1, 4)}
    good = points[1]["cycles_per_token"] == points[1]["cycles_per_token_predicted"] and \
        points[1]["context_first"] == points[1]["context_last"] == points[1]["context"] == 64 and \
        points[4]["cycles_per_token_predicted"] < points[1]["cycles_per_token_predicted"]
    report("a step at a context takes what was predicted, of four sessions less for each",
           [] if good else [str(points)])
    status, out, err = run(common[:-1] + ["--parallel", "1,9"], PLAIN)
    good = status == 0 and "from token to token" in out and \
        re.search(r"\n +1 +70 +0 +70 .*\n +9 +630 ", out)
    report("bench --parallel as text", [] if good else [out, err])
    wrong = []
    for value in ("", "0", "1,,2", "1;2", "1,x", "2000", ",".join("1" * 17)):
        wrong += not_refused(common[:-1] + ["--parallel", value], "parallel cannot be")
    wrong += not_refused(common[:-1] + ["--parallel", "1", "-j", "2"], "does not go with")
    report("lists that are none are refused", wrong)


def main():
    for file in (PLAIN, CHECKED, f"{pathlib.Path(PLAIN).parent}/sim/{SIM}.so"):
        if not pathlib.Path(file).exists():
            print(f"skipped: {file} was not built")
            return 77
    with tempfile.TemporaryDirectory() as name:
        room = pathlib.Path(name)
        image = room / "stories.tpi"
        status, _, err = run(["quantize", "-m", MODEL, "--format", "nf4", "--plain", "--calibrate",
                              "models/prompts.txt", "-o", image, "-q"], PLAIN)
        other = room / "other.tpi"
        again, _, more = run(["quantize", "-m", MODEL, "--format", "int4-all", "--plain",
                              "--calibrate", "models/prompts.txt", "-o", other, "-q"], PLAIN)
        report("the images for all that follows", [] if status == again == 0 else [err, more])
        test_run(image, room)
        test_more_than_slots(image)
        test_prefix(image)
        test_change(image, other)
        test_run_interrupted(image)
        test_log(image, room)
        test_simulated(image, room)
        test_chat(image, room)
        test_terminal(image, room)
        test_bench(image)
    return finish()


sys.exit(main())
