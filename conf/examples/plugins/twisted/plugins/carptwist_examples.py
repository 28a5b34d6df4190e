"""What this package has for configurations to name. Nothing but declarations: every program that uses Twisted's
plug-ins reads this. There is no __init__.py beside it."""

from carptwist.plugins.declaration import DemotionPlugin, HookPlugin, LinkPlugin, PlanePlugin

commands = PlanePlugin("commands", "carptwist_examples.commands.CommandPlane")
tunnel = LinkPlugin("tunnel", "carptwist_examples.tunnel.Tunnel")
graphite = HookPlugin("graphite", "carptwist_examples.graphite.Graphite")
load = DemotionPlugin("load", "carptwist_examples.load.Load")
