"""What is no curve: a run's config, code, machine, packages, files and console, and how two runs differ in them."""
