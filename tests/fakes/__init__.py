"""Stand-ins with the real thing's behaviour, controlled by the test: no mocks, no time that passes by itself."""
