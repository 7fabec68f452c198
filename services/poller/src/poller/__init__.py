"""The poller: drains SQS, keeps its messages in flight, and settles each once its file has a final fate."""
