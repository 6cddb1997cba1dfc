"""A small regular-expression matcher that cannot be made slow.

All states are walked side by side, so time is text × pattern at worst; there is no backtracking.
Syntax: literals, ``.``, classes ``[a-z]`` ``[^…]``, ``\\d \\w \\s`` and their opposites, ``* + ? {m,n}``,
``|``, groups, ``^ $``. No back-references, look-around or flags. Searching is unanchored, as in CEL.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from mappings.errors import ExpressionError

MAX_STATES = 1000
MAX_REPEAT = 100
_MAX_DEPTH = 20

Test = Callable[[str], bool]

_DIGITS = frozenset("0123456789")
_WORD = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_SPACE = frozenset("\t\n\f\r ")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


def _member(characters: frozenset[str], negate: bool) -> Test:
    return (lambda c: c not in characters) if negate else (lambda c: c in characters)


_CLASSES: dict[str, Test] = {
    "d": _member(_DIGITS, False), "D": _member(_DIGITS, True),
    "w": _member(_WORD, False), "W": _member(_WORD, True),
    "s": _member(_SPACE, False), "S": _member(_SPACE, True),
}  # fmt: skip


@dataclass(slots=True)
class _State:
    """One instruction: ``test`` consumes a character; ``kind`` split/jump/start/end/match do not."""

    kind: str
    test: Test | None = None
    first: int = -1
    second: int = -1


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern; ``states`` is its size."""

    program: tuple[_State, ...]

    @property
    def states(self) -> int:
        return len(self.program)

    def found(self, text: str) -> bool:
        """Whether the pattern occurs anywhere in the text."""
        current: dict[int, None] = {}
        for at in range(len(text) + 1):
            if self._add(current, 0, at == 0, at == len(text)):
                return True
            if at == len(text):
                return False
            following: dict[int, None] = {}
            character = text[at]
            for number in current:
                state = self.program[number]
                if (
                    state.test is not None
                    and state.test(character)
                    and self._add(following, state.first, False, at + 1 == len(text))
                ):
                    return True
            current = following
        return False

    def _add(self, states: dict[int, None], number: int, at_start: bool, at_end: bool) -> bool:
        """Add a state and all it leads to without a character; True when that includes the match."""
        waiting = [number]
        seen: set[int] = set()
        while waiting:
            number = waiting.pop()
            if number in seen or number in states:
                continue
            seen.add(number)
            state = self.program[number]
            if state.kind == "match":
                return True
            if state.kind == "test":
                states[number] = None
            elif state.kind == "split":
                waiting.extend((state.second, state.first))
            elif state.kind == "jump" or (state.kind == "start" and at_start) or (state.kind == "end" and at_end):
                waiting.append(state.first)
        return False


def _refuse(text: str) -> ExpressionError:
    return ExpressionError(f"正则表达式无法使用：{text}", f"unusable pattern: {text}")


