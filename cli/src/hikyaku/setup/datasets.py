"""`datasets.toml` of a world on one machine."""

DATASETS = """\
#:schema ../docs/datasets.schema.json
# Datasets of the local stack. Without an entry, incoming/orders/x.csv.gz.age goes to table orders.
# Read again within seconds of a change.

# For trying things out on one machine, files without a signature are accepted here.
# In production this is "required": anyone with the public key can encrypt a file, only its signature tells who did.
# The senders' public keys go into `allowed_signers` beside this file; a signature that is there is checked here too.
[defaults]
signature = "if_present"
"""
"""What `datasets.toml` says until someone edits it."""
