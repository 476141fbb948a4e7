"""Many runs as a dataset on disk: files that other programs query, a manifest that lets an export go on."""
