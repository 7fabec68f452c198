"""Who may do what, measured: AWS, PostgreSQL and Redis, each role against each call, beside what is designed."""
