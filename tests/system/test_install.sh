#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims about `make install`: from the installed files alone a C program, a C++ program and a
# Python program build and stream a story; the shared library shows what the header declares and
# nothing else; manual pages and completion cover every verb; the udev rule is where udev looks;
# `make uninstall` leaves no file.
#
# TP_TIME_LIMIT_S: 900

BUILD=${TP_BUILD:-build}
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
TO=$ROOM/usr
count=0
failed=0

for need in help2man pkg-config python3; do
    if ! command -v $need > "$ROOM/log"; then
        echo "skipped: $need is not installed (make setup)"
        exit 77
    fi
done

# check NAME COMMAND...: one test; the command's output is shown when it fails.
check() {
    name=$1
    shift
    count=$((count + 1))
    if "$@" > "$ROOM/log" 2>&1; then
        echo "ok $count - $name"
    else
        failed=$((failed + 1))
        echo "not ok $count - $name"
        tail -n 20 "$ROOM/log" | sed 's/^/# /'
    fi
}

check "make install" make -s BUILD="$BUILD" PREFIX="$TO" install

export PKG_CONFIG_PATH="$TO/lib/pkgconfig"
export LD_LIBRARY_PATH="$TO/lib"
MODEL=$TO/share/tokproc/tokproc-stories.bin
awk '/^```c$/ { inside = 1; next } /^```/ { if (inside) exit } inside' README.md \
    > "$ROOM/example.c"
STORIES='models/tokproc-stories'
sed "s|\"$STORIES[^\"]*\"|\"$MODEL\"|" "$ROOM/example.c" > "$ROOM/moved.c"

build() {
    # shellcheck disable=SC2046
    "$@" $(pkg-config --cflags tokproc) "$ROOM/moved.$SUFFIX" \
        $(pkg-config --libs tokproc) -o "$ROOM/program"
}
story() {
    (cd / && "$@") > "$ROOM/story" && [ "$(wc -c < "$ROOM/story")" -gt 100 ]
}
SUFFIX=c check "a C program builds by pkg-config" build ${CC:-gcc} -std=c11 -Wall -Werror
check "and streams a story" story "$ROOM/program" emu
needed() {
    readelf -d "$1" | grep NEEDED | grep -q "$2"
}
check "it is linked to the soname" needed "$ROOM/program" 'libtokproc\.so\.0'
rm -f "$ROOM/program"
build_static() {
    # shellcheck disable=SC2046
    ${CC:-gcc} -std=c11 $(pkg-config --cflags tokproc) "$ROOM/moved.c" "$TO/lib/libtokproc.a" \
        $(pkg-config --libs --static tokproc | sed 's/-ltokproc//') -o "$ROOM/program" &&
        ! needed "$ROOM/program" libtokproc
}
check "it builds against the archive, with the libraries that pkg-config names" build_static
cat > "$ROOM/moved.cc" << 'EOF'
#include <tokproc.h>
#include <cstring>
int main() { return std::strcmp(tp_version(), TP_VERSION); }
EOF
SUFFIX=cc check "a C++ program builds" build ${CXX:-g++} -std=c++17 -Wall -Werror
check "header and library have the same version" "$ROOM/program"

exports() {
    ${CC:-gcc} -E -P -I"$TO/include" "$TO/include/tokproc.h" |
        grep -oE '\btp_[a-z0-9_]+\(' | tr -d '(' | sort -u > "$ROOM/declared"
    nm -D --defined-only "$TO/lib/libtokproc.so" |
        sed -n 's/.* T \([^@]*\).*/\1/p' | sort -u > "$ROOM/exported"
    [ -s "$ROOM/declared" ] && diff "$ROOM/declared" "$ROOM/exported"
}
check "the shared library exports what the header declares" exports

