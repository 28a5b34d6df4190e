"""``carptwist passwd NAME``: asks for a pass phrase, and prints the line for the file of ``passwd`` in [manhole].

::

    umask 077; carptwist passwd anna >> /etc/carptwist/passwd

Without a terminal the phrase is the first line of standard input.
"""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys

from carptwist.admin import passwords

SUMMARY = "make a line of a file with names and pass phrases, for telnet of [manhole]"

DONE, BAD = 0, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="who is to be let in")


def run(arguments: argparse.Namespace) -> int:
    if sys.stdin.isatty():
        phrase = getpass.getpass("Pass phrase: ")
        if phrase != getpass.getpass("Once more: "):
            print("carptwist: these were two different ones", file=sys.stderr)
            return BAD
    else:
        phrase = sys.stdin.readline().rstrip("\r\n")
    if not phrase:
        print("carptwist: a pass phrase has at least one character", file=sys.stderr)
        return BAD
    try:
        print(passwords.line(arguments.name, phrase.encode(), secrets.token_bytes(passwords.SALT_OCTETS)))
    except ValueError as error:
        print(f"carptwist: {arguments.name}: {error}", file=sys.stderr)
        return BAD
    return DONE