class _Compiler:
    """Recursive descent straight into instructions; fragments are instruction lists with relative jumps."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Pattern:
        fragment = self._alternatives()
        if self._at < len(self._text):
            raise _refuse("unbalanced ')'")
        program = [*fragment, _State("match")]
        for number, state in enumerate(program):  # relative -> absolute
            state.first += number
            state.second += number
        return Pattern(tuple(program))

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _alternatives(self) -> list[_State]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _refuse("nested too deeply")
        fragment = self._sequence()
        while self._peek() == "|":
            self._at += 1
            other = self._sequence()
            fragment = [
                _State("split", first=1, second=len(fragment) + 2),
                *fragment,
                _State("jump", first=len(other) + 1),
                *other,
            ]
            _bounded(fragment)
        self._depth -= 1
        return fragment

    def _sequence(self) -> list[_State]:
        fragment: list[_State] = []
        while self._peek() not in ("", "|", ")"):
            fragment.extend(self._repeated())
            _bounded(fragment)
        return fragment

    def _repeated(self) -> list[_State]:
        piece = self._piece()
        repeated = False
        while (bounds := self._bounds()) is not None:
            if repeated:
                raise _refuse("two quantifiers in a row")
            repeated = True
            if self._peek() == "?":
                self._at += 1  # lazy: the same yes or no
            least, most = bounds
            if len(piece) * max(least, most or 0) > MAX_STATES:
                raise _refuse("too large")
            fragment = [state for _ in range(least) for state in _copy(piece)]
            if most is None:
                loop = _copy(piece)
                fragment += [_State("split", first=1, second=len(loop) + 2), *loop]
                fragment.append(_State("jump", first=-(len(loop) + 1)))
            else:
                for left in range(most - least, 0, -1):
                    rest = left * (len(piece) + 1)
                    fragment += [_State("split", first=1, second=rest), *_copy(piece)]
            piece = fragment
        return piece

    def _bounds(self) -> tuple[int, int | None] | None:
        sign = self._peek()
        if sign in ("*", "+", "?"):
            self._at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        if sign != "{":
            return None
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at + 1 : max(end, self._at + 1)].partition(",")
        if end < 0 or not low.isascii() or not low.isdigit() or len(low) > 3 or len(high) > 3:
            raise _refuse("a quantifier reads {m}, {m,} or {m,n}")
        if high and not (high.isascii() and high.isdigit()):
            raise _refuse("a quantifier reads {m}, {m,} or {m,n}")
        self._at = end + 1
        least = int(low)
        most = least if not comma else int(high) if high else None
        if least > MAX_REPEAT or (most is not None and not least <= most <= MAX_REPEAT):
            raise _refuse(f"a quantifier counts to {MAX_REPEAT} at most")
        return least, most

    def _piece(self) -> list[_State]:
        character = self._peek()
        self._at += 1
        if character == "(":
            if self._text.startswith("?:", self._at):
                self._at += 2
            elif self._peek() == "?":
                raise _refuse("groups of the kind (?…) are not supported")
            fragment = self._alternatives()
            if self._peek() != ")":
                raise _refuse("missing ')'")
            self._at += 1
            return fragment
        if character == "[":
            return [_State("test", test=self._class(), first=1)]
        if character == "^":
            return [_State("start", first=1)]
        if character == "$":
            return [_State("end", first=1)]
        if character == ".":
            return [_State("test", test=lambda c: c != "\n", first=1)]
        if character in "*+?{":
            raise _refuse(f"'{character}' has nothing to repeat")
        if character == "\\":
            return [_State("test", test=self._escape(), first=1)]
        return [_State("test", test=lambda c: c == character, first=1)]

    def _escaped(self) -> tuple[str | None, Test | None]:
        letter = self._peek()
        self._at += 1
        if letter in _CLASSES:
            return None, _CLASSES[letter]
        if letter in _CONTROLS:
            return _CONTROLS[letter], None
        if not letter or letter.isalnum() or ord(letter) > 127:
            raise _refuse(f"unknown escape '\\{letter}'")
        return letter, None

    def _escape(self) -> Test:
        literal, test = self._escaped()
        return test if test is not None else lambda c: c == literal

    def _class(self) -> Test:
        negate = self._peek() == "^"
        self._at += negate
        ranges: list[tuple[str, str]] = []
        tests: list[Test] = []
        first = True
        while first or self._peek() != "]":
            if not self._peek():
                raise _refuse("missing ']'")
            if self._text.startswith("[:", self._at):
                raise _refuse("[:name:] classes are not supported")
            low, test = self._class_item()
            first = False
            if test is not None:
                tests.append(test)
                continue
            high = low
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high, test = self._class_item()
                if test is not None or not (low and high and low <= high):
                    raise _refuse("a range in [...] runs from low to high")
            ranges.append((low or "", high or ""))
        self._at += 1

        def member(c: str) -> bool:
            return any(low <= c <= high for low, high in ranges) or any(test(c) for test in tests)

        return (lambda c: not member(c)) if negate else member

    def _class_item(self) -> tuple[str | None, Test | None]:
        character = self._peek()
        self._at += 1
        return self._escaped() if character == "\\" else (character, None)


def _copy(fragment: list[_State]) -> list[_State]:
    return [_State(state.kind, state.test, state.first, state.second) for state in fragment]


def _bounded(fragment: list[_State]) -> None:
    if len(fragment) > MAX_STATES:
        raise _refuse("too large")


@functools.lru_cache(maxsize=256)
def compile(text: str) -> Pattern:
    """The pattern for a text. Raises ExpressionError."""
    if len(text) > 500:
        raise _refuse("longer than 500 characters")
    return _Compiler(text).whole()


__all__ = ["Pattern", "compile"]
