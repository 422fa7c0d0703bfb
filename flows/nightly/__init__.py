"""The nightly flow: what keeps happening, out of the history in the database.

`night` is which range of history · `work` keeps what each stage made, so that a killed run goes on · `miners` is who
looks for what · `stages` is what is done · `flow` is the dataflow · `summary`, `plots` and `page` tell people of it.
"""
