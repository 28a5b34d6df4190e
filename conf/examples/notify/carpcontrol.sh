#!/bin/sh
# carpcontrol.sh VHID@INTERFACE STATE: what this host does when it becomes the master or the backup of a virtual host.
# What it prints is in carptwist's log.

case "$2" in
MASTER)
	# start what only the master runs, e.g. systemctl start dhcp-relay
	echo "serving $1"
	;;
BACKUP)
	# stop it
	echo "standing by for $1"
	;;
*)
	echo "usage: carpcontrol.sh VHID@INTERFACE MASTER|BACKUP" >&2
	exit 2
	;;
esac
