"""Completion of the command lines for bash, zsh and fish, made from the parsers."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from carptwist.tools.synopsis import Option, Program, programs

#: What stands for values that are names of files.
_FILES = ("CAPTURE", "COMMAND", "DIRECTORY", "FILE", "NEW", "OLD", "PATH", "SCENARIO")
_MADE = "# Made by `make docs` from the program's own parser."


def files() -> Iterator[tuple[str, str]]:
    """Names below the repository, and texts."""
    for program in programs():
        yield f"conf/completion/{program.name}.bash", _bash(program)
        yield f"conf/completion/_{program.name}", _zsh(program)
        yield f"conf/completion/{program.name}.fish", _fish(program)


def _names(options: tuple[Option, ...]) -> list[str]:
    return [name for option in options for name in option.names]


def _words(options: tuple[Option, ...]) -> list[str]:
    """What may be typed: options, and the choices of positional arguments."""
    return [*_names(options), *(choice for option in options if not option.names for choice in option.choices)]


def _bash(program: Program) -> str:
    with_value = "|".join(name for option in program.options if option.value for name in option.names) or "-"
    whole = " ".join([*_names(program.options), *(verb.name for verb in program.verbs)])
    lines = [
        f"# bash completion for {program.name}. {_MADE[2:]}",
        f"_{program.name}() {{",
        "    local current=${COMP_WORDS[COMP_CWORD]} words verb= number=1",
        "    while ((number < COMP_CWORD)); do",
        "        case ${COMP_WORDS[number]} in",
        f"            {with_value}) ((number++)) ;;",
        "            -*) ;;",
        "            *) verb=${COMP_WORDS[number]}; break ;;",
        "        esac",
        "        ((number++))",
        "    done",
        "    case $verb in",
        f"        '') words={quote(whole)} ;;",
    ]
    for verb in program.verbs:
        lines.append(f"        {verb.name}) words={quote(' '.join(_words(verb.options)))} ;;")
    lines += [
        "        *) words= ;;",
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
        "}",
        f"complete -o default -F _{program.name} {program.name}",
    ]
    return "\n".join(lines) + "\n"


def _zsh(program: Program) -> str:
    lines = [
        f"#compdef {program.name}",
        _MADE,
        f"_{program.name}() {{",
        "    local -a verbs",
        "    verbs=(",
        *(f"        {quote(f'{verb.name}:{_plain(verb.summary)}')}" for verb in program.verbs),
        "    )",
        "    local state",
        "    _arguments -C \\",
        *(f"        {spec} \\" for option in program.options for spec in _named(option)),
        "        '1:verb:->verb' '*::argument:->arguments'",
        "    case $state in",
        "        verb) _describe verb verbs ;;",
        "        arguments)",
        "            case $words[1] in",
    ]
    for verb in program.verbs:
        specs = list(_arguments(verb.options)) or ["'*:file:_files'"]
        lines.append(f"                {verb.name}) _arguments {' '.join(specs)} ;;")
    lines += ["            esac ;;", "    esac", "}", f'_{program.name} "$@"']
    return "\n".join(lines) + "\n"


def _arguments(options: tuple[Option, ...]) -> Iterator[str]:
    """What zsh's _arguments is told of a verb. It wants positional arguments numbered, and one at most for the rest."""
    number = 0
    for option in options:
        if option.names:
            yield from _named(option)
        else:
            number += 1
            yield quote(f"{'*' if option.several else number}{_value(option)}")


def _named(option: Option) -> list[str]:
    return [quote(f"{name}[{_plain(option.text)}]{_value(option)}") for name in option.names]


def _value(option: Option) -> str:
    if not option.value:
        return ""
    of = f"({' '.join(option.choices)})" if option.choices else "_files" if option.value in _FILES else " "
    return f":{_plain(option.value)}:{of}"


def _fish(program: Program) -> str:
    complete = f"complete -c {program.name}"
    names = " ".join(verb.name for verb in program.verbs)
    before = f"not __fish_seen_subcommand_from {names}"
    lines = [f"# fish completion for {program.name}. {_MADE[2:]}"]
    lines += [_fish_option(f"{complete} -n {quote(before)}", option) for option in program.options if option.names]
    for verb in program.verbs:
        lines.append(f"{complete} -n {quote(before)} -f -a {quote(verb.name)} -d {quote(verb.summary)}")
        within = f"{complete} -n {quote(f'__fish_seen_subcommand_from {verb.name}')}"
        for option in verb.options:
            if option.names:
                lines.append(_fish_option(within, option))
            elif option.choices:
                lines.append(f"{within} -f -a {quote(' '.join(option.choices))}")
    return "\n".join(lines) + "\n"


def _fish_option(start: str, option: Option) -> str:
    parts = [start]
    for name in option.names:
        parts.append(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}")
    if option.value:
        required = "-r" if option.value in _FILES else "-x"
        parts.append(f"-x -a {quote(' '.join(option.choices))}" if option.choices else required)
    return " ".join([*parts, f"-d {quote(option.text)}"])


def _plain(text: str) -> str:
    """Without what zsh would take for its own."""
    return "".join(character for character in text if character not in "[]:'`\\")
