#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claims about the whole way from an unmodified program to D+ and D-: `tokproc run -d usb`, libusb,
a real Linux with its drivers of host controllers in QEMU, usbredir, a host at line level, the RTL
of the USB core and that of a device (usb_redirector.c) stream the tokens of `emu`, on xHCI, on
UHCI, on EHCI that gives the port to its companion, as it does with a board of full speed, and on
EHCI itself, which is told that the board is one of high speed. To load the shipped model and tell
one token takes at most 1.2 times what the model's bytes need at 1.216 MB/s. A token that the device
changes is seen. A guest that ends in the middle, and a board that does, are one clear message each.

The guest is made here: a kernel of Debian, busybox, the program and its libraries. No KVM: QEMU's
own translation. Skipped where something is missing; `make setup-deep` installs all of it. Not
covered: arrival of boards (tests/host/test_usb.c), faults on the lines (tests/rtl/test_usb.c).

TP_TIME_LIMIT_S: 3600
"""

import json
import lzma
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, "tests/common")
from tap import finish, report  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TP_BUILD", "build"))
PROGRAM = pathlib.Path(os.environ.get("TOKPROC", BUILD / "tokproc"))
REDIRECTOR = BUILD / "test" / "deep" / "usb_redirector"
LINUX = BUILD / "linux"
CONFIG = "ulx3s-45f"
# In this order: EHCI before UHCI, which gets the ports that EHCI gives away.
MODULES = ("common/usb-common", "core/usbcore", "host/ehci-hcd", "host/ehci-pci", "host/uhci-hcd",
           "host/xhci-hcd", "host/xhci-pci")
QEMU = "qemu-system-x86_64"
TOKENS = 40
STORY = ["--temp", "0.3", "-c", "90", "-q", "--json", "-p", "Once upon a time"]
# Bulk bytes that full speed allows: 19 packets of 64 in a millisecond.
BYTES_PER_US = 1.216
# Of the time on the bus to load a model, in that of its bytes: those of the words that are written
# into the board's memories (load_bytes of `tokproc plan`), without the frames around them.
LOAD_MAX = 1.2
LIMIT_S = 600  # of a guest; a few seconds on a machine that has nothing else to do
# A simulated step takes longer than a board's.
TIME_SCALE = 40
# Time in the guest: 4 ns an instruction, and while it waits that of the machine. So the kernel's
# calibration of its clocks is right on a machine that is busy, too.
CLOCK = ["-icount", "shift=2,sleep=on"]
APPEND = "console=ttyS0 quiet panic=-1 reboot=t mitigations=off"

# name: options of QEMU, what it is told of the board's speed; in the guest, the driver of the
# board's bus, and its speed in Mbit/s.
CONTROLLERS = {
    "xHCI": (["-device", "qemu-xhci,id=host"], "full", "xHCI", "12"),
    "UHCI": (["-device", "piix3-usb-uhci,id=host"], "full", "UHCI", "12"),
    "EHCI with a companion": (
        ["-device", "ich9-usb-ehci1,id=host,addr=1d.7,multifunction=on",
         "-device", "ich9-usb-uhci1,masterbus=host.0,firstport=0,addr=1d.0,multifunction=on"],
        "full", "UHCI", "12"),
    "EHCI": (["-device", "usb-ehci,id=host"], "high", "EHCI", "480"),
}


def missing():
    """What is not there and what to do about it, or None."""
    tools = [tool for tool in (QEMU, "busybox", "cpio") if shutil.which(tool) is None]
    if tools:
        return f"{', '.join(tools)} is not installed - try: make setup-deep"
    if not list(LINUX.glob("boot/vmlinuz-*")):
        return f"no kernel is in {LINUX} - try: make setup-deep"
    if not REDIRECTOR.exists():
        return (f"{REDIRECTOR} was not built, which needs libusbredirparser-dev - try: make "
                "setup-deep, then make test-deep")
    for path in (PROGRAM, BUILD / "sim" / f"{CONFIG}.so"):
        if not path.exists():
            return f"{path} was not built - try: make test-deep"
    return None


# ---- the guest ----

def unpack_kernel(path):
    """Debian's kernel unpacks itself, which takes longer here than all the rest of its start."""
    packed = next(LINUX.glob("boot/vmlinuz-*")).read_bytes()
    start = packed.find(b"\xfd7zXZ\0")
    path.write_bytes(lzma.LZMADecompressor().decompress(packed[start:]) if start > 0 else packed)


