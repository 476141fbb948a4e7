"""What a run has besides its curves: config, code, machine, packages, files, console; how two runs differ."""