lists_device() {
    "$TO/bin/tokproc" devices > "$ROOM/devices" && grep -q "$1" "$ROOM/devices"
}
check "the installed program lists the emulator" lists_device emu
if ls "$TO"/lib/tokproc/*.so > "$ROOM/log" 2>&1; then
    check "and the installed simulated devices" lists_device sim:ulx3s-85f
fi

check "a Python program streams a story" story env PYTHONPATH="$TO/lib/python3/dist-packages" \
    TOKPROC_LIBRARY="$TO/lib/libtokproc.so" python3 "$PWD/host/python/example.py" "$MODEL"
cat > "$ROOM/binding.py" << 'EOF'
import sys
import tokproc
with tokproc.Context() as context:
    try:
        context.open_model("/nowhere.bin")
        sys.exit("an absent model was opened")
    except tokproc.Error as error:
        assert "nowhere" in str(error), error
    model = context.open_model(sys.argv[1])
    assert model.info()["vocab"] == 512 and len(model.encode("Once")) >= 1
    device = context.open_device("emu:ulx3s-85f")
    assert device.info()["groups"] == 4
    device.load(model, format="nf4", calibrate_path=sys.argv[2])
    with device.session(temperature=0) as session:
        whole = [t.id for t in session.generate("Once upon a time", 20)]
        assert session.end == "limit" and len(whole) == 20, (session.end, whole)
        session.rewind(session.statistics()["position"] - 9)
        session.save(sys.argv[3] + ".session")
        with session.fork() as fork, device.restore(sys.argv[3] + ".session") as restored:
            assert [t.id for t in fork.generate(count=10)] == whole[10:]
            assert [t.id for t in restored.generate(count=10)] == whole[10:]
    with device.session(temperature=0) as session:
        for token in session.generate("Once upon a time", 20):
            break
        assert session.end in ("cancel", "limit"), session.end
    quantised = model.quantise(format="nf4", keep=["down=q8"], calibrate_path=sys.argv[2])
    quantised.save(sys.argv[3])
    image = context.open_model(sys.argv[3])
    facts = image.info()
    assert facts["quantised"] and facts["quality"]["tokens"] >= 0, facts
    assert facts["payload_digest"] == quantised.info()["payload_digest"]
    device.load(image)
    with device.session(temperature=0) as session:
        assert len(list(session.generate("Once upon a time", 5))) == 5
    try:
        device.session(no_such_field=1)
        sys.exit("an unknown option was taken")
    except TypeError:
        pass
EOF
binding() {
    PYTHONPATH="$TO/lib/python3/dist-packages" TOKPROC_LIBRARY="$TO/lib/libtokproc.so" \
        python3 "$ROOM/binding.py" "$MODEL" models/prompts.txt "$ROOM/image.tpi"
}
check "the binding: errors, facts, tokens, an early end" binding

pages() {
    for verb in $("$TO/bin/tokproc" --verbs); do
        grep -q '^\.SH NAME' "$TO/share/man/man1/tokproc-$verb.1" || return 1
    done
    grep -q 'tp_session_read' "$TO/share/man/man3/tokproc.3"
}
check "every verb has a manual page, and the library one" pages
completion() {
    bash -c '. "$1"; COMP_WORDS=(tokproc run --form); COMP_CWORD=2; _tokproc
             [ "${COMPREPLY[*]}" = --format ] || exit 1
             COMP_WORDS=(tokproc run --format nf4-); COMP_CWORD=3; _tokproc
             [ "${COMPREPLY[*]}" = nf4-all ] || exit 2
             COMP_WORDS=(tokproc ver); COMP_CWORD=1; _tokproc
             [ "${COMPREPLY[*]}" = verify ]' \
        - "$TO/share/bash-completion/completions/tokproc"
}
check "completion in bash" completion

udev_rule() {
    cmp host/usb/70-tokproc.rules "$TO/lib/udev/rules.d/70-tokproc.rules"
}
check "the udev rule of boards on USB is where udev looks" udev_rule

check "make uninstall" make -s BUILD="$BUILD" PREFIX="$TO" uninstall
empty() {
    find "$TO" -not -type d | tee "$ROOM/left"
    [ ! -s "$ROOM/left" ]
}
check "it leaves no file" empty

echo "1..$count"
[ "$failed" = 0 ]