def libraries_of(program):
    text = subprocess.run(["ldd", program], stdout=subprocess.PIPE, check=True).stdout.decode()
    return sorted(set(re.findall(r"(/\S+) \(", text)))


def make_guest(room):
    root = room / "root"
    for folder in ("bin", "proc", "sys", "dev", "modules"):
        (root / folder).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
    shutil.copy(PROGRAM, root / "bin" / "tokproc")
    shutil.copy("tests/deep/guest_init.sh", root / "init")
    shutil.copy(room / "model", root / "model")
    for module in MODULES:
        shutil.copy(next(LINUX.glob(f"lib/modules/*/kernel/drivers/usb/{module}.ko")),
                    root / "modules")
    names = "\n".join(module.rpartition("/")[2] for module in MODULES)
    (root / "modules" / "order").write_text(names + "\n", encoding="ascii")
    for library in libraries_of(PROGRAM):
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])
    words = " ".join(f"'{word}'" for word in STORY)
    (root / "story").write_text(f"TP_TIME_SCALE={TIME_SCALE} exec tokproc run -m /model -d usb "
                                f"{words} -n $TOKENS\n", encoding="ascii")
    names = "\n".join(str(p.relative_to(root)) for p in sorted(root.rglob("*")))
    with open(room / "initrd", "wb") as archive:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(),
                       stdout=archive, check=True)
    unpack_kernel(room / "kernel")


# ---- a run ----

