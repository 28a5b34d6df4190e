"""The programs of the package: ``carptwist`` and ``carpctl``, one module a verb."""
