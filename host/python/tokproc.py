# SPDX-License-Identifier: Apache-2.0
"""Python binding of libtokproc: stream tokens through a token processor.

    import tokproc
    with tokproc.Context() as context:
        model = context.open_model("models/tokproc-stories.bin")
        device = context.open_device("emu")
        device.load(model, format="nf4")
        with device.session(temperature=0.7, top_k=40, seed=3) as session:
            for token in session.generate("Once upon a time", 100):
                print(token.text, end="", flush=True)

Plain ctypes on the public header: option names are the field names of the structures there, and its
comments are the reference. The library is found in $TOKPROC_LIBRARY, beside this file, or where the
system looks. Everything is released by close(), by `with`, or with the context.
"""

import ctypes
import os
from collections import namedtuple

import tokproc_c as c

# candidates: pairs of id and log probability; empty and NaN unless the session asked for some.
Token = namedtuple("Token", "id position text log_probability candidates")


class Error(Exception):
    """A call failed; status is the number of tp_status, the text says what to do."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def _find():
    here = os.path.dirname(os.path.abspath(__file__))
    names = [os.environ.get("TOKPROC_LIBRARY"), os.path.join(here, "libtokproc.so"),
             os.path.join(here, "..", "libtokproc.so")]
    found = [name for name in names if name and os.path.exists(name)]
    library = ctypes.CDLL(found[0] if found else "libtokproc.so.0")
    c.declare(library)
    return library


LIBRARY = _find()


def _check(function, *arguments):
    error = c.tp_error()
    status = function(*arguments, ctypes.byref(error))
    if status != c.TP_OK:
        raise Error(status, error.text.decode(errors="replace"))


def _facts(structure):
    """A structure as a dict; texts decoded."""
    values = {name: getattr(structure, name) for name, *_ in structure._fields_}
    return {k: v.decode(errors="replace") if isinstance(v, bytes)
            else _facts(v) if isinstance(v, ctypes.Structure) else v
            for k, v in values.items()}


def _options(kind, values):
    """A structure of options from keywords; texts encoded, names of formats looked up."""
    options = kind()
    for name, value in values.items():
        if name == "format" and isinstance(value, str):
            found = LIBRARY.tp_format_find(value.encode())
            if found == c.TP_FORMAT_COUNT:
                raise ValueError(f"there is no format {value!r}")
            value = found
        if name == "stop_strings":
            for i, text in enumerate(value):
                options.stop_strings[i] = text.encode()
            options.stop_string_count = len(value)
            continue
        if name == "keep":
            options.keep = (ctypes.c_char_p * len(value))(*[text.encode() for text in value])
            options.keep_count = len(value)
            continue
        if not hasattr(options, name):
            raise TypeError(f"{kind.__name__} has no field {name!r}")
        setattr(options, name, os.fsencode(value) if isinstance(value, (str, os.PathLike))
                else value)
    return options


class _Handle:
    """Something of the library that is released once; children are released before it."""

    def __init__(self, kind, release, parent=None):
        self._pointer = ctypes.POINTER(kind)()
        self._release = release
        self._children = []
        self._parent = parent
        if parent is not None:
            parent._children.append(self)

    def _opened(self, function, *arguments):
        try:
            _check(function, *arguments, ctypes.byref(self._pointer))
        except Error:
            self._forget()
            raise
        return self

    def _forget(self):
        if self._parent is not None and self in self._parent._children:
            self._parent._children.remove(self)

    def close(self):
        for child in reversed(list(self._children)):
            child.close()
        if self._pointer:
            self._release(self._pointer)
            self._pointer = type(self._pointer)()
        self._forget()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Context(_Handle):
    def __init__(self, **options):
        super().__init__(c.tp_context, LIBRARY.tp_context_destroy)
        self._options = _options(c.tp_context_options, options)
        self._opened(LIBRARY.tp_context_create, ctypes.byref(self._options))

    def devices(self):
        """Facts of the devices that can be opened, preferred ones first."""
        count = ctypes.c_size_t()
        _check(LIBRARY.tp_device_list, self._pointer, None, 0, ctypes.byref(count))
        infos = (c.tp_device_info * count.value)()
        _check(LIBRARY.tp_device_list, self._pointer, infos, count.value, ctypes.byref(count))
        return [_facts(info) for info in infos]

    def open_device(self, name="emu"):
        device = Device(c.tp_device, LIBRARY.tp_device_close, self)
        return device._opened(LIBRARY.tp_device_open, self._pointer, name.encode())

    def open_model(self, path, **options):
        model = Model(c.tp_model, LIBRARY.tp_model_close, self)
        chosen = _options(c.tp_model_options, dict(options, path=path))
        return model._opened(LIBRARY.tp_model_open, self._pointer, ctypes.byref(chosen))


class Model(_Handle):
    def info(self):
        facts = c.tp_model_info()
        LIBRARY.tp_model_get_info(self._pointer, ctypes.byref(facts))
        return _facts(facts)

    def encode(self, text):
        """Token ids of a text, without the start token."""
        data = text.encode()
        count = ctypes.c_size_t()
        _check(LIBRARY.tp_model_encode, self._pointer, data, len(data), None, 0,
               ctypes.byref(count))
        tokens = (ctypes.c_uint32 * count.value)()
        _check(LIBRARY.tp_model_encode, self._pointer, data, len(data), tokens, count.value,
               ctypes.byref(count))
        return list(tokens)


    def quantise(self, **options):
        """A quantised model, of this one: fields of tp_quantise_options."""
        model = Model(c.tp_model, LIBRARY.tp_model_close, self._parent)
        chosen = _options(c.tp_quantise_options, options)
        return model._opened(LIBRARY.tp_model_quantise, self._pointer, ctypes.byref(chosen))

    def save(self, path):
        """Writes a quantised model as an image file."""
        _check(LIBRARY.tp_model_save, self._pointer, os.fsencode(path))


class Device(_Handle):
    def info(self):
        facts = c.tp_device_info()
        LIBRARY.tp_device_get_info(self._pointer, ctypes.byref(facts))
        return _facts(facts)

    def load(self, model, **options):
        chosen = _options(c.tp_load_options, options)
        _check(LIBRARY.tp_device_load, self._pointer, model._pointer, ctypes.byref(chosen))

    def statistics(self):
        facts = c.tp_device_statistics()
        _check(LIBRARY.tp_device_get_statistics, self._pointer, ctypes.byref(facts))
        return _facts(facts)

    def session(self, **options):
        session = Session(c.tp_session, LIBRARY.tp_session_destroy, self)
        session._options = _options(c.tp_session_options, options)
        session._opened(LIBRARY.tp_session_create, self._pointer,
                        ctypes.byref(session._options))
        return session

    def restore(self, path):
        """A session of Session.save."""
        session = Session(c.tp_session, LIBRARY.tp_session_destroy, self)
        return session._opened(LIBRARY.tp_session_restore, self._pointer, os.fsencode(path), None)


class Session(_Handle):
    end = None  # why the last run ended: "limit", "stop" ...

    def feed(self, tokens_or_text):
        if isinstance(tokens_or_text, str):
            _check(LIBRARY.tp_session_feed_text, self._pointer, tokens_or_text.encode())
        else:
            tokens = (ctypes.c_uint32 * len(tokens_or_text))(*tokens_or_text)
            _check(LIBRARY.tp_session_feed, self._pointer, tokens, len(tokens))

    def generate(self, prompt=None, count=256):
        """Feeds the prompt, yields up to count tokens as they come. Leaving the loop early cancels
        the run; session.end says afterwards why it ended."""
        if prompt is not None:
            self.feed(prompt)
        _check(LIBRARY.tp_session_generate, self._pointer, count)
        token = c.tp_token()
        self.end = None
        try:
            while self.end is None:
                _check(LIBRARY.tp_session_read, self._pointer, ctypes.byref(token), -1)
                if token.end != c.TP_END_NONE:
                    self.end = LIBRARY.tp_end_name(token.end).decode()
                text = token.text.decode() if token.text else ""
                if self.end is None or text:
                    candidates = [(token.candidates[i].id, token.candidates[i].log_probability)
                                  for i in range(token.candidate_count)]
                    yield Token(token.id if self.end is None else None, token.position, text,
                                token.log_probability, candidates)
        finally:
            if self.end is None and self._pointer:
                _check(LIBRARY.tp_session_cancel, self._pointer)
                while token.end == c.TP_END_NONE:
                    _check(LIBRARY.tp_session_read, self._pointer, ctypes.byref(token), -1)
                self.end = LIBRARY.tp_end_name(token.end).decode()

    def fork(self):
        """Another session with the same tokens."""
        fork = Session(c.tp_session, LIBRARY.tp_session_destroy, self._parent)
        return fork._opened(LIBRARY.tp_session_fork, self._pointer, None)

    def rewind(self, position):
        """Takes back the tokens from position on."""
        _check(LIBRARY.tp_session_rewind, self._pointer, position)

    def save(self, path):
        _check(LIBRARY.tp_session_save, self._pointer, os.fsencode(path))

    def statistics(self):
        facts = c.tp_session_statistics()
        LIBRARY.tp_session_get_statistics(self._pointer, ctypes.byref(facts))
        return _facts(facts)