class Guest:
    """QEMU and the board that is plugged into it; both end with the block."""

    def __init__(self, room, controller, device=CONFIG, folder=BUILD / "sim", fault=None,
                 tokens=TOKENS):
        options, speed, _, _ = CONTROLLERS[controller]
        self.room = room
        for name in ("console", "output"):
            (room / name).write_bytes(b"")
        ours, theirs = socket.socketpair()
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_s = start.ru_utime + start.ru_stime
        self.wall_s = time.monotonic()
        environment = dict(os.environ, **({"FAULT": fault} if fault else {}))
        with (ours, theirs, open(room / "board", "wb") as board_log,
              open(room / "qemu", "wb") as qemu_log):
            self.board = subprocess.Popen(
                [str(REDIRECTOR), str(ours.fileno()), speed, device, str(folder)],
                pass_fds=[ours.fileno()], stdout=board_log, stderr=board_log,
                stdin=subprocess.DEVNULL, env=environment)
            self.qemu = subprocess.Popen(
                [QEMU, "-accel", "tcg", *CLOCK, "-M", "pc", "-m", "256", "-nodefaults",
                 "-no-user-config", "-display", "none", "-no-reboot",
                 "-serial", f"file:{room / 'console'}", "-serial", f"file:{room / 'output'}",
                 "-kernel", str(room / "kernel"), "-initrd", str(room / "initrd"),
                 "-append", f"{APPEND} TOKENS={tokens}", *options,
                 "-chardev", f"socket,id=board,fd={theirs.fileno()}",
                 "-device", "usb-redir,chardev=board,bus=host.0"],
                pass_fds=[theirs.fileno()], stdout=qemu_log, stderr=qemu_log,
                stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.qemu, self.board):
            process.kill()
            process.wait()

    def text(self, name):
        return (self.room / name).read_text(encoding="utf-8", errors="replace").replace("\r", "")

    def wait_for(self, text):
        """Until the board says so; false when either process ended before, or in LIMIT_S."""
        end = time.monotonic() + LIMIT_S
        while text not in self.text("board"):
            if time.monotonic() > end or None not in (self.qemu.poll(), self.board.poll()):
                return False
            time.sleep(0.02)
        return True

    def wait(self):
        """Until both ended; what was wrong with that."""
        end = time.monotonic() + LIMIT_S
        wrong = []
        for name, process in (("QEMU", self.qemu), ("the board", self.board)):
            try:
                process.wait(max(1.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                wrong.append(f"{name} did not end in {LIMIT_S} s")
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            setattr(self, "qemu_s" if process is self.qemu else "board_s",
                    used.ru_utime + used.ru_stime - self.cpu_s)
        self.board_s -= self.qemu_s
        self.wall_s = time.monotonic() - self.wall_s
        return wrong

    def said(self, pattern):
        """The first group of the first line of the guest that matches."""
        found = re.search(rf"^guest: {pattern}$", self.text("console"), re.M)
        return found.group(1) if found else None

    def tokens(self):
        lines = [line for line in self.text("output").splitlines() if line.startswith("{")]
        return json.loads(lines[-1])["tokens"] if lines else None

    def lines(self):
        return [f"{name}: {line}" for name in ("console", "board", "qemu")
                for line in self.text(name).splitlines()[-8:]]


def check_story(guest, controller):
    """What speaks against a run that was sound as far as the tokens."""
    _, _, bus, speed = CONTROLLERS[controller]
    wrong = guest.wait()
    if guest.said("status (.*)") != "0" or guest.tokens() is None:
        wrong.append("the program in the guest ended with status "
                     f"{guest.said('status (.*)')}: {guest.said('error: (.*)')}")
    if guest.said("board on (.*)") != f"{bus} at {speed} Mbit/s":
        wrong.append(f"the board is on {guest.said('board on (.*)')}")
    if controller.split()[0] not in (guest.said("buses: (.*)") or ""):
        wrong.append(f"no driver of {controller}: {guest.said('buses: (.*)')}")
    if guest.board.returncode != 0:
        wrong.append(f"the board's process ended with status {guest.board.returncode}")
    return wrong


def tell_figures(guest, controller):
    times = [guest.said(f"{what} at (.*) s") for what in ("starts", "story begins", "story ends")]
    print(f"# {controller}: guest starts at {times[0]} s, story from {times[1]} to {times[2]} s; "
          f"{guest.wall_s:.1f} s in all, CPU: QEMU {guest.qemu_s:.1f} s, "
          f"board {guest.board_s:.1f} s")
    for line in guest.text("board").splitlines()[-2:]:
        print(f"# {controller}: {line}", flush=True)


# ---- the claims ----

def refused(name, sent, message):
    """A peer that sends these bytes and ends is one message of the board's process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        board = subprocess.Popen(
            [str(REDIRECTOR), str(ours.fileno()), "full", CONFIG, str(BUILD / "sim")],
            pass_fds=[ours.fileno()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL)
        theirs.sendall(sent)
    try:
        output = board.communicate(timeout=LIMIT_S)[0].decode()
    except subprocess.TimeoutExpired:
        board.kill()
        output = "it does not end"
    sound = board.returncode == 1 and re.fullmatch(f"usb_redirector: {message}\n", output)
    report(name, [] if sound else [f"status {board.returncode}: {output}"])


def stories(room, expected):
    for controller in CONTROLLERS:
        with Guest(room, controller) as guest:
            wrong = check_story(guest, controller)
            if not wrong and guest.tokens() != expected:
                wrong = [f"got {guest.tokens()}", f"and not {expected}"]
            report(f"a story over {controller} is that of the emulator",
                   wrong + guest.lines() if wrong else [])
            if not wrong:
                tell_figures(guest, controller)


def cost_of_load(room):
    done = subprocess.run([str(PROGRAM), "plan", "-m", str(room / "model"), "--config", CONFIG,
                           "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.decode().splitlines()[-1])["places"][0]["formats"][0]


def check_load(guest, controller, cost):
    """What speaks against the time of a sound run that loads the model; tells it, too."""
    least_us = cost["load_bytes"] / BYTES_PER_US
    bytes_out, time_us = map(int, re.search(r"(\d+) bytes out.*\nbulk bytes within (\d+) us",
                                            guest.text("board")).groups())
    ratio = time_us / least_us
    print(f"# {controller}: the {cost['load_bytes']} bytes of the model and a token take "
          f"{time_us} us on the bus, {ratio:.3f} times what {BYTES_PER_US} MB/s need")
    tell_figures(guest, controller)
    wrong = []
    if bytes_out < cost["link_bytes"]:
        wrong.append(f"only {bytes_out} bytes of {cost['link_bytes']} went over the bus")
    if not 1 < ratio <= LOAD_MAX:
        wrong.append(f"{time_us} us are {ratio:.3f} times {least_us:.0f} us")
    return wrong


def loads(room, expected):
    cost = cost_of_load(room)
    for controller in CONTROLLERS:
        with Guest(room, controller, tokens=1) as guest:
            wrong = check_story(guest, controller)
            if not wrong and guest.tokens() != expected[:1]:
                wrong = [f"got {guest.tokens()}, and not {expected[:1]}"]
            if not wrong:
                wrong = check_load(guest, controller, cost)
            report(f"a load over {controller} takes at most {LOAD_MAX} times its bytes' time",
                   wrong + guest.lines() if wrong else [])


def changed_token(room, expected):
    """The planted fault: the comparison must see it."""
    with Guest(room, "xHCI", "faulty", BUILD / "test" / "deep", "token") as guest:
        wrong = check_story(guest, "xHCI")
        if not wrong and guest.tokens() == expected:
            wrong = ["the tokens are those of the emulator"]
        report("a token that the device changes is seen", wrong + guest.lines() if wrong else [])


def guest_ends(room):
    with Guest(room, "xHCI") as guest:
        wrong = [] if guest.wait_for("the link is open") else ["the link was never open"]
        guest.qemu.kill()
        wrong += guest.wait()
        message = guest.text("board").splitlines()[1:]
        if guest.board.returncode != 1 or message != [
                "usb_redirector: the guest ended while a program had the link open"]:
            wrong.append(f"status {guest.board.returncode}, messages: {message}")
        report("a guest that ends in the middle is one message", wrong + guest.lines() if wrong else
               [])


def board_ends(room, controller):
    with Guest(room, controller) as guest:
        wrong = [] if guest.wait_for("the link is open") else ["the link was never open"]
        guest.board.kill()
        wrong += guest.wait()
        errors = re.findall(r"^guest: error: (.*)$", guest.text("console"), re.M)
        if guest.said("status (.*)") != "1" or len(errors) != 1 or "unplugged" not in errors[0]:
            wrong.append(f"status {guest.said('status (.*)')}, messages: {errors}")
        report(f"a board that ends in the middle is one message of the program, over {controller}",
               wrong + guest.lines() if wrong else [])


def main():
    reason = missing()
    if reason is not None:
        print(f"skipped: {reason}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        room = pathlib.Path(folder)
        subprocess.run([str(PROGRAM), "quantize", "-m", "models/tokproc-stories.bin", "--format",
                        "nf4-all", "-q", "--plain", "--calibrate", "models/prompts.txt", "-o",
                        str(room / "model")], check=True)
        done = subprocess.run([str(PROGRAM), "run", "-m", str(room / "model"), "-d", "emu", *STORY,
                               "-n", str(TOKENS)],
                              stdout=subprocess.PIPE, check=True)
        expected = json.loads(done.stdout.decode().splitlines()[-1])["tokens"]
        report("the emulator tells a story", [] if len(expected) == TOKENS else [str(expected)])
        refused("QEMU that ends at once", b"", "QEMU ended before it said hello")
        refused("what is not usbredir", bytes(range(1, 200)),
                "QEMU sends what is not usbredir: .*")
        make_guest(room)
        stories(room, expected)
        loads(room, expected)
        changed_token(room, expected)
        guest_ends(room)
        for controller in ("xHCI", "UHCI"):
            board_ends(room, controller)
    return finish()


sys.exit(main())
