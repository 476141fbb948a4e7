"""How often the 80% bands of `wandb_report --forecast` hold what came: ended runs, cut at 25, 50 and 75%.

A cut run is given out as running, with what it had logged until then; the other finished runs of its task are its
siblings. Beside this, each is forecast from its own course alone, told where it ends. Generated runs are those of
`benchmarks.diagnoses`, the troubled ones among them; any folder of local runs can be measured as well.
"""
