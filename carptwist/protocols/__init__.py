"""The Twisted protocols of a link: advertisements, the ARP responder, the neighbour discovery responder."""
