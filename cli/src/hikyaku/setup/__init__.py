"""`hikyaku setup`: what a host needs before `docker compose up -d`. Nothing here may need the extra `local`: the cli's image has none."""
