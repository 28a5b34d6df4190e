#!/bin/sh
# carptwist-conntrackd.sh MASTER|BACKUP|INIT: what conntrackd(8) has to do when this host changes its state; run it from
# a [hook NAME] of carptwist, for one vhid of those that move together.
#
#   MASTER   what the other host had in its table goes into the kernel's, and the other one gets all that is here
#   BACKUP   the other host is asked for its table; until that is here, this host is demoted by way of [sync conntrack]
#   INIT     what is left of the connections here is dropped after PurgeTimeout
#
# It must run as a user that may write to conntrackd's socket and to carptwist's: root, or see docs/stateful-failover.md.
# It returns at once: what waits for the other host's table goes on in the background, and ends when it is called again.
# Exit code 0; 1 if conntrackd has refused something, with a line about it; 2 for bad usage.

CONFIG=/etc/conntrackd/conntrackd.conf  # of conntrackd
SYNC_SOCKET=/run/carptwist/sync.sock    # the "unix" of [sync conntrack]
SYNC_NAME=conntrack
LIMIT=50                                # seconds that the other host's table is waited for; less than "startup"
TURN=/run/carptwist/conntrackd.turn     # which call of this script was the last

PATH=$PATH:/usr/sbin:/sbin

order() {
	conntrackd -C "$CONFIG" "$@" && return
	echo "conntrackd $* has failed"
	failed=1
}

# Lines from stdin to carptwist, over one connection: that it lasts is how carptwist knows that somebody is still at it.
# When carptwist starts, its hooks run a moment before it listens.
tell() {
	python3 -c '
import socket, sys, time
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(5)
for patience in range(50, -1, -1):
    try:
        connection.connect(sys.argv[1])
        break
    except OSError as error:
        if not patience:
            sys.exit("carptwist: %s: %s" % (sys.argv[1], error.strerror))
        time.sleep(0.1)
answers = connection.makefile()
for line in sys.stdin:
    connection.sendall(line.encode())
    answer = answers.readline().strip()
    if not answer.startswith("ok"):
        sys.exit("carptwist: %s" % answer)
' "$SYNC_SOCKET"
}

# Figures of conntrackd: octets that have come from the other host; entries that it has and we know of; how many of its
# messages were lost so far, each of which is sent again; requests of ours that it has not acknowledged (flag 2).
heard() { conntrackd -C "$CONFIG" -s link | awk '/Bytes recv/ { sum += $4 } END { print sum + 0 }'; }
known() { conntrackd -C "$CONFIG" -s cache | awk '/^cache:external/ { print $NF }'; }
lost() { conntrackd -C "$CONFIG" -s network | awk '/Packets lost/ { print $NF }'; }
asking() { conntrackd -C "$CONFIG" -s rsqueue | awk '/^control/ { sub(/.*flags:/, ""); n += int($0 / 2) % 2 } END { print n + 0 }'; }

# Ask for the other host's table and wait until it is here: 0; not within LIMIT seconds: 1; called again meanwhile: 2.
#
# conntrackd does not say when a bulk update is complete. But it sends its messages in order, and sends again what was
# lost: once our request is acknowledged, everything that it has brought about was sent before. It is here when no message
# was lost since a second ago. A busy master acknowledges late; then it is here when what we know has grown by less than
# 1 % in each of five seconds.
table_is_here() {
	turn=$1
	waited=0 silent=0 quiet=0
	was_heard=$(heard) was_known=$(known) was_lost=$(lost)
	conntrackd -C "$CONFIG" -n
	while [ "$waited" -lt "$LIMIT" ]; do
		sleep 1
		waited=$((waited + 1))
		[ "$(cat "$TURN")" = "$turn" ] || return 2
		is_heard=$(heard) is_known=$(known) is_lost=$(lost)
		[ -n "$is_known" ] && [ -n "$is_lost" ] || { silent=3; continue; } # conntrackd is not there
		if [ "$is_heard" -lt "$was_heard" ]; then
			silent=3 # our own conntrackd has begun anew, and knows of no request
		elif [ "$is_heard" -eq "$was_heard" ]; then
			silent=$((silent + 1))
		elif [ "$silent" -ge 3 ]; then
			# It has come up only now, and may have missed the request.
			silent=0 quiet=0
			conntrackd -C "$CONFIG" -n
		else
			silent=0
			if [ "$(asking)" = 0 ] && [ "$is_lost" = "$was_lost" ]; then
				return 0
			fi
			[ $((100 * (is_known - ${was_known:-0}))) -lt "$is_known" ] && quiet=$((quiet + 1)) || quiet=0
			[ "$quiet" -ge 5 ] && return 0
		fi
		was_heard=$is_heard was_known=$is_known was_lost=$is_lost
	done
	return 1
}

catch_up() {
	{
		echo "begin $SYNC_NAME"
		table_is_here "$1" >&2
		case $? in
		0) echo "done $SYNC_NAME" ;;
		1) echo "fail $SYNC_NAME" ;;
		esac
	} | tell
}

failed=0
case "${1-}" in
MASTER | BACKUP | INIT) echo "$$" > "$TURN" ;;
*)
	echo "usage: ${0##*/} MASTER|BACKUP|INIT" >&2
	exit 2
	;;
esac

case "$1" in
MASTER)
	order -c # what the other host had goes into the kernel's table
	order -f # forget it in conntrackd, on both sides of its cache ...
	order -R # ... and read the kernel's table anew
	order -B # the other host gets all of it
	# Whatever is here is what there is.
	echo "done $SYNC_NAME" | tell || failed=1
	;;
BACKUP)
	order -t
	catch_up "$$" < /dev/null > /dev/null 2>&1 &
	;;
INIT)
	order -t
	;;
esac
exit "$failed"
