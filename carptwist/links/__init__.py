"""Where frames and news of the network devices come in."""
